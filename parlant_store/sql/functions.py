"""The SQL functions that the PostgreSQL tables need beside them."""

from importlib import resources
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import ProjectState

from parlant_store.sql.operations import OutsideModels


def functions_sql(schema: str) -> str:
    """The text of functions.sql for the tables in ``schema``, a quoted identifier."""
    text = resources.files("parlant_store.sql").joinpath("functions.sql").read_text("utf-8")
    return text.replace("{schema}", schema)


class CreateFunctions(OutsideModels):
    """Creates the functions of functions.sql, or replaces them; only on PostgreSQL.

    A migration that runs it is due whenever functions.sql changes.
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
