"""Writes that run once, in databases with tables that refer to ours."""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.orm.base.requests import Requests
from parlant_store.backends.orm.postgresql.requests import run_whole

T = TypeVar("T")


class ReferencedRequests(Requests):
    """Stores the answer of a write in the transaction of its statements."""

    def __init__(self, tables: Requests) -> None:
        self.tables = tables

    def run(
        self, connection: BaseDatabaseWrapper, request: UUID | None, operation: Callable[[], T]
    ) -> T:
        if connection.vendor == "postgresql":
            return self.tables.run(connection, request, lambda: run_whole(connection, operation))
        return self.tables.run(connection, request, operation)

    def forget(self, connection: BaseDatabaseWrapper, user_id: str) -> int:
        return self.tables.forget(connection, user_id)
