"""What a remote store has of a person, by the contract of stores."""

import json
from concurrent.futures import Future
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model

from parlant_store.admin.documents.collections import MAX_COUNT
from parlant_store.admin.formatting import breakable, cut
from parlant_store.admin.remote_stores import (
    django_time,
    encode_names,
    link,
    parsed_time,
    result_of,
)
from parlant_store.admin.views.stored_data import (
    MAX_CONVERSATIONS,
    MAX_VARIABLES,
    StoredConversation,
    StoredData,
    StoredDocuments,
    Variable,
    amount,
    string,
)
from parlant_store.backends.base import BaseBackend
from parlant_store.content import codec
from parlant_store.content.related_documents import SESSIONS
from parlant_store.exceptions import StoreError
from parlant_store.models import Document, Session
from parlant_store.types import JSONObject, SessionInfo

MAX_READ = 500
"""Limit on the sessions and the collections that are read; sessions are listed by name."""


class RemoteData(NamedTuple):
    """What a remote store has."""

    sessions: list[SessionInfo]
    parlant: list[tuple[str, JSONObject]]
    """The Parlant sessions with their collections."""

    counts: list[tuple[str, int]]
    variables: list[tuple[str, str, JSONObject]]
    """Values with their collections and the names of their variables."""

    name: str | None
    has_more: bool


def read_data(store: BaseBackend, user: str, models: list[type[Model]]) -> RemoteData:
    """Read the data by the contract, on a thread of the store."""
    found = RemoteData([], [], [], [], None, False)
    if Session in models:
        page = store.list_sessions(user_id=user, limit=MAX_READ)
        found = found._replace(sessions=list(page.sessions), has_more=page.next_cursor is not None)
    if Document not in models or not store.supports_documents:
        return found
    names = store.list_collections()[:MAX_READ]
    variable_names: dict[str, str] = {}
    for collection in names:
        if collection.endswith("variables"):
            documents = store.find(collection, limit=MAX_VARIABLES).documents
            variable_names |= {string(one.get("id")): string(one.get("name")) for one in documents}
    for collection in names:
        if collection.endswith("customers") and (info := store.get_document(collection, user)):
            found = found._replace(name=found.name or string(info.document.get("name")) or None)
        if collection.endswith("values"):
            values = store.find(collection, {"key": {"$eq": user}}, limit=MAX_VARIABLES)
            for value in values.documents:
                title = variable_names.get(string(value.get("variable_id")), "")
                found.variables.append((collection, title, value))
        where = {"customer_id": {"$eq": user}}
        owned = store.find(
            collection, where, limit=MAX_CONVERSATIONS, direction="desc", count=MAX_COUNT + 1
        )
        if owned.total_count:
            found.counts.append((collection, owned.total_count))
        if collection.endswith(SESSIONS):
            found.parlant.extend((collection, one) for one in owned.documents)
            found = found._replace(has_more=found.has_more or owned.has_more)
    return found


def remote_data(
    admin: Any, store: BaseBackend, future: "Future[RemoteData]", until: float
) -> StoredData:
    try:
        found = result_of(future, until - monotonic())
    except (StoreError, ImproperlyConfigured) as exc:
        error = codec.printable(str(exc)) or type(exc).__name__
        return StoredData(store.alias, size=None, error=error)
    data = StoredData(store.alias, size=None, name=found.name and cut(found.name))
    address = partial(link, admin, store=store.alias)
    newest = sorted(found.sessions, key=lambda one: one.updated_at, reverse=True)
    data.more_conversations = found.has_more or len(newest) > MAX_CONVERSATIONS
    for info in newest[:MAX_CONVERSATIONS]:
        names = (cut(info.namespace), cut(info.session_id))
        data.conversations.append(
            StoredConversation(
                store.alias,
                "/".join(name for name in names if name),
                address("stores_session", session=encode_names([info.namespace, info.session_id])),
                cut(string(info.metadata.get("title"))) or "",
                "",
                info.item_count,
                django_time(info.updated_at),
                django_time(info.expires_at),
            )
        )
    for collection, document in found.parlant:
        url = _document_url(address, collection, document)
        data.conversations.append(
            StoredConversation(
                store.alias,
                cut(string(document.get("id"))) or "-",
                url,
                cut(string(document.get("title"))) or "",
                "Parlant",
                None,
                parsed_time(document.get("creation_utc")),
                None,
            )
        )
    for collection, count in found.counts:
        url = address("stores_documents", collection=encode_names([collection]))
        name = breakable(codec.printable(collection))
        data.documents.append(StoredDocuments(store.alias, name, amount(count), url))
    for collection, title, document in found.variables:
        value = document.get("data")
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        url = _document_url(address, collection, document)
        data.variables.append(Variable(store.alias, cut(title) or "-", cut(text) or "", url))
    return data


def _document_url(address: Any, collection: str, document: JSONObject) -> str:
    id_ = document.get("id")
    if not isinstance(id_, str):
        return ""
    return str(address("stores_document", document=encode_names([collection, id_])))
