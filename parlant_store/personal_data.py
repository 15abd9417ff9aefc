"""The personal data of a user in a store: found, exported, erased.

For a user's id, these are:

- sessions with this owner;
- documents with this customer_id;
- in collections whose names end in "customers", the customer with this id, and in those that end
  in "values", the values of variables with this key, unless their customer_id is another one;
- all documents of Parlant sessions with this customer_id (parlant_store.content.related_documents).

A document whose migration failed counts as the original that it contains.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.reads import on_primary
from parlant_store.content import codec
from parlant_store.content.related_documents import (
    collections_by_prefix,
    prefix_of,
    session_prefixes,
    sessions_prefix,
)
from parlant_store.content.times import as_utc
from parlant_store.exceptions import ProtectedRow
from parlant_store.types import (
    FAILED,
    DocumentCursor,
    JSONObject,
    Protected,
    SessionCursor,
    SessionInfo,
)

PAGE_SIZE = 500
"""How many sessions or documents are read at once."""

MAX_SESSIONS = 50
"""Limit on the Parlant sessions whose documents are read in one query."""

MAX_ROUNDS = 5
"""Limit on the passes of ``erase``, of which each finds what was written during the last."""

_USER_FIELDS = {"customers": "id", "values": "key"}
"""The field with the user's id, by the end of the collection's name."""

Where = Mapping[str, Any]


class PersonalDocument(NamedTuple):
    """A document of the user."""

    collection: str
    content: JSONObject
    where: Where
    """The filter that matches it."""


class PersonalData:
    """The data of one user in one store.

    It keeps the ids of the user's Parlant sessions, so that it also finds what is written to one
    after its deletion. It reads from the primary database.
    """

    def __init__(self, store: BaseBackend, user_id: str) -> None:
        """Raises InvalidName."""
        self._store = store
        self.user_id = codec.check_name(user_id, "user_id")
        self._parlant_ids: dict[str, set[str]] = {}
        self._protected: dict[tuple[str, str], Protected] = {}
        self._hidden: set[tuple[str, str]] = set()

    @property
    def protected(self) -> list[Protected]:
        """What ``erase`` could not delete, because rows of the project protect it."""
        return [*self._protected.values()]

    @property
    def hidden(self) -> int:
        """The number of protected rows that have expired, which no read returns."""
        return len(self._hidden)

    @on_primary
    def sessions(self) -> Iterator[SessionInfo]:
        """Return the sessions with this owner."""
        cursor: SessionCursor | None = None
        while True:
            page = self._store.list_sessions(user_id=self.user_id, limit=PAGE_SIZE, cursor=cursor)
            yield from page.sessions
            cursor = page.next_cursor
            if cursor is None:
                return

    @on_primary
    def documents(self) -> Iterator[PersonalDocument]:
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

    @on_primary
    def erase(self) -> Iterator[SessionInfo | PersonalDocument]:
        """Delete all data of the user, and yield each session and document that was deleted.

        Expired rows of all users are deleted first, because reads cannot tell their owner.
        Passes are repeated until one finds nothing, at most MAX_ROUNDS times.
        """
        for batch in self._store.expire_batches():
            if batch.protected and self._store.supports_documents:
                self._find_sessions(self._store.list_collections())
            for row in batch.protected:
                if self._is_own(row):
                    self._add_protected(row)
                    self._hidden.add(_key(row))
        for _ in range(MAX_ROUNDS):
            is_done = True
            for removed in self._erase_once():
                is_done = False
                yield removed
            if is_done:
                break
        # An error here means that items of the user remain.
        self._store.delete_hidden()

    @on_primary
    def exported(self) -> Iterator[JSONObject]:
        """Return all data of the user, a JSON object for each session and document."""
        for session in self.sessions():
            name = {"namespace": session.namespace, "session_id": session.session_id}
            snapshot = self._store.load_snapshot(**name)
            if snapshot is not None:
                yield {"kind": "session", **name, **_details(session)} | {
                    "state": snapshot.state,
                    "items": snapshot.items,
                    "damaged_items": snapshot.revision.item_count - len(snapshot.items),
                }
        for collection, document, _ in self.documents():
            yield {"kind": "document", "collection": collection, "document": document}

    def _erase_once(self) -> Iterator[SessionInfo | PersonalDocument]:
        for session in self.sessions():
            try:
                removed = self._store.delete_session(
                    session.session_id, namespace=session.namespace
                )
            except ProtectedRow as exc:
                self._add_protected(
                    Protected(
                        kind="session",
                        place=session.namespace,
                        id=session.session_id,
                        protected_by=exc.protected_by,
                    )
                )
            else:
                if removed:
                    yield session
        for document in self.documents():
            if not self._has_protected_documents(document):
                yield from self._erase_document(document)

    def _erase_document(self, document: PersonalDocument) -> Iterator[PersonalDocument]:
        where = _exact_filter(document)
        try:
            while self._store.delete_one(document.collection, where) is not None:
                yield document
        except ProtectedRow as exc:
            id_ = document.content.get("id")
            self._add_protected(
                Protected(
                    kind="document",
                    place=document.collection,
                    id=id_ if isinstance(id_, str) else None,
                    protected_by=exc.protected_by,
                    document=document.content,
                )
            )

    def _add_protected(self, row: Protected) -> None:
        self._protected.setdefault(_key(row), row)

    def _has_protected_documents(self, document: PersonalDocument) -> bool:
        """Whether it is a Parlant session with protected documents, whose owner it tells."""
        session = _original(document.collection, document.content)
        return sessions_prefix(document.collection.removesuffix(FAILED)) is not None and any(
            row.document is not None
            and isinstance(session.get("id"), str)
            and _original(row.place, row.document).get("session_id") == session["id"]
            for row in self._protected.values()
        )

    def _is_own(self, row: Protected) -> bool:
        """Whether an expired, protected row may belong to the user."""
        if not row.is_owner_known:
            return True
        if row.document is None:
            return row.user_id == self.user_id
        document = _original(row.place, row.document)
        own_sessions = self._parlant_ids.get(prefix_of(row.place, self._parlant_ids) or "", set())
        return is_own_document(row.place, document, self.user_id, own_sessions)

    def _find_sessions(self, names: list[str]) -> None:
        """Add the ids of the user's Parlant sessions, by prefix."""
        where = {"customer_id": {"$eq": self.user_id}}
        for name in names:
            prefix = sessions_prefix(name.removesuffix(FAILED))
            if prefix is None:
                continue
            session_ids = (
                _original(name, document).get("id")
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
                if document.get("customer_id") != self.user_id:
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
        is_user = {"$eq": self.user_id}
        for name in names:
            field = _field_of(name)
            if field is not None:
                has_no_other_owner = {"$in": [None, self.user_id]}
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
                is_own = _has_user_field(name, _original(name, content), self.user_id)
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


def _original(collection: str, document: JSONObject) -> JSONObject:
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


def _key(row: Protected) -> tuple[str, str]:
    id_ = json.dumps(row.document, sort_keys=True) if row.id is None else f"id {row.id}"
    return row.place, f"{row.kind} {id_}"


def _exact_filter(document: PersonalDocument) -> Where:
    """Return a filter for the document; without an id, for all that filters cannot tell apart."""
    content = document.content
    fields = [*document.where, "id"] if isinstance(content.get("id"), str) else content
    return {name: {"$eq": content.get(name)} for name in fields if not name.startswith("$")}


def _details(session: SessionInfo) -> JSONObject:
    """Return the fields of the session as JSON values."""
    return {
        "user_id": session.user_id,
        "created_at": as_utc(session.created_at).isoformat(),
        "updated_at": as_utc(session.updated_at).isoformat(),
        "expires_at": session.expires_at and as_utc(session.expires_at).isoformat(),
        "metadata": session.metadata,
    }
