"""What the local database has of a person."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db import connections, router
from django.db.models import Model, OuterRef, Subquery
from django.db.models.fields.json import KT
from django.db.models.functions import Left

from parlant_store.admin.documents.collections import MAX_COUNT, collection_names
from parlant_store.admin.documents.lookups import json_text, owned
from parlant_store.admin.formatting import NAME, breakable, column_name, cut, session_name
from parlant_store.admin.lookups import COUNTED
from parlant_store.admin.views.stored_data import (
    MAX_CONVERSATIONS,
    MAX_VARIABLES,
    StoredConversation,
    StoredData,
    StoredDocuments,
    Variable,
    amount,
    parsed_time,
    shown_text,
)
from parlant_store.content import codec
from parlant_store.content.related_documents import (
    SESSIONS,
    collections_by_prefix,
    session_prefixes,
    sessions_prefix,
)
from parlant_store.models import Document, Session, SessionItem
from parlant_store.sql.index_expressions import PREFIX, IndexedField

FIRST_ITEMS = 20
"""The number of the first items of a session in which its title is found."""

_COUNT = """
SELECT %s AS collection, count(*), sum(size) FROM (
    SELECT {size} AS size FROM parlant_store_document WHERE collection = %s AND customer_id = %s
    ORDER BY COALESCE(creation_utc, '') DESC, COALESCE(id, '') DESC LIMIT {limit}
) counted
"""
_SIZE = """
SELECT count(*), sum(size) FROM (SELECT {size} AS size FROM {table} WHERE {where} LIMIT {limit}) d
"""


def local_data(admin: Any, alias: str, user: str, models: list[type[Model]]) -> StoredData:
    data = StoredData(alias)
    if Session in models:
        _add_sessions(data, admin, codec.to_column(user))
    if Document in models:
        _add_documents(data, admin, codec.to_column(user), user)
    return data


def _add_sessions(data: StoredData, admin: Any, owner: str) -> None:
    rows = Session.objects.filter(user_id=owner).order_by("namespace", "session_id")
    listed = list(rows.values_list("updated_at", "key", "item_count")[: COUNTED + 1])
    listed.sort(reverse=True)
    shown = listed[:MAX_CONVERSATIONS]
    data.more_conversations |= len(listed) > len(shown)
    if not shown:
        return
    keys = [key for _time, key, _count in shown]
    first = SessionItem.objects.filter(
        session=OuterRef("key"),
        position__lt=OuterRef("next_position") - OuterRef("item_count") + FIRST_ITEMS,
        role="user",
        text__gt="",
    ).order_by("position")
    sessions = (
        Session.objects.defer("metadata", "state", "full_names")
        .annotate(
            title=Left(KT("metadata__title"), NAME + 1),
            first_text=Subquery(first.values(start=Left("text", NAME + 1))[:1]),
            selectools=KT("state__selectools"),
        )
        .filter(key__in=keys)
    )
    for session in sessions:
        data.conversations.append(
            StoredConversation(
                data.store,
                session_name(session),
                admin.page_url(Session, session.key),
                shown_text(session.title) or shown_text(session.first_text),
                "OpenAI Agents" if session.selectools is None else "selectools",
                session.item_count,
                session.updated_at,
                session.expires_at,
            )
        )
    count, size = _size(SessionItem, "session_key IN ({})", keys)
    data.size = (data.size or 0) + round(size / max(count, 1) * sum(row[2] for row in listed))


def _add_documents(data: StoredData, admin: Any, customer: str, user: str) -> None:
    names = collection_names()
    customers = Document.objects.filter(
        collection__in=[name for name in names if name.endswith("customers")], document_id=customer
    )
    for (text,) in customers.values_list(Left(json_text(("name",)), NAME + 1)):
        data.name = data.name or shown_text(text) or None
    data.variables = list(_variables(data.store, admin, names, user))
    collections = [one.collection for one in owned({"customer_id": customer})]
    if not collections:
        return
    for collection, count, size in _counts(collections, customer):
        url = admin.list_url(Document, collection=collection, customer_id=customer)
        title = breakable(column_name(collection) or "")
        data.documents.append(StoredDocuments(data.store, title, amount(count), url))
        data.size = (data.size or 0) + int(size or 0)
    _add_parlant_sessions(data, admin, collections, names, customer)


def _add_parlant_sessions(
    data: StoredData, admin: Any, collections: list[str], names: list[str], customer: str
) -> None:
    places = [name for name in collections if name.endswith(SESSIONS)]
    rows = Document.objects.filter(collection__in=places, customer_id=customer)
    listed = list(rows.values_list("creation_utc", "key")[: COUNTED + 1])
    listed.sort(key=lambda row: (row[0] or "", row[1]), reverse=True)
    shown = listed[:MAX_CONVERSATIONS]
    data.more_conversations |= len(listed) > len(shown)
    if not shown:
        return
    sessions = list(
        Document.objects.defer("data")
        .annotate(title=Left(json_text(("title",)), NAME + 1))
        .filter(key__in=[key for _created, key in shown])
    )
    for document in sessions:
        data.conversations.append(
            StoredConversation(
                data.store,
                cut(column_name(document.document_id)) or str(document.key),
                admin.page_url(Document, document.key),
                shown_text(document.title),
                "Parlant",
                None,
                parsed_time(document.creation_utc),
                document.expires_at,
            )
        )
    prefixes = session_prefixes(names)
    own = {sessions_prefix(name) for name in places}
    related = [
        name
        for prefix, group in collections_by_prefix(names, prefixes).items()
        if prefix in own
        for name in group
    ]
    ids = [document.document_id for document in sessions if document.document_id]
    if related and ids:
        where = f"collection IN ({', '.join(['%s'] * len(related))}) AND session_id IN ({{}})"
        data.size = (data.size or 0) + _size(Document, where, ids, related)[1]


def _variables(store: str, admin: Any, names: list[str], user: str) -> Iterator[Variable]:
    """Return the values of context variables with this key, by the index on both."""
    titles = dict(
        Document.objects.filter(
            collection__in=[name for name in names if name.endswith("variables")]
        ).values_list("document_id", Left(json_text(("name",)), NAME + 1))[:MAX_VARIABLES]
    )
    if not titles:
        return
    key = codec.escape(user)
    values = (
        Document.objects.alias(
            variable=IndexedField("data", "variable_id"),
            start=IndexedField("data", "key"),
            whole=json_text(("key",)),
        )
        .filter(
            collection__in=[name for name in names if name.endswith("values")],
            variable__in={start for id_ in titles if id_ for start in (id_, id_[:PREFIX])},
            start__in={key, key[:PREFIX]},
            whole=key,
        )
        .annotate(
            variable_id=Left(json_text(("variable_id",)), 1_000),
            value=Left(json_text(("data",)), NAME + 1),
        )
    )
    for row in values.values_list("key", "variable_id", "value")[:MAX_VARIABLES]:
        url = admin.page_url(Document, row[0])
        yield Variable(
            store, shown_text(titles.get(row[1])) or shown_text(row[1]), shown_text(row[2]), url
        )


def _counts(collections: list[str], customer: str) -> list[tuple[str, int, Any]]:
    connection = connections[router.db_for_read(Document)]
    sql = _COUNT.format(size=_data_size(connection.vendor), limit=MAX_COUNT + 1)
    params = [part for name in collections for part in (name, name, customer)]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join([sql] * len(collections)), params)
        rows: list[tuple[str, int, Any]] = cursor.fetchall()
    return rows


def _size(
    model: type[Model], where: str, values: list[Any], params: Iterable[Any] = ()
) -> tuple[int, int]:
    """Return the number and the bytes of rows, COUNTED at most."""
    connection = connections[router.db_for_read(model)]
    sql = _SIZE.format(
        size=_data_size(connection.vendor),
        table=model._meta.db_table,
        where=where.format(", ".join(["%s"] * len(values))),
        limit=COUNTED,
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [*params, *values])
        count, size = cursor.fetchone()
    return count, int(size or 0)


def _data_size(vendor: str) -> str:
    return "pg_column_size(data)" if vendor == "postgresql" else "length(data)"
