"""What the migrations of SQL that no model describes have in common."""

from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState


class OutsideModels(Operation):
    """An operation on what the models' state does not know."""

    reduces_to_sql = True
    reversible = True
    elidable = False

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Nothing of the state changes."""

    def is_allowed(self, app_label: str, connection: BaseDatabaseWrapper) -> bool:
        """Whether the routers let the app have its tables there."""
        return router.allow_migrate(connection.alias, app_label)
