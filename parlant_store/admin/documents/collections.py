"""The collections that hold documents, found by one step into an index for each of them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import connections, router
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from parlant_store.admin.formatting import breakable, column_name, grouped, rounded
from parlant_store.admin.loose_index_scan import first_values, stepped
from parlant_store.models import Document
from parlant_store.types import FAILED

SHOWN = 50
"""How many collections the filter names."""

STEPS = 1_000
"""How many collections are looked at, in the order of their names, to find those."""

EXACT = 1_000
"""Up to where the documents of a collection are counted."""

STEPPED = stepped(Document, "collection", STEPS)

# In the order of the unique index, or PostgreSQL would rather scan the table from its start.
_COUNTED = f"""{STEPPED}, shown (name) AS (
    SELECT name FROM names
    ORDER BY CASE WHEN name LIKE %s ESCAPE '!' THEN 0 ELSE 1 END, name LIMIT {SHOWN + 1}
){{estimates}}
SELECT shown.name, (
    SELECT count(*) FROM (
        SELECT 1 FROM parlant_store_document d WHERE d.collection = shown.name
        ORDER BY d.id LIMIT {EXACT + 1}
    ) counted
), {{estimate}} FROM shown {{joined}}
ORDER BY CASE WHEN shown.name LIKE %s ESCAPE '!' THEN 0 ELSE 1 END, shown.name
"""
_FAILED_PATTERN = "%" + FAILED.replace("_", "!_")
_WITHOUT_ESTIMATES = {"estimates": "", "estimate": "NULL", "joined": ""}
_FROM_CATALOG = {
    "estimates": """, estimates (name, share) AS (
    SELECT unnest(s.most_common_vals::text::text[]), unnest(s.most_common_freqs) * c.reltuples
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname
    WHERE c.oid = 'parlant_store_document'::regclass AND s.attname = 'collection'
)""",
    "estimate": "estimates.share",
    "joined": "LEFT JOIN estimates ON estimates.name = shown.name",
}


class Collection(NamedTuple):
    """A collection and how many documents it holds."""

    name: str
    """As its column keeps it."""

    counted: int
    """Exact up to EXACT; one more than that where there are more."""

    estimate: float | None = None
    """What the database's catalog says, which may be old."""

    @property
    def is_failed(self) -> bool:
        return self.name.endswith(FAILED)

    @property
    def label(self) -> SafeString:
        """Its name and how much it holds."""
        return format_html("{} ({})", breakable(column_name(self.name) or ""), self.amount)

    @property
    def amount(self) -> str:
        if self.counted <= EXACT:
            return grouped(self.counted)
        if self.estimate and self.estimate > EXACT:
            return _("about %(number)s") % {"number": grouped(rounded(self.estimate))}
        return _("more than %(number)s") % {"number": grouped(EXACT)}


def collections() -> list[Collection]:
    """The first collections, those of failed migrations before the others; at most SHOWN + 1."""
    connection = connections[router.db_for_read(Document)]
    terms = _FROM_CATALOG if connection.vendor == "postgresql" else _WITHOUT_ESTIMATES
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED.format(**terms), (_FAILED_PATTERN, _FAILED_PATTERN))
        return [Collection(*row) for row in cursor.fetchall()]


def collection_names(using: str | None = None) -> list[str]:
    """The names of the first STEPS collections, as their column keeps them."""
    return first_values(Document, "collection", STEPS, using)


class CollectionFilter(admin.SimpleListFilter):
    """Each collection with its count; more of them than that are found by their name."""

    title = gettext_lazy("collection")
    parameter_name = "collection"
    template = "admin/parlant_store/document/collections.html"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = collections()
        self.has_more = len(found) > SHOWN
        self.failed = [collection for collection in found[:SHOWN] if collection.is_failed]
        return [(collection.name, collection.label) for collection in found[:SHOWN]]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        self.others = [
            (name, value)
            for name, values in changelist.filter_params.items()
            if name != self.parameter_name
            for value in values
        ]
        value = self.value()
        if value and value not in dict(self.lookup_choices):
            self.lookup_choices.insert(0, (value, column_name(value) or ""))
        return super().choices(changelist)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        name = collection_of(request)
        return queryset.filter(collection=name) if name else None


def collection_of(request: HttpRequest) -> str:
    """The collection that the list is narrowed to; "" when it is not."""
    return without_nul(request.GET.get(CollectionFilter.parameter_name, ""))


def without_nul(text: str) -> str:
    """``text`` as a parameter of a statement, which PostgreSQL refuses with NUL."""
    return text.replace("\0", "\ufffd")
