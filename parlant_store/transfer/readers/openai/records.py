"""Sessions of the OpenAI Agents SDK as records."""

from collections.abc import Sequence
from datetime import datetime

from parlant_store.transfer.readers.base import Reader, time_of
from parlant_store.transfer.readers.openai.turn_usage import TurnUsage, history_of
from parlant_store.types import JSONObject, SessionRecord

SESSIONS_TABLE = "agent_sessions"
MESSAGES_TABLE = "agent_messages"
"""The defaults of the SDK's options sessions_table and messages_table."""


def session_record(
    reader: Reader,
    session_id: str,
    messages: Sequence[tuple[object, object]],
    *,
    created_at: object = None,
    updated_at: object = None,
    expires_at: datetime | None = None,
    metadata: JSONObject | None = None,
    turn_usage: TurnUsage | None = None,
) -> SessionRecord:
    """Return the session with these messages: pairs of a JSON text and a time.

    ``turn_usage`` has the turn of each message.
    """
    items, times, places = [], [], []
    for place, item in reader.items(f"session {session_id!r:.200}", [text for text, _ in messages]):
        items.append(item)
        times.append(time_of(messages[place][1]))
        places.append(place)
    history = None
    if turn_usage is not None:
        turns = [turn_usage.turns[place] for place in places]
        history = history_of(items, turn_usage._replace(turns=turns))
    known = [time for time in times if time is not None]
    created = time_of(created_at)
    return SessionRecord(
        namespace=reader.namespace,
        session_id=session_id,
        items=items,
        item_times=known if len(known) == len(items) else None,
        metadata=metadata or {},
        created_at=created,
        updated_at=time_of(updated_at) or created,
        expires_at=expires_at,
        history=history,
    )
