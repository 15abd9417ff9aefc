"""The contract of stores: whole threads, for copies between stores."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from parlant_store.backends.contract.checkpoint_operations import (
    CheckpointEntry,
    ThreadEntry,
    ThreadName,
    WriteThreads,
)
from parlant_store.backends.contract.checkpoint_validation import (
    check_channel,
    check_checkpoint,
    check_short,
    check_text,
    check_write,
)
from parlant_store.backends.contract.checkpoints import CheckpointMethods
from parlant_store.backends.contract.validation import check_owner, check_time
from parlant_store.backends.threads.async_methods import as_async
from parlant_store.content import codec
from parlant_store.content.thread_messages import MESSAGES, read_messages, texts_of
from parlant_store.exceptions import InvalidName
from parlant_store.types import ThreadRecord


class ThreadRecordMethods(CheckpointMethods):
    """Reading and writing of whole threads, with their times."""

    clock: Callable[[], datetime]

    def read_threads(self, names: Iterable[tuple[str, str]]) -> list[ThreadRecord]:
        """Return the threads with these pairs of namespace and thread_id, in any order.

        Those that do not exist are left out.
        """
        self._checkpoints_supported()
        checked = [self._thread(thread_id, namespace) for namespace, thread_id in names]
        return self._read_threads(list(dict.fromkeys(checked))) if checked else []

    aread_threads = as_async(read_threads)

    def write_threads(
        self, records: Sequence[ThreadRecord], *, replace: bool = False
    ) -> list[bool]:
        """Write threads as they are; return for each whether it was written.

        A thread that exists is left as it is; with ``replace``, all of it is replaced. Each thread
        is written as a whole or not at all. Raise InvalidInput if one of them is invalid, or if a
        name, a checkpoint, a value or a write occurs twice; nothing is written then.
        """
        self._checkpoints_supported()
        now = self.clock()
        entries = [self._thread_entry(record, now) for record in records]
        _check_once([entry.thread for entry in entries], "a thread")
        return self._write_threads(WriteThreads(entries, replace)) if entries else []

    awrite_threads = as_async(write_threads)

    def _read_threads(self, names: list[ThreadName]) -> list[ThreadRecord]:
        raise NotImplementedError

    def _write_threads(self, write: WriteThreads) -> list[bool]:
        raise NotImplementedError

    def _thread_entry(self, record: ThreadRecord, now: datetime) -> ThreadEntry:
        thread = self._thread(record.thread_id, record.namespace)
        check_parts(record)
        created_at = check_time(record.created_at, "created_at") or now
        updated_at = check_time(record.updated_at, "updated_at") or created_at
        checkpoints = [
            CheckpointEntry(
                checkpoint,
                codec.encode_document(checkpoint.metadata, "metadata"),
                check_time(time, "created_at of a checkpoint") or updated_at,
            )
            for checkpoint, time in record.checkpoints
        ]
        return ThreadEntry(
            thread,
            check_owner(record.user_id),
            checkpoints,
            list(record.values),
            list(record.writes),
            texts_of(_messages(record)),
            created_at,
            updated_at,
            check_time(record.expires_at, "expires_at"),
        )


def _messages(record: ThreadRecord) -> list[Any]:
    """Return the messages of the latest state, as far as they can be read.

    Without a value at its version, they are those of a value before, and of all writes.
    """
    latest = max(
        (each for each, _ in record.checkpoints if not each.checkpoint_ns),
        key=lambda each: each.checkpoint_id,
        default=None,
    )
    values = {
        repr(value.version): value.value
        for ns, value in record.values
        if not ns and value.channel == MESSAGES
    }
    if latest is None or MESSAGES not in latest.versions:
        return []
    version = repr(latest.versions[MESSAGES])
    if version in values:
        return read_messages(values[version]) or []
    written = [
        write.value for ns, _, write in record.writes if not ns and write.channel == MESSAGES
    ]
    stored = [*values.values()][-1:]
    return [each for value in (*stored, *written) for each in read_messages(value) or []]


def check_parts(record: ThreadRecord) -> None:
    """Raise InvalidInput unless a store can have the checkpoints, the values and the writes."""
    for checkpoint, _ in record.checkpoints:
        check_checkpoint(checkpoint)
    for ns, value in record.values:
        check_text(ns, "checkpoint_ns")
        check_channel(value.channel, value.version)
    for ns, checkpoint_id, write in record.writes:
        check_text(ns, "checkpoint_ns")
        check_short(checkpoint_id, "checkpoint_id")
        check_write(write)
    _check_once(
        [(each.checkpoint_ns, each.checkpoint_id) for each, _ in record.checkpoints],
        "a checkpoint",
    )
    # 1 and "1" are two versions, but 1 and 1.0 are equal.
    _check_once(
        [(ns, value.channel, repr(value.version)) for ns, value in record.values], "a value"
    )
    _check_once([(*place, write.task_id, write.idx) for *place, write in record.writes], "a write")


def _check_once(names: Sequence[object], what: str) -> None:
    if len(set(names)) < len(names):
        raise InvalidName(f"{what} occurs twice among those to write")
