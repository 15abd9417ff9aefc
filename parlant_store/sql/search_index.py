"""The indexes of searches: the terms of texts, and the metadata of checkpoints."""

from collections.abc import Callable

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import ProjectState

from parlant_store.sql.migration_operations import OutsideModels

ITEMS = "parlant_store_session_item"
DOCUMENTS = "parlant_store_document"
CHECKPOINTS = "parlant_store_checkpoint"
MESSAGES = "parlant_store_thread_message"

TABLES = (ITEMS, DOCUMENTS, CHECKPOINTS, MESSAGES)
"""Those with an index on PostgreSQL."""

SQLITE_TABLE = f"{ITEMS}_fts"
"""The index of the items on SQLite."""

SQLITE_DOCUMENTS = f"{DOCUMENTS}_fts"
"""The index of the documents on SQLite."""

SQLITE_MESSAGES = f"{MESSAGES}_fts"
"""The index of the messages of threads on SQLite."""

_NAMES = {
    ITEMS: "parlant_store_item_terms",
    DOCUMENTS: "parlant_store_doc_terms",
    CHECKPOINTS: "parlant_store_checkpoint_meta",
    MESSAGES: "parlant_store_message_terms",
}
_KEYS = {
    ITEMS: "(terms)",
    DOCUMENTS: "(terms) WHERE terms IS NOT NULL",
    CHECKPOINTS: "(metadata jsonb_path_ops)",
    MESSAGES: "(terms)",
}


def gin_index(table: str, quoted: str | None = None) -> str:
    """Return the statement that creates the index on PostgreSQL; ``quoted`` is the quoted name."""
    where = f"{_NAMES[table]} ON {quoted or table}"
    return f"CREATE INDEX IF NOT EXISTS {where} USING gin {_KEYS[table]}"


# The terms are words with spaces between them; characters outside ASCII are part of words. The FTS5
# table has the index only, its content is the column of the table. columnsize=0 leaves out the
# numbers of words of all rows, which no search uses.
def _sqlite(table: str) -> tuple[str, ...]:
    fts = f"{table}_fts"
    insert = f"INSERT INTO {fts} (rowid, terms) VALUES (new.key, new.terms);"
    delete = f"INSERT INTO {fts} ({fts}, rowid, terms) VALUES ('delete', old.key, old.terms);"
    return (
        f"CREATE VIRTUAL TABLE IF NOT EXISTS {fts} USING fts5(terms, content='{table}',"
        " content_rowid='key', columnsize=0, tokenize=\"ascii tokenchars '_'\")",
        f"CREATE TRIGGER IF NOT EXISTS {fts}_insert AFTER INSERT ON {table}"
        f" WHEN new.terms IS NOT NULL BEGIN {insert} END",
        f"CREATE TRIGGER IF NOT EXISTS {fts}_delete AFTER DELETE ON {table}"
        f" WHEN old.terms IS NOT NULL BEGIN {delete} END",
        f"CREATE TRIGGER IF NOT EXISTS {fts}_remove AFTER UPDATE OF terms ON {table}"
        f" WHEN old.terms IS NOT NULL AND old.terms IS NOT new.terms BEGIN {delete} END",
        f"CREATE TRIGGER IF NOT EXISTS {fts}_replace AFTER UPDATE OF terms ON {table}"
        f" WHEN new.terms IS NOT NULL AND old.terms IS NOT new.terms BEGIN {insert} END",
    )


_PARTS = ("insert", "delete", "remove", "replace")


def _sqlite_backwards(table: str) -> tuple[str, ...]:
    triggers = (f"DROP TRIGGER IF EXISTS {table}_fts_{part}" for part in _PARTS)
    return (*triggers, f"DROP TABLE {table}_fts")


SQLITE_PARTS = (SQLITE_TABLE, *(f"{SQLITE_TABLE}_{part}" for part in _PARTS))
"""The table and the triggers of the index of items on SQLite."""

SQLITE_DOCUMENT_PARTS = (SQLITE_DOCUMENTS, *(f"{SQLITE_DOCUMENTS}_{part}" for part in _PARTS))
"""The same of documents."""

SQLITE_MESSAGE_PARTS = (SQLITE_MESSAGES, *(f"{SQLITE_MESSAGES}_{part}" for part in _PARTS))
"""The same of the messages of threads."""


def complete_index(connection: BaseDatabaseWrapper) -> None:
    """Create what is missing of the indexes, and index existing rows."""
    with connection.cursor() as cursor:
        for table in TABLES:
            statements = _forwards(connection.vendor, table)
            for statement in statements:
                cursor.execute(statement)
            if statements and connection.vendor == "sqlite":
                cursor.execute(f"INSERT INTO {table}_fts ({table}_fts) VALUES ('rebuild')")


def _forwards(vendor: str, table: str) -> tuple[str, ...]:
    if vendor == "sqlite":
        # It has no index for filters of JSON.
        return () if table == CHECKPOINTS else _sqlite(table)
    return (gin_index(table),) if vendor == "postgresql" else ()


def _backwards(vendor: str, table: str) -> tuple[str, ...]:
    if vendor == "sqlite":
        return () if table == CHECKPOINTS else _sqlite_backwards(table)
    return (f"DROP INDEX {_NAMES[table]}",) if vendor == "postgresql" else ()


class CreateSearchIndex(OutsideModels):
    """Create the index of a table: FTS5 with triggers on SQLite, GIN on PostgreSQL."""

    def __init__(self, table: str = ITEMS) -> None:
        self.table = table

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: ProjectState
    ) -> None:
        self._execute(app_label, schema_editor, _forwards)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: ProjectState
    ) -> None:
        self._execute(app_label, schema_editor, _backwards)

    def describe(self) -> str:
        return f"Create the index of searches on {self.table}"

    def _execute(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        statements: Callable[[str, str], tuple[str, ...]],
    ) -> None:
        connection = schema_editor.connection
        if self.is_allowed(app_label, connection):
            for statement in statements(connection.vendor, self.table):
                schema_editor.execute(statement, params=None)
