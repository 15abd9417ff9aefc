"""Documents found by their owner, by the value of a JSON field, and by words."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connections, router
from django.db.models import Case, F, Func, OrderBy, Q, QuerySet, TextField, Value, When
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast
from django.utils.safestring import SafeString

from parlant_store.admin.conversations import words
from parlant_store.admin.documents.collections import NAMES, without_nul
from parlant_store.admin.lookups import COUNTED, keys, named
from parlant_store.content import codec, text_search
from parlant_store.models import Document
from parlant_store.sql.index_expressions import PREFIX, TEXT_FIELDS, IndexedField

OWNERS = ("session_id", "customer_id", "agent_id")
"""The columns with the ids of the owners of a document."""

COLUMNS = {name: name for name in (*OWNERS, "version", "creation_utc")} | {"id": "document_id"}
"""The columns that are copies of JSON fields."""

MAX_MATCHES = 1_000
"""Limit on the documents that a search without an index finds."""

MAX_COLLECTIONS = 100
"""Limit on the collections in which the documents of one owner are found."""

# Django takes a name that is a number for an index, which databases refuse if it is large.
_NAME, _INDEX = r"[^\W\d][\w$-]*", "[0-9]{1,4}"
_FIELD = re.compile(rf"({_NAME}(?:\.(?:{_NAME}|{_INDEX})){{0,9}}):(.+)", re.DOTALL)

_ORDER = "COALESCE(creation_utc, '') DESC, COALESCE(id, '') DESC"

# A scalar subquery in the order of the index: PostgreSQL may turn EXISTS into a scan.
_HELD = (
    "SELECT '{column}', name FROM names WHERE (SELECT d.key FROM parlant_store_document d"
    " WHERE d.collection = name AND d.{column} = %s"
    " ORDER BY COALESCE(d.creation_utc, ''), COALESCE(d.id, '') LIMIT 1) IS NOT NULL"
)
_NEWEST = (
    "SELECT key FROM (SELECT key FROM parlant_store_document"
    f" WHERE collection = %s AND {{column}} = %s ORDER BY {_ORDER} LIMIT {COUNTED + 1}) newest"
)


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
    with connections[router.db_for_read(Document)].cursor() as cursor:
        cursor.execute(f"{NAMES} {sql} LIMIT {MAX_COLLECTIONS}", tuple(values.values()))
        return [Owned(*row) for row in cursor.fetchall()]


def owned_keys(values: dict[str, str]) -> list[int]:
    """Return the keys of documents with one of these column values; COUNTED + 1 at most."""
    places = owned(values)
    if not places:
        return []
    sql = " UNION ".join(_NEWEST.format(column=place.column) for place in places)
    params = [part for place in places for part in (place.collection, values[place.column])]
    with connections[router.db_for_read(Document)].cursor() as cursor:
        cursor.execute(f"{sql} ORDER BY key DESC LIMIT {COUNTED + 1}", params)
        return [key for (key,) in cursor.fetchall()]


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
    connection = connections[router.db_for_read(Document)]
    hits = words.find_hits(connection, terms, items=False, events=True)
    newest = sorted((hit.key for hit in hits), reverse=True)
    return Found(set(newest[:MAX_MATCHES]), len(newest) > MAX_MATCHES, terms)


def snippets(keys: Sequence[int], terms: Sequence[list[str]]) -> dict[int, SafeString]:
    """Return the texts of documents around the terms, with <mark>, if they have any."""
    if not (keys and terms):
        return {}
    connection = connections[router.db_for_read(Document)]
    found = words.snippets(connection, [], keys, words.Words(terms=terms))
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
    connection = connections[read.db]
    with connection.cursor() as cursor:
        sql = f"SELECT key FROM ({inner}) documents WHERE is_match = 1 LIMIT {MAX_MATCHES + 1}"
        cursor.execute(sql, params)
        found = [key for (key,) in cursor.fetchall()]
    is_partial = len(found) > MAX_MATCHES or bool(documents.values("key")[COUNTED : COUNTED + 1])
    return Found(set(found[:MAX_MATCHES]), is_partial)


def _find_by_column(documents: QuerySet[Any], column: str, value: str) -> Found:
    if column in OWNERS:
        return Found(set(owned_keys({column: codec.to_column(without_nul(value))})), False)
    if column == "document_id":
        return Found(set(keys(Document, named(Document, "collection", column, value)[:1])), False)
    return matching(documents, Q((column, codec.to_column(without_nul(value)))))
