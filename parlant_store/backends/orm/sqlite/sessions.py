"""Sessions on SQLite."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from operator import attrgetter

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from parlant_store.backends.columns import Columns, columns, name_of
from parlant_store.backends.contract.expiry import Expired
from parlant_store.backends.contract.operations import (
    AddItems,
    GetItems,
    SetExpiry,
    SetMetadata,
)
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.base.removed_items import REMOVED, removed, subtract_usage
from parlant_store.backends.orm.base.sessions import (
    KEY,
    LIVE,
    PLAIN,
    KeyColumn,
    Sessions,
    Time,
    adapted,
)
from parlant_store.backends.orm.database.errors import is_locked
from parlant_store.backends.orm.database.sqlite_functions import create_function
from parlant_store.backends.orm.database.statements import Row, fetch, write
from parlant_store.backends.orm.sqlite.checkpoints import delete_expired_threads
from parlant_store.backends.orm.sqlite.filters import SQLiteRenderer, prepare
from parlant_store.backends.orm.sqlite.items import (
    Counts,
    Reservation,
    counts_of,
    delete_items,
    delete_session,
    insert_items,
    item_rows,
    reserve,
    reserve_all,
)
from parlant_store.backends.orm.sqlite.requests import FORGET_OLD
from parlant_store.content import codec
from parlant_store.content.times import as_utc
from parlant_store.types import JSONObject

# One row for any number of reads, because fetching rows one by one takes longer.
_JOINED = (
    "SELECT group_concat(part) FROM (SELECT (SELECT '[' || read.key || ',' || count(*)"
    " || ',[' || COALESCE(group_concat(data), '') || ']]' FROM ("
    "SELECT data FROM parlant_store_session_item WHERE session_key = ("
    "SELECT key FROM parlant_store_session"
    " WHERE namespace = json_extract(read.value, '$[0]')"
    f" AND session_id = json_extract(read.value, '$[1]') AND {LIVE})"
    " ORDER BY position DESC LIMIT %s)) AS part"
    " FROM json_each(%s) AS read)"
)

MAX_JOINED_ITEMS = 1_000
"""Limit on the items of reads in one statement."""

JULIAN_1970 = 210866760000
"""The seconds of julianday at the start of 1970."""


def _joinable(reads: Sequence[GetItems]) -> Iterator[tuple[int, list[SessionName]]]:
    """Group consecutive reads with the same limit, up to MAX_JOINED_ITEMS items in a group.

    Calls at the same time mostly have the same limit.
    """
    for limit, group in groupby(reads, key=attrgetter("limit")):
        names = [read.session for read in group]
        count = max(1, MAX_JOINED_ITEMS // max(1, limit))
        for start in range(0, len(names), count):
            yield limit, names[start : start + count]


def _items_of_all(text: str, reads: int) -> list[list[JSONObject]] | None:
    """Return the items of each read from the result of ``_JOINED``; None if one is damaged."""
    try:
        results = sorted(json.loads(f"[{text}]"))
    except (ValueError, RecursionError):
        return None
    if len(results) != reads or any(len(items) != count for _, count, items in results):
        return None
    return [items[::-1] for _, _, items in results]


def _seconds(connection: BaseDatabaseWrapper, text: str) -> float:
    """Return the timestamp of a column in the time zone of the database, which SQLite lacks."""
    time = datetime.fromisoformat(text)
    if connection.timezone:
        time = timezone.make_aware(time, connection.timezone)
    return as_utc(time).timestamp()


class SQLiteSessions(Sessions):
    """Each write is a transaction that starts with a write, so that it can wait for the lock."""

    metadata = SQLiteRenderer("metadata", ())

    def seconds(self, connection: BaseDatabaseWrapper, column: str) -> str:
        if connection.timezone is not UTC:
            create_function(connection, "parlant_store_seconds", 1, partial(_seconds, connection))
            return f"parlant_store_seconds(CAST({column} AS text))"
        # julianday has milliseconds only: it gives the whole seconds, and the text the fraction.
        fraction = f"substr({column}, 20)"
        return f"round(julianday({column}) * 86400 - {JULIAN_1970} - {fraction}) + {fraction}"

    def prepare(self, connection: BaseDatabaseWrapper, sql: str) -> None:
        prepare(connection, sql)

    def add_items(self, connection: BaseDatabaseWrapper, addition: AddItems, time: Time) -> int:
        with write(connection):
            return self.put_items(connection, addition, time)

    def put_items(self, connection: BaseDatabaseWrapper, addition: AddItems, time: Time) -> int:
        """``add_items`` inside a transaction."""
        name, batch, user_id, *_ = addition
        counts = counts_of(batch)
        count = counts.items
        key, end, turn, items, _ = reserve(connection, name, user_id, counts, time)
        if addition.replace:
            items, turn = count, counts.turns
            fetch(
                connection,
                "DELETE FROM parlant_store_session_item WHERE session_key = %s",
                (key,),
            )
            fetch(
                connection,
                "UPDATE parlant_store_session SET item_count = %s, tokens = %s, failed_calls = %s,"
                " next_turn = %s, usage = NULL WHERE key = %s",
                (*counts, key),
            )
        insert_items(connection, item_rows(key, end - count, turn - counts.turns, batch, time))
        return items  # type: ignore[no-any-return]

    def add_all(
        self, connection: BaseDatabaseWrapper, additions: Sequence[AddItems], time: Time
    ) -> list[int] | None:
        try:
            with write(connection):
                return self._put_all(connection, additions, time)
        except DatabaseError as exc:
            if is_locked(exc):
                raise
            return None

    def _put_all(
        self, connection: BaseDatabaseWrapper, additions: Sequence[AddItems], time: Time
    ) -> list[int]:
        reservations = reserve_all(connection, additions, time)
        rows: list[Row] = []
        counts = []
        for name, batch, *_ in additions:
            (key, position, turn, items), count = reservations[name], len(batch.data)
            rows += item_rows(key, position, turn, batch, time)
            counts.append(items + count)
            after = Reservation(key, position + count, turn + batch.turns, items + count)
            reservations[name] = after
        insert_items(connection, rows)
        return counts

    def get_all(
        self,
        connection: BaseDatabaseWrapper,
        reads: Sequence[GetItems],
        time: Time,
        key: KeyColumn = PLAIN,
    ) -> list[list[JSONObject]] | None:
        items: list[list[JSONObject]] = []
        for limit, names in _joinable(reads):
            params = (time.now, limit, json.dumps([columns(name) for name in names]))
            ((text,),) = fetch(connection, _JOINED, params)
            results = _items_of_all(text, len(names))
            if results is None:
                return None
            items += results
        return items

    def pop_text(self, connection: BaseDatabaseWrapper, columns: Columns, time: Time) -> str | None:
        with write(connection):
            rows = fetch(
                connection,
                "DELETE FROM parlant_store_session_item WHERE key = ("
                " SELECT key FROM parlant_store_session_item"
                f" WHERE session_key = {KEY} ORDER BY position DESC LIMIT 1)"
                f" RETURNING session_key, data, {REMOVED}",
                (*columns, time.now),
            )
            if not rows:
                return None
            ((key, text, *item),) = rows
            turn, tokens, failed, usage = removed([item])
            fetch(
                connection,
                "UPDATE parlant_store_session SET item_count = item_count - 1,"
                " next_turn = COALESCE(%s - 1, next_turn),"
                " tokens = NULLIF(tokens - %s, 0), failed_calls = failed_calls - %s,"
                " updated_at = %s, expires_at = COALESCE(%s, expires_at) WHERE key = %s",
                (turn, tokens, failed, *time, key),
            )
            subtract_usage(connection, key, usage)
            return text  # type: ignore[no-any-return]

    def clear(self, connection: BaseDatabaseWrapper, name: SessionName, time: Time) -> None:
        with write(connection):
            rows = fetch(
                connection,
                "UPDATE parlant_store_session SET item_count = 0, tokens = NULL, failed_calls = 0,"
                " next_turn = 0, usage = NULL,"
                " updated_at = %s, expires_at = COALESCE(%s, expires_at)"
                f" WHERE namespace = %s AND session_id = %s AND {LIVE} RETURNING key",
                (*time, *columns(name), time.now),
            )
            sql = "DELETE FROM parlant_store_session_item WHERE session_key = %s"
            for key in rows:
                fetch(connection, sql, key)

    def delete_session(
        self, connection: BaseDatabaseWrapper, name: SessionName, time: Time
    ) -> int | None:
        with write(connection):
            return delete_session(connection, name, time)

    def set_expiry(self, connection: BaseDatabaseWrapper, change: SetExpiry, time: Time) -> bool:
        expires_at = adapted(connection, change.expires_at)
        sql = f"UPDATE parlant_store_session SET expires_at = %s WHERE key = {KEY} RETURNING key"
        return bool(fetch(connection, sql, (expires_at, *columns(change.session), time.now)))

    def set_metadata(
        self, connection: BaseDatabaseWrapper, change: SetMetadata, time: Time
    ) -> JSONObject:
        with write(connection):
            key, *_, before = reserve(connection, change.session, None, Counts(), time)
            after: JSONObject = codec.decode_document(change.metadata)
            if change.merge:
                after = codec.decode_document(before) | after
            fetch(
                connection,
                "UPDATE parlant_store_session SET metadata = %s WHERE key = %s",
                (codec.encode_document(after, "metadata"), key),
            )
            return after

    def expire(self, connection: BaseDatabaseWrapper, time: Time, batch_size: int) -> Expired:
        with write(connection):
            sessions = fetch(
                connection,
                "SELECT key, namespace, session_id, full_names, item_count"
                " FROM parlant_store_session WHERE expires_at <= %s ORDER BY expires_at LIMIT %s",
                (time.now, batch_size),
            )
            delete_items(connection, sessions)
            fetch(
                connection,
                "DELETE FROM parlant_store_session WHERE key IN (SELECT value FROM json_each(%s))",
                (json.dumps([row[0] for row in sessions]),),
            )
            documents = fetch(
                connection,
                "DELETE FROM parlant_store_document WHERE key IN ("
                " SELECT key FROM parlant_store_document WHERE expires_at <= %s"
                " ORDER BY expires_at LIMIT %s) RETURNING key",
                (time.now, batch_size),
            )
            fetch(connection, FORGET_OLD, (batch_size,))
            threads, has_threads = delete_expired_threads(connection, time, batch_size)
        expired = [(name_of(*names), items) for _, *names, items in sessions]
        return Expired(expired, len(documents), threads=threads, has_threads=has_threads)
