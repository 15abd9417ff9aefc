"""Sessions on SQLite."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import chain, groupby, repeat
from operator import attrgetter
from typing import Any, NamedTuple

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from parlant_store.backends.columns import Columns, columns, full_names, name_of
from parlant_store.backends.contract.expiry import Expired
from parlant_store.backends.contract.operations import AddItems, GetItems, SetExpiry, SetMetadata
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.base.sessions import KEY, LIVE, Sessions, Time, adapted
from parlant_store.backends.orm.database.errors import is_locked
from parlant_store.backends.orm.database.statements import Row, fetch, write
from parlant_store.backends.orm.sqlite.filters import SQLiteRenderer, prepare
from parlant_store.backends.orm.sqlite.requests import FORGET_OLD
from parlant_store.content import codec
from parlant_store.content.items import Batch
from parlant_store.content.times import as_utc
from parlant_store.types import JSONObject

MAX_ITEM_ROWS = 500
"""How many items one statement inserts; SQLite takes 32,766 parameters."""

_UPSERT = (
    "INSERT INTO parlant_store_session (namespace, session_id, full_names, user_id,"
    " metadata, state, next_position, item_count, tokens,"
    " created_at, updated_at, expires_at)"
    " {rows} ON CONFLICT (namespace, session_id) DO UPDATE SET"
    " next_position = next_position + excluded.next_position,"
    " item_count = item_count + excluded.item_count,"
    " tokens = tokens + excluded.tokens,"
    " full_names = CASE WHEN user_id IS NULL THEN excluded.full_names ELSE full_names END,"
    " user_id = COALESCE(user_id, excluded.user_id),"
    " updated_at = excluded.updated_at,"
    " expires_at = COALESCE(excluded.expires_at, expires_at)"
    f" WHERE {LIVE} RETURNING key, next_position, item_count,"
)

_RESERVE = (
    _UPSERT.format(rows="VALUES (%s, %s, %s, %s, '{}', '{}', %s, %s, %s, %s, %s, %s)") + " metadata"
)

# What the sessions differ in comes as JSON: any number of them is one statement.
_RESERVE_ALL = (
    _UPSERT.format(
        rows="SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),"
        " json_extract(value, '$[2]'), json_extract(value, '$[3]'), '{}', '{}',"
        " json_extract(value, '$[4]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),"
        " %s, %s, %s FROM json_each(%s) WHERE true"
    )
    + " namespace, session_id"
)

# One row for any number of reads: SQLite hands over each row by itself, which takes longer.
_JOINED = (
    "SELECT group_concat(part) FROM (SELECT (SELECT '[' || wanted.key || ',' || count(*)"
    " || ',[' || COALESCE(group_concat(data), '') || ']]' FROM ("
    "SELECT data FROM parlant_store_session_item WHERE session_key = ("
    "SELECT key FROM parlant_store_session"
    " WHERE namespace = json_extract(wanted.value, '$[0]')"
    f" AND session_id = json_extract(wanted.value, '$[1]') AND {LIVE})"
    " ORDER BY position DESC LIMIT %s)) AS part"
    " FROM json_each(%s) AS wanted)"
)

MAX_JOINED_ITEMS = 1_000
"""How many items reads may ask for that are made by one statement."""

JULIAN_1970 = 210866760000
"""The seconds that julianday counts until 1970."""


def item_rows(key: int, first: int, batch: Batch, time: Time) -> list[Row]:
    """The rows of the items of ``batch``, which the session has from the position ``first`` on."""
    return [
        (key, position, data, role, text, None if words is None else " ".join(words), tokens, now)
        for position, data, role, text, words, tokens, now in zip(
            range(first, first + len(batch.data)), *batch, repeat(time.now), strict=False
        )
    ]


def insert_items(connection: BaseDatabaseWrapper, rows: Sequence[Row]) -> None:
    """Insert items by as few statements as SQLite takes them in."""
    for start in range(0, len(rows), MAX_ITEM_ROWS):
        part = rows[start : start + MAX_ITEM_ROWS]
        fetch(connection, _insertion(len(part)), tuple(chain.from_iterable(part)))


@lru_cache(maxsize=64)
def _insertion(count: int) -> str:
    return (
        "INSERT INTO parlant_store_session_item"
        " (session_key, position, data, role, text, terms, tokens, created_at) VALUES "
        + ", ".join(["(%s, %s, %s, %s, %s, %s, %s, %s)"] * count)
    )


def _reservation(
    name: SessionName, user_id: str | None, count: int, tokens: int, time: Time
) -> tuple[Any, ...]:
    """The parameters of ``_RESERVE``."""
    return (
        *columns(name),
        full_names(name, user_id),
        None if user_id is None else codec.to_column(user_id),
        count,
        count,
        tokens,
        time.now,
        *time,
        time.now,
    )


def _joinable(reads: Sequence[GetItems]) -> Iterator[tuple[int, list[SessionName]]]:
    """``reads`` by limit, in parts that ask for MAX_JOINED_ITEMS at most, if they are several.

    They stay in order: who calls together mostly gives one limit.
    """
    for limit, group in groupby(reads, key=attrgetter("limit")):
        names = [read.session for read in group]
        count = max(1, MAX_JOINED_ITEMS // max(1, limit))
        for start in range(0, len(names), count):
            yield limit, names[start : start + count]


def _items_of_all(text: str, reads: int) -> list[list[JSONObject]] | None:
    """What ``_JOINED`` gives for so many reads; None when an item is damaged."""
    try:
        results = sorted(json.loads(f"[{text}]"))
    except (ValueError, RecursionError):
        return None
    if len(results) != reads or any(len(items) != count for _, count, items in results):
        return None
    return [items[::-1] for _, _, items in results]


class Room(NamedTuple):
    """Where the next items of a session go."""

    key: int
    position: int
    items: int
    """How many items there are before."""


def _wanted(additions: Sequence[AddItems]) -> dict[SessionName, tuple[str | None, int, int]]:
    """For each session its owner, the first that one of ``additions`` names, items and tokens."""
    wanted: dict[SessionName, tuple[str | None, int, int]] = {}
    for name, batch, user_id, *_ in additions:
        owner, count, tokens = wanted.get(name, (None, 0, 0))
        owner = user_id if owner is None else owner
        wanted[name] = owner, count + len(batch.data), tokens + batch.total
    return wanted


def _seconds(connection: BaseDatabaseWrapper, text: str) -> float:
    """The time that a column says in the database's own zone, which only Python knows."""
    time = datetime.fromisoformat(text)
    if connection.timezone:
        time = timezone.make_aware(time, connection.timezone)
    return as_utc(time).timestamp()


class SQLiteSessions(Sessions):
    """Each write is one transaction that begins by writing, so that it never waits in vain."""

    metadata = SQLiteRenderer("metadata", ())

    def seconds(self, connection: BaseDatabaseWrapper, column: str) -> str:
        if connection.timezone is not UTC:
            connection.ensure_connection()
            connection.connection.create_function(
                "parlant_store_seconds", 1, partial(_seconds, connection)
            )
            return f"parlant_store_seconds(CAST({column} AS text))"
        # julianday knows milliseconds: it says the whole seconds, the text says the rest.
        fraction = f"substr({column}, 20)"
        return f"round(julianday({column}) * 86400 - {JULIAN_1970} - {fraction}) + {fraction}"

    def prepare(self, connection: BaseDatabaseWrapper, sql: str) -> None:
        prepare(connection, sql)

    def add_items(self, connection: BaseDatabaseWrapper, addition: AddItems, time: Time) -> int:
        with write(connection):
            return self.put_items(connection, addition, time)

    def put_items(self, connection: BaseDatabaseWrapper, addition: AddItems, time: Time) -> int:
        """``add_items`` within a transaction that there is already."""
        name, batch, user_id, *_ = addition
        count, tokens = len(batch.data), batch.total
        key, end, items, _ = self.reserve(connection, name, user_id, count, tokens, time)
        if addition.replace:
            items = count
            fetch(
                connection,
                "DELETE FROM parlant_store_session_item WHERE session_key = %s",
                (key,),
            )
            fetch(
                connection,
                "UPDATE parlant_store_session SET item_count = %s, tokens = %s WHERE key = %s",
                (count, tokens, key),
            )
        insert_items(connection, item_rows(key, end - count, batch, time))
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
        rooms = self._reserve_all(connection, additions, time)
        rows: list[Row] = []
        counts = []
        for name, batch, *_ in additions:
            room, added = rooms[name], len(batch.data)
            rows += item_rows(room.key, room.position, batch, time)
            counts.append(room.items + added)
            rooms[name] = Room(room.key, room.position + added, room.items + added)
        insert_items(connection, rows)
        return counts

    def _reserve_all(
        self, connection: BaseDatabaseWrapper, additions: Sequence[AddItems], time: Time
    ) -> dict[SessionName, Room]:
        """Make room in each session for all that is added to it."""
        wanted = _wanted(additions)
        reservations = {columns(name): (name, *of_one) for name, of_one in wanted.items()}
        parts = [
            (*names, full_names(name, owner), owner and codec.to_column(owner), count, tokens)
            for names, (name, owner, count, tokens) in reservations.items()
        ]
        params = (time.now, *time, json.dumps(parts), time.now)
        rooms = {}
        for key, end, items, *names in fetch(connection, _RESERVE_ALL, params):
            name, _, count, _ = reservations.pop(Columns(*names))
            rooms[name] = Room(key, end - count, items - count)
        # What is left has expired.
        for name, owner, count, tokens in reservations.values():
            key, end, items, _ = self.reserve(connection, name, owner, count, tokens, time)
            rooms[name] = Room(key, end - count, items - count)
        return rooms

    def get_all(
        self, connection: BaseDatabaseWrapper, reads: Sequence[GetItems], time: Time
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
                " RETURNING session_key, data, COALESCE(tokens, 0)",
                (*columns, time.now),
            )
            if not rows:
                return None
            ((key, text, tokens),) = rows
            fetch(
                connection,
                "UPDATE parlant_store_session SET item_count = item_count - 1,"
                " tokens = tokens - %s, updated_at = %s,"
                " expires_at = COALESCE(%s, expires_at) WHERE key = %s",
                (tokens, *time, key),
            )
            return text  # type: ignore[no-any-return]

    def clear(self, connection: BaseDatabaseWrapper, name: SessionName, time: Time) -> None:
        with write(connection):
            rows = fetch(
                connection,
                "UPDATE parlant_store_session SET item_count = 0, tokens = 0, updated_at = %s,"
                " expires_at = COALESCE(%s, expires_at)"
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
            return self.remove(connection, name, time)

    def remove(self, connection: BaseDatabaseWrapper, name: SessionName, time: Time) -> int | None:
        """``delete_session`` within a transaction that there is already."""
        # Not RETURNING: SQLite 3.40 answers wrongly there for a column of a partial index.
        rows = fetch(
            connection,
            f"SELECT key, CASE WHEN {LIVE} THEN item_count END FROM parlant_store_session"
            " WHERE namespace = %s AND session_id = %s",
            (time.now, *columns(name)),
        )
        self._delete_items(connection, rows)
        for key, _ in rows:
            fetch(connection, "DELETE FROM parlant_store_session WHERE key = %s", (key,))
        return rows[0][1] if rows else None

    def set_expiry(self, connection: BaseDatabaseWrapper, change: SetExpiry, time: Time) -> bool:
        expires_at = adapted(connection, change.expires_at)
        sql = f"UPDATE parlant_store_session SET expires_at = %s WHERE key = {KEY} RETURNING key"
        return bool(fetch(connection, sql, (expires_at, *columns(change.session), time.now)))

    def set_metadata(
        self, connection: BaseDatabaseWrapper, change: SetMetadata, time: Time
    ) -> JSONObject:
        with write(connection):
            key, _, _, before = self.reserve(connection, change.session, None, 0, 0, time)
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
            self._delete_items(connection, sessions)
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
        ended = [(name_of(*names), items) for _, *names, items in sessions]
        return Expired(ended, len(documents))

    def reserve(
        self,
        connection: BaseDatabaseWrapper,
        name: SessionName,
        user_id: str | None,
        count: int,
        tokens: int,
        time: Time,
    ) -> Row:
        """Make room for ``count`` items.

        Return the key, the position after them, how many items there are, and the metadata.
        """
        params = _reservation(name, user_id, count, tokens, time)
        rows = fetch(connection, _RESERVE, params)
        if not rows:
            self.remove(connection, name, time)
            rows = fetch(connection, _RESERVE, params)
        return rows[0]

    def _delete_items(self, connection: BaseDatabaseWrapper, sessions: Sequence[Row]) -> None:
        fetch(
            connection,
            "DELETE FROM parlant_store_session_item"
            " WHERE session_key IN (SELECT value FROM json_each(%s))",
            (json.dumps([row[0] for row in sessions]),),
        )
