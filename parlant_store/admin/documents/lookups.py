"""The collections, and documents found by their owner, the value of a JSON field or words."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Case, F, Func, OrderBy, Q, QuerySet, TextField, Value, When
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from parlant_store.admin.conversations.search import words
from parlant_store.admin.formatting import breakable, column_name, grouped, rounded
from parlant_store.admin.lookups import (
    COUNTED,
    NEWEST_FIRST,
    connection_of,
    fetch,
    first_values,
    keys,
    named,
    with_first_values,
)
from parlant_store.content import codec, text_search
from parlant_store.models import Document
from parlant_store.sql.index_expressions import PREFIX, TEXT_FIELDS, IndexedField
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
        ORDER BY {NEWEST_FIRST} LIMIT {MEASURED}
    ) newest
) FROM shown {{joined}}
ORDER BY CASE WHEN shown.name LIKE %s ESCAPE '!' THEN 0 ELSE 1 END, shown.name
"""
DATA_SIZE = {"sqlite": "length(data)", "postgresql": "pg_column_size(data)"}
"""The expressions for the number of bytes of the JSON of a row."""

_FAILED_PATTERN = "%" + FAILED.replace("_", "!_")
_SQLITE = {"estimates": "", "estimate": "NULL", "joined": "", "size": DATA_SIZE["sqlite"]}
_POSTGRESQL = {
    "estimates": """, estimates (name, share) AS (
    SELECT unnest(s.most_common_vals::text::text[]), unnest(s.most_common_freqs) * c.reltuples
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname
    WHERE c.oid = 'parlant_store_document'::regclass AND s.attname = 'collection'
)""",
    "estimate": "estimates.share",
    "joined": "LEFT JOIN estimates ON estimates.name = shown.name",
    "size": DATA_SIZE["postgresql"],
}

OWNERS = ("session_id", "customer_id", "agent_id")
"""The columns with the ids of the owners of a document."""

COLUMNS = {name: name for name in (*OWNERS, "version", "creation_utc")} | {"id": "document_id"}
"""The columns that are copies of JSON fields."""

MAX_MATCHES = 1_000
"""Limit on the documents that a search without an index finds."""

MAX_OWNED = 100
"""Limit on the collections in which the documents of one owner are found."""

# Django takes a name that is a number for an index, which databases refuse if it is large.
_NAME, _INDEX = r"[^\W\d][\w$-]*", "[0-9]{1,4}"
_FIELD = re.compile(rf"({_NAME}(?:\.(?:{_NAME}|{_INDEX})){{0,9}}):(.+)", re.DOTALL)
# A scalar subquery in the order of the index: PostgreSQL may turn EXISTS into a scan.
_HELD = (
    "SELECT '{column}', name FROM names WHERE (SELECT d.key FROM parlant_store_document d"
    " WHERE d.collection = name AND d.{column} = %s"
    " ORDER BY COALESCE(d.creation_utc, ''), COALESCE(d.id, '') LIMIT 1) IS NOT NULL"
)
_NEWEST = (
    "SELECT key FROM (SELECT key FROM parlant_store_document WHERE collection = %s"
    f" AND {{column}} = %s ORDER BY {NEWEST_FIRST} LIMIT {COUNTED + 1}) newest"
)


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
    connection = connection_of(Document)
    terms = _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE
    rows = fetch(connection, _COUNTS.format(**terms), (_FAILED_PATTERN, _FAILED_PATTERN))
    return [Collection(*row) for row in rows]


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


class Owned(NamedTuple):
    """A collection that has documents of an owner."""

    column: str
    collection: str


class FieldSearch(NamedTuple):
    """A search for the value of a JSON field."""

    path: tuple[str, ...]
    value: str


class Found(NamedTuple):
    """The keys of the documents that a search found."""

    keys: set[int]
    is_partial: bool
    """Whether a bound left documents unread."""

    terms: Sequence[list[str]] = ()
    """The terms of a search by words."""


class _Or(Func):
    """A column, with "" for null, word for word as the indexes have it."""

    template = "COALESCE(%(expressions)s, '')"
    output_field = TextField()


def newest_first() -> tuple[OrderBy, ...]:
    """Return the order of the indexes on a collection, its sessions, customers and agents."""
    columns = ("creation_utc", "document_id")
    return tuple(OrderBy(_Or(F(column)), descending=True) for column in columns)


def owned(values: dict[str, str]) -> list[Owned]:
    """Return the collections with documents whose columns have these values."""
    sql = " UNION ALL ".join(_HELD.format(column=column) for column in values)
    sql = f"{NAMES} {sql} LIMIT {MAX_OWNED}"
    return [Owned(*row) for row in fetch(connection_of(Document), sql, tuple(values.values()))]


def owned_keys(values: dict[str, str]) -> list[int]:
    """Return the keys of documents with one of these column values; COUNTED + 1 at most."""
    places = owned(values)
    if not places:
        return []
    sql = " UNION ".join(_NEWEST.format(column=place.column) for place in places)
    params = [part for place in places for part in (place.collection, values[place.column])]
    sql = f"{sql} ORDER BY key DESC LIMIT {COUNTED + 1}"
    return [key for (key,) in fetch(connection_of(Document), sql, params)]


def json_text(path: Iterable[str]) -> Cast:
    """Return the expression for the text of the JSON field at ``path``, compared as text."""
    *outer, last = map(codec.escape, path)
    expression: Any = "data"
    for name in outer:
        expression = KeyTransform(name, expression)
    return Cast(KeyTextTransform(last, expression), TextField())


def field_search(term: str) -> FieldSearch | None:
    """Return the search of a term such as "name:Ada" or "data.message:refund"."""
    match = _FIELD.fullmatch(term)
    if match is None or not (value := match[2].strip()):
        return None
    return FieldSearch(tuple(match[1].split(".")), value)


def find(documents: QuerySet[Any], term: str, collection: str, names: list[str]) -> Found:
    """Return the documents of this id or owner, and those with this field value or these words.

    documents: the documents of the list, in its order. names: those of the collections.
    """
    column_value = codec.to_column(without_nul(term))
    found = set(keys(Document, named(Document, "collection", "document_id", term, names)))
    found.update(owned_keys(dict.fromkeys(OWNERS, column_value)))
    search = field_search(term)
    more = _find_by_words(term) if search is None else _find_by_field(documents, search, collection)
    return more._replace(keys=found | more.keys)


def _find_by_words(query: str) -> Found:
    """Return the newest events and customers with these words."""
    terms = text_search.terms(without_nul(query))
    connection = connection_of(Document)
    hits = words.find_documents(connection, terms)
    newest = sorted((hit.key for hit in hits), reverse=True)
    is_partial = len(newest) > MAX_MATCHES or words.has_more_hits(hits)
    return Found(set(newest[:MAX_MATCHES]), is_partial, terms)


def snippets(keys: Sequence[int], terms: Sequence[list[str]]) -> dict[int, SafeString]:
    """Return the texts of documents around the terms, with <mark>, if they have any."""
    if not (keys and terms):
        return {}
    connection = connection_of(Document)
    found = words.snippets(connection, {words.EVENT: keys}, terms)
    return {key: text for (_kind, key), text in found.items() if "<mark>" in text}


def _find_by_field(documents: QuerySet[Any], search: FieldSearch, collection: str) -> Found:
    name = search.path[0]
    value = codec.escape(search.value)
    if len(search.path) == 1 and name in COLUMNS:
        return _find_by_column(documents, COLUMNS[name], search.value)
    if len(search.path) == 1 and name in TEXT_FIELDS and collection:
        indexed = documents.alias(start=IndexedField("data", name), text=json_text((name,)))
        # SQLite indexes the whole text.
        condition = Q(start__in=(value, value[:PREFIX]), text=value)
        found = indexed.filter(condition).order_by().values_list("key", flat=True)
        return Found(set(found[:COUNTED]), False)
    return matching(documents.alias(text=json_text(search.path)), Q(text__icontains=value))


def matching(documents: QuerySet[Any], condition: Q) -> Found:
    """Return which of the first COUNTED of ``documents`` meet a condition that no index has.

    It is a column of an inner statement: as a filter, it might be evaluated on the whole table.
    The first MAX_MATCHES are returned.
    """
    is_match = Case(When(condition, then=Value(1)), default=Value(0))
    read = documents.annotate(is_match=is_match).values_list("key", "is_match")[:COUNTED]
    try:
        inner, params = read.query.sql_with_params()
    except EmptyResultSet:
        return Found(set(), False)
    sql = f"SELECT key FROM ({inner}) documents WHERE is_match = 1 LIMIT {MAX_MATCHES + 1}"
    found = [key for (key,) in fetch(connections[read.db], sql, params)]
    is_partial = len(found) > MAX_MATCHES or bool(documents.values("key")[COUNTED : COUNTED + 1])
    return Found(set(found[:MAX_MATCHES]), is_partial)


def _find_by_column(documents: QuerySet[Any], column: str, value: str) -> Found:
    if column in OWNERS:
        return Found(set(owned_keys({column: codec.to_column(without_nul(value))})), False)
    if column == "document_id":
        return Found(set(keys(Document, named(Document, "collection", column, value)[:1])), False)
    return matching(documents, Q((column, codec.to_column(without_nul(value)))))
