"""Actions in the admin's log, in English whatever the language of the page."""

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.http import HttpRequest

from parlant_store.admin.actions.selection import Row
from parlant_store.admin.formatting import column_name
from parlant_store.models import Document, Session

MAX_ENTRIES = 1_000
"""Limit on the rows of one action that have an entry of their own."""

MAX_NAME = 200
"""The length of object_repr."""


def log(
    request: HttpRequest, model: type[Model], rows: Sequence[Row], flag: int, message: str
) -> None:
    """Add an entry for each row, up to MAX_ENTRIES, and one with the number of rows."""
    if not rows:
        return
    user: Any = request.user
    named = [_named(model, row) for row in rows[:MAX_ENTRIES]]
    LogEntry.objects.log_actions(user.pk, named, flag, message)
    if len(rows) > 1:
        log_by_name(request, model, f"{len(rows):,} {model._meta.model_name}s", flag, message)


def log_by_name(
    request: HttpRequest, model: type[Model], name: str, flag: int, message: str
) -> None:
    """Add an entry about something that is no row of ``model`` in this database."""
    user: Any = request.user
    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(model, for_concrete_model=False),
        object_repr=name[:MAX_NAME],
        action_flag=flag,
        change_message=message,
    )


def _named(model: type[Model], row: Row) -> Session | Document:
    place, name = column_name(row.place) or "", column_name(row.name)
    if model is Session:
        return Session(key=row.key, namespace=place, session_id=name or "")
    return Document(key=row.key, collection=place, document_id=name)
