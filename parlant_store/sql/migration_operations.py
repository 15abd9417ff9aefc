"""Migration operations for SQL that models do not describe, or that supabase_sql may have run.

``migrate --fake-initial`` skips only migrations that create tables or columns.
"""

from abc import abstractmethod
from collections.abc import Container
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


class _UnlessDone:
    """Does nothing in a database where supabase_sql has run the operation already."""

    model_name: str

    @abstractmethod
    def is_done(self, names: Container[str]) -> bool:
        """Whether it is done if the table has the constraints and indexes with these names."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,
        to_state: ProjectState,
    ) -> None:
        connection = schema_editor.connection
        # supabase_sql runs on no other database.
        if connection.vendor == "postgresql":
            model = to_state.apps.get_model(app_label, self.model_name)
            with connection.cursor() as cursor:
                table = model._meta.db_table
                names = connection.introspection.get_constraints(cursor, table)
            if self.is_done(names):
                return
        super().database_forwards(app_label, schema_editor, from_state, to_state)  # type: ignore[misc]


class RemoveExistingConstraint(_UnlessDone, RemoveConstraint):
    """Removes a constraint, unless supabase_sql has done so already."""

    def is_done(self, names: Container[str]) -> bool:
        return self.name not in names


class AddMissingConstraint(_UnlessDone, AddConstraint):
    """Adds a constraint, unless supabase_sql has done so already."""

    def is_done(self, names: Container[str]) -> bool:
        return self.constraint.name in names


class AddMissingIndex(_UnlessDone, AddIndex):
    """Adds an index, unless supabase_sql has done so already."""

    def is_done(self, names: Container[str]) -> bool:
        return self.index.name in names
