"""The documents that belong to Parlant's sessions (parlant_store.content.related_documents)."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connections
from django.db.models import OuterRef, QuerySet, Subquery

from parlant_store.admin.actions.chosen import BATCH, Row
from parlant_store.admin.batches import batches
from parlant_store.content.related_documents import (
    collections_by_prefix,
    session_prefixes,
    sessions_prefix,
)
from parlant_store.models import Document

# By one step into an index for each collection, from the first whose name begins so.
_BEGINNING = """
WITH RECURSIVE names (name) AS (
    SELECT min(collection) FROM parlant_store_document WHERE collection >= %s
    UNION ALL
    SELECT (SELECT min(collection) FROM parlant_store_document WHERE collection > name)
    FROM names WHERE substr(name, 1, %s) = %s
)
SELECT name FROM names WHERE substr(name, 1, %s) = %s
"""


def belonging(rows: Sequence[Row], using: str) -> Iterator[tuple[str, QuerySet[Any]]]:
    """Collections of sessions, with what belongs to those of ``rows`` that are in them."""
    for collection, ids in _sessions(rows).items():
        beside = _beside(collection, using)
        documents = Document.objects.using(using).filter(collection__in=beside)
        for batch in batches(ids, BATCH):
            yield collection, documents.filter(session_id__in=batch)


def related_keys(rows: Sequence[Row], using: str) -> dict[int, list[int]]:
    """The keys of what belongs to the sessions among ``rows``, by the session's."""
    sessions = {(row.place, row.name): row.key for row in rows}
    found: dict[int, list[int]] = defaultdict(list)
    for collection, parts in belonging(rows, using):
        for key, session_id in parts.values_list("key", "session_id"):
            session = sessions[collection, session_id]
            if key != session:
                found[session].append(key)
    return found


def end_with_sessions(rows: Sequence[Row], using: str) -> int:
    """Let all that belongs to the sessions among ``rows`` end when they do."""
    documents = Document.objects.using(using)
    number = 0
    for collection, parts in belonging(rows, using):
        session = documents.filter(collection=collection, document_id=OuterRef("session_id"))
        number += parts.update(expires_at=Subquery(session.values("expires_at")[:1]))
    return number


def overlap(sessions: Sequence[Row], rows: Sequence[Row], using: str) -> int:
    """How many of ``rows`` belong to sessions among ``sessions``."""
    of_place = defaultdict(set)
    for collection, ids in _sessions(sessions).items():
        for name in _beside(collection, using):
            of_place[name].update(ids)
    return sum(row.beside in of_place[row.place] for row in rows)


def _sessions(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The ids of Parlant's sessions among ``rows``, by their collections."""
    ids: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if sessions_prefix(row.place) is not None and row.name is not None:
            ids[row.place].append(row.name)
    return ids


def _beside(sessions: str, using: str) -> list[str]:
    """The collections of the same prefix as this one of sessions."""
    prefix = sessions_prefix(sessions) or ""
    with connections[using].cursor() as cursor:
        cursor.execute(_BEGINNING, (prefix, *(len(prefix), prefix) * 2))
        names = [name for (name,) in cursor.fetchall()]
    return collections_by_prefix(names, session_prefixes([sessions, *names]))[prefix]
