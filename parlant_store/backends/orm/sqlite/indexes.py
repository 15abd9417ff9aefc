"""Indexes on documents on SQLite."""

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.orm.base.indexes import Indexes
from parlant_store.backends.orm.database.statements import fetch, lock_writes


class SQLiteIndexes(Indexes):
    vendor = "sqlite"

    def exists(self, connection: BaseDatabaseWrapper, name: str) -> bool:
        sql = "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = %s"
        return bool(fetch(connection, sql, (name,)))

    def wait_for_others(self, connection: BaseDatabaseWrapper) -> None:
        lock_writes(connection)

    def unique_expressions(self, field: str) -> list[str]:
        type_ = f"json_type(data, '$.{field}')"
        return [
            f"(CASE WHEN {type_} <> 'null' THEN json_extract(data, '$.{field}') END)",
            f"(CASE {type_} WHEN 'real' THEN 'integer' WHEN 'false' THEN 'true' ELSE {type_} END)",
        ]
