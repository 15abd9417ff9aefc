"""The store whose sessions this admin lists, if the project has configured one."""

from contextlib import suppress
from datetime import datetime

from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connections, router, transaction
from django.utils import timezone

from parlant_store.admin.actions.chosen import Row, everything, look, writing
from parlant_store.admin.actions.lives import is_live
from parlant_store.admin.stores.asking import is_here
from parlant_store.backends.base import BaseBackend
from parlant_store.backends.columns import columns, name_of
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm import OrmBackend
from parlant_store.backends.orm.references.deletion import delete
from parlant_store.content import codec
from parlant_store.handler import stores
from parlant_store.models import Session
from parlant_store.signals import send, session_deleted


class Taken(Exception):
    """Somebody began a session of that id meanwhile."""


def store_here() -> BaseBackend | None:
    """The first one that keeps its sessions in this admin's database."""
    # What is wrong with a setting, manage.py check says.
    with suppress(ImproperlyConfigured):
        for alias in stores:
            with suppress(ImproperlyConfigured):
                if is_here(store := stores[alias]):
                    return store
    return None


def has_ttl() -> bool:
    """Whether the next write to a session will move its end."""
    store = store_here()
    return store is not None and store.ttl is not None


def tell_deleted(rows: list[Row]) -> None:
    """Send session_deleted for each, as the store itself does, whether it had expired or not."""
    store = store_here() if rows and session_deleted.receivers else None
    if store is not None:
        for row in rows:
            send(session_deleted, store.alias, *name_of_row(row), row.items)


def branch(source: SessionName, new_id: str) -> Row:
    """Copy a session to an id that is free; return the copy.

    Raises SessionNotFound, Taken, and ProtectedRow.
    """
    using = router.db_for_write(Session)
    store = store_here() or OrmBackend("admin", using=using)
    place, name = columns(SessionName(source.namespace, new_id))
    named = Session.objects.using(using).filter(namespace=place, session_id=name)
    with writing(using):
        _take(place, name, using, timezone.now())
        store.branch(source.session_id, new_id, namespace=source.namespace)
        (key,) = named.values_list("key", flat=True)
        (row,) = look(Session, [key], everything(), using=using)
    return row


def is_taken(name: SessionName) -> bool:
    place, id_ = columns(name)
    live = Session.objects.using(router.db_for_write(Session)).filter(is_live(timezone.now()))
    return live.filter(namespace=place, session_id=id_).exists()


def name_of_row(row: Row) -> SessionName:
    return name_of(row.place, row.name or "", row.beside)


def _take(place: str, name: str, using: str, now: datetime) -> None:
    """Begin a session that the copy replaces: nobody else can begin one until then."""
    sessions = Session.objects.using(using)
    expired = sessions.filter(namespace=place, session_id=name, expires_at__lte=now)
    if keys := list(expired.values_list("key", flat=True)):
        what = f"the session {codec.unescape(name)!r}, which has expired,"
        delete(connections[using], Session, keys, what)
    try:
        with transaction.atomic(using=using):
            sessions.create(namespace=place, session_id=name)
    except IntegrityError:
        raise Taken from None
