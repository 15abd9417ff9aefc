"""The bases of differences in SQL (parlant_store.backends.channel_values)."""

from parlant_store.content.compression import DIFFERENCE
from parlant_store.types import USER_MARK

NAME_SIZE = 17
"""The number of characters of the name of a base, which are after DIFFERENCE in a type."""


def base_name(column: str) -> str:
    """Return the name of the base in a column of types; null if the value is no difference."""
    cases = (
        f"WHEN substr({column}, 1, {len(start)}) = '{start}'"
        f" THEN substr({column}, {len(start) + 1}, {NAME_SIZE})"
        for start in (DIFFERENCE, USER_MARK + DIFFERENCE)
    )
    return f"CASE {' '.join(cases)} END"
