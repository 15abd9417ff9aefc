"""Threads on SQLite."""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.channel_values import (
    BaseCache,
    EncodedValues,
    write_values,
)
from parlant_store.backends.contract.checkpoint_operations import (
    CopyThread,
    DeleteThread,
    PruneThreads,
    PutCheckpoint,
    PutWrites,
    SetThreadExpiry,
    ThreadName,
)
from parlant_store.backends.contract.checkpoints import thread_exists
from parlant_store.backends.orm.base.checkpoint_infos import THREAD_KEY
from parlant_store.backends.orm.base.checkpoints import Checkpoints, base_place
from parlant_store.backends.orm.base.sessions import LIVE, Time, adapted
from parlant_store.backends.orm.database.sqlite_functions import create_function
from parlant_store.backends.orm.database.statements import Row, fetch, write
from parlant_store.backends.orm.sqlite.containment import contains
from parlant_store.backends.thread_columns import (
    checkpoint_columns,
    message_columns,
    owner_of_thread,
    thread_columns,
    thread_names,
    write_columns,
)
from parlant_store.content import codec
from parlant_store.content.text_search import stored_words
from parlant_store.content.thread_messages import MessageTexts
from parlant_store.sql.differences import base_name
from parlant_store.sql.functions import MAX_DISTANCE

MAX_ROWS = 500
"""Limit on the rows of an insert; SQLite allows 32,766 parameters."""

# It writes to no index but those of the times: each page of an index takes longer than the rest.
_UPDATE = (
    "UPDATE parlant_store_thread SET updated_at = %s, expires_at = COALESCE(%s, expires_at)"
    f" WHERE namespace = %s AND thread_id = %s AND {LIVE} RETURNING key, user_id"
)
INSERT = (
    "INSERT INTO parlant_store_thread (namespace, thread_id, full_names, user_id,"
    " created_at, updated_at, expires_at) VALUES (%s, %s, %s, %s, %s, %s, %s){conflict}"
    " RETURNING key"
)
_INSERT = INSERT.format(conflict="")
_SET_OWNER = "UPDATE parlant_store_thread SET full_names = %s, user_id = %s WHERE key = %s"
_CHECKPOINT = (
    "checkpoint_ns, full_ns, checkpoint_id, parent_id, run_id, type, value, versions, metadata"
)
_VALUE = "channel, version, type, value"
_WRITE = "task_id, task_path, idx, channel, type, value"
_MESSAGE = "digest, number, text, terms"
_PUT = (
    f"INSERT INTO parlant_store_checkpoint (thread_key, {_CHECKPOINT}, created_at)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    " ON CONFLICT (thread_key, checkpoint_ns, checkpoint_id) DO UPDATE SET"
    " run_id = excluded.run_id, type = excluded.type, value = excluded.value,"
    " versions = excluded.versions, metadata = excluded.metadata"
)
_PUT_VALUES = (
    f"INSERT INTO parlant_store_channel_value (thread_key, checkpoint_ns, {_VALUE})"
    " VALUES {rows} ON CONFLICT (thread_key, checkpoint_ns, channel, version)"
    " DO UPDATE SET type = excluded.type, value = excluded.value"
    " WHERE value <> excluded.value OR type <> excluded.type"
)
_PUT_WRITES = (
    "INSERT INTO parlant_store_checkpoint_write"
    f" (thread_key, checkpoint_ns, checkpoint_id, {_WRITE}) VALUES {{rows}}"
    " ON CONFLICT (thread_key, checkpoint_ns, checkpoint_id, task_id, idx) DO UPDATE SET"
    " task_path = excluded.task_path, channel = excluded.channel, type = excluded.type,"
    " value = excluded.value WHERE idx < 0"
)
_PUT_MESSAGES = (
    f"INSERT INTO parlant_store_thread_message (thread_key, {_MESSAGE}) VALUES {{rows}}"
    " ON CONFLICT (thread_key, digest) DO UPDATE SET number = excluded.number"
    " WHERE number <> excluded.number"
)
_DELETE_MESSAGES = (
    "DELETE FROM parlant_store_thread_message WHERE thread_key = %s"
    " AND digest NOT IN (SELECT value FROM json_each(%s))"
)
_SET_TITLE = "UPDATE parlant_store_thread SET title = %s WHERE key = %s AND title IS NULL"
COPIED = {
    "parlant_store_checkpoint_write": f"checkpoint_ns, checkpoint_id, {_WRITE}",
    "parlant_store_channel_value": f"checkpoint_ns, {_VALUE}",
    "parlant_store_thread_message": _MESSAGE,
    "parlant_store_checkpoint": f"{_CHECKPOINT}, created_at",
}
"""The tables with the rows of a thread, and their columns without those of keys."""

_SET_EXPIRY = (
    f"UPDATE parlant_store_thread SET expires_at = %s WHERE key = {THREAD_KEY} RETURNING key"
)
_HAS_BASE = (
    "SELECT 1 FROM parlant_store_channel_value"
    " WHERE thread_key = %s AND checkpoint_ns = %s AND channel = %s AND version = %s"
)
_DELETE_VALUES = f"""
WITH used (checkpoint_ns, channel, version) AS MATERIALIZED (
    SELECT DISTINCT c.checkpoint_ns, version.key, version.value
    FROM parlant_store_checkpoint c CROSS JOIN json_each(c.versions) AS version
    WHERE c.thread_key = %s
)
DELETE FROM parlant_store_channel_value WHERE thread_key = %s
AND (checkpoint_ns, channel, version) NOT IN (
    SELECT checkpoint_ns, channel, version FROM used
    UNION ALL
    SELECT v.checkpoint_ns, v.channel, {base_name("v.type")}
    FROM used CROSS JOIN parlant_store_channel_value v ON v.thread_key = %s
        AND v.checkpoint_ns = used.checkpoint_ns AND v.channel = used.channel
        AND v.version = used.version
    WHERE {base_name("v.type")} IS NOT NULL
)
"""
_HAS_VALUE = """EXISTS (
        SELECT 1 FROM parlant_store_channel_value v
        WHERE v.thread_key = c.thread_key AND v.checkpoint_ns = c.checkpoint_ns
        AND v.channel = {channel}
        AND v.version = (SELECT value FROM json_each(c.versions) WHERE key = {channel})
    )"""
# All but the latest of each namespace, and their ancestors that have what they lack.
_NOT_KEPT = f"""
WITH RECURSIVE head AS MATERIALIZED (
    SELECT * FROM (
        SELECT *, row_number() OVER (
            PARTITION BY checkpoint_ns ORDER BY checkpoint_id DESC
        ) AS place
        FROM parlant_store_checkpoint WHERE thread_key = %s
    ) WHERE place <= %s
), ancestor (key, channel, has_value, distance) AS (
    SELECT c.key, each.key, {_HAS_VALUE.format(channel="each.key")}, 0
    FROM head c
    CROSS JOIN json_each(c.metadata, '$.counters_since_delta_snapshot') AS each
    UNION ALL
    SELECT c.key, channel, {_HAS_VALUE.format(channel="ancestor.channel")}, distance + 1
    FROM ancestor
    CROSS JOIN parlant_store_checkpoint child ON child.key = ancestor.key
    CROSS JOIN parlant_store_checkpoint c ON c.thread_key = child.thread_key
        AND c.checkpoint_ns = child.checkpoint_ns AND c.checkpoint_id = child.parent_id
    WHERE NOT has_value AND distance < {MAX_DISTANCE}
), kept AS (
    SELECT key FROM head UNION SELECT key FROM ancestor
), ended AS (
    SELECT head.checkpoint_ns FROM head CROSS JOIN parlant_store_checkpoint root
        ON root.thread_key = head.thread_key AND root.checkpoint_ns = ''
        AND root.checkpoint_id = (
            SELECT value FROM json_each(head.metadata, '$.parents') WHERE key = ''
        )
    WHERE place = 1 AND instr(head.checkpoint_ns, ':') AND root.key NOT IN (SELECT key FROM kept)
)
SELECT key FROM parlant_store_checkpoint WHERE thread_key = %s AND (
    key NOT IN (SELECT key FROM kept)
    OR checkpoint_ns IN (SELECT checkpoint_ns FROM ended)
)
"""
_DELETE_CHECKPOINTS = (
    "DELETE FROM parlant_store_checkpoint_write WHERE key IN ("
    "SELECT w.key FROM json_each(%s) each"
    " CROSS JOIN parlant_store_checkpoint c ON c.key = each.value"
    " CROSS JOIN parlant_store_checkpoint_write w ON w.thread_key = c.thread_key"
    " AND w.checkpoint_ns = c.checkpoint_ns AND w.checkpoint_id = c.checkpoint_id)",
    "DELETE FROM parlant_store_checkpoint WHERE key IN (SELECT value FROM json_each(%s))",
)
_FORGET_PARENTS = (
    "UPDATE parlant_store_checkpoint AS c SET parent_id = NULL"
    " WHERE thread_key = %s AND parent_id IS NOT NULL AND NOT EXISTS ("
    "SELECT 1 FROM parlant_store_checkpoint p WHERE p.thread_key = c.thread_key"
    " AND p.checkpoint_ns = c.checkpoint_ns AND p.checkpoint_id = c.parent_id)"
)


class SQLiteCheckpoints(Checkpoints):
    """Each write is a transaction that starts with a write, so that it can wait for the lock."""

    each_version = "json_each({})"
    # A cross join keeps its order.
    joined_value = "CROSS JOIN {table} {name} ON {condition}"
    joined_rows = joined_value
    each_text = "json_each(%s) AS channel"
    is_unknown = "{column} NOT IN (SELECT value FROM json_each(%s))"
    field = "(SELECT value FROM json_each({column}) WHERE key = {name})"
    contains = "parlant_store_contains(metadata, %s)"

    def prepare(self, connection: BaseDatabaseWrapper) -> None:
        create_function(connection, "parlant_store_contains", 2, contains, deterministic=True)

    def texts(self, texts: list[str]) -> str:
        return json.dumps(texts)

    def put_checkpoint(
        self, connection: BaseDatabaseWrapper, put: PutCheckpoint, time: Time, cache: BaseCache
    ) -> None:
        row = checkpoint_columns(put.checkpoint, put.metadata)

        def insert(values: EncodedValues) -> bool:
            place = (key, row.checkpoint_ns)
            if not all(fetch(connection, _HAS_BASE, (*place, *base)) for base in values.needed):
                return False
            rows = [(*place, *value) for value in values.rows]
            insert_rows(connection, _PUT_VALUES, rows)
            return True

        with write(connection):
            key = open_thread(connection, put.thread, put.user_id, time)
            fetch(connection, _PUT, (key, *row, time.now))
            place = base_place(connection, put.thread, put.checkpoint.checkpoint_ns)
            write_values(cache, place, put.values, insert)
            put_messages(connection, key, put.messages)

    def put_messages(
        self, connection: BaseDatabaseWrapper, key: int, messages: MessageTexts
    ) -> None:
        put_messages(connection, key, messages)

    def put_writes(self, connection: BaseDatabaseWrapper, put: PutWrites, time: Time) -> None:
        place = codec.to_column(put.checkpoint_ns), codec.to_column(put.checkpoint_id)
        with write(connection):
            key = open_thread(connection, put.thread, put.user_id, time)
            insert_rows(
                connection,
                _PUT_WRITES,
                [(key, *place, *row) for row in write_columns(put.writes)],
            )

    def delete_thread(
        self, connection: BaseDatabaseWrapper, deletion: DeleteThread, time: Time
    ) -> bool:
        with write(connection):
            return delete_thread(connection, deletion.thread, time, deletion.written_until)

    def set_expiry(
        self, connection: BaseDatabaseWrapper, change: SetThreadExpiry, time: Time
    ) -> bool:
        params = (adapted(connection, change.expires_at), *thread_columns(change.thread), time.now)
        return bool(fetch(connection, _SET_EXPIRY, params))

    def delete_expired(
        self, connection: BaseDatabaseWrapper, time: Time, limit: int
    ) -> tuple[int, bool]:
        with write(connection):
            return delete_expired_threads(connection, time, limit)

    def delete_runs(
        self, connection: BaseDatabaseWrapper, namespace: str, run_ids: list[str]
    ) -> int:
        sql = (
            "SELECT key, thread_key FROM parlant_store_checkpoint"
            " WHERE run_id IN (SELECT value FROM json_each(%s)) AND thread_key IN ("
            "SELECT key FROM parlant_store_thread WHERE namespace = %s)"
        )
        runs = json.dumps([codec.to_column(run_id) for run_id in run_ids])
        with write(connection):
            rows = fetch(connection, sql, (runs, codec.to_column(namespace)))
            _delete_checkpoints(connection, [key for key, _ in rows])
            for thread in {thread for _, thread in rows}:
                fetch(connection, _DELETE_VALUES, (thread, thread, thread))
        return len(rows)

    def copy_thread(self, connection: BaseDatabaseWrapper, copy: CopyThread, time: Time) -> bool:
        source = (*thread_columns(copy.source), time.now)
        sql = (
            "SELECT key, title, user_id, full_names FROM parlant_store_thread"
            f" WHERE key = {THREAD_KEY}"
        )
        with write(connection):
            rows = fetch(connection, sql, source)
            if rows and copy.source != copy.target:
                ((key, title, *owner),) = rows
                if not copy.replace and self.get_thread(connection, copy.target, time):
                    raise thread_exists(copy.target)
                delete_thread(connection, copy.target, time)
                target = open_thread(connection, copy.target, owner_of_thread(*owner), time)
                for table, names in COPIED.items():
                    fetch(
                        connection,
                        f"INSERT INTO {table} (thread_key, {names})"
                        f" SELECT %s, {names} FROM {table} WHERE thread_key = %s",
                        (target, key),
                    )
                fetch(connection, _SET_TITLE, (title, target))
        return bool(rows)

    def prune_threads(
        self, connection: BaseDatabaseWrapper, prune: PruneThreads, time: Time
    ) -> list[int]:
        with write(connection):
            return [_prune(connection, thread, prune, time) for thread in prune.threads]


def _prune(
    connection: BaseDatabaseWrapper, thread: ThreadName, prune: PruneThreads, time: Time
) -> int:
    place = (*thread_columns(thread), time.now)
    ((key,),) = fetch(connection, f"SELECT {THREAD_KEY}", place)
    keys = [row[0] for row in fetch(connection, _NOT_KEPT, (key, prune.keep, key))]
    if keys and not prune.is_dry_run:
        _delete_checkpoints(connection, keys)
        fetch(connection, _DELETE_VALUES, (key, key, key))
        fetch(connection, _FORGET_PARENTS, (key,))
    return len(keys)


def open_thread(
    connection: BaseDatabaseWrapper, name: ThreadName, user_id: str | None, time: Time
) -> int:
    """Return the key of the thread, which is created if there is none; its time is set."""
    columns, names = thread_columns(name), thread_names(name, user_id)
    owner = None if user_id is None else codec.to_column(user_id)
    rows = fetch(connection, _UPDATE, (*time, *columns, time.now))
    if not rows:
        delete_thread(connection, name, time)
        params = (*columns, names, owner, time.now, *time)
        ((key,),) = fetch(connection, _INSERT, params)
        return key  # type: ignore[no-any-return]
    ((key, stored_owner),) = rows
    if stored_owner is None and owner is not None:
        fetch(connection, _SET_OWNER, (names, owner, key))
    return key  # type: ignore[no-any-return]


def put_messages(connection: BaseDatabaseWrapper, key: int, messages: MessageTexts) -> None:
    """Change what a search finds of the thread with the key."""
    if messages.is_whole:
        digests = json.dumps([text.digest for text in messages.texts])
        fetch(connection, _DELETE_MESSAGES, (key, digests))
    rows = [(key, *row) for row in message_columns(messages, stored_words)]
    insert_rows(connection, _PUT_MESSAGES, rows)
    if messages.title is not None:
        fetch(connection, _SET_TITLE, (messages.title, key))


def delete_thread(
    connection: BaseDatabaseWrapper,
    name: ThreadName,
    time: Time,
    written_until: datetime | None = None,
) -> bool:
    """Delete the thread inside a transaction; return whether there was one that had not expired.

    One that was written later than ``written_until`` stays.
    """
    sql = (
        f"SELECT key, {LIVE} FROM parlant_store_thread WHERE namespace = %s AND thread_id = %s"
        " AND (%s IS NULL OR updated_at <= %s)"
    )
    until = adapted(connection, written_until)
    rows = fetch(connection, sql, (time.now, *thread_columns(name), until, until))
    for key, _ in rows:
        for table in COPIED:
            fetch(connection, f"DELETE FROM {table} WHERE thread_key = %s", (key,))
        fetch(connection, "DELETE FROM parlant_store_thread WHERE key = %s", (key,))
    return any(is_live for _, is_live in rows)


def delete_expired_threads(
    connection: BaseDatabaseWrapper, time: Time, limit: int
) -> tuple[int, bool]:
    """``Checkpoints.delete_expired`` inside a transaction."""
    sql = "SELECT key FROM parlant_store_thread WHERE expires_at <= %s ORDER BY expires_at LIMIT %s"
    threads, remaining = 0, limit
    for (key,) in fetch(connection, sql, (time.now, limit)):
        for table in COPIED:
            part = (
                f"DELETE FROM {table} WHERE key IN (SELECT key FROM {table}"
                " WHERE thread_key = %s LIMIT %s) RETURNING key"
            )
            remaining -= len(fetch(connection, part, (key, remaining)))
        if remaining <= 0:
            break
        fetch(connection, "DELETE FROM parlant_store_thread WHERE key = %s", (key,))
        threads, remaining = threads + 1, remaining - 1
    return threads, remaining <= 0


def _delete_checkpoints(connection: BaseDatabaseWrapper, keys: list[int]) -> None:
    for sql in _DELETE_CHECKPOINTS:
        fetch(connection, sql, (json.dumps(keys),))


def insert_rows(connection: BaseDatabaseWrapper, sql: str, rows: Sequence[Row]) -> None:
    """Insert ``rows``, in as few statements as possible."""
    for start in range(0, len(rows), MAX_ROWS):
        part = rows[start : start + MAX_ROWS]
        fetch(
            connection, _insertion(sql, len(part), len(part[0])), tuple(chain.from_iterable(part))
        )


@lru_cache(maxsize=64)
def _insertion(sql: str, rows: int, columns: int) -> str:
    return sql.format(rows=", ".join([f"({', '.join(['%s'] * columns)})"] * rows))
