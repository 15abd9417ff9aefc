"""The ``SessionStore`` of selectools (selectools.sessions) on a store.

::

    from parlant_store.adapters.selectools import SessionStore

    config = AgentConfig(session_store=SessionStore(), session_id="session-1")

A memory is saved as items, one for each message, so that it is read, searched and listed as
any session is; a session that the OpenAI Agents SDK wrote is loaded as a memory, and what a
memory cannot say of it stays where it is (parlant_store.adapters.selectools.foreign).
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from parlant_store.adapters.extras import missing_extra
from parlant_store.adapters.selectools.keys import Key, check, names_of
from parlant_store.adapters.selectools.remembered import Known, Remembered, overlap
from parlant_store.backends.arguments import SessionName, check_ttl
from parlant_store.exceptions import SessionNotFound
from parlant_store.handler import stores
from parlant_store.types import JSONObject, Revision, SessionSummary

try:
    from selectools.memory import ConversationMemory
    from selectools.sessions import SessionMetadata, SessionSearchResult

    from parlant_store.adapters.selectools.contents import Content, content_of, loaded_from
except ImportError as exc:
    raise missing_extra("selectools", "selectools") from exc

__all__ = ["Key", "SessionStore"]

logger = logging.getLogger("parlant_store")

PAGE = 10_000
"""How many sessions ``iterate`` asks for at once."""

T = TypeVar("T")

# In the class, list is a method.
Metadata = list[SessionMetadata]
Results = list[SessionSearchResult]
Texts = list[str]


class SessionStore:
    """Sessions of one store, as ``AgentConfig(session_store=...)`` takes them.

    One object may be used by any number of threads, and on a thread whose event loop runs:
    there, the store's own threads do the work, outside any transaction. Saving writes what
    changed since this object last loaded or saved the session; if somebody else wrote to it
    meanwhile, everything: the last snapshot wins, and none is mixed with another.

    Which session an id without ``namespace`` means: a Key, as ``list`` and ``search`` give
    it, that of the key. A text without ":", the session of that id. A text with ":" may be
    the key of several: it means the one whose bare id it is, if there is one; else, of those
    whose namespace and id it joins, the one with the shortest namespace. ``save`` goes back
    to the session that this object last loaded for the text; if it loaded none, to that
    whose bare id it is, and never to one of a namespace.

    Every method may raise what parlant_store.exceptions lists. Ids and namespaces that are
    empty, hold a NUL or more than 512 characters are a ValueError.
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
        default_ttl: how many seconds a session lives after it was last saved; None: as the
            store says.
        ttl_seconds: another name of default_ttl.
        """
        if None not in (default_ttl, ttl_seconds) and default_ttl != ttl_seconds:
            raise ValueError("default_ttl and ttl_seconds are two names of one thing: give one")
        self.default_ttl = ttl_seconds if default_ttl is None else default_ttl
        check_ttl(self.default_ttl)
        self._store = stores[store]
        self._remembered = Remembered()

    def __repr__(self) -> str:
        return f"<SessionStore in {self._store.alias!r}>"

    def save(
        self,
        session_id: str,
        memory: ConversationMemory | JSONObject,
        namespace: str | None = None,
        *,
        user_id: str | None = None,
        ttl_seconds: float | None = None,
    ) -> None:
        """Save ``memory``, or a dict that JSON can say, in place of what the session had.

        ``user_id`` becomes the session's owner if it has none; ``ttl_seconds`` takes the
        place of default_ttl.
        """
        name = self._origin(names_of(session_id, namespace))
        # Here, not on another thread: the caller may hold the memory's lock.
        content = content_of(memory)
        options = {"user_id": user_id, "ttl_seconds": self._ttl(ttl_seconds)}
        try:
            self._run(self._save, name, content, options)
        except Exception as exc:
            # An agent of selectools drops the error, and the history with it.
            logger.error("Could not save the session %r: %s", session_id, exc)
            raise

    def load(
        self, session_id: str, namespace: str | None = None
    ) -> ConversationMemory | JSONObject | None:
        """Return what was saved, a memory or a dict; None when there is no such session.

        What is damaged is left out.
        """
        return self._run(self._load, names_of(session_id, namespace))

    def list(
        self,
        *,
        namespace: str | None = None,
        user_id: str | None = None,
        prefix: str = "",
        updated_since: datetime | float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Metadata:
        """Return what is known of each session, in the order in which they began.

        ``namespace`` and ``user_id`` narrow it; None means any, the namespace "" none.
        ``updated_since`` is a datetime or a Unix timestamp, ``prefix`` what the id within the
        namespace begins with, ``metadata`` a filter (parlant_store.query). message_count
        counts items: all that the session holds, whoever wrote them.
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
        """``list`` for more sessions than memory should hold: they come page by page."""
        if isinstance(updated_since, (int, float)):
            updated_since = datetime.fromtimestamp(updated_since, UTC)
        ask = partial(
            self._store.list_summaries,
            namespace=namespace,
            user_id=user_id,
            prefix=prefix,
            updated_since=updated_since,
            where=metadata,
            limit=PAGE,
        )
        after: int | None = 0
        while after is not None:
            page, after = self._run(partial(ask, after=after)), None
            for number, session in enumerate(page, 1):
                yield _metadata(session)
                if number == PAGE:
                    after = session.key

    def list_sessions(self) -> Texts:
        """Return the full key of each session, as ``list`` does."""
        return [session.session_id for session in self.iterate()]

    def delete(self, session_id: str, namespace: str | None = None) -> bool:
        """Remove the session; False when there was none, or it had expired."""
        return self._run(self._delete, names_of(session_id, namespace))

    def exists(self, session_id: str, namespace: str | None = None) -> bool:
        """Whether there is such a session."""
        return self._run(self._find, names_of(session_id, namespace)) is not None

    def branch(self, source_id: str, new_id: str, namespace: str | None = None) -> None:
        """Copy a session with its metadata and owner; what ``new_id`` had before goes.

        Without ``namespace``, ``new_id`` is a bare id, unless it is a Key, or the full key
        of a session in the namespace of the source. Raises ValueError when there is no source.
        """
        sources, targets = names_of(source_id, namespace), names_of(new_id, namespace)
        try:
            self._run(self._branch, sources, targets)
        except SessionNotFound as exc:
            raise ValueError(f"Session {source_id!r} not found") from exc

    def search(self, query: str, namespace: str | None = None, limit: int = 5) -> Results:
        """Return sessions whose messages of users and assistants match, the best first.

        ``query`` is terms by white space, any of which is enough (parlant_store.search).
        With ``namespace`` the ids are those within it, else full keys.
        """
        if limit <= 0:
            return []
        if namespace is not None:
            check(namespace, "namespace")
        hits = self._run(partial(self._store.search, query, namespace=namespace, limit=limit))
        found = [
            SessionSearchResult(
                session_id=hit.session_id if namespace else Key(hit.session_id, hit.namespace),
                score=hit.score,
                matched_messages=[*hit.snippets],
            )
            for hit in hits
        ]
        return sorted(found, key=lambda result: (-result.score, result.session_id))

    def _run(self, call: Callable[..., T], *args: Any) -> T:
        """``call(*args)``: here, in the caller's transaction, unless an event loop runs here."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return call(*args)
        return self._store.submit(partial(call, *args)).result()

    def _ttl(self, ttl_seconds: float | None) -> float | None:
        return self.default_ttl if ttl_seconds is None else ttl_seconds

    def _origin(self, names: Sequence[SessionName]) -> SessionName:
        return self._remembered.origin(names[0]) if len(names) > 1 else names[0]

    def _save(self, name: SessionName, content: Content, options: dict[str, Any]) -> None:
        known = self._remembered.get(name)
        saved = None if known is None else self._save_changes(known, content, options)
        self._remembered.put(saved or self._save_all(name, content, options))

    def _save_changes(
        self, known: Known, content: Content, options: dict[str, Any]
    ) -> Known | None:
        """Write what ``known`` has not; None when it has nothing, or is out of date."""
        first, kept = overlap(known.marks, content.marks)
        if not kept:
            return None
        drop, end = known.items_before(first), known.items_before(first + kept)
        splice = {"since": known.revision, "drop": drop, "keep": end - drop}
        new = content.parts[kept:]
        revision = self._write(known.name, new, content, options | splice)
        if revision is None:
            return None
        ends = None
        if known.ends is not None:
            ends = [known.ends[message] - drop for message in range(first, first + kept)]
            ends += range(ends[-1] + 1, ends[-1] + 1 + len(new))
        return Known(name=known.name, revision=revision, marks=content.marks, ends=ends)

    def _save_all(self, name: SessionName, content: Content, options: dict[str, Any]) -> Known:
        revision = self._write(name, content.parts, content, options)
        assert revision is not None
        return Known(name=name, revision=revision, marks=content.marks)

    def _write(
        self, name: SessionName, parts: Sequence[Any], content: Content, options: dict[str, Any]
    ) -> Revision | None:
        return self._store.save_snapshot(
            name.session_id,
            [content.item_of(part) for part in parts],
            state=content.state,
            namespace=name.namespace,
            **options,
        )

    def _load(self, names: Sequence[SessionName]) -> Any:
        for name in names:
            snapshot = self._store.load_snapshot(name.session_id, namespace=name.namespace)
            if snapshot is None:
                continue
            loaded = loaded_from(snapshot, name)
            if len(snapshot.items) == snapshot.revision.item_count:
                known = Known(
                    name=name, revision=snapshot.revision, marks=loaded.marks, ends=loaded.ends
                )
                self._remembered.put(known)
            else:
                self._remembered.forget(name)
            self._remembered.set_origin(names[0], name)
            return loaded.value
        self._remembered.set_origin(names[0], None)
        return None

    def _find(self, names: Sequence[SessionName]) -> SessionName | None:
        """The first of ``names`` that there is a session of."""
        for name in names:
            if self._store.exists(name.session_id, namespace=name.namespace):
                return name
        return None

    def _choose(self, names: Sequence[SessionName]) -> SessionName:
        """``_find`` where there is a choice."""
        return (self._find(names) if len(names) > 1 else None) or names[0]

    def _delete(self, names: Sequence[SessionName]) -> bool:
        self._remembered.set_origin(names[0], None)
        for name in names:
            if self._store.delete_session(name.session_id, namespace=name.namespace):
                self._remembered.forget(name)
                return True
        return False

    def _branch(self, sources: Sequence[SessionName], targets: Sequence[SessionName]) -> None:
        source = self._choose(sources)
        beside = [name for name in targets if name.namespace == source.namespace]
        target = beside[0] if beside else targets[0]
        if target.namespace != source.namespace:
            self._copy(source, target)
        else:
            self._store.branch(
                source.session_id,
                target.session_id,
                namespace=source.namespace,
                ttl_seconds=self.default_ttl,
            )

    def _copy(self, source: SessionName, target: SessionName) -> None:
        """Branch into another namespace, which no store does by itself."""
        snapshot = self._store.load_snapshot(source.session_id, namespace=source.namespace)
        session = self._store.get_session(source.session_id, namespace=source.namespace)
        if snapshot is None or session is None:
            raise SessionNotFound(f"there is no session {source.session_id!r} to branch from")
        self._store.delete_session(target.session_id, namespace=target.namespace)
        self._store.save_snapshot(
            target.session_id,
            snapshot.items,
            state=snapshot.state,
            namespace=target.namespace,
            user_id=session.user_id,
            ttl_seconds=self.default_ttl,
        )
        if session.metadata:
            self._store.set_metadata(
                target.session_id, session.metadata, namespace=target.namespace
            )


def _metadata(session: SessionSummary) -> SessionMetadata:
    _, namespace, session_id, message_count, created_at, updated_at = session
    # A text without a colon says itself which session it is of.
    plain = not namespace and ":" not in session_id
    key = session_id if plain else Key(session_id, namespace)
    return SessionMetadata(key, message_count, created_at, updated_at)
