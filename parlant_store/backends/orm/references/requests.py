"""Writes that are done once where tables of the project refer to ours."""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.orm.base.requests import Requests
from parlant_store.backends.orm.postgresql.requests import run_whole

T = TypeVar("T")


class ReferencedRequests(Requests):
    """A write is several statements here; its answer is stored in their transaction."""

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
