"""Indexes on documents on PostgreSQL."""

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.orm.base.indexes import Indexes
from parlant_store.backends.orm.database.statements import fetch, take_lock
from parlant_store.backends.orm.postgresql.requests import find_answer, store_answer
from parlant_store.sql.index_expressions import unique_value


class PostgreSQLIndexes(Indexes):
    vendor = "postgresql"

    def exists(self, connection: BaseDatabaseWrapper, name: str) -> bool:
        # Reads pg_class: to_regclass would return the state before the wait for the lock.
        sql = "SELECT 1 FROM pg_class WHERE relname = %s AND pg_table_is_visible(oid)"
        return bool(fetch(connection, sql, (name,)))

    def ensure(self, connection: BaseDatabaseWrapper, name: str, sql: str) -> bool:
        if find_answer(connection):
            return True
        # A call that waited for another one with the same request has its answer now.
        return super().ensure(connection, name, sql) or bool(find_answer(connection))

    def make(self, connection: BaseDatabaseWrapper, sql: str) -> None:
        super().make(connection, sql)
        store_answer(connection, True)

    def wait_for_others(self, connection: BaseDatabaseWrapper) -> None:
        # Two transactions with a weaker lock on the table could wait for each other to create one.
        take_lock(connection, "parlant_store_doc")

    def unique_expressions(self, field: str) -> list[str]:
        return [unique_value("data", field)]
