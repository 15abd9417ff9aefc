"""Everything of one person in a store: found, exported, erased.

It is, for a person's id: the sessions whose owner it is; the documents whose customer_id it
is; the customer of this id, in collections whose names end in "customers"; the values of
variables with this key, in those that end in "values"; and all documents of the person's
Parlant sessions, which are those of the documents in collections that end in "sessions" whose
customer it is. What could not be migrated and was set aside counts as what it was.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from parlant_store import codec
from parlant_store.backends.base import BaseBackend
from parlant_store.types import FAILED, DocumentCursor, JSONObject, SessionCursor, SessionInfo

PAGE = 500
"""How many are read at once."""

SESSIONS = 50
"""Of how many of Parlant's sessions all documents are read at once."""

ROUNDS = 5
"""How often it is looked again for what somebody writes while the person is erased."""

_END = "sessions"
_KEPT_UNDER = {"customers": "id", "values": "key"}
"""The field that holds the person's id, by the end of the collection's name."""

Where = Mapping[str, Any]


class PersonDocument(NamedTuple):
    """A document of the person's."""

    collection: str
    document: JSONObject
    where: Where
    """What made it the person's."""


class Person:
    """One person in one store.

    The ids of the person's Parlant sessions are remembered: what is written to one after it was
    erased is found still.
    """

    def __init__(self, store: BaseBackend, user_id: str) -> None:
        """Raises InvalidName."""
        self._store = store
        self.user_id = codec.check_name(user_id, "user_id")
        self._parlant: dict[str, set[str]] = {}

    def sessions(self) -> Iterator[SessionInfo]:
        """The sessions whose owner the person is."""
        cursor: SessionCursor | None = None
        while True:
            page = self._store.list_sessions(user_id=self.user_id, limit=PAGE, cursor=cursor)
            yield from page.sessions
            cursor = page.next_cursor
            if cursor is None:
                return

    def documents(self) -> Iterator[PersonDocument]:
        """The person's documents, each once; those that lead to others come after these."""
        if not self._store.supports_documents:
            return
        seen: set[tuple[str, str]] = set()
        names = self._store.list_collections()
        self._learn_sessions(names)
        for collection, where in [*self._of_sessions(names), *self._by_field(names)]:
            for document in self._store.find(collection, where).documents:
                found = PersonDocument(collection, document, where)
                if (name := _identity(found)) not in seen:
                    seen.add(name)
                    yield found
        yield from self._set_aside(names, seen)

    def erase(self) -> Iterator[SessionInfo | PersonDocument]:
        """Remove everything of the person's, and give each that was removed.

        What has expired, of whomever, is removed first: nobody sees any more whose it was. It
        is looked again until nothing is found, but not for ever.
        """
        for _ in self._store.expire_batches():
            pass
        for _ in range(ROUNDS):
            is_done = True
            for removed in self._erase_once():
                is_done = False
                yield removed
            if is_done:
                return

    def exported(self) -> Iterator[JSONObject]:
        """Everything of the person's, each as a JSON object."""
        for session in self.sessions():
            name = {"namespace": session.namespace, "session_id": session.session_id}
            snapshot = self._store.load_snapshot(**name)
            if snapshot is not None:
                yield {"kind": "session", **name, **_known(session)} | {
                    "state": snapshot.state,
                    "items": snapshot.items,
                    "damaged_items": snapshot.revision.item_count - len(snapshot.items),
                }
        for collection, document, _ in self.documents():
            yield {"kind": "document", "collection": collection, "document": document}

    def _erase_once(self) -> Iterator[SessionInfo | PersonDocument]:
        for session in self.sessions():
            if self._store.delete_session(session.session_id, namespace=session.namespace):
                yield session
        for found in self.documents():
            where = _exactly(found)
            while self._store.delete_one(found.collection, where) is not None:
                yield found

    def _learn_sessions(self, names: list[str]) -> None:
        """Remember the ids of the person's Parlant sessions, by how their collections begin."""
        where = {"customer_id": {"$eq": self.user_id}}
        for name in names:
            collection = name.removesuffix(FAILED)
            if not collection.endswith(_END):
                continue
            ids = self._parlant.setdefault(collection.removesuffix(_END), set())
            for document in self._store.find(name, where).documents:
                id_ = _original(name, document).get("id")
                if isinstance(id_, str):
                    ids.add(id_)

    def _of_sessions(self, names: list[str]) -> Iterator[tuple[str, Where]]:
        """The collections in which documents of Parlant sessions may be, with filters."""
        for prefix, known in self._parlant.items():
            ids = sorted(known)
            for start in range(0, len(ids), SESSIONS):
                where = {"session_id": {"$in": ids[start : start + SESSIONS]}}
                yield from ((name, where) for name in names if name.startswith(prefix))

    def _by_field(self, names: list[str]) -> Iterator[tuple[str, Where]]:
        is_person = {"$eq": self.user_id}
        for name in names:
            for end, field in _KEPT_UNDER.items():
                if name.removesuffix(FAILED).endswith(end):
                    yield name, {field: is_person}
            yield name, {"customer_id": is_person}

    def _set_aside(self, names: list[str], seen: set[tuple[str, str]]) -> Iterator[PersonDocument]:
        """Customers and values inside others: no filter looks there, so all are looked at."""
        for name in names:
            for end, field in _KEPT_UNDER.items():
                if not name.endswith(end + FAILED):
                    continue
                for document in self._all_of(name):
                    found = PersonDocument(name, document, {})
                    is_persons = _original(name, document).get(field) == self.user_id
                    if is_persons and _identity(found) not in seen:
                        yield found

    def _all_of(self, collection: str) -> Iterator[JSONObject]:
        cursor: DocumentCursor | None = None
        while True:
            page = self._store.find(collection, limit=PAGE, cursor=cursor)
            yield from page.documents
            cursor = page.next_cursor
            if cursor is None:
                return


def _original(collection: str, document: JSONObject) -> JSONObject:
    """The document that was set aside, where it stands in another."""
    inner = document.get("document")
    return inner if collection.endswith(FAILED) and isinstance(inner, dict) else document


def _identity(found: PersonDocument) -> tuple[str, str]:
    """What tells it from the others; those without an id are one when they are equal."""
    id_ = found.document.get("id")
    if isinstance(id_, str):
        return found.collection, f"id {id_}"
    return found.collection, json.dumps(found.document, sort_keys=True)


def _exactly(found: PersonDocument) -> Where:
    """A filter that finds it; where it has no id, all that are equal as far as filters can say."""
    document = found.document
    fields = [*found.where, "id"] if isinstance(document.get("id"), str) else document
    return {name: {"$eq": document.get(name)} for name in fields if not name.startswith("$")}


def _known(session: SessionInfo) -> JSONObject:
    """What a listing says of the session, in JSON's words."""
    return {
        "user_id": session.user_id,
        "created_at": session.created_at.isoformat(),
        "updated_at": session.updated_at.isoformat(),
        "expires_at": session.expires_at and session.expires_at.isoformat(),
        "metadata": session.metadata,
    }
