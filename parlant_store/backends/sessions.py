"""The contract of every store: sessions."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.dispatch import Signal

from parlant_store import codec, query
from parlant_store.backends.arguments import (
    MAX_LIMIT,
    SessionName,
    check_limit,
    check_owner,
    check_prefix,
    check_time,
    check_ttl,
    session_name,
)
from parlant_store.exceptions import InvalidInput, InvalidLimit, SessionNotFound
from parlant_store.items import Batch, batch
from parlant_store.items import whole_turns as turns
from parlant_store.search import terms
from parlant_store.signals import send, session_deleted, session_loaded, session_saved
from parlant_store.types import (
    JSONObject,
    Revision,
    SearchHit,
    SessionCursor,
    SessionInfo,
    SessionPage,
    SessionSummary,
    Snapshot,
)


class Addition(NamedTuple):
    """What add_items adds, checked."""

    name: SessionName
    batch: Batch
    user_id: str | None


class Latest(NamedTuple):
    """What get_items returns, checked."""

    name: SessionName
    limit: int | None


class Splice(NamedTuple):
    """Which items of a revision stay: ``keep`` of them, after the first ``drop``."""

    since: Revision
    drop: int
    keep: int


class Narrowed(NamedTuple):
    """What list_sessions is narrowed to, checked."""

    namespace: str | None
    user_id: str | None
    prefix: str
    updated_since: datetime | None
    metadata: query.Filter | None


class SessionMethods(ABC):
    """What a store does with sessions."""

    alias: str

    def add_items(
        self,
        session_id: str,
        items: Iterable[JSONObject],
        *,
        namespace: str = "",
        user_id: str | None = None,
        ttl_seconds: float | None = None,
    ) -> None:
        """Add ``items`` after those of the session, as one batch; begin it if need be.

        ``user_id`` becomes the session's owner if it has none. ``ttl_seconds`` is how long
        the session lives from now on; None: as the store says. No items: nothing happens.
        """
        addition = self._addition(session_id, items, namespace=namespace, user_id=user_id)
        if addition.batch.data:
            count = self._add_items(*addition, check_ttl(ttl_seconds))
            self._send(session_saved, addition.name, count)

    def replace_items(
        self,
        session_id: str,
        items: Iterable[JSONObject],
        *,
        namespace: str = "",
        user_id: str | None = None,
        ttl_seconds: float | None = None,
    ) -> None:
        """Put ``items`` in place of all items of the session."""
        addition = self._addition(session_id, items, namespace=namespace, user_id=user_id)
        count = self._replace_items(*addition, check_ttl(ttl_seconds))
        self._send(session_saved, addition.name, count)

    def get_items(
        self,
        session_id: str,
        *,
        namespace: str = "",
        limit: int | None = None,
        whole_turns: bool = False,
    ) -> list[JSONObject]:
        """Return the latest ``limit`` items, oldest first; all of them when it is None.

        With ``whole_turns`` those before the first message of a user are left out, when
        ``limit`` cut something off, or outputs of tools whose calls it cut off. No session, or
        limit 0: an empty list. A damaged row is skipped and does not count. Raises
        InvalidLimit when ``limit`` is negative.
        """
        read = self._latest(session_id, namespace=namespace, limit=limit)
        found = [] if read.limit == 0 else self._get_items(*read)
        self._send(session_loaded, read.name, len(found))
        if whole_turns and len(found) == read.limit:
            # The session may have just as many: then nothing is cut off, and this begins whole.
            return turns(found)
        return found

    def pop_item(self, session_id: str, *, namespace: str = "") -> JSONObject | None:
        """Remove the latest item and return it; None when there is none.

        Damaged rows above it are removed too.
        """
        return self._pop_item(session_name(session_id, namespace))

    def clear(self, session_id: str, *, namespace: str = "") -> None:
        """Remove all items of the session; the session, its owner and metadata stay."""
        self._clear(session_name(session_id, namespace))

    def delete_session(self, session_id: str, *, namespace: str = "") -> bool:
        """Remove the session with all its items; False when there was none."""
        name = session_name(session_id, namespace)
        count = self._delete_session(name)
        if count is not None:
            self._send(session_deleted, name, count)
        return count is not None

    def exists(self, session_id: str, *, namespace: str = "") -> bool:
        """Whether there is such a session, with items or without."""
        return self.get_session(session_id, namespace=namespace) is not None

    def get_session(self, session_id: str, *, namespace: str = "") -> SessionInfo | None:
        """Return what is known of the session besides its items; None when there is none."""
        return self._get_session(session_name(session_id, namespace))

    def get_metadata(self, session_id: str, *, namespace: str = "") -> JSONObject:
        """Return the session's metadata; an empty dict when there is no session."""
        session = self.get_session(session_id, namespace=namespace)
        return {} if session is None else session.metadata

    def set_metadata(
        self, session_id: str, metadata: JSONObject, *, namespace: str = "", merge: bool = False
    ) -> JSONObject:
        """Set the session's metadata and return it; begin the session if need be.

        ``merge`` keeps the keys that ``metadata`` does not name.
        """
        name = session_name(session_id, namespace)
        return self._set_metadata(name, codec.encode_document(metadata, "metadata"), merge)

    def set_expiry(
        self, session_id: str, expires_at: datetime | None, *, namespace: str = ""
    ) -> bool:
        """Let the session end at ``expires_at``, or never; False when there is none.

        The next write moves the time again if the store has a ttl_seconds.
        """
        name = session_name(session_id, namespace)
        return self._set_expiry(name, check_time(expires_at, "expires_at"))

    def load_snapshot(self, session_id: str, *, namespace: str = "") -> Snapshot | None:
        """Return all items of the session with its state; None when there is no session.

        Damaged items are skipped; ``revision.item_count`` counts them.
        """
        name = session_name(session_id, namespace)
        snapshot = self._load_snapshot(name)
        if snapshot is not None:
            self._send(session_loaded, name, len(snapshot.items))
        return snapshot

    def save_snapshot(
        self,
        session_id: str,
        items: Iterable[JSONObject],
        *,
        state: JSONObject,
        namespace: str = "",
        user_id: str | None = None,
        ttl_seconds: float | None = None,
        since: Revision | None = None,
        drop: int = 0,
        keep: int = 0,
    ) -> Revision | None:
        """Give the session ``state`` and items, and return what its items are then.

        ``items`` take the place of all. With ``since`` only what changed need be given: the
        first ``drop`` items of that revision go, the ``keep`` after them stay, those after
        these go, and ``items`` follow. When the session has changed since, nothing is done,
        and None is returned.
        """
        name = session_name(session_id, namespace)
        if since is not None and not (drop >= 0 and keep >= 0 and drop + keep <= since.item_count):
            raise InvalidLimit(
                f"drop and keep must be parts of {since.item_count} items, not {drop} and {keep}"
            )
        revision = self._save_snapshot(
            name,
            batch(items),
            codec.encode_document(state, "state"),
            check_owner(user_id),
            check_ttl(ttl_seconds),
            None if since is None else Splice(since, drop, keep),
        )
        if revision is not None:
            self._send(session_saved, name, revision.item_count)
        return revision

    def branch(
        self,
        source_id: str,
        new_id: str,
        *,
        namespace: str = "",
        ttl_seconds: float | None = None,
    ) -> None:
        """Copy a session, its items, state, metadata and owner, to ``new_id``.

        What ``new_id`` had before goes. Raises SessionNotFound.
        """
        source, target = session_name(source_id, namespace), session_name(new_id, namespace)
        count = self._branch(source, target, check_ttl(ttl_seconds))
        if count is None:
            raise SessionNotFound(f"there is no session {source_id!r} to branch from")
        self._send(session_saved, target, count)

    def search(
        self, query: str, *, namespace: str | None = None, limit: int = 10
    ) -> list[SearchHit]:
        """Return sessions whose messages of users and assistants match, the best first.

        ``query`` is terms by white space, any of which is enough (parlant_store.search).
        A query without words, or limit 0, finds nothing.
        """
        if not isinstance(query, str):
            raise InvalidInput(f"a query must be text, not {type(query).__name__}")
        if namespace is not None:
            codec.check_name(namespace, "namespace", empty=True)
        asked, most = terms(query), check_limit(limit)
        return (
            self._search(asked, namespace, MAX_LIMIT if most is None else most)
            if (asked and most != 0)
            else []
        )

    def list_sessions(
        self,
        *,
        namespace: str | None = None,
        user_id: str | None = None,
        prefix: str = "",
        updated_since: datetime | None = None,
        where: Mapping[str, Any] | None = None,
        limit: int = 100,
        cursor: SessionCursor | None = None,
    ) -> SessionPage:
        """Return a page of sessions, ordered by namespace and session_id.

        ``namespace`` and ``user_id`` narrow it; None means any. ``prefix`` is what session_id
        begins with, ``updated_since`` a time, ``where`` a filter on the metadata
        (parlant_store.query). Raises InvalidLimit when ``limit`` is below 1.
        """
        narrowed = _narrowed(namespace, user_id, prefix, updated_since, where)
        if check_limit(limit) in (0, None):
            raise InvalidLimit("limit must be 1 or more to list sessions")
        after = None if cursor is None else session_name(cursor.session_id, cursor.namespace)
        found = self._list_sessions(narrowed, min(limit + 1, MAX_LIMIT), after)
        last = found[limit - 1] if len(found) > limit else None
        return SessionPage(
            sessions=tuple(found[:limit]),
            next_cursor=None
            if last is None
            else SessionCursor(namespace=last.namespace, session_id=last.session_id),
        )

    def list_summaries(
        self,
        *,
        namespace: str | None = None,
        user_id: str | None = None,
        prefix: str = "",
        updated_since: datetime | None = None,
        where: Mapping[str, Any] | None = None,
        limit: int = 10_000,
        after: int = 0,
    ) -> Iterator[SessionSummary]:
        """Give the least of what list_sessions says, for thousands of sessions at once.

        At most ``limit`` of them, in the order in which they began, after that ``key``. They
        are read at once, and made one by one.
        """
        narrowed = _narrowed(namespace, user_id, prefix, updated_since, where)
        most = check_limit(limit)
        return self._list_summaries(narrowed, MAX_LIMIT if most is None else most, after)

    @abstractmethod
    def _add_items(
        self, name: SessionName, batch: Batch, user_id: str | None, ttl: timedelta | None
    ) -> int: ...

    @abstractmethod
    def _replace_items(
        self, name: SessionName, batch: Batch, user_id: str | None, ttl: timedelta | None
    ) -> int: ...

    @abstractmethod
    def _get_items(self, name: SessionName, limit: int | None) -> list[JSONObject]: ...

    @abstractmethod
    def _pop_item(self, name: SessionName) -> JSONObject | None: ...

    @abstractmethod
    def _clear(self, name: SessionName) -> None: ...

    @abstractmethod
    def _delete_session(self, name: SessionName) -> int | None: ...

    @abstractmethod
    def _get_session(self, name: SessionName) -> SessionInfo | None: ...

    @abstractmethod
    def _set_metadata(self, name: SessionName, metadata: str, merge: bool) -> JSONObject: ...

    @abstractmethod
    def _set_expiry(self, name: SessionName, expires_at: datetime | None) -> bool: ...

    @abstractmethod
    def _load_snapshot(self, name: SessionName) -> Snapshot | None: ...

    @abstractmethod
    def _save_snapshot(
        self,
        name: SessionName,
        batch: Batch,
        state: str,
        user_id: str | None,
        ttl: timedelta | None,
        splice: Splice | None,
    ) -> Revision | None: ...

    @abstractmethod
    def _branch(
        self, source: SessionName, target: SessionName, ttl: timedelta | None
    ) -> int | None: ...

    @abstractmethod
    def _search(
        self, terms: list[list[str]], namespace: str | None, limit: int
    ) -> list[SearchHit]: ...

    @abstractmethod
    def _list_sessions(
        self, narrowed: Narrowed, limit: int, after: SessionName | None
    ) -> list[SessionInfo]: ...

    @abstractmethod
    def _list_summaries(
        self, narrowed: Narrowed, limit: int, after: int
    ) -> Iterator[SessionSummary]: ...

    def _send(self, signal: Signal, name: SessionName, message_count: int) -> None:
        send(signal, self.alias, name.namespace, name.session_id, message_count)

    def _addition(
        self,
        session_id: str,
        items: Iterable[JSONObject],
        *,
        namespace: str = "",
        user_id: str | None = None,
        ttl_seconds: float | None = None,
    ) -> Addition:
        name, owner = session_name(session_id, namespace), check_owner(user_id)
        return Addition(name, batch(items), owner)

    def _latest(
        self,
        session_id: str,
        *,
        namespace: str = "",
        limit: int | None = None,
        whole_turns: bool = False,
    ) -> Latest:
        return Latest(session_name(session_id, namespace), check_limit(limit))


def _narrowed(
    namespace: str | None,
    user_id: str | None,
    prefix: str,
    updated_since: datetime | None,
    where: Mapping[str, Any] | None,
) -> Narrowed:
    if namespace is not None:
        codec.check_name(namespace, "namespace", empty=True)
    return Narrowed(
        namespace,
        check_owner(user_id),
        check_prefix(prefix),
        check_time(updated_since, "updated_since"),
        None if where is None else query.parse(where),
    )
