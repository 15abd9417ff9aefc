"""The contract of every store.

Public methods check their arguments and call the abstract one beside them; a backend
writes the abstract ones, which get names that are good and items that are JSON text.

Every operation is atomic: all of it happened, or none. Two writers never lose, reorder
or interleave each other's batches, and two poppers never get the same item. Nothing that
has expired is ever returned, and writing to what has expired begins a new life.

Any method may raise InvalidInput before it has written anything, StoreUnavailable, or
BackendError (parlant_store.exceptions).
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils import timezone

from parlant_store.backends.arguments import check_ttl
from parlant_store.backends.documents import DocumentMethods
from parlant_store.backends.expiry import ExpiryMethods
from parlant_store.backends.retention import parse_rules
from parlant_store.backends.sessions import SessionMethods
from parlant_store.backends.threads import Threads, Together
from parlant_store.exceptions import InvalidLimit

T = TypeVar("T")


class BaseBackend(SessionMethods, DocumentMethods, ExpiryMethods):
    """A store: documents and sessions in one medium, under one alias."""

    def __init__(
        self,
        alias: str,
        *,
        ttl_seconds: float | None = None,
        retention: Sequence[Mapping[str, Any]] | None = None,
        threads: int = 8,
        clock: Callable[[], datetime] = timezone.now,
    ) -> None:
        """``alias`` is the store's name in PARLANT_STORES; the rest are its OPTIONS.

        ttl_seconds: how long a session lives after its last write; None: for ever.
        retention: rules of what is kept no longer, each a dict of what Retention has, with
        durations as text ("90d"), as seconds or as a timedelta; manage.py expire obeys them.
        threads: how many calls of ``submit`` run at once.
        clock: gives the time that decides what has expired.

        Raises ImproperlyConfigured.
        """
        try:
            self.ttl = check_ttl(ttl_seconds)
        except InvalidLimit as exc:
            raise ImproperlyConfigured(f"the store {alias!r} has a bad option: {exc}") from None
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
        self.retention = parse_rules(retention, alias)
        self.clock = clock
        self.threads = Threads(f"store-{alias}", self.thread_count(threads), self.release_thread)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.alias!r}>"

    keeps_answers = False
    """Does the medium keep what writes answered, deleted documents among it, for an hour?"""

    def forget_requests(self, user_id: str) -> int:
        """Remove what is kept of the user's own writes over HTTP; return how many there were."""
        return 0

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
        """Let go what the calling thread of ``submit`` holds; it is about to end.

        Receivers of signals may have used Django's connections there, whatever the medium.
        """
        for connection in connections.all(initialized_only=True):
            connection.close()

    def check(self) -> list[CheckMessage]:
        """What ``manage.py check`` should say about this store."""
        return []

    def _expires_at(self, now: datetime, ttl: timedelta | None = None) -> datetime | None:
        ttl = self.ttl if ttl is None else ttl
        return None if ttl is None else now + ttl
