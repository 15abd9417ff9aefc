"""The turns of a Parlant session, as its events tell them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from parlant_store.backends.reads import primary_reads
from parlant_store.content.events import EVENTS, event_text
from parlant_store.content.usage import parse_usage, sum_usage, usage_of
from parlant_store.exceptions import InvalidInput
from parlant_store.handler import stores
from parlant_store.types import JSONObject, Turn, Usage


async def list_turns(
    session_id: str, *, store: str = "default", table_prefix: str = "parlant_"
) -> list[Turn]:
    """Return the turns of a session, oldest first; without events, an empty list.

    A message of the customer opens a turn; what comes before the first one is turn 0. ``position``
    is the offset of the first event. Deleted events do not count. ``usage`` is the sum of the field
    ``usage`` in the metadata of events, where an application stores it: Parlant itself stores none.
    The arguments are those of server_stores.
    """
    backend = stores[store]
    collection = f"{table_prefix}sessions_{EVENTS}"
    with primary_reads():
        page = await backend.afind(collection, {"session_id": {"$eq": session_id}})
    return turns_of(page.documents)


def turns_of(events: Iterable[JSONObject]) -> list[Turn]:
    """Return the turns of the events of one session."""
    stored = [event for event in events if not event.get("deleted")]
    turns: list[list[JSONObject]] = []
    first = 1
    for event in sorted(stored, key=lambda event: event["offset"]):
        if _opens_turn(event):
            turns.append([])
        elif not turns:
            first = 0
            turns.append([])
        turns[-1].append(event)
    return [_turn(number, turn) for number, turn in enumerate(turns, first)]


def _opens_turn(event: Mapping[str, Any]) -> bool:
    return event.get("kind") == "message" and event.get("source") == "customer"


def _turn(number: int, events: list[JSONObject]) -> Turn:
    first = events[0]
    return Turn(
        number=number,
        position=first["offset"],
        text=(event_text(first.get("data")) or "") if number else "",
        created_at=_time(first.get("creation_utc")),
        item_count=len(events),
        usage=_usage(events),
    )


def _usage(events: list[JSONObject]) -> Usage | None:
    counts = []
    for event in events:
        metadata = event.get("metadata")
        usage = metadata.get("usage") if isinstance(metadata, Mapping) else None
        if isinstance(usage, Mapping):
            try:
                counts.append(parse_usage(usage))
            except InvalidInput:
                continue
    return usage_of(sum_usage(counts) or None)


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
