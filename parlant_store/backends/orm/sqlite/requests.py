"""Writes that run once, on SQLite."""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.orm.base.requests import ANSWER_SECONDS, Requests, decoded, encoded
from parlant_store.backends.orm.database.statements import fetch, write
from parlant_store.content import codec

T = TypeVar("T")

_OLD = f"created_at < strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-{ANSWER_SECONDS} seconds')"
FORGET_OLD = (
    "DELETE FROM parlant_store_request WHERE id IN ("
    f"SELECT id FROM parlant_store_request WHERE {_OLD} ORDER BY created_at LIMIT %s)"
)


class SQLiteRequests(Requests):
    """Stores the answer of a write with an id in its transaction; no response is lost on SQLite."""

    def run(
        self, connection: BaseDatabaseWrapper, request: UUID | None, operation: Callable[[], T]
    ) -> T:
        if request is None:
            return operation()
        with write(connection):
            sql = f"SELECT answer FROM parlant_store_request WHERE id = %s AND NOT {_OLD}"
            for (answer,) in fetch(connection, sql, (request.hex,)):
                return decoded(answer)  # type: ignore[no-any-return]
            result = operation()
            fetch(connection, FORGET_OLD, (10,))
            sql = "INSERT OR REPLACE INTO parlant_store_request (id, answer) VALUES (%s, %s)"
            fetch(connection, sql, (request.hex, encoded(result)))
            return result

    def forget(self, connection: BaseDatabaseWrapper, user_id: str) -> int:
        sql = "DELETE FROM parlant_store_request WHERE user_id = %s RETURNING id"
        return len(fetch(connection, sql, (codec.to_column(user_id),)))
