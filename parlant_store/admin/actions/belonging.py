"""The documents that belong to Parlant's sessions, as parlant_store.backends.expiry says."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connections
from django.db.models import OuterRef, QuerySet, Subquery

from parlant_store.admin.actions.chosen import BATCH, Row
from parlant_store.admin.batches import batches
from parlant_store.admin.documents.links import SESSIONS
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
        beside = _beginning(collection.removesuffix(SESSIONS), using)
        documents = Document.objects.using(using).filter(collection__in=beside)
        for batch in batches(ids, BATCH):
            yield collection, documents.filter(session_id__in=batch)


def end_with_sessions(rows: Sequence[Row], using: str) -> int:
    """Let all that belongs to the sessions among ``rows`` end when they do."""
    documents = Document.objects.using(using)
    number = 0
    for collection, parts in belonging(rows, using):
        session = documents.filter(collection=collection, document_id=OuterRef("session_id"))
        number += parts.update(expires_at=Subquery(session.values("expires_at")[:1]))
    return number


def overlap(sessions: Sequence[Row], rows: Sequence[Row]) -> int:
    """How many of ``rows`` belong to sessions among ``sessions``."""
    ids = {
        collection.removesuffix(SESSIONS): set(found)
        for collection, found in _sessions(sessions).items()
    }
    fitting = {
        place: [found for prefix, found in ids.items() if place.startswith(prefix)]
        for place in {row.place for row in rows}
    }
    return sum(row.beside in found for row in rows for found in fitting[row.place])


def _sessions(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The ids of Parlant's sessions among ``rows``, by their collections."""
    ids: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.place.endswith(SESSIONS) and row.name is not None:
            ids[row.place].append(row.name)
    return ids


def _beginning(prefix: str, using: str) -> list[str]:
    with connections[using].cursor() as cursor:
        cursor.execute(_BEGINNING, (prefix, *(len(prefix), prefix) * 2))
        return [name for (name,) in cursor.fetchall()]
