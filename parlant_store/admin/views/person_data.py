"""What the stores have of a person: conversations, documents and context variables."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db import router
from django.db.models import Model, QuerySet
from django.db.models.functions import Left
from django.utils.translation import gettext as _

from parlant_store.admin.conversations.conversation import Conversation
from parlant_store.admin.conversations.header import Links, listed
from parlant_store.admin.conversations.local import Access, document_conversation, row_conversation
from parlant_store.admin.conversations.remote import document_of
from parlant_store.admin.conversations.rows import Persons, read_documents, read_sessions
from parlant_store.admin.conversations.threads import read_threads
from parlant_store.admin.documents.lookups import (
    DATA_SIZE,
    MAX_COUNT,
    collection_names,
    json_text,
    owned,
)
from parlant_store.admin.formatting import NAME, breakable, column_name, cut, grouped, text_of
from parlant_store.admin.lookups import COUNTED, NEWEST_FIRST, connection_of, fetch
from parlant_store.admin.views.base import encode_names, error_message, result_of
from parlant_store.backends.base import BaseBackend
from parlant_store.content import codec
from parlant_store.content.related_documents import (
    SESSIONS,
    collections_by_prefix,
    session_prefixes,
    sessions_prefix,
)
from parlant_store.exceptions import AccessDenied, StoreError
from parlant_store.models import (
    ChannelValue,
    CheckpointWrite,
    Document,
    Session,
    SessionItem,
    Thread,
)
from parlant_store.sql.index_expressions import PREFIX, IndexedField
from parlant_store.sql.json_text import JSONText
from parlant_store.types import JSONObject, SessionInfo, ThreadInfo

MAX_CONVERSATIONS = 50
"""Limit on the conversations that are shown of a store."""

MAX_VARIABLES = 500
"""Limit on the context variables whose values are read."""

MAX_READ = 500
"""Limit on the sessions and the collections of a remote store that are read."""

_COUNT = f"""
SELECT %s AS collection, count(*), sum(size) FROM (
    SELECT {{size}} AS size FROM parlant_store_document
    WHERE collection = %s AND customer_id = %s ORDER BY {NEWEST_FIRST} LIMIT {MAX_COUNT + 1}
) counted
"""
_SIZE = """
SELECT count(*), sum(size) FROM (SELECT {size} AS size FROM {table} WHERE {where} LIMIT {limit}) d
"""
_NAME = Left(JSONText("data", "name"), NAME + 1)


class StoredDocuments(NamedTuple):
    """The documents of the person in a collection."""

    store: str
    collection: str
    amount: str
    url: str


class Variable(NamedTuple):
    """A context variable of the person."""

    store: str
    name: str
    value: str
    url: str


@dataclass
class StoredData:
    """What a store has of a person."""

    store: str
    conversations: list[Conversation] = field(default_factory=list)
    documents: list[StoredDocuments] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)
    name: str | None = None
    """The name in a collection of customers."""

    size: int | None = 0
    """The number of bytes, an estimate; None: unknown."""

    more_conversations: bool = False
    error: str = ""

    def add_size(self, size: int) -> None:
        self.size = (self.size or 0) + size

    def newest(self, rows: QuerySet[Any], *names: str) -> list[tuple[Any, ...]]:
        """Return values of rows, by the first and the second name; COUNTED + 1 at most."""
        found = list(rows.values_list(*names)[: COUNTED + 1])
        self.more_conversations |= len(found) > MAX_CONVERSATIONS
        return sorted(found, key=lambda row: (row[0] or 0, row[1]), reverse=True)

    def add(self, conversation: Conversation, **changes: Any) -> None:
        self.conversations.append(replace(conversation, store=self.store, **changes))

    def add_documents(self, collection: str, count: int, url: str) -> None:
        amount = grouped(count)
        if count > MAX_COUNT:
            amount = _("more than %(number)s") % {"number": grouped(MAX_COUNT)}
        self.documents.append(StoredDocuments(self.store, breakable(collection), amount, url))


def local_data(
    links: Links, alias: str, user: str, models: list[type[Model]], access: Access
) -> StoredData:
    """Return what the local database has; texts if the user of the admin may read them."""
    data = StoredData(alias)
    if Session in models:
        _add_sessions(data, links, codec.to_column(user), access.items)
    if Thread in models:
        _add_threads(data, links, codec.to_column(user), access.checkpoints)
    if Document in models:
        _add_documents(data, links, codec.to_column(user), user)
    return data


def _add_sessions(data: StoredData, links: Links, owner: str, may_read: bool) -> None:
    rows = Session.objects.filter(user_id=owner).order_by("namespace", "session_id")
    listed = data.newest(rows, "updated_at", "key", "item_count")
    shown = [key for _time, key, _count in listed[:MAX_CONVERSATIONS]]
    if not shown:
        return
    for row in read_sessions(router.db_for_read(Session), shown, may_read=may_read):
        data.add(row_conversation(row, "", links))
    count, size = _size(SessionItem, "session_key IN ({})", shown)
    data.add_size(round(size / max(count, 1) * sum(row[2] for row in listed)))


def _add_threads(data: StoredData, links: Links, owner: str, may_read: bool) -> None:
    rows = Thread.objects.filter(user_id=owner).order_by("namespace", "thread_id")
    shown = [key for _time, key in data.newest(rows, "updated_at", "key")[:MAX_CONVERSATIONS]]
    if not shown:
        return
    for row in read_threads(router.db_for_read(Thread), shown, may_read=may_read):
        data.add(row_conversation(row, "", links))
    for model in (ChannelValue, CheckpointWrite):
        data.add_size(_size(model, "thread_key IN ({})", shown, column="value")[1])


def _add_documents(data: StoredData, links: Links, customer: str, user: str) -> None:
    names = collection_names()
    customers = Document.objects.filter(
        collection__in=[name for name in names if name.endswith("customers")], document_id=customer
    )
    for (text,) in customers.values_list(_NAME):
        data.name = data.name or _stored(text) or None
    data.variables = list(_variables(data.store, links, names, user))
    collections = [one.collection for one in owned({"customer_id": customer})]
    if not collections:
        return
    vendor = connection_of(Document).vendor
    sql = _COUNT.format(size=DATA_SIZE[vendor])
    params = [part for name in collections for part in (name, name, customer)]
    for collection, count, size in fetch(
        connection_of(Document), " UNION ALL ".join([sql] * len(collections)), params
    ):
        url = links.admin.list_url(Document, collection=collection, customer_id=customer)
        data.add_documents(column_name(collection) or "", count, url)
        data.add_size(int(size or 0))
    _add_parlant_sessions(data, links, collections, names, customer)


def _add_parlant_sessions(
    data: StoredData, links: Links, collections: list[str], names: list[str], customer: str
) -> None:
    places = [name for name in collections if name.endswith(SESSIONS)]
    rows = Document.objects.filter(collection__in=places, customer_id=customer)
    shown = [key for _minute, key in data.newest(rows, "active_minute", "key")[:MAX_CONVERSATIONS]]
    sessions = read_documents(router.db_for_read(Document), shown)
    for row in sessions:
        data.add(document_conversation(row, Persons(), "", links))
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
        data.add_size(_size(Document, where, ids, related)[1])


def _variables(store: str, links: Links, names: list[str], user: str) -> Iterator[Variable]:
    """Return the values of context variables with this key, by the index on both."""
    variables = [name for name in names if name.endswith("variables")]
    titles = Document.objects.filter(collection__in=variables).values_list("document_id", _NAME)
    title_of = dict(titles[:MAX_VARIABLES])
    if not title_of:
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
            variable__in={start for id_ in title_of if id_ for start in (id_, id_[:PREFIX])},
            start__in={key, key[:PREFIX]},
            whole=key,
        )
        .annotate(
            variable_id=Left(json_text(("variable_id",)), 1_000),
            value=Left(json_text(("data",)), NAME + 1),
        )
    )
    for row_key, id_, value in values.values_list("key", "variable_id", "value")[:MAX_VARIABLES]:
        url = links.admin.page_url(Document, row_key)
        yield Variable(store, _stored(title_of.get(id_)) or _stored(id_), _stored(value), url)


def _size(
    model: type[Model],
    where: str,
    values: list[Any],
    params: Iterable[Any] = (),
    column: str = "data",
) -> tuple[int, int]:
    """Return the number and the bytes of rows, COUNTED at most."""
    sql = _SIZE.format(
        size=DATA_SIZE[connection_of(model).vendor].replace("data", column),
        table=model._meta.db_table,
        where=where.format(", ".join(["%s"] * len(values))),
        limit=COUNTED,
    )
    ((count, size),) = fetch(connection_of(model), sql, [*params, *values])
    return count, int(size or 0)


def _stored(text: Any) -> str:
    """Return the beginning of a text as a document stores it."""
    return cut(codec.unescape(str(text or ""))) or ""


@dataclass
class RemoteData:
    """What a remote store has."""

    sessions: Sequence[SessionInfo] = ()
    threads: Sequence[ThreadInfo] = ()
    parlant: list[tuple[str, JSONObject]] = field(default_factory=list)
    """The Parlant sessions with their collections."""

    counts: list[tuple[str, int]] = field(default_factory=list)
    variables: list[tuple[str, str, JSONObject]] = field(default_factory=list)
    """Values with their collections and the names of their variables."""

    name: str | None = None
    has_more: bool = False


def read_data(store: BaseBackend, user: str, models: list[type[Model]]) -> RemoteData:
    """Read the data by the contract, on a thread of the store."""
    found = RemoteData()
    if Session in models:
        page = store.list_sessions(user_id=user, limit=MAX_READ)
        found.sessions, found.has_more = page.sessions, page.next_cursor is not None
    if Thread in models and store.supports_checkpoints:
        with suppress(AccessDenied):
            threads = store.list_threads(user_id=user, limit=MAX_READ)
            found.threads = threads.threads
            found.has_more |= threads.next_cursor is not None
    if Document not in models or not store.supports_documents:
        return found
    names = store.list_collections()[:MAX_READ]
    variable_names: dict[str, str] = {}
    for collection in names:
        if collection.endswith("variables"):
            documents = store.find(collection, limit=MAX_VARIABLES).documents
            variable_names |= {
                text_of(one.get("id")): text_of(one.get("name")) for one in documents
            }
    for collection in names:
        if collection.endswith("customers") and (info := store.get_document(collection, user)):
            found.name = found.name or text_of(info.document.get("name")) or None
        if collection.endswith("values"):
            values = store.find(collection, {"key": {"$eq": user}}, limit=MAX_VARIABLES)
            for value in values.documents:
                title = variable_names.get(text_of(value.get("variable_id")), "")
                found.variables.append((collection, title, value))
        where = {"customer_id": {"$eq": user}}
        owned = store.find(
            collection, where, limit=MAX_CONVERSATIONS, direction="desc", count=MAX_COUNT + 1
        )
        if owned.total_count:
            found.counts.append((collection, owned.total_count))
        if collection.endswith(SESSIONS):
            found.parlant.extend((collection, one) for one in owned.documents)
            found.has_more |= owned.has_more
    return found


def remote_data(
    links: Links, store: BaseBackend, future: "Future[RemoteData]", until: float
) -> StoredData:
    try:
        found = result_of(future, until - monotonic())
    except (StoreError, ImproperlyConfigured) as exc:
        return StoredData(store.alias, size=None, error=error_message(exc))
    data = StoredData(store.alias, size=None, name=found.name and cut(found.name))
    data.more_conversations = found.has_more
    kinds: list[Sequence[SessionInfo | ThreadInfo]] = [found.threads, found.sessions]
    for infos in kinds:
        newest = sorted(infos, key=lambda one: one.updated_at, reverse=True)
        data.more_conversations |= len(newest) > MAX_CONVERSATIONS
        for info in newest[:MAX_CONVERSATIONS]:
            data.add(listed(info, store.alias, links))
    for collection, document in found.parlant:
        one = document_of(collection, document, store.alias, links)
        data.add(one, name=one.name or "-")
    address = partial(links.page, store=store.alias)
    for collection, count in found.counts:
        url = address("stores_documents", collection=encode_names([collection]))
        data.add_documents(codec.printable(collection), count, url)
    for collection, title, document in found.variables:
        value = document.get("data")
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        url = links.remote(store.alias, Document, collection, document.get("id"))
        data.variables.append(Variable(store.alias, cut(title) or "-", cut(text) or "", url))
    return data
