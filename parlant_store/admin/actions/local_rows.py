"""Rows of this project's database, changed by SQL in batches."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import connections, router
from django.db.models import (
    DateTimeField,
    ExpressionWrapper,
    Model,
    OuterRef,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Greatest
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import ngettext_lazy

from parlant_store.admin.actions import export
from parlant_store.admin.actions.confirmation import log
from parlant_store.admin.actions.selection import (
    DOCUMENT_PREFIX,
    KEYS,
    THREAD_PREFIX,
    TTL,
    Result,
    Row,
    Rows,
    format_keys,
    items_text,
)
from parlant_store.admin.conversations.threads import local_info, local_reader
from parlant_store.admin.formatting import column_name, counted, cut
from parlant_store.admin.lookups import batches, values_starting
from parlant_store.admin.views.base import configured_stores, is_local
from parlant_store.backends.base import BaseBackend
from parlant_store.backends.columns import columns, name_of
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm import OrmBackend
from parlant_store.backends.orm.references.deletion import delete_groups, lock_rows, writing
from parlant_store.backends.orm.references.registry import is_referenced
from parlant_store.backends.thread_columns import thread_name_of
from parlant_store.content import codec
from parlant_store.content.related_documents import (
    SESSIONS,
    collections_by_prefix,
    session_prefixes,
    sessions_prefix,
)
from parlant_store.exceptions import SessionNotFound
from parlant_store.models import Document, Session, Thread
from parlant_store.signals import send, session_deleted
from parlant_store.types import ThreadInfo

BATCH = 1_000
"""Limit on the keys in a statement."""

_COLUMNS: dict[type[Model], tuple[Any, ...]] = {
    Session: ("key", "namespace", "session_id", "full_names", "item_count", "expires_at"),
    Document: ("key", "collection", "document_id", "session_id", Value(0), "expires_at"),
    Thread: ("key", "namespace", "thread_id", "full_names", Value(0), "expires_at"),
}


RELATED = ngettext_lazy(
    "%(number)s document that belongs to a Parlant session goes along, as its events do.",
    "%(number)s documents that belong to Parlant sessions go along, as their events do.",
    "count",
)


class LocalRows(Rows):
    def __init__(
        self, model: type[Model], keys: Sequence[int], *, of_conversations: bool = False
    ) -> None:
        """``of_conversations`` restricts documents to Parlant sessions, exported with events."""
        self.model = model
        self.keys = keys
        self.using = router.db_for_write(model)
        self.of_conversations = of_conversations
        self.rows: list[Row] = []

    def __len__(self) -> int:
        return len(self.keys)

    now = staticmethod(timezone.now)

    def transaction(self) -> AbstractContextManager[Any]:
        return writing(connections[self.using])

    def read(self, *, lock: bool = False) -> list[Row]:
        found = self.model._default_manager.using(self.using)
        found = found.select_for_update() if lock else found
        if self.of_conversations:
            found = found.filter(collection__endswith=SESSIONS)
        values = found.order_by("key").values_list(*_COLUMNS[self.model])
        rows = {
            row[0]: Row(*row)
            for batch in batches(sorted(self.keys), BATCH)
            for row in values.filter(key__in=batch)
        }
        self.rows = [rows[key] for key in self.keys if key in rows]
        return self.rows

    def form_data(self, rows: Sequence[Row]) -> Iterable[tuple[str, Any]]:
        prefix, name = "", "keys"
        if self.model is Thread or self.of_conversations:
            prefix = THREAD_PREFIX if self.model is Thread else DOCUMENT_PREFIX
            name = KEYS[prefix]
        yield ACTION_CHECKBOX_NAME, f"{prefix}{rows[0].key}"
        yield name, format_keys(row.key for row in rows)

    def label(self, row: Row) -> str:
        name = column_name(row.name) or str(row.key)
        return cut("/".join(filter(None, (column_name(row.place), name)))) or ""

    def notes(self, action: str, rows: Sequence[Row]) -> Iterator[str]:
        if self.model is not Document:
            if self.model is Session:
                yield items_text(rows)
            store = local_store() if action in ("extend", "keep") else None
            if store is not None and store.ttl is not None:
                yield str(TTL)
        elif action != "export" or self.of_conversations:
            number = sum(found.count() for _, found in _related_documents(rows, self.using))
            if number := number - _overlap(rows, self.rows, self.using):
                yield counted(RELATED, number)

    def set_expiry(
        self, rows: Sequence[Row], at: datetime | None, by: timedelta | None = None
    ) -> Result:
        new: Any = at
        if by is not None:
            start = Greatest("expires_at", Value(at, output_field=DateTimeField()))
            new = ExpressionWrapper(start + Value(by), output_field=DateTimeField())
        for found in self._batches(rows):
            found.update(expires_at=new)
        related = 0
        if self.model is Document:
            related = _update_related_expiry(rows, self.using)
            related -= _overlap(rows, self.rows, self.using)
        return Result(tuple(rows), max(0, related))

    def delete(self, rows: Sequence[Row]) -> Result:
        if is_referenced(self.using):
            return self._delete_referenced(rows)
        related = 0
        if self.model is Document:
            related = -_overlap(rows, rows, self.using)
            for _, documents in _related_documents(rows, self.using):
                related += documents.delete()[0]
        for found in self._batches(rows):
            # Only the key, so that the other columns are not read.
            found.only("key").delete()
        return Result(tuple(rows), max(0, related))

    def _batches(self, rows: Sequence[Row]) -> Iterator[QuerySet[Any]]:
        for batch in batches([row.key for row in rows], BATCH):
            yield self.model._default_manager.using(self.using).filter(key__in=batch)

    def _delete_referenced(self, rows: Sequence[Row]) -> Result:
        """Keep rows that are protected by tables of the project, with their related documents."""
        connection = connections[self.using]
        related = _related_keys(rows, self.using) if self.model is Document else {}
        groups = [(row.key, *related.get(row.key, ())) for row in rows]
        lock_rows(connection, self.model, [key for group in groups for key in group])
        protected = {
            group.keys[0]: group.protected_by
            for group in delete_groups(connection, self.model, groups)
        }
        deleted = {key for group in groups if group[0] not in protected for key in group[1:]}
        return Result(
            tuple(row for row in rows if row.key not in protected),
            len(deleted - {row.key for row in rows}),
            protected=tuple(
                (self.label(row), codec.printable(protected[row.key]))
                for row in rows
                if row.key in protected
            ),
        )

    def send_deleted(self, rows: Sequence[Row]) -> None:
        store = None
        if self.model is Session and rows and session_deleted.receivers:
            store = local_store()
        if store is not None:
            for row in rows:
                send(session_deleted, store.alias, *self.session_name(row), row.item_count)

    def lines(self, rows: Sequence[Row]) -> Iterator[str]:
        keys = [row.key for row in rows]
        if self.model is Session:
            return export.session_lines(keys)
        if self.model is Thread:
            return export.thread_lines(local_reader(self.using), self._threads(keys))
        if self.of_conversations:
            related = _related_keys(rows, self.using)
            keys = [key for first in keys for key in (first, *related.get(first, ()))]
        return export.document_lines(keys)

    def _threads(self, keys: Sequence[int]) -> Iterator[ThreadInfo]:
        for batch in batches(keys, BATCH):
            found = Thread.objects.using(self.using).filter(key__in=batch)
            yield from map(local_info, found.order_by("key"))

    def log(self, request: HttpRequest, rows: Sequence[Row], message: str, flag: int) -> None:
        log(request, self.model, rows, flag, message)

    def session_name(self, row: Row) -> SessionName:
        names = thread_name_of if self.model is Thread else name_of
        return SessionName(*names(row.place, row.name or "", row.related))

    def is_taken(self, name: SessionName) -> bool:
        return self._named(name).exclude(expires_at__lte=timezone.now()).exists()

    def _named(self, name: SessionName) -> QuerySet[Any]:
        place, id_ = columns(name)
        column = "thread_id" if self.model is Thread else "session_id"
        rows = self.model._default_manager.using(self.using)
        return rows.filter(**{"namespace": place, column: id_})

    def branch(self, source: SessionName, new_id: str) -> Row:
        store = local_store() or OrmBackend("admin", using=self.using)
        if self.model is Session:
            store.branch(source.session_id, new_id, namespace=source.namespace, replace=False)
        else:
            copy_thread(store, source, new_id)
        copies = self._named(source._replace(session_id=new_id))
        return Row(*copies.values_list(*_COLUMNS[self.model]).get())


def copy_thread(store: BaseBackend, source: SessionName, new_id: str) -> None:
    """Copy a thread; raise SessionNotFound or SessionExists."""
    names = source.session_id, new_id
    if not store.copy_thread(*names, namespace=source.namespace, replace=False):
        raise SessionNotFound(f"there is no thread {source.session_id!r}")


def local_store() -> BaseBackend | None:
    """Return the first configured store whose sessions are in the admin's database."""
    for _alias, store, _error in configured_stores():
        if store is not None and is_local(store):
            return store
    return None


def _related_documents(rows: Sequence[Row], using: str) -> Iterator[tuple[str, QuerySet[Any]]]:
    """Yield collections of sessions, with the related documents of those among ``rows``."""
    for collection, ids in _session_ids(rows).items():
        names = _related_collections(collection, using)
        documents = Document.objects.using(using).filter(collection__in=names)
        for batch in batches(ids, BATCH):
            yield collection, documents.filter(session_id__in=batch)


def _related_keys(rows: Sequence[Row], using: str) -> dict[int, list[int]]:
    """Return the keys of the related documents, by the key of their session."""
    sessions = {(row.place, row.name): row.key for row in rows}
    found: dict[int, list[int]] = defaultdict(list)
    for collection, documents in _related_documents(rows, using):
        for key, session_id in documents.values_list("key", "session_id"):
            session = sessions[collection, session_id]
            if key != session:
                found[session].append(key)
    return found


def _update_related_expiry(rows: Sequence[Row], using: str) -> int:
    """Let the related documents expire with their sessions; return their number."""
    documents, number = Document.objects.using(using), 0
    for collection, related in _related_documents(rows, using):
        session = documents.filter(collection=collection, document_id=OuterRef("session_id"))
        number += related.update(expires_at=Subquery(session.values("expires_at")[:1]))
    return number


def _overlap(sessions: Sequence[Row], rows: Sequence[Row], using: str) -> int:
    """Return the number of ``rows`` that are related documents of ``sessions``."""
    ids_by_collection = defaultdict(set)
    for collection, ids in _session_ids(sessions).items():
        for name in _related_collections(collection, using):
            ids_by_collection[name].update(ids)
    return sum(row.related in ids_by_collection[row.place] for row in rows)


def _session_ids(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return the ids of the Parlant sessions among ``rows``, by their collections."""
    ids: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if sessions_prefix(row.place) is not None and row.name is not None:
            ids[row.place].append(row.name)
    return ids


def _related_collections(sessions: str, using: str) -> list[str]:
    prefix = sessions_prefix(sessions) or ""
    names = values_starting(Document, "collection", prefix, using)
    return collections_by_prefix(names, session_prefixes([sessions, *names]))[prefix]
