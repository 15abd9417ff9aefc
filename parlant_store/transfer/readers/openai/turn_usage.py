"""The usage of the turns of AdvancedSQLiteSession."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from parlant_store.backends.columns import usage_by_turn
from parlant_store.content.items import role_of, turn_starts
from parlant_store.content.usage import StoredUsage, sum_usage, usage_of
from parlant_store.types import JSONObject, SessionHistory


class TurnUsage(NamedTuple):
    """The turns of a session, with their numbers in the source."""

    turns: Sequence[object]
    """The turn of each item."""

    usage: Mapping[object, StoredUsage]


def history_of(items: Sequence[JSONObject], source: TurnUsage) -> SessionHistory:
    """Return the history of a session with these items."""
    starts = {place: turn for turn, place in turn_starts(list(map(role_of, items)), 1).items()}
    numbers: dict[object, int] = {}
    number = 0
    for place, turn in enumerate(source.turns):
        number = starts.get(place, number)
        numbers.setdefault(turn, number)
    of_turns: defaultdict[int, list[StoredUsage]] = defaultdict(list)
    for turn, used in source.usage.items():
        if turn in numbers and any(used.values()):
            of_turns[numbers[turn]].append(used)
    total = sum_usage(source.usage.values())
    return SessionHistory(
        usage=usage_of(total) if total else None,
        turn_usage=usage_by_turn((turn, sum_usage(parts)) for turn, parts in of_turns.items()),
    )
