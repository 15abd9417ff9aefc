"""The collections of the local database, counted by a loose index scan."""

from typing import NamedTuple

from django.db import connections, router
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from parlant_store.admin.formatting import breakable, column_name, grouped, rounded
from parlant_store.admin.loose_index_scan import first_values, with_first_values
from parlant_store.models import Document
from parlant_store.types import FAILED

SHOWN = 50
"""Limit on the collections that are listed."""

MAX_COLLECTIONS = 1_000
"""Limit on the collections that are read, in the order of their names."""

_NAMES = "_parlant_store_collections"
"""The attribute of a request with the names of the collections."""

MAX_COUNT = 1_000
"""Limit on the documents of a collection that are counted."""

MEASURED = 20
"""The number of the newest documents of a collection whose size is measured."""

NAMES = with_first_values(Document, "collection", MAX_COLLECTIONS)

# In the order of the unique index, or PostgreSQL would rather scan the table from its start.
_COUNTS = f"""{NAMES}, shown (name) AS (
    SELECT name FROM names
    ORDER BY CASE WHEN name LIKE %s ESCAPE '!' THEN 0 ELSE 1 END, name LIMIT {SHOWN + 1}
){{estimates}}
SELECT shown.name, (
    SELECT count(*) FROM (
        SELECT 1 FROM parlant_store_document d WHERE d.collection = shown.name
        ORDER BY d.id LIMIT {MAX_COUNT + 1}
    ) counted
), {{estimate}}, (
    SELECT avg(size) FROM (
        SELECT {{size}} AS size FROM parlant_store_document d WHERE d.collection = shown.name
        ORDER BY COALESCE(creation_utc, '') DESC, COALESCE(id, '') DESC LIMIT {MEASURED}
    ) newest
) FROM shown {{joined}}
ORDER BY CASE WHEN shown.name LIKE %s ESCAPE '!' THEN 0 ELSE 1 END, shown.name
"""
_FAILED_PATTERN = "%" + FAILED.replace("_", "!_")
_SQLITE = {"estimates": "", "estimate": "NULL", "joined": "", "size": "length(data)"}
_POSTGRESQL = {
    "estimates": """, estimates (name, share) AS (
    SELECT unnest(s.most_common_vals::text::text[]), unnest(s.most_common_freqs) * c.reltuples
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname
    WHERE c.oid = 'parlant_store_document'::regclass AND s.attname = 'collection'
)""",
    "estimate": "estimates.share",
    "joined": "LEFT JOIN estimates ON estimates.name = shown.name",
    "size": "pg_column_size(data)",
}


class Collection(NamedTuple):
    """A collection with the number and the size of its documents."""

    name: str
    """The value of the column."""

    counted: int
    """Exact up to MAX_COUNT; MAX_COUNT + 1 if there are more."""

    estimate: float | None
    """From the statistics of PostgreSQL, which may be out of date."""

    mean_size: float | None
    """The mean number of bytes of the newest documents."""

    @property
    def is_failed(self) -> bool:
        return self.name.endswith(FAILED)

    @property
    def title(self) -> SafeString:
        return breakable(column_name(self.name) or "")

    @property
    def label(self) -> SafeString:
        return format_html("{} ({})", self.title, self.amount)

    @property
    def amount(self) -> str:
        if self.counted <= MAX_COUNT:
            return grouped(self.counted)
        if self.estimate and self.estimate > MAX_COUNT:
            return _("about %(number)s") % {"number": grouped(rounded(self.estimate))}
        return _("more than %(number)s") % {"number": grouped(MAX_COUNT)}

    @property
    def size(self) -> str:
        mean = float(self.mean_size or 0)
        if self.counted <= MAX_COUNT:
            return _("about %(size)s") % {"size": filesizeformat(self.counted * mean)}
        if self.estimate and self.estimate > MAX_COUNT:
            return _("about %(size)s") % {"size": filesizeformat(self.estimate * mean)}
        return _("more than %(size)s") % {"size": filesizeformat(MAX_COUNT * mean)}


def collections() -> list[Collection]:
    """Return the first collections, those of failed migrations first; SHOWN + 1 at most."""
    connection = connections[router.db_for_read(Document)]
    terms = _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS.format(**terms), (_FAILED_PATTERN, _FAILED_PATTERN))
        return [Collection(*row) for row in cursor.fetchall()]


def collection_names(using: str | None = None) -> list[str]:
    """Return the names of the first collections, as the column stores them."""
    return first_values(Document, "collection", MAX_COLLECTIONS, using)


def requested_names(request: HttpRequest) -> list[str]:
    """Return ``collection_names``, which are read once for a request."""
    if not hasattr(request, _NAMES):
        setattr(request, _NAMES, collection_names())
    names: list[str] = getattr(request, _NAMES)
    return names


def collection_of(request: HttpRequest) -> str:
    """Return the collection that the list is filtered by; "" without one."""
    return without_nul(request.GET.get("collection", ""))


def without_nul(text: str) -> str:
    """Return ``text`` as a parameter of a statement, which PostgreSQL refuses with NUL."""
    return text.replace("\0", "\ufffd")
