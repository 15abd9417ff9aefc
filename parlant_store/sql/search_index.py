"""The full-text index on the terms of items."""

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import ProjectState

from parlant_store.sql.migration_operations import OutsideModels

SQLITE_TABLE = "parlant_store_session_item_fts"


def terms_index(table: str) -> str:
    """Return the statement that creates the index on PostgreSQL; ``table`` is a quoted name."""
    return f"CREATE INDEX IF NOT EXISTS parlant_store_item_terms ON {table} USING gin (terms)"


# The terms are words with spaces between them; characters outside ASCII are part of words. The FTS5
# table has the index only, its content is the column of the items.
_SQLITE = (
    f"CREATE VIRTUAL TABLE IF NOT EXISTS {SQLITE_TABLE} USING fts5("
    "terms, content='parlant_store_session_item', content_rowid='key',"
    " tokenize=\"ascii tokenchars '_'\")",
    f"CREATE TRIGGER IF NOT EXISTS {SQLITE_TABLE}_insert AFTER INSERT ON parlant_store_session_item"
    " WHEN new.terms IS NOT NULL BEGIN"
    f" INSERT INTO {SQLITE_TABLE} (rowid, terms) VALUES (new.key, new.terms); END",
    f"CREATE TRIGGER IF NOT EXISTS {SQLITE_TABLE}_delete AFTER DELETE ON parlant_store_session_item"
    " WHEN old.terms IS NOT NULL BEGIN"
    f" INSERT INTO {SQLITE_TABLE} ({SQLITE_TABLE}, rowid, terms)"
    " VALUES ('delete', old.key, old.terms); END",
)
_BACKWARDS = {
    "sqlite": (
        f"DROP TRIGGER {SQLITE_TABLE}_insert",
        f"DROP TRIGGER {SQLITE_TABLE}_delete",
        f"DROP TABLE {SQLITE_TABLE}",
    ),
    "postgresql": ("DROP INDEX parlant_store_item_terms",),
}
_FORWARDS = {"sqlite": _SQLITE, "postgresql": (terms_index("parlant_store_session_item"),)}

SQLITE_PARTS = (SQLITE_TABLE, f"{SQLITE_TABLE}_insert", f"{SQLITE_TABLE}_delete")
"""The table and the triggers of the index on SQLite."""


def complete_index(connection: BaseDatabaseWrapper) -> None:
    """Create what is missing of the index, and index existing items."""
    with connection.cursor() as cursor:
        for statement in _FORWARDS.get(connection.vendor, ()):
            cursor.execute(statement)
        if connection.vendor == "sqlite":
            cursor.execute(f"INSERT INTO {SQLITE_TABLE} ({SQLITE_TABLE}) VALUES ('rebuild')")


class CreateSearchIndex(OutsideModels):
    """Create the index: FTS5 with triggers on SQLite, GIN on PostgreSQL."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: ProjectState
    ) -> None:
        self._execute(app_label, schema_editor, _FORWARDS)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: ProjectState
    ) -> None:
        self._execute(app_label, schema_editor, _BACKWARDS)

    def describe(self) -> str:
        return "Create the full-text index on the items of sessions"

    def _execute(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        statements: dict[str, tuple[str, ...]],
    ) -> None:
        connection = schema_editor.connection
        if self.is_allowed(app_label, connection):
            for statement in statements.get(connection.vendor, ()):
                schema_editor.execute(statement, params=None)
