"""Checksums of sessions, threads and documents, equal if two stores have the same content."""

import json
from dataclasses import asdict, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from parlant_store.content.times import as_utc
from parlant_store.types import (
    ChannelValue,
    Checkpoint,
    CheckpointRecord,
    DocumentRecord,
    SessionHistory,
    SessionRecord,
    TaskWrite,
    ThreadRecord,
    TypedBytes,
)

_in_order = json.JSONEncoder(separators=(",", ":")).encode
_sorted = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode


def session_digest(record: SessionRecord) -> bytes:
    """Return the checksum of all that is known of a session.

    The order of keys counts in items only, which stores keep as they are.
    """
    times = record.item_times
    texts = {time: _text(time) for time in set(times or ())}
    head: list[Any] = [
        record.namespace,
        record.session_id,
        record.user_id,
        *map(_text, (record.created_at, record.updated_at, record.expires_at)),
        None if times is None else [texts[time] for time in times],
        record.state,
        record.metadata,
    ]
    if record.history is not None and record.history != SessionHistory():
        head.append(asdict(record.history))
    return sha256(f"{_sorted(head)}\n{_in_order(record.items)}".encode()).digest()


def thread_digest(record: ThreadRecord) -> bytes:
    """Return the checksum of all that is known of a thread, in whatever order its parts are."""
    times = map(_text, (record.created_at, record.updated_at, record.expires_at))
    head = _sum([record.namespace, record.thread_id, record.user_id, *times])
    parts = [
        *(_checkpoint_sum(*each) for each in record.checkpoints),
        *(_value_sum(*each) for each in record.values),
        *(_write_sum(*each) for each in record.writes),
    ]
    return sha256(b"".join([head, *sorted(parts)])).digest()


def document_digest(record: DocumentRecord) -> bytes:
    """Return the checksum of all that is known of a document."""
    times = _text(record.updated_at), _text(record.expires_at)
    return sha256(_sorted([times, record.document]).encode()).digest()


def thread_as_known(record: ThreadRecord, source: ThreadRecord) -> ThreadRecord:
    """Return the record of a target without the times that ``source`` does not know."""
    unknown = {
        (each.checkpoint_ns, each.checkpoint_id)
        for each, created_at in source.checkpoints
        if created_at is None
    }
    return replace(
        record,
        checkpoints=[
            CheckpointRecord(
                each,
                None if (each.checkpoint_ns, each.checkpoint_id) in unknown else created_at,
            )
            for each, created_at in record.checkpoints
        ],
        created_at=None if source.created_at is None else record.created_at,
        updated_at=None if source.updated_at is None else record.updated_at,
    )


def without_times(record: SessionRecord) -> SessionRecord:
    """Return the record without the times of the session, which some stores do not keep."""
    return replace(record, created_at=None, updated_at=None)


def without_item_times(record: SessionRecord) -> SessionRecord:
    """Return the record without the times of its items, which some stores do not keep."""
    return replace(record, item_times=None)


def without_history(record: SessionRecord) -> SessionRecord:
    """Return the record without its turns, usage and parent, which some stores do not keep."""
    return replace(record, history=None)


def as_known(record: SessionRecord, source: SessionRecord) -> SessionRecord:
    """Return the record of a target without the times and history that ``source`` does not know."""
    return replace(
        record,
        history=None if source.history is None else record.history,
        item_times=None if source.item_times is None else record.item_times,
        created_at=None if source.created_at is None else record.created_at,
        updated_at=None if source.updated_at is None else record.updated_at,
    )


def _checkpoint_sum(checkpoint: Checkpoint, created_at: datetime | None) -> bytes:
    names = checkpoint.checkpoint_ns, checkpoint.checkpoint_id, checkpoint.parent_id
    versions, metadata = dict(checkpoint.versions), checkpoint.metadata
    return _sum([0, *names, versions, metadata, _text(created_at)], checkpoint.value)


def _value_sum(ns: str, value: ChannelValue) -> bytes:
    return _sum([1, ns, value.channel, value.version], value.value)


def _write_sum(ns: str, checkpoint_id: str, write: TaskWrite) -> bytes:
    names = ns, checkpoint_id, write.task_id, write.idx, write.channel, write.task_path
    return _sum([2, *names], write.value)


def _sum(fields: list[Any], value: TypedBytes | None = None) -> bytes:
    type_, data = value or (None, b"")
    return sha256(f"{_sorted([*fields, type_])}\n".encode() + data).digest()


def _text(time: datetime | None) -> str | None:
    return None if time is None else as_utc(time).isoformat()
