"""The documents of a user in a store, as parlant_store.personal_data describes them."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from parlant_store.backends.base import BaseBackend
from parlant_store.content.related_documents import (
    collections_by_prefix,
    prefix_of,
    session_prefixes,
    sessions_prefix,
)
from parlant_store.types import FAILED, DocumentCursor, JSONObject

PAGE_SIZE = 500
"""How many documents are read at once."""

MAX_SESSIONS = 50
"""Limit on the Parlant sessions whose documents are read in one query."""

_USER_FIELDS = {"customers": "id", "values": "key"}
"""The field with the user's id, by the end of the collection's name."""

Where = Mapping[str, Any]


class PersonalDocument(NamedTuple):
    """A document of the user."""

    collection: str
    content: JSONObject
    where: Where
    """The filter that matches it."""


class PersonalDocuments:
    """The documents of one user in one store.

    It keeps the ids of the user's Parlant sessions, so that it also finds what is written to one
    after its deletion.
    """

    def __init__(self, store: BaseBackend, user_id: str) -> None:
        self._store = store
        self._user_id = user_id
        self._parlant_ids: dict[str, set[str]] = {}

    def read(self) -> Iterator[PersonalDocument]:
        """Return the user's documents, each once, and sessions after their related documents."""
        if not self._store.supports_documents:
            return
        seen: set[tuple[str, str]] = set()
        names = self._store.list_collections()
        self._find_sessions(names)
        for collection, where in [*self._session_filters(names), *self._user_filters(names)]:
            for content in self._store.find(collection, where).documents:
                document = PersonalDocument(collection, content, where)
                if (name := _identity(document)) not in seen:
                    seen.add(name)
                    yield document
        yield from self._failed_migrations(names, seen)

    def find_sessions(self) -> None:
        """Keep the ids of the user's Parlant sessions, if the store has documents."""
        if self._store.supports_documents:
            self._find_sessions(self._store.list_collections())

    def is_own(self, collection: str, content: JSONObject) -> bool:
        """Whether a document that ``read`` may not return any more is the user's."""
        document = original(collection, content)
        own_sessions = self._parlant_ids.get(prefix_of(collection, self._parlant_ids) or "", set())
        return is_own_document(collection, document, self._user_id, own_sessions)

    def _find_sessions(self, names: list[str]) -> None:
        """Add the ids of the user's Parlant sessions, by prefix."""
        where = {"customer_id": {"$eq": self._user_id}}
        for name in names:
            prefix = sessions_prefix(name.removesuffix(FAILED))
            if prefix is None:
                continue
            session_ids = (
                original(name, document).get("id")
                for document in self._store.find(name, where).documents
            )
            ids = {id_ for id_ in session_ids if isinstance(id_, str)}
            if name.endswith(FAILED):
                ids -= self._other_users_ids(name.removesuffix(FAILED), ids)
            self._parlant_ids.setdefault(prefix, set()).update(ids)

    def _other_users_ids(self, collection: str, ids: set[str]) -> set[str]:
        """Return those of ``ids`` that are now sessions of another user."""
        ordered, others = sorted(ids), set()
        for start in range(0, len(ordered), PAGE_SIZE):
            where = {"id": {"$in": ordered[start : start + PAGE_SIZE]}}
            for document in self._store.find(collection, where).documents:
                if document.get("customer_id") != self._user_id:
                    others.add(str(document["id"]))
        return others

    def _session_filters(self, names: list[str]) -> Iterator[tuple[str, Where]]:
        """Return collections with filters for the documents of the user's Parlant sessions."""
        related = collections_by_prefix(names, session_prefixes(names) | self._parlant_ids.keys())
        for prefix, session_ids in self._parlant_ids.items():
            ids = sorted(session_ids)
            for start in range(0, len(ids), MAX_SESSIONS):
                where = {"session_id": {"$in": ids[start : start + MAX_SESSIONS]}}
                yield from ((name, where) for name in related[prefix])

    def _user_filters(self, names: list[str]) -> Iterator[tuple[str, Where]]:
        """Return collections with filters for the fields that hold the user's id."""
        is_user = {"$eq": self._user_id}
        for name in names:
            field = _field_of(name)
            if field is not None:
                has_no_other_owner = {"$in": [None, self._user_id]}
                yield name, {field: is_user, "customer_id": has_no_other_owner}
            yield name, {"customer_id": is_user}

    def _failed_migrations(
        self, names: list[str], seen: set[tuple[str, str]]
    ) -> Iterator[PersonalDocument]:
        """Return customers and values whose migration failed, which no filter can select."""
        for name in names:
            if not name.endswith(FAILED) or _field_of(name) is None:
                continue
            for content in self._read_all(name):
                document = PersonalDocument(name, content, {})
                is_own = _has_user_field(name, original(name, content), self._user_id)
                if is_own and _identity(document) not in seen:
                    yield document

    def _read_all(self, collection: str) -> Iterator[JSONObject]:
        cursor: DocumentCursor | None = None
        while True:
            page = self._store.find(collection, limit=PAGE_SIZE, cursor=cursor)
            yield from page.documents
            cursor = page.next_cursor
            if cursor is None:
                return


def is_own_document(
    collection: str, document: JSONObject, user_id: str, session_ids: Collection[str]
) -> bool:
    """Whether a document is the user's; ``session_ids`` are those of the user's sessions."""
    return (
        document.get("customer_id") == user_id
        or document.get("session_id") in session_ids
        or _has_user_field(collection, document, user_id)
    )


def _has_user_field(collection: str, document: JSONObject, user_id: str) -> bool:
    """Whether it is the user's customer document, or the value of a variable of the user."""
    field = _field_of(collection)
    has_other_owner = document.get("customer_id") not in (None, user_id)
    return field is not None and document.get(field) == user_id and not has_other_owner


def original(collection: str, document: JSONObject) -> JSONObject:
    """Return the original document of a failed migration, or ``document`` itself."""
    inner = document.get("document")
    return inner if collection.endswith(FAILED) and isinstance(inner, dict) else document


def _field_of(collection: str) -> str | None:
    """Return the field with the user's id in documents of the collection."""
    name = collection.removesuffix(FAILED)
    return next((field for suffix, field in _USER_FIELDS.items() if name.endswith(suffix)), None)


def _identity(document: PersonalDocument) -> tuple[str, str]:
    """Return a key that only equal documents share, if they have no id."""
    id_ = document.content.get("id")
    if isinstance(id_, str):
        return document.collection, f"id {id_}"
    return document.collection, json.dumps(document.content, sort_keys=True)
