"""Conversion between threads, checkpoints or writes and the columns of their rows."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from parlant_store.backends.contract.checkpoint_operations import ThreadName
from parlant_store.content import codec
from parlant_store.content.checkpoint_state import INTERRUPT
from parlant_store.content.compression import MIN_BYTES, compress, decompress
from parlant_store.content.text_search import snippet, texts_by_owner
from parlant_store.content.thread_messages import MessageTexts
from parlant_store.types import (
    ChannelHistory,
    Checkpoint,
    CheckpointInfo,
    StoredCheckpoint,
    TaskWrite,
    ThreadHit,
    TypedBytes,
    Version,
)


class ThreadColumns(NamedTuple):
    """The names of a thread in the form of its columns."""

    namespace: str
    thread_id: str


class CheckpointColumns(NamedTuple):
    """A checkpoint without its thread, in the form of its columns."""

    checkpoint_ns: str
    full_ns: str | None
    checkpoint_id: str
    parent_id: str | None
    run_id: str | None
    type: str
    value: bytes
    versions: str
    metadata: str


class CheckpointRow(NamedTuple):
    """A row of a checkpoint as reads return it."""

    key: int
    thread_key: int
    thread_id: str
    full_names: str | None
    checkpoint_ns: str
    full_ns: str | None
    checkpoint_id: str
    parent_id: str | None
    versions: str
    metadata: str
    type: str
    value: bytes


class InfoRow(NamedTuple):
    """A row of a checkpoint without its value, with the versions of its parent."""

    key: int
    checkpoint_ns: str
    full_ns: str | None
    checkpoint_id: str
    parent_id: str | None
    created_at: datetime
    metadata: str
    versions: str
    parent_versions: str | None


class WrittenRow(NamedTuple):
    """What a task wrote to a channel after the checkpoint with the key."""

    key: int
    task_id: str
    channel: str
    number: int
    first_idx: int
    last_idx: int


class ValueRow(NamedTuple):
    """A row of a channel's value as reads return it."""

    thread_key: int
    checkpoint_ns: str
    channel: str
    version: str
    type: str
    value: bytes


class Values(Protocol):
    """The values that a read has found."""

    def get(self, thread_key: int, ns: str, channel: str, version: str) -> TypedBytes | None: ...


class WriteRow(NamedTuple):
    """A row of a write, with the key of its checkpoint, or its distance in a history."""

    key: int
    task_id: str
    task_path: str
    idx: int
    channel: str
    type: str
    value: bytes


def thread_columns(name: ThreadName) -> ThreadColumns:
    return ThreadColumns(codec.to_column(name.namespace), codec.to_column(name.thread_id))


def thread_names(name: ThreadName, user_id: str | None = None) -> str | None:
    """Return the names that the columns shorten, as JSON text; None if there are none.

    They are escaped, because functions on PostgreSQL read the JSON.
    """
    names = {**name._asdict(), "user_id": user_id}
    long = {
        what: codec.escape(text) for what, text in names.items() if text and codec.is_long(text)
    }
    return json.dumps(long) if long else None


def thread_name_of(namespace: str, thread_id: str, full: str | None) -> ThreadName:
    """Return the name of a thread from its columns; reverses the two functions above."""
    names = _long_names(full)
    return ThreadName(
        codec.unescape(names.get("namespace", namespace)),
        codec.unescape(names.get("thread_id", thread_id)),
    )


def owner_of_thread(user_id: str | None, full: str | None) -> str | None:
    owner: str | None = _long_names(full).get("user_id", user_id)
    return owner and codec.unescape(owner)


def title_of(column: str | None) -> str | None:
    """Return a title as a person reads it."""
    return codec.printable(codec.unescape(column)) if column else None


def _long_names(full: str | None) -> dict[str, str]:
    return {} if full is None else json.loads(full)


# Printable ASCII without quotes and backslashes, which JSON takes as it is.
_PLAIN = re.compile(r"[ !#-\[\]-~]*")


def version_column(version: Version) -> str:
    """Return the version as JSON text, in which 1 and "1" differ."""
    if isinstance(version, str) and _PLAIN.fullmatch(version):
        return '"' + version + '"'
    return json.dumps(version)


def _version_columns(versions: Mapping[str, Version]) -> dict[str, str]:
    texts = versions.values()
    # One check of all versions is enough for most checkpoints.
    if {*map(type, texts)} == {str} and _PLAIN.fullmatch("".join(texts)):  # type: ignore[arg-type]
        return {name: f'"{version}"' for name, version in versions.items()}
    return {name: version_column(version) for name, version in versions.items()}


def _version_of(column: str) -> Version:
    """The reverse of ``version_column``."""
    if column[:1] == column[-1:] == '"' and "\\" not in column:
        return column[1:-1]
    return json.loads(column)  # type: ignore[no-any-return]


def checkpoint_columns(checkpoint: Checkpoint, metadata: str) -> CheckpointColumns:
    """Return the columns of a checkpoint; ``metadata`` is its metadata as JSON text."""
    versions = _version_columns(checkpoint.versions)
    run_id, ns, parent = (
        checkpoint.metadata.get("run_id"),
        checkpoint.checkpoint_ns,
        checkpoint.parent_id,
    )
    return CheckpointColumns(
        codec.to_column(ns),
        codec.escape(ns) if codec.is_long(ns) else None,
        codec.to_column(checkpoint.checkpoint_id),
        None if parent is None else codec.to_column(parent),
        codec.to_column(run_id) if isinstance(run_id, str) else None,
        *stored_value(checkpoint.value),
        codec.encode_document(versions, "versions"),
        metadata,
    )


def write_columns(writes: Iterable[TaskWrite]) -> list[tuple[str, str, int, str, str, bytes]]:
    """Return the task_id, task_path, idx, channel, type and value of each write."""
    return [
        (
            codec.to_column(each.task_id),
            codec.escape(each.task_path),
            each.idx,
            codec.to_column(each.channel),
            *stored_value(each.value),
        )
        for each in writes
    ]


def message_columns(
    messages: MessageTexts, stored: Callable[..., str | None]
) -> list[tuple[int, int, str, str | None]]:
    """Return the digest, number, text and terms of each text; ``stored`` makes terms of words."""
    return [
        (each.digest, each.number, each.text, stored(each.words, each.tool_words))
        for each in messages.texts
    ]


def thread_hits(rows: Iterable[Sequence[Any]], terms: list[list[str]]) -> list[ThreadHit]:
    """Return the hits of a search from rows of a thread's names, its score, a text and its place.

    The row that matches best comes first.
    """
    return [
        ThreadHit(
            **thread_name_of(*names)._asdict(),
            score=float(score),
            snippets=tuple(snippet(text, terms) for text, _ in texts),
            number=texts[0][1],
        )
        for (*names, score), texts in texts_by_owner(rows).items()
    ]


def stored_checkpoints(
    checkpoints: Iterable[CheckpointRow], values: Values, writes: Iterable[WriteRow]
) -> list[StoredCheckpoint]:
    """Return checkpoints from their rows, the greatest id first."""
    by_key: dict[int, list[TaskWrite]] = {}
    for row in writes:
        by_key.setdefault(row.key, []).append(write_of(row))
    ordered = sorted(checkpoints, key=lambda row: (row.checkpoint_id, row.key), reverse=True)
    return [_checkpoint_of(row, values, by_key.get(row.key, [])) for row in ordered]


def checkpoint_infos(
    infos: Iterable[InfoRow], written: Iterable[WrittenRow]
) -> list[CheckpointInfo]:
    """Return checkpoints from their rows, the greatest id first."""
    by_key: dict[int, list[WrittenRow]] = {}
    for row in written:
        by_key.setdefault(row.key, []).append(row)
    ordered = sorted(infos, key=lambda row: (row.checkpoint_id, row.key), reverse=True)
    return [_info_of(row, by_key.get(row.key, [])) for row in ordered]


def waiting_tasks(rows: Iterable[tuple[str, int, int]]) -> int:
    """Return the number of tasks that wait for an answer to an interrupt.

    rows: the task_id, and the least and the greatest idx, of writes after one checkpoint. A task
    that has been resumed has written something else.
    """
    rows = [*rows]
    done = {task_id for task_id, _, last in rows if last >= 0}
    return len({task_id for task_id, first, _ in rows if first == INTERRUPT} - done)


def _info_of(row: InfoRow, written: list[WrittenRow]) -> CheckpointInfo:
    versions: dict[str, str] = codec.decode_document(row.versions)
    before = {} if row.parent_versions is None else codec.decode_document(row.parent_versions)
    counts: dict[str, int] = {}
    for each in written:
        channel = codec.unescape(each.channel)
        counts[channel] = counts.get(channel, 0) + each.number
    return CheckpointInfo(
        key=row.key,
        checkpoint_ns=codec.unescape(row.full_ns or row.checkpoint_ns),
        checkpoint_id=codec.unescape(row.checkpoint_id),
        parent_id=None if row.parent_id is None else codec.unescape(row.parent_id),
        created_at=row.created_at,
        metadata=codec.decode_document(row.metadata),
        changed=tuple(sorted(name for name in versions if versions[name] != before.get(name))),
        written=counts,
        waiting=waiting_tasks((each.task_id, each.first_idx, each.last_idx) for each in written),
    )


def histories(
    channels: Iterable[str], seeds: Mapping[str, TypedBytes], writes: Iterable[WriteRow]
) -> dict[str, ChannelHistory]:
    """Return the history of each channel; the keys of the rows are distances, 1 for the parent.

    seeds: by the columns of the channels.
    """
    by_channel: dict[str, list[tuple[int, TaskWrite]]] = {}
    for row in writes:
        by_channel.setdefault(row.channel, []).append((-row.key, write_of(row)))
    result = {}
    for channel in channels:
        column = codec.to_column(channel)
        ordered = sorted(by_channel.get(column, []), key=lambda pair: (pair[0], *_order(pair[1])))
        result[channel] = ChannelHistory(
            writes=tuple(write for _, write in ordered), seed=seeds.get(column)
        )
    return result


def _checkpoint_of(row: CheckpointRow, values: Values, writes: list[TaskWrite]) -> StoredCheckpoint:
    versions = codec.decode_document(row.versions)
    stored = {}
    for channel, version in versions.items():
        value = values.get(row.thread_key, row.checkpoint_ns, codec.to_column(channel), version)
        if value is not None:
            stored[channel] = value
    return StoredCheckpoint(
        key=row.key,
        thread_id=thread_name_of("", row.thread_id, row.full_names).thread_id,
        checkpoint=checkpoint_of(row, versions),
        values=stored,
        writes=tuple(sorted(writes, key=_order)),
    )


def checkpoint_of(row: CheckpointRow, versions: Mapping[str, str]) -> Checkpoint:
    """Return the checkpoint of a row; ``versions`` are those of its channels in JSON."""
    return Checkpoint(
        checkpoint_ns=codec.unescape(row.full_ns or row.checkpoint_ns),
        checkpoint_id=codec.unescape(row.checkpoint_id),
        parent_id=None if row.parent_id is None else codec.unescape(row.parent_id),
        value=typed(row.type, row.value),
        versions={name: _version_of(version) for name, version in versions.items()},
        metadata=codec.decode_document(row.metadata),
    )


def write_of(row: WriteRow) -> TaskWrite:
    return TaskWrite(
        task_id=codec.unescape(row.task_id),
        idx=row.idx,
        channel=codec.unescape(row.channel),
        value=typed(row.type, row.value),
        task_path=codec.unescape(row.task_path),
    )


def _order(write: TaskWrite) -> tuple[str, str, int]:
    return write.task_path, write.task_id, write.idx


def stored_value(value: TypedBytes) -> tuple[str, bytes]:
    """Return the columns of a serialized value."""
    type_, data = value
    if len(data) < MIN_BYTES and _is_usual(type_):
        return type_, data
    type_, data = compress(type_, data)
    return codec.escape(type_), data


def typed(type_: str, value: bytes) -> TypedBytes:
    if _is_usual(type_):
        return TypedBytes(type_, bytes(value))
    return TypedBytes(*decompress(codec.unescape(type_), bytes(value)))


def _is_usual(type_: str) -> bool:
    """Whether the column has the type as it is; a fast check."""
    return ":" not in type_ and codec.is_plain(type_)
