"""Sessions on SQLite."""

import json
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store import codec
from parlant_store.backends.arguments import SessionName
from parlant_store.backends.orm.connection import Row, execute_many, fetch, write
from parlant_store.backends.orm.sessions import (
    KEY,
    LIVE,
    Columns,
    Sessions,
    Time,
    columns,
    full_names,
)
from parlant_store.items import Batch
from parlant_store.types import ExpireResult, JSONObject


class SQLiteSessions(Sessions):
    """Each write is one transaction that begins by writing, so that it never waits in vain."""

    def add_items(
        self,
        connection: BaseDatabaseWrapper,
        name: SessionName,
        batch: Batch,
        user_id: str | None,
        time: Time,
        *,
        replace: bool,
    ) -> None:
        count = len(batch.data)
        with write(connection):
            key, end, _ = self._reserve(connection, name, user_id, count, time)
            if replace:
                fetch(
                    connection,
                    "DELETE FROM parlant_store_session_item WHERE session_key = %s",
                    (key,),
                )
                fetch(
                    connection,
                    "UPDATE parlant_store_session SET item_count = %s WHERE key = %s",
                    (count, key),
                )
            rows = zip(range(end - count, end), *batch, strict=True)
            execute_many(
                connection,
                "INSERT INTO parlant_store_session_item"
                " (session_key, position, data, role, text, created_at)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                [(key, *row, time.now) for row in rows],
            )

    def pop_text(self, connection: BaseDatabaseWrapper, columns: Columns, time: Time) -> str | None:
        with write(connection):
            rows = fetch(
                connection,
                "DELETE FROM parlant_store_session_item WHERE key = ("
                " SELECT key FROM parlant_store_session_item"
                f" WHERE session_key = {KEY} ORDER BY position DESC LIMIT 1)"
                " RETURNING session_key, data",
                (*columns, time.now),
            )
            if not rows:
                return None
            ((key, text),) = rows
            fetch(
                connection,
                "UPDATE parlant_store_session SET item_count = item_count - 1, updated_at = %s,"
                " expires_at = COALESCE(%s, expires_at) WHERE key = %s",
                (*time, key),
            )
            return text  # type: ignore[no-any-return]

    def clear(self, connection: BaseDatabaseWrapper, name: SessionName, time: Time) -> None:
        with write(connection):
            rows = fetch(
                connection,
                "UPDATE parlant_store_session SET item_count = 0, updated_at = %s,"
                " expires_at = COALESCE(%s, expires_at)"
                f" WHERE namespace = %s AND session_id = %s AND {LIVE} RETURNING key",
                (*time, *columns(name), time.now),
            )
            sql = "DELETE FROM parlant_store_session_item WHERE session_key = %s"
            for key in rows:
                fetch(connection, sql, key)

    def delete_session(
        self, connection: BaseDatabaseWrapper, name: SessionName, time: Time
    ) -> bool:
        with write(connection):
            # Not RETURNING: SQLite 3.40 answers wrongly there for a column of a partial index.
            rows = fetch(
                connection,
                f"SELECT key, {LIVE} FROM parlant_store_session"
                " WHERE namespace = %s AND session_id = %s",
                (time.now, *columns(name)),
            )
            self._delete_items(connection, rows)
            for key, _ in rows:
                fetch(connection, "DELETE FROM parlant_store_session WHERE key = %s", (key,))
            return any(alive for _, alive in rows)

    def set_metadata(
        self,
        connection: BaseDatabaseWrapper,
        name: SessionName,
        metadata: str,
        time: Time,
        merge: bool,
    ) -> JSONObject:
        with write(connection):
            key, _, before = self._reserve(connection, name, None, 0, time)
            after: JSONObject = codec.decode_document(metadata)
            if merge:
                after = codec.decode_document(before) | after
            fetch(
                connection,
                "UPDATE parlant_store_session SET metadata = %s WHERE key = %s",
                (codec.encode_document(after, "metadata"), key),
            )
            return after

    def expire(self, connection: BaseDatabaseWrapper, time: Time, batch_size: int) -> ExpireResult:
        with write(connection):
            removed = [
                fetch(
                    connection,
                    f"DELETE FROM {table} WHERE key IN (SELECT key FROM {table}"
                    " WHERE expires_at <= %s ORDER BY expires_at LIMIT %s) RETURNING key",
                    (time.now, batch_size),
                )
                for table in ("parlant_store_session", "parlant_store_document")
            ]
            self._delete_items(connection, removed[0])
        return ExpireResult(sessions=len(removed[0]), documents=len(removed[1]))

    def _reserve(
        self,
        connection: BaseDatabaseWrapper,
        name: SessionName,
        user_id: str | None,
        count: int,
        time: Time,
    ) -> tuple[int, int, str]:
        """Make room for ``count`` items; return the key, the position after them, the metadata."""
        sql = (
            "INSERT INTO parlant_store_session (namespace, session_id, full_names, user_id,"
            " metadata, state, next_position, item_count, created_at, updated_at, expires_at)"
            " VALUES (%s, %s, %s, %s, '{}', '{}', %s, %s, %s, %s, %s)"
            " ON CONFLICT (namespace, session_id) DO UPDATE SET"
            " next_position = next_position + excluded.next_position,"
            " item_count = item_count + excluded.item_count,"
            " full_names = CASE WHEN user_id IS NULL THEN excluded.full_names ELSE full_names END,"
            " user_id = COALESCE(user_id, excluded.user_id),"
            " updated_at = excluded.updated_at,"
            " expires_at = COALESCE(excluded.expires_at, expires_at)"
            f" WHERE {LIVE} RETURNING key, next_position, metadata"
        )
        params = (
            *columns(name),
            full_names(name, user_id),
            None if user_id is None else codec.to_column(user_id),
            count,
            count,
            time.now,
            *time,
            time.now,
        )
        rows = fetch(connection, sql, params)
        if not rows:
            self.delete_session(connection, name, time)
            rows = fetch(connection, sql, params)
        return rows[0]

    def _delete_items(self, connection: BaseDatabaseWrapper, sessions: Sequence[Row]) -> None:
        fetch(
            connection,
            "DELETE FROM parlant_store_session_item"
            " WHERE session_key IN (SELECT value FROM json_each(%s))",
            (json.dumps([row[0] for row in sessions]),),
        )
