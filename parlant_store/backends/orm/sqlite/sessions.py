"""Sessions on SQLite."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from parlant_store import codec
from parlant_store.backends.arguments import SessionName
from parlant_store.backends.expiry import Expired
from parlant_store.backends.orm.connection import Row, execute_many, fetch, write
from parlant_store.backends.orm.sessions import KEY, LIVE, Sessions, Time
from parlant_store.backends.orm.sqlite.filters import SQLiteRenderer, prepare
from parlant_store.backends.rows import Columns, columns, full_names, name_of
from parlant_store.items import Batch
from parlant_store.types import JSONObject

JULIAN_1970 = 210866760000
"""The seconds that julianday counts until 1970."""


def insert_items(
    connection: BaseDatabaseWrapper, key: int, first: int, batch: Batch, time: Time
) -> None:
    """Give the session the items of ``batch`` from the position ``first`` on."""
    terms = [None if words is None else " ".join(words) for words in batch.words]
    rows = zip(
        range(first, first + len(batch.data)),
        batch.data,
        batch.roles,
        batch.texts,
        terms,
        batch.tokens,
        strict=True,
    )
    execute_many(
        connection,
        "INSERT INTO parlant_store_session_item"
        " (session_key, position, data, role, text, terms, tokens, created_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [(key, *row, time.now) for row in rows],
    )


def _seconds(connection: BaseDatabaseWrapper, text: str) -> float:
    """The time that a column says in the database's own zone, which only Python knows."""
    time = datetime.fromisoformat(text)
    return (
        timezone.make_aware(time, connection.timezone) if connection.timezone else time
    ).timestamp()


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

    def add_items(
        self,
        connection: BaseDatabaseWrapper,
        name: SessionName,
        batch: Batch,
        user_id: str | None,
        time: Time,
        *,
        replace: bool,
    ) -> int:
        with write(connection):
            return self.put_items(connection, name, batch, user_id, time, replace=replace)

    def put_items(
        self,
        connection: BaseDatabaseWrapper,
        name: SessionName,
        batch: Batch,
        user_id: str | None,
        time: Time,
        *,
        replace: bool,
    ) -> int:
        """``add_items`` within a transaction that there is already."""
        count, tokens = len(batch.data), batch.total
        key, end, items, _ = self.reserve(connection, name, user_id, count, tokens, time)
        if replace:
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
        insert_items(connection, key, end - count, batch, time)
        return items  # type: ignore[no-any-return]

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

    def set_metadata(
        self,
        connection: BaseDatabaseWrapper,
        name: SessionName,
        metadata: str,
        time: Time,
        merge: bool,
    ) -> JSONObject:
        with write(connection):
            key, _, _, before = self.reserve(connection, name, None, 0, 0, time)
            after: JSONObject = codec.decode_document(metadata)
            if merge:
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
        sql = (
            "INSERT INTO parlant_store_session (namespace, session_id, full_names, user_id,"
            " metadata, state, next_position, item_count, tokens,"
            " created_at, updated_at, expires_at)"
            " VALUES (%s, %s, %s, %s, '{}', '{}', %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (namespace, session_id) DO UPDATE SET"
            " next_position = next_position + excluded.next_position,"
            " item_count = item_count + excluded.item_count,"
            " tokens = tokens + excluded.tokens,"
            " full_names = CASE WHEN user_id IS NULL THEN excluded.full_names ELSE full_names END,"
            " user_id = COALESCE(user_id, excluded.user_id),"
            " updated_at = excluded.updated_at,"
            " expires_at = COALESCE(excluded.expires_at, expires_at)"
            f" WHERE {LIVE} RETURNING key, next_position, item_count, metadata"
        )
        params = (
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
        rows = fetch(connection, sql, params)
        if not rows:
            self.remove(connection, name, time)
            rows = fetch(connection, sql, params)
        return rows[0]

    def _delete_items(self, connection: BaseDatabaseWrapper, sessions: Sequence[Row]) -> None:
        fetch(
            connection,
            "DELETE FROM parlant_store_session_item"
            " WHERE session_key IN (SELECT value FROM json_each(%s))",
            (json.dumps([row[0] for row in sessions]),),
        )
