"""The rows that somebody has chosen, and the transaction in which something is done to them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from django.db import connections, router, transaction
from django.db.models import BooleanField, ExpressionWrapper, Model, Q, Value
from django.utils import timezone

from parlant_store.admin.batches import batches
from parlant_store.backends.orm.database.statements import write
from parlant_store.models import Document, Session

MOST = 10_000
"""To how many rows something is done at once."""

BATCH = 1_000
"""How many of them one statement names."""

_COLUMNS: dict[type[Model], tuple[Any, ...]] = {
    Session: ("key", "namespace", "session_id", "full_names", "item_count"),
    Document: ("key", "collection", "document_id", "session_id", Value(0)),
}


class Row(NamedTuple):
    """A session or a document that was chosen; names are as columns keep them."""

    key: int
    place: str
    """The namespace or the collection."""

    name: str | None
    beside: str | None
    """A session's names that were too long for columns; a document's session."""

    items: int
    is_meant: bool
    """Whether the action is for it."""

    is_over: bool


def everything() -> Q:
    return Q(key__isnull=False)


def look(
    model: type[Model],
    keys: Sequence[int],
    meant: Q,
    *,
    using: str | None = None,
    lock: bool = False,
) -> list[Row]:
    """The rows of these keys that are there, in their order, as the writing database has them."""
    rows = model._default_manager.using(using or router.db_for_write(model))
    rows = rows.select_for_update() if lock else rows
    flags = (_flag(meant), _flag(Q(expires_at__isnull=False, expires_at__lte=timezone.now())))
    found = {
        row[0]: Row(*row)
        for batch in batches(sorted(keys), BATCH)
        for row in rows.filter(key__in=batch).order_by("key").values_list(*_COLUMNS[model], *flags)
    }
    return [found[key] for key in keys if key in found]


def writing(using: str) -> AbstractContextManager[Any]:
    """A transaction that writes; on SQLite it has the write lock from its beginning on."""
    connection = connections[using]
    return write(connection) if connection.vendor == "sqlite" else transaction.atomic(using=using)


def _flag(condition: Q) -> "ExpressionWrapper[Any]":
    return ExpressionWrapper(condition, output_field=BooleanField())
