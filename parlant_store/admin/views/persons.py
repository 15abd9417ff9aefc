"""The page that finds people: the owners of sessions and Parlant's customers."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from django.db import connections, router
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from parlant_store.admin.documents.collections import collection_names, without_nul
from parlant_store.admin.documents.lookups import json_text, newest_first
from parlant_store.admin.formatting import NAME, cut, grouped
from parlant_store.admin.lookups import COUNTED
from parlant_store.admin.stores.asking import link, show
from parlant_store.admin.views.stores import viewed_models
from parlant_store.content import codec
from parlant_store.models import Document, Session

MAX_PERSONS = 100
"""Limit on the people that are listed."""

MAX_COLLECTIONS = 3
"""Limit on the collections of customers that are read."""

_BEGINNING = """
WITH RECURSIVE steps (name) AS (
    SELECT min(user_id) FROM parlant_store_session WHERE user_id >= %s
    UNION ALL
    SELECT (SELECT min(user_id) FROM parlant_store_session WHERE user_id > name)
    FROM steps WHERE substr(name, 1, %s) = %s
) SELECT name FROM steps WHERE substr(name, 1, %s) = %s LIMIT %s
"""


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
    if Session in models:
        owners, is_cut = _owners(query)
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
        note=is_partial and grouped(COUNTED),
        people_url=link(admin, "people"),
    )


def _owners(query: str) -> tuple[list[str], bool]:
    """Return the owners whose id contains ``query``, and whether sessions were left unread.

    Ids that begin with it are found by the index, others among the newest sessions.
    """
    found = dict.fromkeys(_owners_beginning(codec.escape(query)) if query else ())
    newest = Session.objects.order_by("-key").values_list("user_id", flat=True)
    owners = list(newest[: COUNTED + 1])
    found |= dict.fromkeys(owner for owner in owners[:COUNTED] if owner and _matches(query, owner))
    return list(found), bool(query) and len(owners) > COUNTED


def _owners_beginning(start: str) -> Iterator[str]:
    with connections[router.db_for_read(Session)].cursor() as cursor:
        length = len(start)
        params = (start, length, start, length, start, MAX_PERSONS + 1)
        cursor.execute(_BEGINNING, params)
        yield from (name for (name,) in cursor.fetchall())


def _customers(query: str) -> tuple[dict[str, str], bool]:
    """Return the names of customers by id; of those whose id or name contains ``query``."""
    collections = [name for name in collection_names() if name.endswith("customers")]
    found: dict[str, str] = {}
    is_partial = len(collections) > MAX_COLLECTIONS
    for collection in collections[:MAX_COLLECTIONS]:
        newest = Document.objects.filter(collection=collection).order_by(*newest_first())
        name = Left(json_text(("name",)), NAME + 1)
        rows = list(newest.values_list("document_id", name)[: COUNTED + 1])
        found |= _matching(query, rows[:COUNTED])
        is_partial |= bool(query) and len(rows) > COUNTED
    if query and collections:
        exact = Document.objects.filter(
            collection__in=collections[:MAX_COLLECTIONS], document_id=codec.to_column(query)
        )
        found |= _matching(query, exact.values_list("document_id", name))
    return found, is_partial


def _matching(query: str, rows: Iterable[tuple[Any, Any]]) -> dict[str, str]:
    names = ((id_, cut(codec.unescape(name or "")) or "") for id_, name in rows if id_)
    return {id_: name for id_, name in names if _matches(query, id_, name)}


def _matches(query: str, *texts: str) -> bool:
    return any(query.casefold() in codec.unescape(text).casefold() for text in texts)


def _shown(id_: str) -> str:
    return cut(codec.unescape(id_)) or ""
