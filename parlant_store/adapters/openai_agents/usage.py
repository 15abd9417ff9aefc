"""The usage of runs, in the forms of the store and of AdvancedSQLiteSession."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from parlant_store.types import JSONObject, Usage

if TYPE_CHECKING:
    from agents import Usage as RunUsage

_COUNTS = ("requests", "input_tokens", "output_tokens", "total_tokens")
_DETAILS = ("input_tokens_details", "output_tokens_details")


def run_usage(usage: "RunUsage") -> JSONObject:
    """Return the usage of a run as ``add_usage`` takes it."""
    counts: JSONObject = {name: getattr(usage, name) or 0 for name in _COUNTS}
    for name in _DETAILS:
        # Some providers leave them out.
        details = getattr(usage, name, None)
        if details is not None:
            counts[name] = {
                key: value for key, value in vars(details).items() if isinstance(value, int)
            }
    return counts


def less(usage: JSONObject, added: JSONObject | None) -> JSONObject:
    """Return ``usage`` less what was added before."""
    if added is None:
        return usage
    return {
        name: less(value, added.get(name))
        if isinstance(value, dict)
        else max(value - added.get(name, 0), 0)
        for name, value in usage.items()
    }


def turn_usage(usage: Usage) -> dict[str, Any]:
    """Return the usage of a turn as ``get_turn_usage`` does."""
    details = {name: getattr(usage, name) or None for name in _DETAILS}
    return {name: getattr(usage, name) or 0 for name in _COUNTS} | details


def session_usage(turns: Iterable[Usage]) -> dict[str, int] | None:
    """Return the sum of the usage of turns; None without turns."""
    usages = list(turns)
    if not usages:
        return None
    totals = {name: sum(getattr(usage, name) or 0 for usage in usages) for name in _COUNTS}
    return totals | {"total_turns": len(usages)}
