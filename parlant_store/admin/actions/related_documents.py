"""The related documents of Parlant sessions (parlant_store.content.related_documents)."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from parlant_store.admin.actions.selection import Row
from parlant_store.admin.batches import batches
from parlant_store.admin.loose_index_scan import values_starting
from parlant_store.content.related_documents import (
    collections_by_prefix,
    session_prefixes,
    sessions_prefix,
)
from parlant_store.models import Document

BATCH = 1_000
"""Limit on the sessions in a statement."""


def select(rows: Sequence[Row], using: str) -> Iterator[tuple[str, QuerySet[Any]]]:
    """Yield collections of sessions, with the related documents of those among ``rows``."""
    for collection, ids in _session_ids(rows).items():
        names = _related_collections(collection, using)
        documents = Document.objects.using(using).filter(collection__in=names)
        for batch in batches(ids, BATCH):
            yield collection, documents.filter(session_id__in=batch)


def keys(rows: Sequence[Row], using: str) -> dict[int, list[int]]:
    """Return the keys of the related documents, by the key of their session."""
    sessions = {(row.place, row.name): row.key for row in rows}
    found: dict[int, list[int]] = defaultdict(list)
    for collection, documents in select(rows, using):
        for key, session_id in documents.values_list("key", "session_id"):
            session = sessions[collection, session_id]
            if key != session:
                found[session].append(key)
    return found


def update_expiry(rows: Sequence[Row], using: str) -> int:
    """Let the related documents expire with their sessions; return their number."""
    documents, number = Document.objects.using(using), 0
    for collection, related in select(rows, using):
        session = documents.filter(collection=collection, document_id=OuterRef("session_id"))
        number += related.update(expires_at=Subquery(session.values("expires_at")[:1]))
    return number


def overlap(sessions: Sequence[Row], rows: Sequence[Row], using: str) -> int:
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
