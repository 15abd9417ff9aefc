"""Whole threads on SQLite."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.contract.checkpoint_operations import ThreadEntry, WriteThreads
from parlant_store.backends.orm.base.sessions import Time, adapted
from parlant_store.backends.orm.base.thread_records import ThreadRecords
from parlant_store.backends.orm.database.statements import Row, fetch, write
from parlant_store.backends.orm.sqlite.checkpoints import (
    COPIED,
    INSERT,
    MAX_ROWS,
    SQLiteCheckpoints,
    delete_thread,
    insert_rows,
    put_messages,
)
from parlant_store.backends.orm.sqlite.records import SQLiteRecords
from parlant_store.backends.thread_columns import thread_columns, thread_names
from parlant_store.backends.thread_record_columns import checkpoint_rows, value_rows, write_rows
from parlant_store.content import codec

_INSERT = INSERT.format(conflict=" ON CONFLICT (namespace, thread_id) DO NOTHING")
_EXPIRED = """
SELECT 1 FROM parlant_store_thread WHERE namespace = %s AND thread_id = %s AND expires_at <= %s
"""
_ROWS = {
    table: f"INSERT INTO {table} (thread_key, {columns}) VALUES {{rows}}"
    for table, columns in COPIED.items()
}


class SQLiteThreadRecords(ThreadRecords):
    names = SQLiteRecords.names
    joined_rows = SQLiteCheckpoints.joined_rows
    no_bytes = "NULL"
    time = SQLiteRecords.time

    def name_params(self, names: list[tuple[str, str]]) -> tuple[Any, ...]:
        return SQLiteRecords().name_params(names)

    def write_threads(
        self, connection: BaseDatabaseWrapper, operation: WriteThreads, time: Time
    ) -> list[bool]:
        with write(connection):
            return [
                _write_thread(connection, entry, operation.replace, time)
                for entry in operation.entries
            ]


def _write_thread(
    connection: BaseDatabaseWrapper, entry: ThreadEntry, replace: bool, time: Time
) -> bool:
    names = thread_columns(entry.thread)
    if replace or fetch(connection, _EXPIRED, (*names, time.now)):
        delete_thread(connection, entry.thread, time)
    times = (entry.created_at, entry.updated_at, entry.expires_at)
    owner = None if entry.user_id is None else codec.to_column(entry.user_id)
    params = (
        *(*names, thread_names(entry.thread, entry.user_id), owner),
        *(adapted(connection, each) for each in times),
    )
    keys = fetch(connection, _INSERT, params)
    for (key,) in keys:
        for table, rows in (
            ("parlant_store_checkpoint", checkpoint_rows(entry)),
            ("parlant_store_channel_value", value_rows(entry)),
            ("parlant_store_checkpoint_write", write_rows(entry)),
        ):
            for part in _parts(rows):
                insert_rows(
                    connection, _ROWS[table], [(key, *_adapted(connection, row)) for row in part]
                )
        put_messages(connection, key, entry.messages)
    return bool(keys)


def _parts(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Compress few rows at once."""
    iterator = iter(rows)
    while part := list(islice(iterator, MAX_ROWS)):
        yield part


def _adapted(connection: BaseDatabaseWrapper, row: Row) -> Iterator[Any]:
    for value in row:
        yield adapted(connection, value) if isinstance(value, datetime) else value
