"""The personal data of a user in a store: found, exported, erased.

For a user's id, these are:

- sessions and threads with this owner;
- documents with this customer_id;
- in collections whose names end in "customers", the customer with this id, and in those that end
  in "values", the values of variables with this key, unless their customer_id is another one;
- all documents of Parlant sessions with this customer_id (parlant_store.content.related_documents).

A document whose migration failed counts as the original that it contains.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.reads import on_primary
from parlant_store.content import codec
from parlant_store.content.related_documents import sessions_prefix
from parlant_store.exceptions import ProtectedRow
from parlant_store.personal_documents import (
    PersonalDocument,
    PersonalDocuments,
    Where,
    original,
)
from parlant_store.personal_threads import exported_thread, owner_and_times
from parlant_store.types import (
    FAILED,
    JSONObject,
    Protected,
    SessionCursor,
    SessionInfo,
    ThreadCursor,
    ThreadInfo,
)

PAGE_SIZE = 500
"""How many sessions are read at once."""

MAX_ROUNDS = 5
"""Limit on the passes of ``erase``, of which each finds what was written during the last."""


class PersonalData:
    """The data of one user in one store.

    It reads from the primary database.
    """

    def __init__(self, store: BaseBackend, user_id: str) -> None:
        """Raises InvalidName."""
        self._store = store
        self.user_id = codec.check_name(user_id, "user_id")
        self._documents = PersonalDocuments(store, self.user_id)
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
    def threads(self) -> Iterator[ThreadInfo]:
        """Return the threads with this owner."""
        cursor: ThreadCursor | None = None
        while self._store.supports_checkpoints:
            page = self._store.list_threads(user_id=self.user_id, limit=PAGE_SIZE, cursor=cursor)
            yield from page.threads
            cursor = page.next_cursor
            if cursor is None:
                return

    @on_primary
    def documents(self) -> Iterator[PersonalDocument]:
        """Return the user's documents, each once, and sessions after their related documents."""
        yield from self._documents.read()

    @on_primary
    def erase(self) -> Iterator[SessionInfo | PersonalDocument | ThreadInfo]:
        """Delete all data of the user, and yield each session, document and thread deleted.

        Expired rows of all users are deleted first, because reads cannot tell their owner.
        Passes are repeated until one finds nothing, at most MAX_ROUNDS times.
        """
        for batch in self._store.expire_batches():
            if batch.protected:
                self._documents.find_sessions()
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
        """Return all data of the user, a JSON object for each session, document and thread."""
        for session in self.sessions():
            name = {"namespace": session.namespace, "session_id": session.session_id}
            # An export does not prolong a session, as load_snapshot may.
            for record in self._store.read_sessions([(session.namespace, session.session_id)]):
                yield {"kind": "session", **name, **_details(session)} | {
                    "state": record.state,
                    "items": record.items,
                    "damaged_items": record.damaged_items,
                    **self._usage(session.session_id, session.namespace),
                }
        for collection, document, _ in self.documents():
            yield {"kind": "document", "collection": collection, "document": document}
        for thread in self.threads():
            yield from exported_thread(self._store, thread)

    def _usage(self, session_id: str, namespace: str) -> JSONObject:
        usage = self._store.get_usage(session_id, namespace=namespace)
        turns = self._store.get_usage(session_id, namespace=namespace, by="turn")
        return {
            "usage": None if usage is None else asdict(usage),
            "turn_usage": {str(turn): asdict(used) for turn, used in turns.items()},
        }

    def _erase_once(self) -> Iterator[SessionInfo | PersonalDocument | ThreadInfo]:
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
        for thread in self.threads():
            if self._store.delete_thread(thread.thread_id, namespace=thread.namespace):
                yield thread

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
        session = original(document.collection, document.content)
        return sessions_prefix(document.collection.removesuffix(FAILED)) is not None and any(
            row.document is not None
            and isinstance(session.get("id"), str)
            and original(row.place, row.document).get("session_id") == session["id"]
            for row in self._protected.values()
        )

    def _is_own(self, row: Protected) -> bool:
        """Whether an expired, protected row may belong to the user."""
        if not row.is_owner_known:
            return True
        if row.document is None:
            return row.user_id == self.user_id
        return self._documents.is_own(row.place, row.document)


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
        **owner_and_times(session),
        "metadata": session.metadata,
        "parent_id": session.parent_id,
        "parent_position": session.parent_position,
    }
