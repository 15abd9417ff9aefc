"""Statements for threads: the reads of both databases, and the interface of writes."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.channel_values import Base, BaseCache, StoredValues
from parlant_store.backends.contract.checkpoint_operations import (
    CheckpointPlace,
    CopyThread,
    DeleteThread,
    GetHistory,
    ListCheckpoints,
    ListThreads,
    PruneThreads,
    PutCheckpoint,
    PutWrites,
    SetThreadExpiry,
    ThreadName,
)
from parlant_store.backends.orm.base.checkpoint_infos import THREAD_KEY, CheckpointInfos
from parlant_store.backends.orm.base.sessions import LIVE, Time, aware
from parlant_store.backends.orm.database.statements import Row, fetch
from parlant_store.backends.thread_columns import (
    CheckpointRow,
    ValueRow,
    WriteRow,
    histories,
    owner_of_thread,
    stored_checkpoints,
    thread_columns,
    thread_name_of,
    title_of,
)
from parlant_store.content import codec
from parlant_store.content.checkpoint_state import INTERRUPT
from parlant_store.content.thread_messages import MAX_TITLE, MessageTexts
from parlant_store.sql.differences import base_name, is_difference
from parlant_store.sql.functions import MAX_DISTANCE
from parlant_store.types import ChannelHistory, StoredCheckpoint, ThreadInfo

_LATEST_ROOT = (
    " FROM parlant_store_checkpoint c WHERE c.thread_key = t.key AND c.checkpoint_ns = ''"
    " ORDER BY c.checkpoint_id DESC LIMIT 1"
)
# A task that has been resumed has written something else (thread_columns.waiting_tasks).
_WAITING = (
    "(SELECT count(*) FROM (SELECT 1 FROM parlant_store_checkpoint_write w"
    " WHERE w.thread_key = t.key AND w.checkpoint_ns = ''"
    f" AND w.checkpoint_id = (SELECT c.checkpoint_id{_LATEST_ROOT})"
    f" GROUP BY w.task_id HAVING min(w.idx) = {INTERRUPT} AND max(w.idx) < 0) task)"
)
_AT = f"thread_key = {THREAD_KEY} AND checkpoint_ns = %s"
_LATEST = f"WHERE {_AT} ORDER BY checkpoint_id DESC LIMIT 1"
_NAMED = f"WHERE {_AT} AND checkpoint_id = %s"

_CHECKPOINT, _VALUE, _WRITE = range(3)
"""The kinds of rows of a read."""


class Checkpoints(CheckpointInfos):
    """The operations on threads, for one kind of database.

    A read is one statement, whose rows are checkpoints, values and writes. Values and writes are
    each found in an index: what a read costs does not depend on the length of the thread.
    """

    each_version: str
    """A table function with the ``key`` and the ``value`` of each field of a JSON object."""

    joined_value: str
    """A join with a row of {table} that matches {condition}, which looks it up in an index."""

    each_text: str
    """The table ``channel`` with the ``value`` of each element of a parameter."""

    field: str
    """The field {name} of the JSON object {column} as text."""

    is_unknown: str
    """The condition that the text {column} is no element of a parameter like that of each_text."""

    contains: str
    """The condition that the metadata contain a parameter."""

    def __init__(self) -> None:
        value = self._value_of("named", channel="key", version="value")
        write = self.writes_of("c")
        self._read = (
            "WITH c AS MATERIALIZED (SELECT * FROM parlant_store_checkpoint {where}),"
            " found AS MATERIALIZED (SELECT named.thread_key, named.checkpoint_ns,"
            " named.key AS channel, named.value AS version, v.type, v.value"
            " FROM (SELECT {distinct} c.thread_key, c.checkpoint_ns, version.key, version.value"
            f" FROM c CROSS JOIN {self.each_version.format('c.versions')} AS version) AS named"
            f" {value})"
            f" SELECT {_CHECKPOINT}, c.key, c.thread_key, t.thread_id, t.full_names,"
            " c.checkpoint_ns, c.full_ns, c.checkpoint_id, c.parent_id,"
            " CAST(c.versions AS text), CAST(c.metadata AS text), CAST(NULL AS integer),"
            " c.type, c.value"
            " FROM c JOIN parlant_store_thread t ON t.key = c.thread_key"
            f" UNION ALL SELECT {_VALUE}, NULL, v.thread_key, NULL, NULL,"
            " v.checkpoint_ns, NULL, v.channel, v.version, NULL, NULL, NULL, v.type, v.value"
            f" FROM ({self._with_bases('{distinct}')}) AS v"
            f" UNION ALL SELECT {_WRITE}, c.key, NULL, w.task_id, w.task_path,"
            " NULL, NULL, w.channel, NULL, NULL, NULL, w.idx, w.type, w.value"
            f" FROM c {write}"
        )
        # Formatted once: drivers find a statement sooner if it is the same object.
        self._get = {
            where: self._read.format(where=where, distinct="") for where in (_LATEST, _NAMED)
        }
        self._history = self._history_sql()
        self._thread = self._thread_sql()

    def _thread_sql(self) -> str:
        title, name = (
            f"NULLIF({self.field.format(column='c.metadata', name=each)}, '')"
            for each in ("'title'", "'name'")
        )
        return (
            "SELECT namespace, thread_id, full_names, user_id, created_at, updated_at, expires_at,"
            f" substr(COALESCE((SELECT COALESCE({title}, {name}){_LATEST_ROOT}), title),"
            f" 1, {MAX_TITLE}), {_WAITING} FROM parlant_store_thread t"
        )

    def _history_sql(self) -> str:
        version = self.field.format(column="p.versions", name="{channel}")
        has_value = (
            "EXISTS (SELECT 1 FROM parlant_store_channel_value v"
            " WHERE v.thread_key = p.thread_key AND v.checkpoint_ns = p.checkpoint_ns"
            f" AND v.channel = {{channel}} AND v.version = {version})"
        )
        step = (
            "SELECT {channel}, p.thread_key, p.checkpoint_ns, p.checkpoint_id, p.parent_id,"
            f" {version}, {has_value}"
        )
        parent = (
            "JOIN parlant_store_checkpoint p ON p.thread_key = {child}.thread_key"
            " AND p.checkpoint_ns = {child}.checkpoint_ns AND p.checkpoint_id = {child}.parent_id"
        )
        value = self._value_of("a", channel="channel", version="version")
        write = self.writes_of("a", " AND w.channel = a.channel")
        found = (
            "SELECT a.thread_key, a.checkpoint_ns, a.channel, a.version, v.type, v.value"
            f" FROM ancestor a {value} WHERE a.has_value"
        )
        return (
            "WITH RECURSIVE c AS MATERIALIZED ("
            "SELECT thread_key, checkpoint_ns, parent_id FROM parlant_store_checkpoint {where}),"
            " ancestor (channel, thread_key, checkpoint_ns, checkpoint_id, parent_id,"
            " version, has_value, distance) AS ("
            f"{step.format(channel='channel.value')}, 1"
            f" FROM c {parent.format(child='c')} CROSS JOIN {self.each_text}"
            f" UNION ALL {step.format(channel='ancestor.channel')}, distance + 1"
            f" FROM ancestor {parent.format(child='ancestor')}"
            f" WHERE NOT has_value AND distance < {MAX_DISTANCE}),"
            f" found AS MATERIALIZED ({found})"
            f" SELECT {_VALUE}, 0, v.thread_key, v.checkpoint_ns, v.channel, v.version,"
            " CAST(NULL AS integer), v.type, v.value"
            f" FROM ({self._with_bases()}) AS v"
            f" UNION ALL SELECT {_WRITE}, a.distance, NULL, w.task_id, w.task_path, w.channel,"
            " w.idx, w.type, w.value"
            f" FROM ancestor a {write}"
        )

    def _with_bases(self, distinct: str = "DISTINCT") -> str:
        """Return the statement for the rows of ``found``, and for the bases of its differences.

        A parameter has the names of bases that are left out.
        """
        columns = "v.thread_key, v.checkpoint_ns, v.channel, v.version, v.type, v.value"
        return (
            f"SELECT {columns} FROM found v UNION ALL SELECT {columns} FROM ("
            f"SELECT {distinct} thread_key, checkpoint_ns, channel, base FROM ("
            f"SELECT thread_key, checkpoint_ns, channel, {base_name('type')} AS base FROM found"
            f" WHERE {is_difference('type')}"
            f") AS named WHERE {self.is_unknown.format(column='base')}) AS named"
            f" {self._value_of('named', channel='channel', version='base')}"
        )

    def _value_of(self, row: str, channel: str, version: str) -> str:
        """Return the join of a row with its value ``v``, by these columns of the row."""
        return self.joined_value.format(
            table="parlant_store_channel_value",
            name="v",
            condition=f"v.thread_key = {row}.thread_key AND v.checkpoint_ns = {row}.checkpoint_ns"
            f" AND v.channel = {row}.{channel} AND v.version = {row}.{version}",
        )

    def get_checkpoint(
        self, connection: BaseDatabaseWrapper, place: CheckpointPlace, time: Time, cache: BaseCache
    ) -> StoredCheckpoint | None:
        where, params = _where(place, time)
        bases_at = base_place(connection, place.thread, place.checkpoint_ns)
        known = cache.named(bases_at)
        params.append(self.texts([*known]))
        rows = fetch(connection, self._get[where], params, binary=True)
        found, values = _checkpoints(rows, known.values())
        if not found:
            return None
        cache.put(bases_at, values.bases(found[0].values))
        return found[0]

    def list_checkpoints(
        self, connection: BaseDatabaseWrapper, listing: ListCheckpoints, time: Time
    ) -> list[StoredCheckpoint]:
        self.prepare(connection)
        where, params = self._matching(listing, time)
        sql = self._read.format(
            where=f"WHERE {where} ORDER BY checkpoint_id DESC, key DESC LIMIT %s",
            distinct="DISTINCT",
        )
        params += (listing.limit, self.texts([]))
        rows = fetch(connection, sql, params, prepare=None, binary=True)
        return _checkpoints(rows)[0]

    def prepare(self, connection: BaseDatabaseWrapper) -> None:
        """Create functions on the connection that ``contains`` needs."""

    def get_history(
        self, connection: BaseDatabaseWrapper, read: GetHistory, time: Time
    ) -> dict[str, ChannelHistory]:
        where, params = _where(read.place, time)
        names = self.texts([codec.to_column(name) for name in read.channels])
        sql = self._history.format(where=where)
        rows = fetch(connection, sql, (*params, names, self.texts([])), binary=True)
        values = StoredValues(ValueRow(*row[2:6], *row[7:]) for row in rows if row[0] == _VALUE)
        return histories(
            read.channels,
            values.by_channel(),
            [
                WriteRow(key, task, path, idx, channel, type_, value)
                for kind, key, _, task, path, channel, idx, type_, value in rows
                if kind == _WRITE
            ],
        )

    def list_threads(
        self, connection: BaseDatabaseWrapper, listing: ListThreads, time: Time
    ) -> list[ThreadInfo]:
        where, params = "expires_at <= %s" if listing.is_expired else LIVE, [time.now]
        for column, value in (("namespace", listing.namespace), ("user_id", listing.user_id)):
            if value is not None:
                where += f" AND {column} = %s"
                params.append(codec.to_column(value))
        if listing.after is not None:
            where += " AND (namespace, thread_id) > (%s, %s)"
            params += thread_columns(listing.after)
        sql = f"{self._thread} WHERE {where} ORDER BY namespace, thread_id LIMIT %s"
        rows = fetch(connection, sql, (*params, listing.limit), prepare=None)
        return [thread_info(connection, row) for row in rows]

    def get_thread(
        self, connection: BaseDatabaseWrapper, thread: ThreadName, time: Time
    ) -> ThreadInfo | None:
        sql = f"{self._thread} WHERE key = {THREAD_KEY}"
        rows = fetch(connection, sql, (*thread_columns(thread), time.now))
        return thread_info(connection, rows[0]) if rows else None

    def _matching(self, listing: ListCheckpoints, time: Time) -> tuple[str, list[Any]]:
        """Return the condition of a listing."""
        namespace = codec.to_column(listing.namespace)
        if listing.thread_id is None:
            where = (
                "thread_key IN (SELECT key FROM parlant_store_thread"
                f" WHERE namespace = %s AND {LIVE})"
            )
            params: list[Any] = [namespace, time.now]
        else:
            where = f"thread_key = {THREAD_KEY}"
            params = [namespace, codec.to_column(listing.thread_id), time.now]
        for condition, text in (
            ("checkpoint_ns = %s", listing.checkpoint_ns),
            ("checkpoint_id = %s", listing.checkpoint_id),
            ("checkpoint_id < %s", listing.before),
        ):
            if text is not None:
                where += f" AND {condition}"
                params.append(codec.to_column(text))
        if listing.after is not None:
            where += " AND (checkpoint_id, key) < (%s, %s)"
            params += [codec.to_column(listing.after.checkpoint_id), listing.after.key]
        if listing.filter is not None:
            where += f" AND {self.contains}"
            params.append(listing.filter)
        return where, params

    @abstractmethod
    def texts(self, texts: list[str]) -> str:
        """Return the parameter of ``each_text``."""

    @abstractmethod
    def put_checkpoint(
        self, connection: BaseDatabaseWrapper, put: PutCheckpoint, time: Time, cache: BaseCache
    ) -> None: ...

    @abstractmethod
    def put_messages(
        self, connection: BaseDatabaseWrapper, key: int, messages: MessageTexts
    ) -> None:
        """Change the texts of the thread with the key, inside a transaction."""

    @abstractmethod
    def put_writes(self, connection: BaseDatabaseWrapper, put: PutWrites, time: Time) -> None: ...

    @abstractmethod
    def delete_thread(
        self, connection: BaseDatabaseWrapper, deletion: DeleteThread, time: Time
    ) -> bool:
        """Return whether there was one that had not expired."""

    @abstractmethod
    def set_expiry(
        self, connection: BaseDatabaseWrapper, change: SetThreadExpiry, time: Time
    ) -> bool: ...

    @abstractmethod
    def delete_runs(
        self, connection: BaseDatabaseWrapper, namespace: str, run_ids: list[str]
    ) -> int: ...

    @abstractmethod
    def copy_thread(self, connection: BaseDatabaseWrapper, copy: CopyThread, time: Time) -> bool:
        """Return whether there was a source; raise SessionExists."""

    @abstractmethod
    def prune_threads(
        self, connection: BaseDatabaseWrapper, prune: PruneThreads, time: Time
    ) -> list[int]:
        """Return the number of deleted checkpoints of each thread."""

    @abstractmethod
    def delete_expired(
        self, connection: BaseDatabaseWrapper, time: Time, limit: int
    ) -> tuple[int, bool]:
        """Delete at most ``limit`` rows of expired threads.

        Return the number of threads of which nothing is left, and whether there may be more.
        """


def thread_info(connection: BaseDatabaseWrapper, row: Row) -> ThreadInfo:
    namespace, thread_id, full, user_id, *times, title, waiting = row
    name = thread_name_of(namespace, thread_id, full)
    created_at, updated_at, expires_at = (aware(connection, time) for time in times)
    return ThreadInfo(
        namespace=name.namespace,
        thread_id=name.thread_id,
        user_id=owner_of_thread(user_id, full),
        created_at=created_at,
        updated_at=updated_at,
        expires_at=expires_at,
        title=title_of(title),
        waiting=waiting,
    )


def _where(place: CheckpointPlace, time: Time) -> tuple[str, list[Any]]:
    """Return the clause that selects the checkpoint."""
    params = [*thread_columns(place.thread), time.now, codec.to_column(place.checkpoint_ns)]
    if place.checkpoint_id is None:
        return _LATEST, params
    return _NAMED, [*params, codec.to_column(place.checkpoint_id)]


def base_place(
    connection: BaseDatabaseWrapper, thread: ThreadName, checkpoint_ns: str
) -> tuple[str, ...]:
    """Return the place of the bases of a namespace in a cache."""
    return (connection.alias, *thread, checkpoint_ns)


def _checkpoints(
    rows: list[Row], known: Iterable[Base] = ()
) -> tuple[list[StoredCheckpoint], StoredValues]:
    checkpoints: list[CheckpointRow] = []
    values: list[ValueRow] = []
    writes: list[WriteRow] = []
    for kind, key, thread_key, *texts, idx, type_, value in rows:
        if kind == _CHECKPOINT:
            checkpoints.append(CheckpointRow._make((key, thread_key, *texts, type_, value)))
        elif kind == _VALUE:
            _, _, ns, _, channel, version, _, _ = texts
            values.append(ValueRow(thread_key, ns, channel, version, type_, value))
        else:
            task_id, task_path, _, _, channel, *_ = texts
            writes.append(WriteRow(key, task_id, task_path, idx, channel, type_, value))
    stored = StoredValues(values, known)
    return stored_checkpoints(checkpoints, stored, writes), stored
