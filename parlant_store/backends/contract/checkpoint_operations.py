"""The operations on threads: a value for each, with checked arguments (operations.py)."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from parlant_store.content.thread_messages import MessageTexts
from parlant_store.types import (
    ChannelValue,
    Checkpoint,
    CheckpointCursor,
    TaskWrite,
    ValueRecord,
    WriteRecord,
)


class ThreadName(NamedTuple):
    """What identifies a thread."""

    namespace: str
    thread_id: str


class CheckpointPlace(NamedTuple):
    """A checkpoint of a thread; with the id None, the latest of its namespace."""

    thread: ThreadName
    checkpoint_ns: str
    checkpoint_id: str | None


class PutCheckpoint(NamedTuple):
    thread: ThreadName
    checkpoint: Checkpoint
    metadata: str
    """The encoded object."""

    values: list[ChannelValue]
    user_id: str | None
    ttl: timedelta | None
    request: UUID | None
    messages: MessageTexts = MessageTexts()


class PutWrites(NamedTuple):
    thread: ThreadName
    checkpoint_ns: str
    checkpoint_id: str
    writes: list[TaskWrite]
    """Each task_id and idx once."""

    user_id: str | None
    ttl: timedelta | None
    request: UUID | None


class ListCheckpoints(NamedTuple):
    """None matches any checkpoint."""

    namespace: str
    thread_id: str | None
    checkpoint_ns: str | None
    checkpoint_id: str | None
    filter: str | None
    """The encoded object that the metadata contains."""

    before: str | None
    """All ids are lower."""

    after: CheckpointCursor | None
    limit: int


class ListCheckpointInfos(NamedTuple):
    thread: ThreadName
    after: CheckpointCursor | None
    limit: int


class SetThreadExpiry(NamedTuple):
    thread: ThreadName
    expires_at: datetime | None
    request: UUID | None


class GetHistory(NamedTuple):
    place: CheckpointPlace
    channels: list[str]


class DeleteThread(NamedTuple):
    thread: ThreadName
    request: UUID | None
    written_until: datetime | None = None
    """A thread that was written later stays; None: the time does not matter."""


class DeleteRuns(NamedTuple):
    namespace: str
    run_ids: list[str]
    request: UUID | None


class CopyThread(NamedTuple):
    source: ThreadName
    target: ThreadName
    ttl: timedelta | None
    request: UUID | None
    replace: bool
    """Whether a thread with the name of the target is replaced."""


class PruneThreads(NamedTuple):
    threads: list[ThreadName]
    """Each once."""

    keep: int
    """The number of checkpoints of each namespace that stay."""

    request: UUID | None
    is_dry_run: bool = False
    """Whether they are counted only."""


class ListThreads(NamedTuple):
    namespace: str | None
    user_id: str | None
    limit: int
    after: ThreadName | None
    is_expired: bool = False
    """Whether they are those that have expired, instead of the others."""


class CheckpointEntry(NamedTuple):
    """A checkpoint to write as it is."""

    checkpoint: Checkpoint
    metadata: str
    """The encoded object."""

    created_at: datetime


class ThreadEntry(NamedTuple):
    """A thread to write as it is, with valid names and times."""

    thread: ThreadName
    user_id: str | None
    checkpoints: list[CheckpointEntry]
    values: list[ValueRecord]
    writes: list[WriteRecord]
    messages: MessageTexts
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None


class WriteThreads(NamedTuple):
    entries: list[ThreadEntry]
    replace: bool
    """Whether threads that exist are replaced, instead of left as they are."""
