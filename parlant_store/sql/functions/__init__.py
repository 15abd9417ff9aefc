"""The SQL functions that the PostgreSQL tables need beside them."""

from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import ProjectState

from parlant_store.sql.expressions import (
    NUMBER_FIELDS,
    PREFIX,
    indexed_number,
    indexed_text,
    unique_value,
)
from parlant_store.sql.operations import OutsideModels
from parlant_store.types import PROMOTED

FILES = (
    "requests",
    "filters",
    "sessions",
    "reading",
    "belonging",
    "documents",
    "retention",
    "indexes",
    "status",
)
"""The .sql files beside this one, in an order in which each finds the types it names."""


def functions_sql(schema: str) -> str:
    """The text of all functions for the tables in ``schema``, a quoted identifier."""
    text = _text()
    return text.replace("{version}", version()).replace("{schema}", schema)


@cache
def version() -> str:
    """What parlant_store_version returns where these functions are."""
    return sha256(_text().encode()).hexdigest()[:12]


@cache
def _text() -> str:
    folder = resources.files(__name__)
    text = "\n".join(folder.joinpath(f"{name}.sql").read_text("utf-8") for name in FILES)
    for name, value in _EXPRESSIONS.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _template(expression: str) -> str:
    """An indexed expression inside a format string: %1$I is the column, %2$L the field."""
    return expression.replace("'{field}'", "%2$L").replace("'", "''")


_EXPRESSIONS = {
    "indexed_number": _template(indexed_number("postgresql", "%1$I", "{field}")),
    "indexed_text": _template(indexed_text("postgresql", "%1$I", "{field}")),
    "unique_value": _template(unique_value("%1$I", "{field}")),
    "number_fields": ", ".join(f"'{field}'" for field in NUMBER_FIELDS),
    "promoted": ", ".join(f"'{field}'" for field in PROMOTED),
    "prefix": str(PREFIX),
}


class CreateFunctions(OutsideModels):
    """Creates the functions of the .sql files, or replaces them; only on PostgreSQL.

    A migration that runs it is due whenever one of them changes.
    """

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: ProjectState
    ) -> None:
        connection = schema_editor.connection
        if connection.vendor != "postgresql" or not self.is_allowed(app_label, connection):
            return
        schema_editor.execute(functions_sql(_current_schema(connection)), params=None)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: ProjectState
    ) -> None:
        connection = schema_editor.connection
        if connection.vendor != "postgresql" or not self.is_allowed(app_label, connection):
            return
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT p.oid::regprocedure::text FROM pg_proc p"
                " JOIN pg_namespace n ON n.oid = p.pronamespace"
                " WHERE n.nspname = current_schema() AND p.proname LIKE 'parlant\\_store\\_%'"
            )
            signatures = [signature for (signature,) in cursor.fetchall()]
        for signature in signatures:
            schema_editor.execute(f"DROP FUNCTION {signature}", params=None)

    def describe(self) -> str:
        return "Create the functions of parlant_store on PostgreSQL"


def _current_schema(connection: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_schema())")
        (schema,) = cursor.fetchone()
    return str(schema)
