"""Statements that read and write whole threads."""

from abc import ABC, abstractmethod
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.contract.checkpoint_operations import ThreadName, WriteThreads
from parlant_store.backends.orm.base.sessions import LIVE, Time, aware, time_of
from parlant_store.backends.orm.database.statements import Row, fetch
from parlant_store.backends.thread_columns import thread_columns
from parlant_store.backends.thread_record_columns import RecordRows, thread_records
from parlant_store.types import ThreadRecord

_THREAD, _CHECKPOINT, _VALUE, _WRITE = range(4)
"""The kinds of rows of a read."""

_READ = f"""
WITH name (namespace, thread_id) AS ({{names}}),
t AS (
    SELECT th.* FROM name JOIN parlant_store_thread th
        ON th.namespace = name.namespace AND th.thread_id = name.thread_id
    WHERE {LIVE}
)
SELECT {_THREAD}, key, namespace, full_names, thread_id, user_id, CAST(NULL AS text),
    CAST(NULL AS text), CAST(NULL AS integer), CAST(NULL AS text), {{no_bytes}},
    {{created_at}}, {{updated_at}}, {{expires_at}} FROM t
UNION ALL
SELECT {_CHECKPOINT}, c.thread_key, c.checkpoint_ns, c.full_ns, c.checkpoint_id, c.parent_id,
    CAST(c.versions AS text), CAST(c.metadata AS text), NULL, c.type, c.value,
    {{checkpoint_time}}, NULL, NULL
FROM t {{checkpoints}}
UNION ALL
SELECT {_VALUE}, v.thread_key, v.checkpoint_ns, NULL, v.channel, v.version, NULL, NULL, NULL,
    v.type, v.value, NULL, NULL, NULL
FROM t {{values}}
UNION ALL
SELECT {_WRITE}, w.thread_key, w.checkpoint_ns, NULL, w.checkpoint_id, w.task_id, w.task_path,
    w.channel, w.idx, w.type, w.value, NULL, NULL, NULL
FROM t {{writes}}
"""


class ThreadRecords(ABC):
    """Whole threads, for one kind of database."""

    names: str
    """A statement that returns the names of threads in its parameters."""

    joined_rows: str
    """A join with the rows of {table} that match {condition}, which looks them up in an index."""

    no_bytes: str
    """Null as bytes."""

    time = "{}"
    """How a time is read."""

    def __init__(self) -> None:
        tables = {
            "checkpoints": ("parlant_store_checkpoint", "c"),
            "values": ("parlant_store_channel_value", "v"),
            "writes": ("parlant_store_checkpoint_write", "w"),
        }
        joins = {
            rows: self.joined_rows.format(
                table=table, name=name, condition=f"{name}.thread_key = t.key"
            )
            for rows, (table, name) in tables.items()
        }
        times = {
            name: self.time.format(name) for name in ("created_at", "updated_at", "expires_at")
        }
        self._read = _READ.format(
            names=self.names,
            no_bytes=self.no_bytes,
            checkpoint_time=self.time.format("c.created_at"),
            **joins,
            **times,
        )

    def read_threads(
        self, connection: BaseDatabaseWrapper, names: list[ThreadName], time: Time
    ) -> list[ThreadRecord]:
        columns: list[tuple[str, str]] = [*map(thread_columns, names)]
        params = (*self.name_params(columns), time.now)
        rows: tuple[list[Row], ...] = ([], [], [], [])
        for kind, *row in fetch(connection, self._read, params, prepare=None, binary=True):
            rows[kind].append(_columns(connection, kind, *row))
        return thread_records(RecordRows(*rows))

    @abstractmethod
    def name_params(self, names: list[tuple[str, str]]) -> tuple[Any, ...]:
        """Return the parameters of ``names``."""

    @abstractmethod
    def write_threads(
        self, connection: BaseDatabaseWrapper, operation: WriteThreads, time: Time
    ) -> list[bool]: ...


def _columns(connection: BaseDatabaseWrapper, kind: int, key: int, ns: str, *row: Any) -> Row:
    """Return the row in the form of RecordRows."""
    full, first, second, third, channel, idx, type_, value, *times = row
    created_at, updated_at, expires_at = (_time(connection, time) for time in times)
    if kind == _THREAD:
        return (key, ns, first, full, second, created_at, updated_at, expires_at)
    if kind == _CHECKPOINT:
        return (key, ns, full, first, second, third, channel, type_, value, created_at)
    if kind == _VALUE:
        return (key, ns, first, second, type_, value)
    return (key, ns, first, second, third, idx, channel, type_, value)


def _time(connection: BaseDatabaseWrapper, time: Any) -> Any:
    return time_of(connection, time) if isinstance(time, str) else aware(connection, time)
