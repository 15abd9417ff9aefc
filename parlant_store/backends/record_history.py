"""The turns, usage and parents of whole sessions, from what backends store of them."""

from collections.abc import Sequence
from typing import Any

from parlant_store.backends.columns import usage_by_turn
from parlant_store.content.items import USER, role_of, turn_starts
from parlant_store.content.usage import decode_usage, sum_usage, usage_of
from parlant_store.types import JSONObject, SessionHistory


def history_of(
    items: Sequence[JSONObject | None],
    usages: Sequence[Any],
    *,
    last_turn: int,
    usage: Any,
    parent_id: str | None,
    parent_position: int | None,
) -> SessionHistory:
    """Return the history of a session.

    ``items`` has None for damaged ones, which open no turn: the last turn keeps its number without
    them. ``usages`` has for each item the stored usage of the turn that starts with it.
    """
    readable = [(place, item) for place, item in enumerate(items) if item is not None]
    roles = [role_of(item) for _, item in readable]
    first_turn = max(1, last_turn + 1 - roles.count(USER))
    starts = turn_starts(roles, first_turn) if any(usages) else {}
    # Turn 0 starts with the first item, even if that is damaged.
    places = {turn: readable[start][0] if turn else 0 for turn, start in starts.items()}
    of_turns = {turn: decode_usage(usages[place]) for turn, place in places.items()}
    # A user of Supabase may have written the usage of turns alone.
    total = decode_usage(usage) or sum_usage(of_turns.values()) or None
    return SessionHistory(
        first_turn=first_turn,
        usage=usage_of(total),
        turn_usage=usage_by_turn(of_turns.items()) if total else {},
        parent_id=parent_id,
        parent_position=parent_position,
    )
