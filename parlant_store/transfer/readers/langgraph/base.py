"""What the readers of LangGraph's savers and stores have in common."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from datetime import datetime
from importlib.util import find_spec
from typing import Any

from parlant_store.adapters.extras import missing_extra
from parlant_store.exceptions import InvalidInput
from parlant_store.transfer.readers.base import Reader, Unreadable, batches, text_of
from parlant_store.transfer.readers.langgraph.memories import memory_of, place_of
from parlant_store.transfer.readers.langgraph.serialized import Encrypted
from parlant_store.transfer.readers.langgraph.thread_parts import SavedCheckpoint, ThreadParts
from parlant_store.transfer.selection import Selection
from parlant_store.transfer.sources import SourceError
from parlant_store.types import (
    MEMORIES,
    DocumentRecord,
    TaskWrite,
    ThreadRecord,
    TypedBytes,
    WriteRecord,
)

CHECKPOINTS = {"thread_id", "checkpoint_ns", "checkpoint_id", "parent_checkpoint_id", "checkpoint"}
STORE = {"prefix", "key", "value", "created_at", "updated_at"}
"""Columns of LangGraph's tables: other applications may have tables of the same names."""

Row = dict[str, Any]
SavedOf = Callable[[Row], SavedCheckpoint]


class LangGraphReader(Reader):
    """A saver, a long-term store, or both. Threads become those of the checkpointer.

    Values of the long-term store become documents of the collection ``langgraph_store``.
    """

    knows_users = True

    def __init__(self, *, namespace: str = "", user_label: str | None = None) -> None:
        super().__init__(namespace=namespace)
        self._user_label = place_of(user_label)
        if find_spec("ormsgpack") is None:
            raise SourceError(str(missing_extra("langgraph", "LangGraph")))

    def read_threads(self) -> Generator[ThreadRecord]:
        """Return all threads."""
        raise NotImplementedError

    def read_memories(self) -> Iterator[Row]:
        """Return the rows of the long-term store."""
        raise NotImplementedError

    def has_threads(self, selection: Selection) -> bool:
        with closing(self.read_threads()) as threads:
            return next(threads, None) is not None

    def read_documents(self, collection: str) -> Iterator[DocumentRecord]:
        now = datetime.now().astimezone()
        for row in self.read_memories():
            try:
                record = memory_of(row, self._user_label)
            except (Unreadable, InvalidInput) as exc:
                self.note(f"value {label(row['key'])} of {label(row['prefix'])}", exc)
                continue
            expires_at = record.expires_at
            if expires_at is None or expires_at > now:
                yield record

    def documents(self, collection: str, selection: Selection) -> Iterator[list[DocumentRecord]]:
        return batches(
            record
            for record in self.first_documents(MEMORIES)
            if self.user_id in (None, record.document.get("customer_id"))
            and self.is_recent(record.updated_at)
        )

    def add_checkpoint(
        self, parts: ThreadParts, thread_id: str, row: Row, saved_of: SavedOf
    ) -> None:
        """Add the checkpoint of a row, or note that ``saved_of`` cannot read it."""
        name = f"thread {thread_id!r:.200}"
        try:
            parts.add(saved_of(row))
            return
        except Encrypted as exc:
            # Once for the thread.
            self.note(name, exc)
            parts.is_encrypted = True
        except Unreadable as exc:
            self.note(f"checkpoint {label(row['checkpoint_id'])} of {name}", exc)
            parts.has_unreadable = True

    def record_of(self, parts: ThreadParts, thread_id: str) -> ThreadRecord | None:
        """Return the thread; None if none of its checkpoints can be read, or some are encrypted."""
        if parts.is_encrypted or (parts.has_unreadable and not parts.has_checkpoints):
            return None
        return parts.record(self.namespace, thread_id)

    def add_write(self, parts: ThreadParts, thread_id: str, row: Row, value: object) -> None:
        """Add what a task wrote, whose serialized value is ``value``."""
        try:
            channel = text_of(row["channel"])
            if not isinstance(value, bytes):
                raise Unreadable(f"its value is {type(value).__name__}, and no bytes")
            write = TaskWrite(
                task_id=text_of(row["task_id"]),
                idx=row["idx"],
                channel=channel,
                value=TypedBytes(text_of(row["type"]), value),
                task_path=text_of(row.get("task_path") or ""),
            )
            place = text_of(row["checkpoint_ns"]), text_of(row["checkpoint_id"])
        except Unreadable as exc:
            self.note(f"a write of thread {thread_id!r:.200}", exc)
        else:
            parts.writes.append(WriteRecord(*place, write))


def label(value: object) -> str:
    """Return the name in a row, of which SQLite returns bytes."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    return f"{text!r:.200}"
