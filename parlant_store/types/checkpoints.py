"""Threads of graphs: their checkpoints, the values of channels, and the writes of tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from parlant_store.types.json_values import JSONObject

Version = int | float | str
"""The version of a channel's value."""


USER_MARK = "user:"
"""The start of the type of a value that a user of Supabase wrote, and not a server."""


class TypedBytes(NamedTuple):
    """A serialized value.

    If its type starts with USER_MARK, its bytes may name any function: deserialize it by
    ``parlant_store.adapters.langgraph``, or by what constructs no objects.
    """

    type: str
    """The name of the format."""

    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """The state of a graph after a step, without the values of its channels."""

    checkpoint_ns: str = ""
    """The namespace of a subgraph; "" for the graph itself."""

    checkpoint_id: str
    """The id within the namespace of the thread; a later checkpoint has a greater one."""

    parent_id: str | None = None
    """The id of the checkpoint before; None if there is none."""

    value: TypedBytes
    """What the framework has stored, besides the fields of this value."""

    versions: Mapping[str, Version] = field(default_factory=dict)
    """The version of each channel."""

    metadata: JSONObject = field(default_factory=dict)
    """What checkpoints are filtered by; ``run_id`` is the run that made it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelValue:
    """The value of a channel from one version on."""

    channel: str

    version: Version

    value: TypedBytes


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskWrite:
    """What a task wrote to a channel, after a checkpoint."""

    task_id: str

    idx: int
    """The position among the writes of the task; below 0 for writes that replace earlier ones."""

    channel: str

    value: TypedBytes

    task_path: str = ""
    """Where the task is in the graph; writes are sorted by it first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredCheckpoint:
    """A checkpoint as it was read."""

    key: int
    """The primary key of the row."""

    thread_id: str

    checkpoint: Checkpoint

    values: dict[str, TypedBytes]
    """The stored values of its channels, at the versions of the checkpoint."""

    writes: tuple[TaskWrite, ...]
    """The writes of the tasks after it, sorted by task_path, task_id and idx."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointInfo:
    """A checkpoint as listings return it, without the values of channels and writes."""

    key: int
    """The primary key of the row."""

    checkpoint_ns: str

    checkpoint_id: str

    parent_id: str | None

    created_at: datetime

    metadata: JSONObject

    changed: tuple[str, ...]
    """The channels whose versions are not those of its parent."""

    written: Mapping[str, int]
    """The number of writes of tasks after it, by channel."""

    waiting: int
    """The number of tasks among these that have been interrupted and not resumed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelHistory:
    """What tasks wrote to a channel since its value was last stored."""

    writes: tuple[TaskWrite, ...]
    """The oldest first."""

    seed: TypedBytes | None
    """The value before these writes; None if there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointCursor:
    """The position in a listing of checkpoints after which the next page starts."""

    checkpoint_id: str

    key: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageChanges:
    """How the messages of a state differ from those of the checkpoint before, for search."""

    added: Sequence[Any] = ()
    """Messages of LangChain as plain data: dicts with their type, content and tool_calls."""

    first: int = 1
    """The place of the first of them in the state, from 1."""

    is_whole: bool = False
    """Whether they are all messages: others are no longer found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreadHit:
    """A thread that a search found."""

    namespace: str

    thread_id: str

    score: float
    """How well it matches; above 0, and comparable within one search only."""

    snippets: tuple[str, ...]
    """Texts that match, best match first: at most five, of at most 160 characters."""

    number: int
    """The place of the message that matches best in the latest state, from 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreadInfo:
    """A thread as listings return it, without its checkpoints."""

    namespace: str
    """The tenant or application that the thread belongs to; "" by default."""

    thread_id: str
    """The id within the namespace."""

    user_id: str | None
    """The owner; None if the thread has none."""

    created_at: datetime
    """When the thread was first written."""

    updated_at: datetime
    """When the thread was last written."""

    expires_at: datetime | None
    """When the thread expires; None: never."""

    title: str | None = None
    """``title`` or ``name`` in the metadata of the latest checkpoint, or the beginning of the first
    message of a user; at most 200 characters."""

    waiting: int = 0
    """The number of tasks that wait for an answer to an interrupt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreadCursor:
    """The position in a listing of threads after which the next page starts."""

    namespace: str

    thread_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreadPage:
    """A page of threads, in the order of the listing."""

    threads: tuple[ThreadInfo, ...]

    next_cursor: ThreadCursor | None
    """The cursor of the next page; None on the last page."""


class CheckpointRecord(NamedTuple):
    """A checkpoint of a thread that is copied to another store."""

    checkpoint: Checkpoint

    created_at: datetime | None
    """None: unknown."""


class ValueRecord(NamedTuple):
    """The value of a channel in a thread that is copied to another store."""

    checkpoint_ns: str

    value: ChannelValue


class WriteRecord(NamedTuple):
    """What a task wrote after a checkpoint, in a thread that is copied to another store."""

    checkpoint_ns: str
    checkpoint_id: str

    write: TaskWrite


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreadRecord:
    """All that a store has of a thread, for copies to another store."""

    namespace: str = ""

    thread_id: str

    user_id: str | None = None
    """The owner."""

    checkpoints: Sequence[CheckpointRecord]
    """In any order, like the values and the writes."""

    values: Sequence[ValueRecord] = ()

    writes: Sequence[WriteRecord] = ()
    """Also those whose checkpoint is not stored yet."""

    created_at: datetime | None = None
    """None: unknown, like updated_at."""

    updated_at: datetime | None = None

    expires_at: datetime | None = None
    """When the thread expires; None: never."""
