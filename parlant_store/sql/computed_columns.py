"""Columns of sessions and threads that triggers compute from others, at each write.

Indexes on these columns let PostgreSQL update rows in place: their values seldom change, unlike
those of the columns that they are computed from. Generated columns would take longer to write:
PostgreSQL parses their expressions for each statement, and SQLite writes their index entries
again, even with the same values. On PostgreSQL the triggers call the functions of
functions/computed_columns.sql.
"""

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from parlant_store.sql.generated_columns import Framework, LengthClass, Minute

COLUMNS: dict[str, dict[str, tuple[str, Any]]] = {
    "parlant_store_session": {
        "active_minute": ("updated_at", Minute),
        "framework": ("state", Framework),
        "length_class": ("item_count", LengthClass),
    },
    "parlant_store_thread": {"active_minute": ("updated_at", Minute)},
}
"""The columns of each table, each with the column that it is computed from, and how."""

POSTGRESQL_TRIGGERS = {
    table: {
        f"{table}_compute": (
            "before insert or update on {table} for each row"
            f" execute function {{schema}}{table}_compute()"
        )
    }
    for table in COLUMNS
}
"""The definitions of the triggers of each table by name, with the places of names."""

# Of several tables with a name, as those of tenants, the search_path finds others too.
_PLAIN = {
    "postgresql": (
        "SELECT relname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
        " JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = current_schema()"
        " AND relname IN ('parlant_store_session', 'parlant_store_thread')"
        " AND attname = 'active_minute' AND attgenerated = ''"
    ),
    "sqlite": (
        "SELECT tables.name FROM sqlite_master AS tables"
        " JOIN pragma_table_xinfo(tables.name) AS columns WHERE tables.name IN"
        " ('parlant_store_session', 'parlant_store_thread')"
        " AND columns.name = 'active_minute' AND hidden = 0"
    ),
}


def _sqlite(table: str, columns: dict[str, Any]) -> dict[str, str]:
    """Return the definitions of the triggers of the table on SQLite by name."""
    values = {
        column: kind.sqlite.format(f"new.{source}") for column, (source, kind) in columns.items()
    }
    update = f"UPDATE {table} SET {{}} WHERE key = new.key"
    all_ = ", ".join(f"{column} = {value}" for column, value in values.items())
    triggers = {f"{table}_compute": f"AFTER INSERT ON {table} BEGIN {update.format(all_)}; END"}
    for column, value in values.items():
        # Without a change, SQLite would write the entries of the indexes all the same.
        triggers[f"{table}_compute_{column}"] = (
            f"AFTER UPDATE OF {columns[column][0]} ON {table} WHEN new.{column} <> {value}"
            f" BEGIN {update.format(f'{column} = {value}')}; END"
        )
    return triggers


SQLITE_TRIGGERS = {table: _sqlite(table, columns) for table, columns in COLUMNS.items()}
"""The definitions of the triggers of each table by name."""


def fill_sql(vendor: str, table: str, schema: str = "") -> str:
    """Return a statement that sets the columns where they have other values.

    ``schema`` is empty, or a quoted identifier with a dot.
    """
    values = {
        column: getattr(kind, vendor).format(source)
        for column, (source, kind) in COLUMNS[table].items()
    }
    changes = ", ".join(f"{column} = {value}" for column, value in values.items())
    is_other = " OR ".join(f"{column} <> {value}" for column, value in values.items())
    return f"UPDATE {schema}{table} SET {changes} WHERE {is_other}"


def plain_tables(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the tables with these columns; those of older versions have generated columns."""
    with connection.cursor() as cursor:
        cursor.execute(_PLAIN[connection.vendor])
        return sorted(table for (table,) in cursor.fetchall())


def has_functions(connection: BaseDatabaseWrapper) -> bool:
    """Whether the functions of the triggers exist; only on PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regproc('parlant_store_session_compute') IS NOT NULL")
        return bool(cursor.fetchone()[0])


class ComputeColumns(SeparateDatabaseAndState):
    """Replace generated columns by computed ones; ``operations`` do so with other new columns.

    On PostgreSQL, this only drops the expressions of the columns. If supabase_sql or supabase_rls
    of an older version has created the functions, it does nothing: their next run does it.
    """

    def __init__(self, operations: Sequence[Operation], state_operations: Sequence[Operation]):
        super().__init__(database_operations=operations, state_operations=state_operations)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return (
            type(self).__name__,
            [],
            {"operations": self.database_operations, "state_operations": self.state_operations},
        )

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        connection = schema_editor.connection
        if connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        if not has_functions(connection):
            return
        for model in to_state.apps.get_app_config(app_label).get_models():
            table = model._meta.db_table
            if table not in COLUMNS or not self.allow_migrate_model(connection.alias, model):
                continue
            for column in COLUMNS[table]:
                alter = f"ALTER TABLE {table} ALTER COLUMN {column}"
                field: Any = model._meta.get_field(column)
                default, params = schema_editor.db_default_sql(field)
                schema_editor.execute(f"{alter} DROP EXPRESSION IF EXISTS", params=None)
                schema_editor.execute(f"{alter} SET DEFAULT {default}", params)
                schema_editor.execute(f"{alter} SET NOT NULL", params=None)

    def describe(self) -> str:
        return "Let triggers compute the columns of sessions and threads for lists"
