"""The base class of migration operations for SQL that models do not describe."""

from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
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
