"""The contract of every store: sessions."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

from parlant_store import codec
from parlant_store.backends.arguments import (
    MAX_LIMIT,
    SessionName,
    check_limit,
    check_owner,
    session_name,
)
from parlant_store.exceptions import InvalidLimit
from parlant_store.items import Batch, batch
from parlant_store.types import JSONObject, SessionCursor, SessionInfo, SessionPage


class Addition(NamedTuple):
    """What add_items adds, checked."""

    name: SessionName
    batch: Batch
    user_id: str | None


class Latest(NamedTuple):
    """What get_items returns, checked."""

    name: SessionName
    limit: int | None


class SessionMethods(ABC):
    """What a store does with sessions."""

    def add_items(
        self,
        session_id: str,
        items: Iterable[JSONObject],
        *,
        namespace: str = "",
        user_id: str | None = None,
    ) -> None:
        """Add ``items`` after those of the session, as one batch; begin it if need be.

        ``user_id`` becomes the session's owner if it has none. No items: nothing happens.
        """
        addition = self._addition(session_id, items, namespace=namespace, user_id=user_id)
        if addition.batch.data:
            self._add_items(*addition)

    def replace_items(
        self,
        session_id: str,
        items: Iterable[JSONObject],
        *,
        namespace: str = "",
        user_id: str | None = None,
    ) -> None:
        """Put ``items`` in place of all items of the session."""
        name = session_name(session_id, namespace)
        self._replace_items(name, batch(items), check_owner(user_id))

    def get_items(
        self, session_id: str, *, namespace: str = "", limit: int | None = None
    ) -> list[JSONObject]:
        """Return the latest ``limit`` items, oldest first; all of them when it is None.

        No session, or limit 0: an empty list. A damaged row is skipped and does not count.
        Raises InvalidLimit when ``limit`` is negative.
        """
        read = self._latest(session_id, namespace=namespace, limit=limit)
        return [] if read.limit == 0 else self._get_items(*read)

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
        return self._delete_session(session_name(session_id, namespace))

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

    def list_sessions(
        self,
        *,
        namespace: str | None = None,
        user_id: str | None = None,
        limit: int = 100,
        cursor: SessionCursor | None = None,
    ) -> SessionPage:
        """Return a page of sessions, ordered by namespace and session_id.

        ``namespace`` and ``user_id`` narrow it; None means any. Raises InvalidLimit when
        ``limit`` is below 1.
        """
        if namespace is not None:
            codec.check_name(namespace, "namespace", empty=True)
        if check_limit(limit) in (0, None):
            raise InvalidLimit("limit must be 1 or more to list sessions")
        after = None if cursor is None else session_name(cursor.session_id, cursor.namespace)
        take = min(limit + 1, MAX_LIMIT)
        found = self._list_sessions(namespace, check_owner(user_id), take, after)
        last = found[limit - 1] if len(found) > limit else None
        return SessionPage(
            sessions=tuple(found[:limit]),
            next_cursor=None
            if last is None
            else SessionCursor(namespace=last.namespace, session_id=last.session_id),
        )

    @abstractmethod
    def _add_items(self, name: SessionName, batch: Batch, user_id: str | None) -> None: ...

    @abstractmethod
    def _replace_items(self, name: SessionName, batch: Batch, user_id: str | None) -> None: ...

    @abstractmethod
    def _get_items(self, name: SessionName, limit: int | None) -> list[JSONObject]: ...

    @abstractmethod
    def _pop_item(self, name: SessionName) -> JSONObject | None: ...

    @abstractmethod
    def _clear(self, name: SessionName) -> None: ...

    @abstractmethod
    def _delete_session(self, name: SessionName) -> bool: ...

    @abstractmethod
    def _get_session(self, name: SessionName) -> SessionInfo | None: ...

    @abstractmethod
    def _set_metadata(self, name: SessionName, metadata: str, merge: bool) -> JSONObject: ...

    @abstractmethod
    def _list_sessions(
        self, namespace: str | None, user_id: str | None, limit: int, after: SessionName | None
    ) -> list[SessionInfo]: ...

    def _addition(
        self,
        session_id: str,
        items: Iterable[JSONObject],
        *,
        namespace: str = "",
        user_id: str | None = None,
    ) -> Addition:
        name, owner = session_name(session_id, namespace), check_owner(user_id)
        return Addition(name, batch(items), owner)

    def _latest(self, session_id: str, *, namespace: str = "", limit: int | None = None) -> Latest:
        return Latest(session_name(session_id, namespace), check_limit(limit))
