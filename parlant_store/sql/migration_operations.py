"""Migration operations for SQL that models do not describe, or that supabase_sql may have run.

``migrate --fake-initial`` skips only migrations that create tables or columns.
"""

from typing import Any

from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import AddConstraint, AddIndex, RemoveConstraint
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState


class OutsideModels(Operation):
    """An operation that does not change the state of the models."""

    reduces_to_sql = True
    reversible = True
    elidable = False

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Do nothing."""

    def is_allowed(self, app_label: str, connection: BaseDatabaseWrapper) -> bool:
        """Whether the routers allow the tables of the app in the database."""
        return router.allow_migrate(connection.alias, app_label)


class RemoveExistingConstraint(RemoveConstraint):
    """Removes a constraint, unless supabase_sql has done so already."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,
        to_state: ProjectState,
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if _exists(schema_editor, model._meta.db_table, self.name) is not False:
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class AddMissingConstraint(AddConstraint):
    """Adds a constraint, unless supabase_sql has done so already."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,
        to_state: ProjectState,
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if not _exists(schema_editor, model._meta.db_table, self.constraint.name):
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class AddMissingIndex(AddIndex):
    """Adds an index, unless supabase_sql has done so already."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,
        to_state: ProjectState,
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if not _exists(schema_editor, model._meta.db_table, self.index.name):
            super().database_forwards(app_label, schema_editor, from_state, to_state)


def _exists(schema_editor: BaseDatabaseSchemaEditor, table: str, name: str) -> bool | None:
    """Whether the table has the constraint or index; None where supabase_sql cannot have run."""
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        return name in connection.introspection.get_constraints(cursor, table)
