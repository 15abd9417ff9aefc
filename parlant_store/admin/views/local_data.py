"""What the local database has of a person."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db import connections, router
from django.db.models import Model
from django.db.models.functions import Left

from parlant_store.admin.conversations.conversation import FRAMEWORKS, PARLANT
from parlant_store.admin.conversations.rows import active_time, read_documents, read_sessions
from parlant_store.admin.documents.collections import MAX_COUNT, collection_names
from parlant_store.admin.documents.lookups import json_text, owned
from parlant_store.admin.formatting import NAME, breakable, column_name, cut
from parlant_store.admin.lookups import COUNTED
from parlant_store.admin.remote_stores import parsed_time
from parlant_store.admin.views.stored_data import (
    MAX_CONVERSATIONS,
    MAX_VARIABLES,
    StoredConversation,
    StoredData,
    StoredDocuments,
    Variable,
    amount,
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
from parlant_store.sql.json_text import JSONText

_COUNT = """
SELECT %s AS collection, count(*), sum(size) FROM (
    SELECT {size} AS size FROM parlant_store_document WHERE collection = %s AND customer_id = %s
    ORDER BY COALESCE(creation_utc, '') DESC, COALESCE(id, '') DESC LIMIT {limit}
) counted
"""
_SIZE = """
SELECT count(*), sum(size) FROM (SELECT {size} AS size FROM {table} WHERE {where} LIMIT {limit}) d
"""


def local_data(
    admin: Any, alias: str, user: str, models: list[type[Model]], *, may_read: bool
) -> StoredData:
    """Return what the local database has; texts of items if the user of the admin may read them."""
    data = StoredData(alias)
    if Session in models:
        _add_sessions(data, admin, codec.to_column(user), may_read)
    if Document in models:
        _add_documents(data, admin, codec.to_column(user), user)
    return data


def _add_sessions(data: StoredData, admin: Any, owner: str, may_read: bool) -> None:
    rows = Session.objects.filter(user_id=owner).order_by("namespace", "session_id")
    listed = list(rows.values_list("updated_at", "key", "item_count")[: COUNTED + 1])
    listed.sort(reverse=True)
    shown = [key for _time, key, _count in listed[:MAX_CONVERSATIONS]]
    data.more_conversations |= len(listed) > len(shown)
    if not shown:
        return
    for row in read_sessions(router.db_for_read(Session), shown, may_read=may_read):
        names = (cut(column_name(name)) for name in (row.namespace, row.session_id))
        data.conversations.append(
            StoredConversation(
                data.store,
                "/".join(name for name in names if name),
                admin.page_url(Session, row.key),
                _stored(row.title) or cut(row.first_message) or "",
                FRAMEWORKS[row.framework],
                row.item_count,
                row.updated_at,
                row.expires_at,
            )
        )
    count, size = _size(SessionItem, "session_key IN ({})", shown)
    data.size = (data.size or 0) + round(size / max(count, 1) * sum(row[2] for row in listed))


def _add_documents(data: StoredData, admin: Any, customer: str, user: str) -> None:
    names = collection_names()
    customers = Document.objects.filter(
        collection__in=[name for name in names if name.endswith("customers")], document_id=customer
    )
    for (text,) in customers.values_list(Left(JSONText("data", "name"), NAME + 1)):
        data.name = data.name or _stored(text) or None
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
    listed = list(rows.values_list("active_minute", "key")[: COUNTED + 1])
    listed.sort(key=lambda row: (row[0] or 0, row[1]), reverse=True)
    shown = [key for _minute, key in listed[:MAX_CONVERSATIONS]]
    data.more_conversations |= len(listed) > len(shown)
    sessions = read_documents(router.db_for_read(Document), shown)
    for row in sessions:
        data.conversations.append(
            StoredConversation(
                data.store,
                cut(column_name(row.document_id)) or str(row.key),
                admin.page_url(Document, row.key),
                _stored(row.title) or _stored(row.first_message),
                FRAMEWORKS[PARLANT],
                row.item_count,
                active_time(row.active_minute) or parsed_time(row.creation_utc),
                row.expires_at,
            )
        )
    own = {sessions_prefix(name) for name in places}
    related = [
        name
        for prefix, group in collections_by_prefix(names, session_prefixes(names)).items()
        if prefix in own
        for name in group
    ]
    ids = [row.document_id for row in sessions if row.document_id]
    if related and ids:
        where = f"collection IN ({', '.join(['%s'] * len(related))}) AND session_id IN ({{}})"
        data.size = (data.size or 0) + _size(Document, where, ids, related)[1]


def _variables(store: str, admin: Any, names: list[str], user: str) -> Iterator[Variable]:
    """Return the values of context variables with this key, by the index on both."""
    titles = dict(
        Document.objects.filter(
            collection__in=[name for name in names if name.endswith("variables")]
        ).values_list("document_id", Left(JSONText("data", "name"), NAME + 1))[:MAX_VARIABLES]
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
        yield Variable(store, _stored(titles.get(row[1])) or _stored(row[1]), _stored(row[2]), url)


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


def _stored(text: Any) -> str:
    """Return the beginning of a text as a document stores it."""
    return cut(codec.unescape(str(text or ""))) or ""
