"""Conversion between whole threads and the columns of their rows."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from parlant_store.backends.channel_values import Base, StoredValues, encode
from parlant_store.backends.contract.checkpoint_operations import (
    ThreadEntry,
    WriteThreads,
)
from parlant_store.backends.thread_columns import (
    CheckpointRow,
    ValueRow,
    WriteRow,
    checkpoint_columns,
    checkpoint_of,
    message_columns,
    owner_of_thread,
    thread_columns,
    thread_name_of,
    thread_names,
    write_columns,
    write_of,
)
from parlant_store.content import codec
from parlant_store.content.text_search import tsvector
from parlant_store.content.times import as_utc
from parlant_store.sql.functions import ROW_BYTES
from parlant_store.types import (
    ChannelValue,
    CheckpointRecord,
    ThreadRecord,
    ValueRecord,
    WriteRecord,
)

MAX_BYTES = 4_194_304
"""Limit on the values that one statement reads or writes, unless it is a single one."""

Row = tuple[Any, ...]


class RecordRows(NamedTuple):
    """The rows of threads as reads return them, each with the key of its thread."""

    threads: Iterable[Row]
    """key, namespace, thread_id, full_names, user_id, created_at, updated_at, expires_at"""

    checkpoints: Iterable[Row]
    """thread_key, checkpoint_ns, full_ns, checkpoint_id, parent_id, versions, metadata, type,
    value, created_at"""

    values: Iterable[Row]
    """thread_key, checkpoint_ns, channel, version, type, value"""

    writes: Iterable[Row]
    """thread_key, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value"""


def thread_records(rows: RecordRows) -> list[ThreadRecord]:
    """Return the threads with these rows; the times are those of the rows."""
    checkpoints, writes = map(_by_thread, (rows.checkpoints, rows.writes))
    values = StoredValues(ValueRow(*row) for row in rows.values)
    by_thread = _by_thread((row.thread_key, row) for row in values.versions())
    records = []
    for (
        key,
        namespace,
        thread_id,
        full,
        user_id,
        created_at,
        updated_at,
        expires_at,
    ) in rows.threads:
        # The namespace of a value or a write is shortened if it is long.
        names = {row[0]: codec.unescape(row[1] or row[0]) for row in checkpoints.get(key, [])}
        records.append(
            ThreadRecord(
                **thread_name_of(namespace, thread_id, full)._asdict(),
                user_id=owner_of_thread(user_id, full),
                checkpoints=[_checkpoint_record(*row) for row in checkpoints.get(key, [])],
                values=[_value_record(names, row, values) for (row,) in by_thread.get(key, [])],
                writes=[_write_record(names, *row) for row in writes.get(key, [])],
                created_at=created_at,
                updated_at=updated_at,
                expires_at=expires_at,
            )
        )
    return records


def _by_thread(rows: Iterable[Row]) -> dict[int, list[Row]]:
    grouped: dict[int, list[Row]] = {}
    for key, *columns in rows:
        grouped.setdefault(key, []).append(tuple(columns))
    return grouped


def _checkpoint_record(
    ns: str,
    full_ns: str | None,
    checkpoint_id: str,
    parent_id: str | None,
    versions: str,
    metadata: str,
    type_: str,
    value: bytes,
    created_at: datetime,
) -> CheckpointRecord:
    row = CheckpointRow(
        *(0, 0, "", None, ns, full_ns, checkpoint_id, parent_id, versions, metadata, type_, value)
    )
    return CheckpointRecord(checkpoint_of(row, codec.decode_document(versions)), created_at)


def _value_record(names: dict[str, str], row: ValueRow, values: StoredValues) -> ValueRecord:
    return ValueRecord(
        names.get(row.checkpoint_ns) or codec.unescape(row.checkpoint_ns),
        ChannelValue(
            channel=codec.unescape(row.channel),
            version=json.loads(row.version),
            value=values.value_of(row),
        ),
    )


def _write_record(names: dict[str, str], ns: str, checkpoint_id: str, *write: Any) -> WriteRecord:
    return WriteRecord(
        names.get(ns) or codec.unescape(ns),
        codec.unescape(checkpoint_id),
        write_of(WriteRow(0, *write)),
    )


def checkpoint_rows(entry: ThreadEntry) -> Iterator[Row]:
    """Return CheckpointColumns and created_at of each checkpoint."""
    for checkpoint, metadata, created_at in entry.checkpoints:
        yield (*checkpoint_columns(checkpoint, metadata), created_at)


def value_rows(entry: ThreadEntry) -> Iterator[Row]:
    """Return checkpoint_ns, channel, version, type and value of each value, and of their bases."""
    bases: dict[str, dict[str, Base]] = {}
    for ns, value in sorted(entry.values, key=_in_order):
        known = bases.setdefault(ns, {})
        encoded = encode([value], known)
        known |= encoded.bases
        yield from ((codec.to_column(ns), *row) for row in encoded.rows)


def _in_order(record: ValueRecord) -> tuple[str, str, bool, str | float]:
    """Versions grow, and a value differs least from that of the version before it."""
    version = record.value.version
    return (record.checkpoint_ns, record.value.channel, isinstance(version, str), version)


def write_rows(entry: ThreadEntry) -> Iterator[Row]:
    """Return checkpoint_ns, checkpoint_id and the columns of ``write_columns`` of each write."""
    for ns, checkpoint_id, write in entry.writes:
        yield (codec.to_column(ns), codec.to_column(checkpoint_id), *write_columns([write])[0])


class Chunk(NamedTuple):
    """The rows that one statement writes, each with the place of its thread, from 1, in JSON."""

    checkpoints: list[Row]
    values: list[Row]
    writes: list[Row]
    messages: list[Row]


def chunks(write: WriteThreads) -> Iterator[Chunk]:
    """Return all rows of the threads in chunks, at least one."""
    chunk, size = Chunk([], [], [], []), 0
    for place, entry in enumerate(write.entries, 1):
        messages = message_columns(entry.messages, tsvector)
        parts = checkpoint_rows(entry), value_rows(entry), write_rows(entry), messages
        for rows, part in enumerate(parts):
            for row in part:
                length = ROW_BYTES + sum(
                    len(value) for value in row if isinstance(value, (bytes, str))
                )
                if size and size + length > MAX_BYTES:
                    yield chunk
                    chunk, size = Chunk([], [], [], []), 0
                chunk[rows].append((place, *map(_as_json, row)))
                size += length
    yield chunk


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return _text(value) if isinstance(value, datetime) else value


def _text(time: datetime | None) -> str | None:
    return None if time is None else as_utc(time).isoformat()


class Staged(NamedTuple):
    """Staged threads, and the number of the rows of each."""

    keys: list[int]
    rows: list[int]


def staged(write: WriteThreads, stage: Callable[[list[int] | None, Chunk], list[int]]) -> Staged:
    """Write all rows by ``stage``, which creates the staged threads and returns their keys."""
    keys: list[int] | None = None
    counts = [0] * len(write.entries)
    for chunk in chunks(write):
        keys = stage(keys, chunk)
        for place, *_ in chain.from_iterable(chunk):
            counts[place - 1] += 1
    return Staged(keys or [], counts)


def publication(write: WriteThreads, staged: Staged) -> dict[str, list[Any]]:
    """Return the columns of the threads, with their keys and the number of the rows of each."""
    entries = write.entries
    names = [thread_columns(entry.thread) for entry in entries]
    return {
        **staged._asdict(),
        "namespaces": [name.namespace for name in names],
        "thread_ids": [name.thread_id for name in names],
        "names": [thread_names(entry.thread, entry.user_id) for entry in entries],
        "user_ids": [
            None if entry.user_id is None else codec.to_column(entry.user_id) for entry in entries
        ],
        "titles": [entry.messages.title for entry in entries],
        "created": [_text(entry.created_at) for entry in entries],
        "updated": [_text(entry.updated_at) for entry in entries],
        "expires": [_text(entry.expires_at) for entry in entries],
    }
