"""What selectools has stored as sessions, in the form of its adapter.

Messages become items without the fields that are None; the rest becomes the state
(parlant_store.adapters.selectools.serialization).
"""

from datetime import datetime

from parlant_store.content import codec
from parlant_store.exceptions import InvalidInput
from parlant_store.transfer.readers.base import Reader, time_of
from parlant_store.types import JSONObject, SessionRecord

_LIMITS = ("max_messages", "max_tokens", "summary")


def memory_record(
    reader: Reader,
    session_id: str,
    namespace: str | None,
    memory: JSONObject,
    *,
    created_at: object = None,
    updated_at: object = None,
    expires_at: datetime | None = None,
) -> SessionRecord:
    """Return the session with a memory, or with a dict of the older form."""
    items, state = _content(reader, f"session {session_id!r:.200}", memory)
    created = time_of(created_at)
    return SessionRecord(
        namespace=namespace or reader.namespace,
        session_id=session_id,
        items=items,
        state=state,
        created_at=created,
        updated_at=time_of(updated_at) or created,
        expires_at=expires_at,
    )


def split_key(key: str) -> tuple[str | None, str]:
    """Return the namespace and the id of a key "namespace:id", split at its first colon.

    The adapter finds both the key itself and the id in the namespace.
    """
    namespace, _, session_id = key.partition(":")
    return (namespace, session_id) if namespace and session_id else (None, key)


def _content(
    reader: Reader, session: str, memory: JSONObject
) -> tuple[list[JSONObject], JSONObject]:
    """Return the items and the state."""
    messages = memory.get("messages")
    if not isinstance(messages, list):
        return [], {"selectools": "dict", "data": memory}
    readable = []
    for place, message in enumerate(messages, 1):
        try:
            codec.check_object(message, "it")
            codec.check(message, "it")
        except InvalidInput as exc:
            reader.note(f"message {place} of {session}", exc)
        else:
            readable.append(message)
    if "max_messages" in memory:
        state = {"selectools": "memory", **{name: memory.get(name) for name in _LIMITS}}
        return [_without_none(message) for message in readable], state
    rest = {name: value for name, value in memory.items() if name != "messages"}
    return readable, {"selectools": "dict", "data": rest, "messages": True}


def _without_none(message: JSONObject) -> JSONObject:
    return {name: value for name, value in message.items() if value is not None}
