"""SqliteSaver and SqliteStore of langgraph-checkpoint-sqlite."""

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from parlant_store.transfer.readers.base import Unreadable, text_of
from parlant_store.transfer.readers.langgraph.base import (
    CHECKPOINTS,
    STORE,
    LangGraphReader,
    Row,
    label,
)
from parlant_store.transfer.readers.langgraph.serialized import load_object
from parlant_store.transfer.readers.langgraph.thread_parts import (
    SavedCheckpoint,
    ThreadParts,
    parse_metadata,
)
from parlant_store.transfer.readers.sqlite_file import column_names, open_sqlite
from parlant_store.transfer.sources import SourceError
from parlant_store.types import MEMORIES, ThreadRecord

_THREADS = "SELECT thread_id FROM checkpoints UNION SELECT thread_id FROM writes ORDER BY thread_id"
_CHECKPOINTS = "SELECT * FROM checkpoints WHERE thread_id = ? ORDER BY checkpoint_id DESC"
_WRITES = "SELECT * FROM writes WHERE thread_id = ?"


class LangGraphSQLite(LangGraphReader):
    """A file of SqliteSaver, of SqliteStore, or of both.

    The saver stores all values of a checkpoint as one: they are taken apart.
    """

    def __init__(self, source: str, *, namespace: str = "", user_label: str | None = None) -> None:
        super().__init__(namespace=namespace, user_label=user_label)
        self._source = source

    def read_threads(self) -> Generator[ThreadRecord]:
        with self._opened() as connection:
            if not _has_saver(connection):
                return
            for (thread_id,) in connection.execute(_THREADS).fetchall():
                record = self._record(connection, thread_id)
                if record is not None:
                    yield record

    def list_collections(self) -> list[str]:
        with self._opened() as connection:
            return [MEMORIES] if _has_store(connection) else []

    def read_memories(self) -> Iterator[Row]:
        with self._opened() as connection:
            yield from _rows(connection, "SELECT * FROM store ORDER BY prefix, key")

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with open_sqlite(self._source) as connection:
            if not _has_saver(connection) and not _has_store(connection):
                raise SourceError(
                    f"{self._source} has no table checkpoints of LangGraph, and no table store"
                )
            yield connection

    def _record(self, connection: sqlite3.Connection, raw: bytes) -> ThreadRecord | None:
        try:
            thread_id = text_of(raw)
        except Unreadable as exc:
            self.note(f"thread {label(raw)}", exc)
            return None
        parts = ThreadParts()
        for row in _rows(connection, _CHECKPOINTS, thread_id):
            self.add_checkpoint(parts, thread_id, row, _checkpoint)
        for row in _rows(connection, _WRITES, thread_id):
            self.add_write(parts, thread_id, row, row["value"])
        return self.record_of(parts, thread_id)


def _has_saver(connection: sqlite3.Connection) -> bool:
    return column_names(connection, "checkpoints") >= CHECKPOINTS


def _has_store(connection: sqlite3.Connection) -> bool:
    return column_names(connection, "store") >= STORE


def _checkpoint(row: Row) -> SavedCheckpoint:
    type_, parent = text_of(row["type"]), row["parent_checkpoint_id"]
    return SavedCheckpoint(
        text_of(row["checkpoint_ns"]),
        text_of(row["checkpoint_id"]),
        None if parent is None else text_of(parent),
        type_,
        load_object(type_, row["checkpoint"]),
        parse_metadata(row["metadata"]),
    )


def _rows(connection: sqlite3.Connection, sql: str, *params: Any) -> Iterator[Row]:
    cursor = connection.execute(sql, params)
    names = [column[0] for column in cursor.description]
    return (dict(zip(names, row, strict=True)) for row in cursor)
