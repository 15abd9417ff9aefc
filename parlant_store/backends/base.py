"""The contract of every store.

Public methods check their arguments and call the abstract one beside them; a backend
writes the abstract ones, which get names that are good and items that are JSON text.

Every operation is atomic: all of it happened, or none. Two writers never lose, reorder
or interleave each other's batches, and two poppers never get the same item. Nothing that
has expired is ever returned, and writing to what has expired begins a new life.

Any method may raise InvalidInput before it has written anything, StoreUnavailable, or
BackendError (parlant_store.exceptions).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from parlant_store import codec, items, query
from parlant_store.backends.threads import Threads, Together
from parlant_store.exceptions import InvalidLimit, InvalidName, NotSupported
from parlant_store.types import (
    Direction,
    DocumentCursor,
    DocumentPage,
    ExpireResult,
    JSONObject,
    SessionCursor,
    SessionInfo,
    SessionPage,
    UpdateResult,
)

T = TypeVar("T")

MAX_LIMIT = 2**63 - 1

MAX_TTL_SECONDS = 100 * 366 * 24 * 3600
"""A hundred years: what lives longer lives for ever, and later times may have no datetime."""


class SessionName(NamedTuple):
    """Which session is meant."""

    namespace: str
    session_id: str


class Addition(NamedTuple):
    """What add_items adds, checked."""

    name: SessionName
    batch: items.Batch
    user_id: str | None


class Latest(NamedTuple):
    """What get_items returns, checked."""

    name: SessionName
    limit: int | None


class BaseBackend(ABC):
    """A store: documents and sessions in one medium, under one alias."""

    supports_documents = True
    """Does this medium keep documents, or sessions only?"""

    def __init__(
        self,
        alias: str,
        *,
        ttl_seconds: float | None = None,
        threads: int = 8,
        clock: Callable[[], datetime] = timezone.now,
    ) -> None:
        """``alias`` is the store's name in PARLANT_STORES; the rest are its OPTIONS.

        ttl_seconds: how long a session lives after its last write; None: for ever.
        threads: how many calls of ``submit`` run at once.
        clock: gives the time that decides what has expired.

        Raises ImproperlyConfigured.
        """
        if ttl_seconds is not None and not (
            query.kind_of(ttl_seconds) == "number" and 0 < ttl_seconds <= MAX_TTL_SECONDS
        ):
            raise ImproperlyConfigured(
                f"ttl_seconds of the store {alias!r} must be None or a number above 0 and at most "
                f"{MAX_TTL_SECONDS:,}, not {ttl_seconds!r}"
            )
        if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
            raise ImproperlyConfigured(
                f"threads of the store {alias!r} must be a whole number above 0, not {threads!r}"
            )
        if not callable(clock):
            raise ImproperlyConfigured(
                f"clock of the store {alias!r} must be a function that gives the time, "
                f"not {clock!r}"
            )
        self.alias = alias
        self.ttl = None if ttl_seconds is None else timedelta(seconds=ttl_seconds)
        self.clock = clock
        self.threads = Threads(f"store-{alias}", self.thread_count(threads), self.release_thread)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.alias!r}>"

    # Sessions

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
        name = self._session(session_id, namespace)
        self._replace_items(name, self._batch(items), self._owner(user_id))

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
        return self._pop_item(self._session(session_id, namespace))

    def clear(self, session_id: str, *, namespace: str = "") -> None:
        """Remove all items of the session; the session, its owner and metadata stay."""
        self._clear(self._session(session_id, namespace))

    def delete_session(self, session_id: str, *, namespace: str = "") -> bool:
        """Remove the session with all its items; False when there was none."""
        return self._delete_session(self._session(session_id, namespace))

    def exists(self, session_id: str, *, namespace: str = "") -> bool:
        """Whether there is such a session, with items or without."""
        return self.get_session(session_id, namespace=namespace) is not None

    def get_session(self, session_id: str, *, namespace: str = "") -> SessionInfo | None:
        """Return what is known of the session besides its items; None when there is none."""
        return self._get_session(self._session(session_id, namespace))

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
        name = self._session(session_id, namespace)
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
        if self._limit(limit) in (0, None):
            raise InvalidLimit("limit must be 1 or more to list sessions")
        after = None if cursor is None else self._session(cursor.session_id, cursor.namespace)
        take = min(limit + 1, MAX_LIMIT)
        found = self._list_sessions(namespace, self._owner(user_id), take, after)
        last = found[limit - 1] if len(found) > limit else None
        return SessionPage(
            sessions=tuple(found[:limit]),
            next_cursor=None
            if last is None
            else SessionCursor(namespace=last.namespace, session_id=last.session_id),
        )

    @abstractmethod
    def _add_items(self, name: SessionName, batch: items.Batch, user_id: str | None) -> None: ...

    @abstractmethod
    def _replace_items(
        self, name: SessionName, batch: items.Batch, user_id: str | None
    ) -> None: ...

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

    # Documents

    def insert_one(self, collection: str, document: JSONObject) -> None:
        """Store ``document`` in ``collection``.

        Its ``id``, when there is one, must be text. Raises DuplicateDocument when the
        collection has a document with this id.
        """
        self._insert_one(self._collection(collection), self._document(document))

    def find(
        self,
        collection: str,
        where: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
        cursor: DocumentCursor | None = None,
        direction: Direction = "asc",
        count: bool = False,
    ) -> DocumentPage:
        """Return the documents that match ``where`` (parlant_store.query).

        They are ordered by creation_utc and id as text, code point by code point, missing
        ones first ("asc") or last ("desc"). ``cursor`` starts the page after a place in
        that order; ``limit`` ends it, and 0 gives an empty one. ``count`` asks for
        total_count, which costs a pass over all that matches.

        Raises InvalidFilter and InvalidLimit.
        """
        query.parse_sort([("creation_utc", direction)])
        limit = self._limit(limit)
        filter_ = query.parse(where)
        # One more than asked for tells whether there is more.
        take = None if limit is None else min(limit + 1, MAX_LIMIT)
        documents, total = self._find(
            self._collection(collection), filter_, take, cursor, direction, count
        )
        has_more = limit is not None and len(documents) > limit
        documents = documents[:limit]
        return DocumentPage(
            documents=tuple(documents),
            has_more=has_more,
            next_cursor=_cursor(documents[-1]) if has_more and documents else None,
            total_count=total,
        )

    def find_one(
        self,
        collection: str,
        where: Mapping[str, Any] | None = None,
        *,
        sort: Sequence[tuple[str, Direction]] = (),
    ) -> JSONObject | None:
        """Return the first document that matches ``where``, or None.

        ``sort`` is pairs of a field and "asc" or "desc"; ascending, what is missing or no
        number comes before numbers. Then, and without ``sort``, the order of ``find``.
        """
        pairs = query.parse_sort(sort)
        return self._find_one(self._collection(collection), query.parse(where), pairs)

    def update_one(
        self,
        collection: str,
        where: Mapping[str, Any],
        params: JSONObject,
        *,
        upsert: bool = False,
    ) -> UpdateResult:
        """Merge ``params`` into the first document that matches ``where``, key by key.

        With ``upsert``, ``params`` become a new document when none matches. Raises
        DuplicateDocument when the id in ``params`` belongs to another document.
        """
        return self._update_one(
            self._collection(collection), query.parse(where), self._document(params), upsert
        )

    def delete_one(self, collection: str, where: Mapping[str, Any]) -> JSONObject | None:
        """Remove the first document that matches ``where`` and return it, or None."""
        return self._delete_one(self._collection(collection), query.parse(where))

    def list_collections(self) -> list[str]:
        """Return the names of the collections that hold documents, sorted."""
        self._documents_supported()
        return self._list_collections()

    def drop_collection(self, collection: str) -> int:
        """Remove every document of ``collection``; return how many there were."""
        return self._drop_collection(self._collection(collection))

    def _insert_one(self, collection: str, document: JSONObject) -> None:
        raise NotImplementedError

    def _find(
        self,
        collection: str,
        filter_: query.Filter,
        limit: int | None,
        cursor: DocumentCursor | None,
        direction: Direction,
        count: bool,
    ) -> tuple[list[JSONObject], int | None]:
        raise NotImplementedError

    def _find_one(
        self,
        collection: str,
        filter_: query.Filter,
        sort: tuple[tuple[str, Direction], ...],
    ) -> JSONObject | None:
        raise NotImplementedError

    def _update_one(
        self, collection: str, filter_: query.Filter, params: JSONObject, upsert: bool
    ) -> UpdateResult:
        raise NotImplementedError

    def _delete_one(self, collection: str, filter_: query.Filter) -> JSONObject | None:
        raise NotImplementedError

    def _list_collections(self) -> list[str]:
        raise NotImplementedError

    def _drop_collection(self, collection: str) -> int:
        raise NotImplementedError

    # Life and threads

    def expire(self, *, batch_size: int = 1_000) -> ExpireResult:
        """Remove what has expired, in batches of ``batch_size``; return how much it was."""
        if batch_size < 1:
            raise InvalidLimit("batch_size must be 1 or more")
        sessions = documents = 0
        while True:
            removed = self._expire(batch_size)
            sessions += removed.sessions
            documents += removed.documents
            if max(removed.sessions, removed.documents) < batch_size:
                return ExpireResult(sessions=sessions, documents=documents)

    @abstractmethod
    def _expire(self, batch_size: int) -> ExpireResult: ...

    def submit(self, call: Callable[[], T], wake: Callable[[], None] | None = None) -> Future[T]:
        """Run ``call`` on one of the store's own threads, for callers that must not block.

        ``wake`` is called there after the future is done, once for several of them. Calls
        that wait for a thread may be made together, if they are ``partial`` of a method.
        """
        return self.threads.submit(call, wake, self.together(call))

    def together(self, call: Callable[[], Any]) -> Together | None:
        """What makes ``call`` together with others for which it is the same; None: nothing."""
        return None

    def close(self) -> None:
        """Let the threads and what they hold go; the next call begins anew."""
        self.threads.close()

    def thread_count(self, threads: int) -> int:
        """How many threads ``submit`` has, when the option says ``threads``."""
        return threads

    def release_thread(self) -> None:  # noqa: B027  (most backends hold nothing)
        """Let go what the calling thread of ``submit`` holds; it is about to end."""

    def check(self) -> list[CheckMessage]:
        """What ``manage.py check`` should say about this store."""
        return []

    def _expires_at(self, now: datetime) -> datetime | None:
        return None if self.ttl is None else now + self.ttl

    # Arguments

    def _session(self, session_id: str, namespace: str) -> SessionName:
        codec.check_name(session_id, "session_id")
        codec.check_name(namespace, "namespace", empty=True)
        return SessionName(namespace, session_id)

    def _addition(
        self,
        session_id: str,
        items: Iterable[JSONObject],
        *,
        namespace: str = "",
        user_id: str | None = None,
    ) -> Addition:
        name, owner = self._session(session_id, namespace), self._owner(user_id)
        return Addition(name, self._batch(items), owner)

    def _latest(self, session_id: str, *, namespace: str = "", limit: int | None = None) -> Latest:
        return Latest(self._session(session_id, namespace), self._limit(limit))

    def _owner(self, user_id: str | None) -> str | None:
        return None if user_id is None else codec.check_name(user_id, "user_id")

    def _batch(self, batch: Iterable[JSONObject]) -> items.Batch:
        return items.batch(batch)

    def _limit(self, limit: int | None) -> int | None:
        if limit is None:
            return None
        if not isinstance(limit, int) or isinstance(limit, bool):
            raise InvalidLimit(f"limit must be a whole number or None, not {limit!r}")
        if limit < 0:
            raise InvalidLimit(f"limit must not be negative; it is {limit}")
        return min(limit, MAX_LIMIT)

    def _collection(self, collection: str) -> str:
        self._documents_supported()
        codec.check_name(collection, "collection")
        if codec.is_long(collection):
            raise InvalidName(f"collection has more than {codec.MAX_COLUMN_BYTES} bytes in UTF-8")
        return collection

    def _document(self, document: JSONObject) -> JSONObject:
        codec.check_object(document, "document")
        if document.get("id") is not None:
            codec.check_name(document["id"], "the document's id")
        return document

    def _documents_supported(self) -> None:
        if not self.supports_documents:
            raise NotSupported(
                f"the store {self.alias!r} keeps sessions only: "
                f"{type(self).__name__} has no documents"
            )


def _cursor(document: JSONObject) -> DocumentCursor:
    created, id_ = document.get("creation_utc"), document.get("id")
    return DocumentCursor(
        creation_utc=created if isinstance(created, str) else "",
        id=id_ if isinstance(id_, str) else "",
    )
