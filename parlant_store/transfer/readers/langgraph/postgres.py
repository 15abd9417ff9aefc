"""PostgresSaver and PostgresStore of langgraph-checkpoint-postgres."""

from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import LiteralString

from parlant_store.transfer.readers.base import Unreadable
from parlant_store.transfer.readers.langgraph.base import CHECKPOINTS, STORE, LangGraphReader, Row
from parlant_store.transfer.readers.langgraph.serialized import load
from parlant_store.transfer.readers.langgraph.thread_parts import (
    SavedCheckpoint,
    ThreadParts,
    parse_metadata,
    versions_of,
)
from parlant_store.transfer.readers.tables import PostgreSQLTables, Snapshot
from parlant_store.transfer.sources import SourceError
from parlant_store.types import MEMORIES, ThreadRecord, TypedBytes, WriteRecord

_OF_THREAD: LiteralString = "SELECT * FROM {} WHERE thread_id = %(thread)s"

_TASKS = "__pregel_tasks"
"""The channel of the tasks that nodes send."""

_WITH_TASKS = 4
"""The version of the format from which on checkpoints have these tasks themselves."""


class LangGraphPostgres(LangGraphReader):
    """A database of PostgresSaver, of PostgresStore, or of both."""

    def __init__(
        self,
        source: str,
        *,
        schema: str = "public",
        namespace: str = "",
        user_label: str | None = None,
    ) -> None:
        super().__init__(namespace=namespace, user_label=user_label)
        if not source.startswith(("postgresql://", "postgres://")):
            raise SourceError("SOURCE must be the URL of a database, as postgresql://host/name")
        self._schema = schema
        self._tables = PostgreSQLTables(source, schema)

    def read_threads(self) -> Generator[ThreadRecord]:
        with self._tables.snapshot() as tables:
            if not self._has_saver(tables):
                return
            ids = tables.rows(
                "SELECT thread_id FROM {} UNION SELECT thread_id FROM {} ORDER BY thread_id",
                *("checkpoints", "checkpoint_writes"),
            )
            for row in ids:
                record = self._record(tables, row["thread_id"])
                if record is not None:
                    yield record

    def list_collections(self) -> list[str]:
        with self._tables.snapshot() as tables:
            return [MEMORIES] if self._has_store(tables) else []

    def read_memories(self) -> Iterator[Row]:
        with self._tables.snapshot() as tables:
            yield from tables.rows("SELECT * FROM {} ORDER BY prefix, key", "store")

    def _has_saver(self, tables: Snapshot) -> bool:
        columns = tables.columns()
        has_saver = columns.get("checkpoints", set()) >= CHECKPOINTS
        if not has_saver and not _is_store(columns):
            raise SourceError(
                f"the schema {self._schema} has no table checkpoints of LangGraph, "
                "and no table store"
            )
        return has_saver

    def _has_store(self, tables: Snapshot) -> bool:
        return _is_store(tables.columns())

    def _record(self, tables: Snapshot, thread_id: str) -> ThreadRecord | None:
        parts = ThreadParts()
        for row in tables.rows(_OF_THREAD, "checkpoint_writes", thread=thread_id):
            self.add_write(parts, thread_id, row, row["blob"])
        latest_first = f"{_OF_THREAD} ORDER BY checkpoint_id DESC"
        for row in tables.rows(latest_first, "checkpoints", thread=thread_id):
            self.add_checkpoint(parts, thread_id, row, partial(_checkpoint, parts.writes))
        for row in tables.rows(_OF_THREAD, "checkpoint_blobs", thread=thread_id):
            # "empty": the channel had no value.
            if row["type"] != "empty" and row["blob"] is not None:
                value = TypedBytes(row["type"], row["blob"])
                parts.set_value(row["checkpoint_ns"], row["channel"], row["version"], value)
        return self.record_of(parts, thread_id)


def _is_store(columns: dict[str, set[str]]) -> bool:
    return columns.get("store", set()) >= STORE


def _checkpoint(writes: Sequence[WriteRecord], row: Row) -> SavedCheckpoint:
    """Return the checkpoint without the values that are in another table."""
    state = row["checkpoint"]
    if not isinstance(state, dict):
        raise Unreadable("it is no JSON object")
    saved = SavedCheckpoint(
        row["checkpoint_ns"],
        row["checkpoint_id"],
        row["parent_checkpoint_id"],
        "msgpack",
        state,
        parse_metadata(row["metadata"]),
    )
    _add_tasks(saved, writes)
    return saved


def _add_tasks(saved: SavedCheckpoint, writes: Sequence[WriteRecord]) -> None:
    """Add the tasks that an old checkpoint reads from the writes after its parent."""
    state, version = saved.state, saved.state.get("v")
    if not isinstance(version, int) or version >= _WITH_TASKS:
        return
    sent = [
        write
        for _, checkpoint_id, write in writes
        if checkpoint_id == saved.parent_id and write.channel == _TASKS
    ]
    versions = versions_of(state.get("channel_versions"))
    if sent and versions:
        sent.sort(key=lambda write: (write.task_path, write.task_id, write.idx))
        state.setdefault("channel_values", {})[_TASKS] = [load(*write.value) for write in sent]
        versions[_TASKS] = max(versions.values())
