"""selectools' ``SessionStore``: its methods, run in the caller's transaction or on a thread.

A memory is saved as items, one for each message, so that it is read, searched and listed like any
session. A session that the OpenAI Agents SDK wrote is loaded as a memory; what a memory cannot
hold stays in the session (parlant_store.adapters.selectools.openai_items).
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from selectools.memory import ConversationMemory
from selectools.sessions import SessionMetadata, SessionSearchResult

from parlant_store.adapters.selectools.keys import Key, check, names_of
from parlant_store.adapters.selectools.message_hashes import MemoryHashes
from parlant_store.adapters.selectools.serialization import serialize
from parlant_store.adapters.selectools.tracked_sessions import TrackedSessions
from parlant_store.backends.contract.validation import check_ttl
from parlant_store.backends.reads import primary_reads
from parlant_store.backends.threads import sync_thread
from parlant_store.exceptions import InvalidInput, SessionNotFound
from parlant_store.handler import stores
from parlant_store.types import JSONObject, SessionSummary

logger = logging.getLogger("parlant_store")

PAGE_SIZE = 10_000
"""How many sessions ``iterate`` reads at once."""

T = TypeVar("T")

# In the class, list is a method.
Metadata = list[SessionMetadata]
Results = list[SessionSearchResult]
Texts = list[str]


class SessionStore:
    """Sessions of one store, as ``AgentConfig(session_store=...)`` takes them.

    One object may be used by any number of threads, and on a thread whose event loop runs:
    there, the store's own threads do the work, outside any transaction. Saving writes the
    changes since this object last loaded or saved the session. If another writer has changed
    it since, saving writes everything: the last snapshot wins, and snapshots are never mixed.

    An id without ``namespace`` refers to a session as follows. A Key, as ``list`` and
    ``search`` return it, to its session. A text without ":" to the session of that id. A text
    with ":" may be the key of several sessions: it refers to the one with this bare id, if it
    exists; else to the one with the shortest namespace among those whose namespace and id it
    joins. ``save`` writes to the session that this object last loaded for the text; if it has
    loaded none, to the one with this bare id, never to one in a namespace.

    Every method may raise the errors of parlant_store.exceptions, and ValueError for ids and
    namespaces that are empty, contain a NUL or have more than 512 characters.
    """

    def __init__(
        self,
        store: str = "default",
        *,
        default_ttl: float | None = None,
        ttl_seconds: float | None = None,
    ) -> None:
        """
        store: alias in PARLANT_STORES.
        default_ttl: how many seconds after its last save a session expires, or after its last
            load with the store's option ttl_refresh "read"; None: the ttl_seconds of the store.
        ttl_seconds: an alias of default_ttl.
        """
        if None not in (default_ttl, ttl_seconds) and default_ttl != ttl_seconds:
            raise ValueError(
                "default_ttl and ttl_seconds are the same option: pass only one of them"
            )
        self.default_ttl = ttl_seconds if default_ttl is None else default_ttl
        check_ttl(self.default_ttl)
        self._store = stores[store]
        self._sessions = TrackedSessions(self._store)
        self._hashes = MemoryHashes()

    def __repr__(self) -> str:
        return f"<SessionStore in {self._store.alias!r}>"

    def save(
        self,
        session_id: str,
        memory: ConversationMemory | JSONObject | None = None,
        namespace: str | None = None,
        *,
        data: JSONObject | None = None,
        user_id: str | None = None,
        ttl_seconds: float | None = None,
    ) -> None:
        """Replace the content of the session by ``memory``, or by a dict that JSON can represent.

        ``data`` is the older name of ``memory``: use one of them. ``user_id`` becomes the owner
        of a session that has none; ``ttl_seconds`` overrides default_ttl.
        """
        if (memory is None) == (data is None):
            raise TypeError("save() takes a ConversationMemory or a dict, as memory or as data")
        name = self._sessions.target(names_of(session_id, namespace))
        # Not on another thread: the caller may hold the memory's lock.
        content = serialize(data if memory is None else memory, self._hashes)
        options = {"user_id": user_id, "ttl_seconds": self._ttl(ttl_seconds)}
        try:
            self._run(self._sessions.save, name, content, options)
        except Exception as exc:
            # selectools' agent ignores the error, and loses the history.
            logger.error("Could not save the session %r: %s", session_id, exc)
            raise

    def load(
        self, session_id: str, namespace: str | None = None
    ) -> ConversationMemory | JSONObject | None:
        """Return the memory or dict that was saved, or None if the session does not exist.

        Damaged messages are left out.
        """
        return self._run(self._sessions.load, names_of(session_id, namespace), self.default_ttl)

    def list(
        self,
        *,
        namespace: str | None = None,
        user_id: str | None = None,
        prefix: str = "",
        updated_since: datetime | float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Metadata:
        """Return the metadata of sessions, in the order of their creation.

        ``namespace`` and ``user_id`` are filters; None matches all, and the namespace "" those
        without a namespace. ``updated_since`` is a datetime or a Unix timestamp, ``prefix`` the
        beginning of the id within the namespace, ``metadata`` a filter
        (parlant_store.content.query). message_count is the number of all items in the session.
        """
        return [
            *self.iterate(
                namespace=namespace,
                user_id=user_id,
                prefix=prefix,
                updated_since=updated_since,
                metadata=metadata,
            )
        ]

    def iterate(
        self,
        *,
        namespace: str | None = None,
        user_id: str | None = None,
        prefix: str = "",
        updated_since: datetime | float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Iterator[SessionMetadata]:
        """Like ``list``, but reads one page at a time."""
        if isinstance(updated_since, (int, float)):
            updated_since = _time(updated_since)
        read_page = partial(
            self._store.list_summaries,
            namespace=namespace,
            user_id=user_id,
            prefix=prefix,
            updated_since=updated_since,
            where=metadata,
            limit=PAGE_SIZE,
        )
        after: int | None = 0
        while after is not None:
            page, after = self._run(partial(read_page, after=after)), None
            for number, session in enumerate(page, 1):
                yield _metadata(session)
                if number == PAGE_SIZE:
                    after = session.key

    def list_sessions(self) -> Texts:
        """Return the full keys of all sessions, in the order of ``list``."""
        return [session.session_id for session in self.iterate()]

    def delete(self, session_id: str, namespace: str | None = None) -> bool:
        """Delete the session; return False if it does not exist or has expired."""
        return self._run(self._sessions.delete, names_of(session_id, namespace))

    def exists(self, session_id: str, namespace: str | None = None) -> bool:
        """Whether the session exists."""
        return self._run(self._sessions.find, names_of(session_id, namespace)) is not None

    def add_usage(
        self, session_id: str, usage: int | Mapping[str, Any], namespace: str | None = None
    ) -> bool:
        """Add the usage of a run to the last turn; return False if there is no session.

        ``usage`` is a number of tokens, or a dict as ``add_usage`` of a store takes it.
        """
        name = self._sessions.target(names_of(session_id, namespace))
        add = partial(self._store.add_usage, namespace=name.namespace)
        return self._run(add, name.session_id, usage)

    def branch(
        self,
        source_id: str,
        new_id: str,
        namespace: str | None = None,
        *,
        before_turn: int | None = None,
        at_position: int | None = None,
    ) -> None:
        """Copy a session with its metadata and owner; the copy replaces a session at ``new_id``.

        With ``before_turn``, copy the messages before that message of a user, counted from 1; with
        ``at_position``, those up to a position of the store.

        Without ``namespace``, ``new_id`` is a bare id, unless it is a Key, or the full key
        of a session in the namespace of the source. Raises ValueError if the source does not
        exist.
        """
        sources, targets = names_of(source_id, namespace), names_of(new_id, namespace)
        try:
            self._run(
                self._sessions.branch, sources, targets, self.default_ttl, before_turn, at_position
            )
        except SessionNotFound as exc:
            raise ValueError(f"Session {source_id!r} not found") from exc

    def search(self, query: str, namespace: str | None = None, limit: int = 5) -> Results:
        """Return sessions with messages of users or assistants that match, best match first.

        ``query`` consists of terms, separated by white space, any of which may match
        (parlant_store.content.text_search). With ``namespace``, the ids in the results are bare
        ids, else full keys.
        """
        if limit <= 0:
            return []
        if namespace is not None:
            check(namespace, "namespace")
        hits = self._run(partial(self._store.search, query, namespace=namespace, limit=limit))
        results = [
            SessionSearchResult(
                session_id=hit.session_id if namespace else Key(hit.session_id, hit.namespace),
                score=hit.score,
                matched_messages=[*hit.snippets],
            )
            for hit in hits
        ]
        return sorted(results, key=lambda result: (-result.score, result.session_id))

    def _run(self, call: Callable[..., T], *args: Any) -> T:
        """Make the call in the caller's transaction, unless this thread runs an event loop."""
        with primary_reads():
            return sync_thread.call(self._store, partial(call, *args))

    def _ttl(self, ttl_seconds: float | None) -> float | None:
        return self.default_ttl if ttl_seconds is None else ttl_seconds


def _time(timestamp: float) -> datetime:
    if not isinstance(timestamp, bool):
        with suppress(OverflowError, ValueError, OSError):
            return datetime.fromtimestamp(timestamp, UTC)
    raise InvalidInput(f"updated_since is no Unix timestamp: {timestamp!r}")


def _metadata(session: SessionSummary) -> SessionMetadata:
    _, namespace, session_id, message_count, created_at, updated_at = session
    # An id without a colon cannot be the key of another session.
    is_bare = not namespace and ":" not in session_id
    key = session_id if is_bare else Key(session_id, namespace)
    return SessionMetadata(key, message_count, created_at, updated_at)
