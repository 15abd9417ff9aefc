"""The bases of differences in SQL (parlant_store.backends.channel_values)."""

from parlant_store.content.compression import DIFFERENCE
from parlant_store.types import USER_MARK

NAME_SIZE = 17
"""The number of characters of the name of a base, which are after DIFFERENCE in a type."""


_STARTS = (DIFFERENCE, USER_MARK + DIFFERENCE)


def is_difference(column: str) -> str:
    """Return the condition that a column of types has that of a difference."""
    return " OR ".join(f"substr({column}, 1, {len(start)}) = '{start}'" for start in _STARTS)


def base_name(column: str) -> str:
    """Return the name of the base in a column of types; null if the value is no difference."""
    cases = (
        f"WHEN substr({column}, 1, {len(start)}) = '{start}'"
        f" THEN substr({column}, {len(start) + 1}, {NAME_SIZE})"
        for start in _STARTS
    )
    return f"CASE {' '.join(cases)} END"
