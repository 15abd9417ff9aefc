"""What people did to other stores, in the admin's log; in English whatever language they use."""

from django.db.models import Model
from django.http import HttpRequest

from parlant_store.admin.actions.log import log_by_name
from parlant_store.backends.base import BaseBackend


def note(
    request: HttpRequest,
    model: type[Model],
    store: BaseBackend,
    name: str,
    flag: int,
    message: str,
) -> None:
    """Note what was done to something of a store that is no row of ``model`` here."""
    log_by_name(request, model, name, flag, f"Store {store.alias}: {message}")
