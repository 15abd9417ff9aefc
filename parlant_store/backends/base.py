"""The contract of every store.

Public methods check their arguments and call the abstract one beside them; a backend
writes the abstract ones, which get names that are good and items that are JSON text.

Every operation is atomic: all of it happened, or none. Two writers never lose, reorder
or interleave each other's batches, and two poppers never get the same item. Nothing that
has expired is ever returned, and writing to what has expired begins a new life.

Any method may raise InvalidInput before it has written anything, StoreUnavailable, or
BackendError (parlant_store.exceptions).
"""

from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from parlant_store import query
from parlant_store.backends.documents import DocumentMethods
from parlant_store.backends.sessions import SessionMethods
from parlant_store.backends.threads import Threads, Together
from parlant_store.exceptions import InvalidLimit
from parlant_store.types import ExpireResult

T = TypeVar("T")

MAX_TTL_SECONDS = 100 * 366 * 24 * 3600
"""A hundred years: what lives longer lives for ever, and later times may have no datetime."""


class BaseBackend(SessionMethods, DocumentMethods):
    """A store: documents and sessions in one medium, under one alias."""

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

    def release_thread(self) -> None:
        """Let go what the calling thread of ``submit`` holds; it is about to end."""

    def check(self) -> list[CheckMessage]:
        """What ``manage.py check`` should say about this store."""
        return []

    def _expires_at(self, now: datetime) -> datetime | None:
        return None if self.ttl is None else now + self.ttl
