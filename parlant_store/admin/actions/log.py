"""Actions in the admin's log, in English whatever language the page had."""

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.http import HttpRequest

from parlant_store.admin.actions.chosen import Row
from parlant_store.admin.formatting import column_name
from parlant_store.models import Document, Session

MOST = 1_000
"""How many have an entry of their own."""

NAME = 200
"""How many characters of a name the log has room for."""


def log(
    request: HttpRequest, model: type[Model], rows: Sequence[Row], flag: int, message: str
) -> None:
    """One entry for each, up to MOST, and one that says how many it was in all."""
    user: Any = request.user
    named = [_named(model, row) for row in rows[:MOST]]
    LogEntry.objects.log_actions(user.pk, named, flag, message)
    if len(rows) > 1:
        log_by_name(request, model, f"{len(rows):,} {model._meta.model_name}s", flag, message)


def log_by_name(
    request: HttpRequest, model: type[Model], name: str, flag: int, message: str
) -> None:
    """An entry about what is no row of ``model`` in this database."""
    user: Any = request.user
    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(model, for_concrete_model=False),
        object_repr=name[:NAME],
        action_flag=flag,
        change_message=message,
    )


def _named(model: type[Model], row: Row) -> Session | Document:
    place, name = column_name(row.place) or "", column_name(row.name)
    if model is Session:
        return Session(key=row.key, namespace=place, session_id=name or "")
    return Document(key=row.key, collection=place, document_id=name)
