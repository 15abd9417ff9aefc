"""The page that finds people: the owners of sessions and threads, and Parlant's customers."""

from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from parlant_store.admin.conversations.search.words import EVENT, search
from parlant_store.admin.documents.lookups import collection_names, newest_first, without_nul
from parlant_store.admin.formatting import NAME, cut, grouped
from parlant_store.admin.lookups import (
    NEWEST_FIRST,
    Condition,
    connection_of,
    contains,
    fetch,
    fetch_union,
    values_starting,
)
from parlant_store.admin.views.base import link, show
from parlant_store.admin.views.stores import viewed_models
from parlant_store.content import codec
from parlant_store.models import Document, Session, Thread

MAX_PERSONS = 100
"""Limit on the people that are listed."""

NEWEST = 1_000
"""The number of the newest sessions, and customers, that a search reads."""

LISTED = 500
"""The number of the newest sessions whose owners are listed without a search."""

MAX_COLLECTIONS = 3
"""Limit on the collections of customers that are read."""

_NEWEST_OWNERS = (
    "SELECT user_id FROM (SELECT user_id, key FROM {table} ORDER BY key DESC"
    f" LIMIT {NEWEST}) newest WHERE {{part}} GROUP BY user_id"
    f" ORDER BY max(key) DESC LIMIT {MAX_PERSONS + 1}"
)
_CUSTOMERS = (
    "SELECT id, {name} AS name FROM parlant_store_document"
    " WHERE collection = %s AND id IN ({marks})"
)
_NEWEST_CUSTOMERS = (
    "SELECT id, name FROM ("
    "SELECT id, {name} AS name FROM parlant_store_document WHERE collection = %s AND id IS NOT NULL"
    f" ORDER BY {NEWEST_FIRST} LIMIT {NEWEST}) newest"
    f" WHERE {{condition}} LIMIT {MAX_PERSONS + 1}"
)
_NAME = {
    "postgresql": f"left(data ->> 'name', {NAME + 1})",
    "sqlite": f"substr(json_extract(data, '$.name'), 1, {NAME + 1})",
}


class Person(NamedTuple):
    id: str
    """The value of the column."""

    url: str
    shown_id: str
    name: str


def list_persons(admin: Any, request: HttpRequest) -> HttpResponse:
    models = viewed_models(admin, request)
    query = without_nul(request.GET.get("q", "")).strip()[: codec.MAX_NAME]
    names: dict[str, str] = {}
    is_partial = False
    if Document in models:
        customers, is_partial = _customers(query)
        names |= customers
    for model in (Session, Thread):
        if model in models:
            owners, is_cut = _owners(model, query)
            names |= {owner: names.get(owner, "") for owner in owners}
            is_partial |= is_cut
    persons = [Person(id_, admin.person_url(id_), _shown(id_), names[id_]) for id_ in names]
    exact = codec.to_column(query) if query else ""
    persons.sort(key=lambda one: one.id != exact)
    return show(
        admin,
        request,
        "people.html",
        title=_("People"),
        query=query,
        people=[one for one in persons if one.url][:MAX_PERSONS],
        has_more=len(persons) > MAX_PERSONS,
        exact_url=admin.person_url(exact) if exact and exact not in names else "",
        note=is_partial and grouped(NEWEST),
        people_url=link(admin, "people"),
    )


def _owners(model: type[Model], query: str) -> tuple[list[str], bool]:
    """Return the owners whose id contains ``query``, and whether rows were left unread.

    Ids that begin with it are found by the index, others among the newest sessions or threads.
    """
    newest = model._default_manager.order_by("-key")
    if not query:
        owners = newest.values_list("user_id", flat=True)[:LISTED]
        return list(dict.fromkeys(owner for owner in owners if owner)), False
    start = codec.escape(query)
    connection = connection_of(model)
    part = contains(connection, "user_id")
    sql = _NEWEST_OWNERS.format(table=model._meta.db_table, part=part)
    found = values_starting(model, "user_id", start, connection.alias, MAX_PERSONS + 1)
    found += [name for (name,) in fetch(connection, sql, (start,))]
    return list(dict.fromkeys(found)), bool(newest.values("key")[NEWEST : NEWEST + 1])


def _customers(query: str) -> tuple[dict[str, str], bool]:
    """Return the names of customers by id; of those whose id or name contains ``query``."""
    names = [name for name in collection_names() if name.endswith("customers")]
    collections = names[:MAX_COLLECTIONS]
    if not collections:
        return {}, False
    connection = connection_of(Document)
    parts = [_newest_customers(connection, name, query) for name in collections]
    if query:
        named = search(connection, "", query, kinds=(EVENT,)).customers[:MAX_PERSONS]
        ids = [codec.to_column(query), *named]
        parts += [_customers_of(connection, name, ids) for name in collections]
    rows = fetch_union(connection, parts)
    found = {id_: cut(codec.unescape(name or "")) or "" for id_, name in rows}
    is_partial = any(
        Document.objects.filter(collection=name)
        .order_by(*newest_first())
        .values("key")[NEWEST:][:1]
        for name in collections
    )
    return found, bool(query) and (is_partial or len(names) > MAX_COLLECTIONS)


def _newest_customers(connection: BaseDatabaseWrapper, collection: str, query: str) -> Condition:
    part = " OR ".join(contains(connection, column) for column in ("id", "name"))
    sql = _NEWEST_CUSTOMERS.format(name=_NAME[connection.vendor], condition=part)
    text = codec.escape(query)
    return Condition(sql, (collection, text, text))


def _customers_of(connection: BaseDatabaseWrapper, collection: str, ids: list[str]) -> Condition:
    marks = ", ".join(["%s"] * len(ids))
    sql = _CUSTOMERS.format(name=_NAME[connection.vendor], marks=marks)
    return Condition(sql, (collection, *ids))


def _shown(id_: str) -> str:
    return cut(codec.unescape(id_)) or ""
