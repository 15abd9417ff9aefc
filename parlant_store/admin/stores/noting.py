"""What people did to other stores, in the admin's log; in English whatever language they use."""

from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.http import HttpRequest

from parlant_store.backends.base import BaseBackend

NAME = 200
"""How many characters of a name the log has room for."""


def note(
    request: HttpRequest,
    model: type[Model],
    store: BaseBackend,
    name: str,
    flag: int,
    message: str,
) -> None:
    """Note what was done to something of a store that is no row of ``model`` here."""
    user: Any = request.user
    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(model, for_concrete_model=False),
        object_repr=name[:NAME],
        action_flag=flag,
        change_message=f"Store {store.alias}: {message}",
    )
