"""The contract of every store.

Public methods check their arguments and call the abstract one beside them; a backend
writes the abstract ones, which get names that are good and items that are JSON text.

Every operation is atomic: all of it happened, or none. Two writers never lose, reorder
or interleave each other's batches, and two poppers never get the same item. Nothing that
has expired is ever returned, and writing to what has expired begins a new life.

Any method may raise InvalidInput before it has written anything, StoreUnavailable, or
BackendError (parlant_store.exceptions).

Every write takes a ``request_id``, text or a UUID. The same id given to the same method again
does nothing and returns the first answer, for an hour; one that comes while the first is going
on waits for it. Errors are not stored: such a call is tried again. A write whose answer is lost
is sent again once; it raises OutcomeUnknown when that fails too.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from django.utils.module_loading import import_string

from parlant_store.backends.contract.documents import DocumentMethods
from parlant_store.backends.contract.expiry import ExpiryMethods
from parlant_store.backends.contract.retention import parse_rules
from parlant_store.backends.contract.sessions import SessionMethods
from parlant_store.backends.contract.validation import check_ttl
from parlant_store.backends.threads import caller
from parlant_store.backends.threads.calls import Call, Group
from parlant_store.backends.threads.executor import Executor
from parlant_store.content.times import as_utc
from parlant_store.exceptions import InvalidLimit

T = TypeVar("T")

IDLE_SECONDS = 60.0
"""How long a thread rests before it ends, unless something else says so."""


class BaseBackend(SessionMethods, DocumentMethods, ExpiryMethods):
    """A store: documents and sessions in one medium, under one alias."""

    def __init__(
        self,
        alias: str,
        *,
        ttl_seconds: float | None = None,
        retention: Sequence[Mapping[str, Any]] | None = None,
        threads: int = 8,
        idle_seconds: float | None = None,
        call_context: str | Callable[[], AbstractContextManager[Any]] | None = None,
        clock: Callable[[], datetime] = timezone.now,
    ) -> None:
        """``alias`` is the store's name in PARLANT_STORES; the rest are its OPTIONS.

        ttl_seconds: how long a session lives after its last write; None: for ever.
        retention: rules of what is kept no longer, each a dict of what Retention has, with
        durations as text ("90d"), as seconds or as a timedelta; manage.py store_expire obeys them.
        threads: how many calls of adapters run at once, on threads of the store's own; 0: they
        run as Django's async ORM runs its calls, on the caller's connection.
        idle_seconds: how long such a thread rests before it closes its connection and ends;
        None: CONN_MAX_AGE of the database when that is a number above 0, else 60.
        call_context: a function, or its dotted path. It is called in the caller's thread, and
        what it returns, a context manager, is entered around the call on the store's thread.
        clock: gives the time that decides what has expired.

        Raises ImproperlyConfigured.
        """
        try:
            self.ttl = check_ttl(ttl_seconds)
        except InvalidLimit as exc:
            raise ImproperlyConfigured(f"the store {alias!r} has a bad option: {exc}") from None
        if not isinstance(threads, int) or isinstance(threads, bool) or threads < 0:
            raise ImproperlyConfigured(
                f"threads of the store {alias!r} must be a whole number, 0 or more, not {threads!r}"
            )
        if not callable(clock):
            raise ImproperlyConfigured(
                f"clock of the store {alias!r} must be a function that gives the time, "
                f"not {clock!r}"
            )
        self.alias = alias
        self.retention = parse_rules(retention, alias)
        self.clock = clock
        self._call_context = _call_context(call_context, alias)
        idle = check_seconds(idle_seconds, "idle_seconds", alias)
        self.executor = Executor(
            f"store-{alias}",
            self.thread_count(threads),
            after_call=self.after_call,
            release=self.release_thread,
            idle_seconds=self.default_idle_seconds() if idle is None else idle,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.alias!r}>"

    keeps_answers = False
    """Does the medium keep what writes answered, deleted documents among it, for an hour?"""

    def forget_requests(self, user_id: str) -> int:
        """Remove what is kept of the user's own writes over HTTP; return how many there were."""
        return 0

    def submit(self, function: Callable[[], T], wake: Callable[[], None] | None = None) -> Call[T]:
        """Run ``function`` for a caller that must not block: on one of the store's own threads.

        ``wake`` is called there after the future is done, once for several of them. Calls
        that wait for a thread may be made together, if they are ``partial`` of a method.
        Where the caller's own connection must be used, that is done (``prepare_call``).
        """
        call = self.make_call(function, wake)
        self.begin(call, in_loop=caller.has_loop())
        return call

    def make_call(
        self, function: Callable[[], T], wake: Callable[[], None] | None = None
    ) -> Call[T]:
        """What ``begin`` begins: the future of ``function``."""
        return Call(self, function, wake=wake, timeout=self.call_timeout)

    def begin(
        self,
        call: Call[Any],
        *,
        in_loop: bool,
        collect: Callable[[Executor, Call[Any]], None] | None = None,
    ) -> None:
        """Run ``call`` where it belongs; called in its caller's thread.

        ``in_loop`` says that an event loop runs in this thread, which must not be blocked.
        ``collect`` submits it soon, with others: for an executor whose single thread cannot
        do anything better meanwhile.
        """
        connection = self.prepare_call(call)
        if self._call_context is not None:
            call.manager = self._call_context()
        if connection is None and not self.is_on_callers_thread():
            if self._call_context is None:
                call.group = self.group_of(call)
            if collect is not None and self.executor.count == 1:
                collect(self.executor, call)
            else:
                self.executor.submit(call)
            return
        call.is_on_callers_connection = True
        if in_loop:
            caller.lend(connection, call)
        else:
            caller.run(call)

    def is_on_callers_thread(self) -> bool:
        """Whether calls run as Django's async ORM runs its own, and not on the store's threads."""
        return self.executor.count == 0 or caller.is_forced()

    call_timeout: float | None = None
    """Seconds that a call for an adapter may take, waiting included; None: the medium says."""

    def prepare_call(self, call: Call[Any]) -> BaseDatabaseWrapper | None:
        """Find out in the caller's thread what ``call`` needs to know of it.

        Returns the caller's connection when the call must use it, and no other.
        """
        return None

    def uses_coroutines_connection(self) -> bool:
        """Whether the running coroutine has a connection of its own that its calls must use."""
        return False

    def group_of(self, call: Call[Any]) -> Group | None:
        """With which calls ``call`` may be made; None: with none."""
        return None

    def interrupt(self, resource: Any, *, force: bool) -> None:
        """End what a call is doing with its ``resource``; called on another thread.

        ``force`` when it did not end by asking.
        """

    def explain_timeout(self, seconds: float) -> str:
        """What the error of a call says that took longer than ``seconds``."""
        return f"the store {self.alias!r} gave no answer within {seconds:g} s"

    def close(self, **limits: Any) -> None:
        """Let the threads and what they hold go; the next call begins anew.

        What is not done within the ``limits`` of Executor.close is interrupted.
        """
        self.executor.close(**limits)

    def thread_count(self, threads: int) -> int:
        """How many threads ``submit`` has, when the option says ``threads``."""
        return threads

    def default_idle_seconds(self) -> float:
        """How long a thread rests when no option says so."""
        return IDLE_SECONDS

    def after_call(self) -> None:
        """Give back what a call used; runs on the store's thread after each."""

    def release_thread(self) -> None:
        """Let go what the calling thread of ``submit`` holds; it is about to end.

        Receivers of signals may have used Django's connections there, whatever the medium.
        """
        for connection in connections.all(initialized_only=True):
            connection.close()

    def check(self) -> list[CheckMessage]:
        """What ``manage.py check`` should say about this store."""
        return []

    def check_databases(self, databases: Sequence[str]) -> list[CheckMessage]:
        """What ``manage.py check --database`` should say of those of DATABASES, which it asks."""
        return []

    def _expires_at(self, now: datetime, ttl: timedelta | None = None) -> datetime | None:
        ttl = self.ttl if ttl is None else ttl
        return None if ttl is None else as_utc(now) + ttl


def check_seconds(seconds: Any, option: str, alias: str) -> float | None:
    """An option that is a number of seconds above 0, or None."""
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise ImproperlyConfigured(
            f"{option} of the store {alias!r} must be a number of seconds above 0, not {seconds!r}"
        )
    return float(seconds)


def _call_context(option: Any, alias: str) -> Callable[[], AbstractContextManager[Any]] | None:
    if isinstance(option, str):
        try:
            option = import_string(option)
        except ImportError as exc:
            raise ImproperlyConfigured(f"call_context of the store {alias!r}: {exc}") from exc
    if option is not None and not callable(option):
        raise ImproperlyConfigured(
            f"call_context of the store {alias!r} must be a function or its dotted path, "
            f"not {option!r}"
        )
    return option  # type: ignore[no-any-return]
