"""The threads of a user, as JSON values."""

from base64 import b64encode
from collections.abc import Iterator

from parlant_store.backends.base import BaseBackend
from parlant_store.content.times import as_utc
from parlant_store.types import (
    CheckpointCursor,
    JSONObject,
    SessionInfo,
    StoredCheckpoint,
    ThreadInfo,
    TypedBytes,
)

PAGE_SIZE = 100
"""How many checkpoints are read at once."""


def exported_thread(store: BaseBackend, thread: ThreadInfo) -> Iterator[JSONObject]:
    """Return an object for the thread, and one for each of its checkpoints, the latest first.

    A value is in the first checkpoint that has it. Bytes are in Base64.
    """
    name = {"namespace": thread.namespace, "thread_id": thread.thread_id}
    yield {"kind": "thread", **name, **owner_and_times(thread)}
    seen: set[tuple[str, str, str]] = set()
    cursor: CheckpointCursor | None = None
    while True:
        page = store.list_checkpoints(
            thread.thread_id, namespace=thread.namespace, limit=PAGE_SIZE, after=cursor
        )
        for stored in page:
            yield {"kind": "checkpoint", **name, **_exported(stored, seen)}
        if len(page) < PAGE_SIZE:
            return
        last = page[-1]
        cursor = CheckpointCursor(checkpoint_id=last.checkpoint.checkpoint_id, key=last.key)


def owner_and_times(record: SessionInfo | ThreadInfo) -> JSONObject:
    return {
        "user_id": record.user_id,
        "created_at": as_utc(record.created_at).isoformat(),
        "updated_at": as_utc(record.updated_at).isoformat(),
        "expires_at": record.expires_at and as_utc(record.expires_at).isoformat(),
    }


def _exported(stored: StoredCheckpoint, seen: set[tuple[str, str, str]]) -> JSONObject:
    checkpoint, values = stored.checkpoint, {}
    for channel, value in stored.values.items():
        place = (checkpoint.checkpoint_ns, channel, repr(checkpoint.versions[channel]))
        if place not in seen:
            seen.add(place)
            values[channel] = _encoded(value)
    return {
        "checkpoint_ns": checkpoint.checkpoint_ns,
        "checkpoint_id": checkpoint.checkpoint_id,
        "parent_id": checkpoint.parent_id,
        "metadata": checkpoint.metadata,
        "versions": {**checkpoint.versions},
        "checkpoint": _encoded(checkpoint.value),
        "values": values,
        "writes": [
            {"task_id": write.task_id, "channel": write.channel, **_encoded(write.value)}
            for write in stored.writes
        ],
    }


def _encoded(value: TypedBytes) -> JSONObject:
    return {"type": value.type, "value": b64encode(value.data).decode()}
