"""The contract of every store.

Public methods check their arguments and call the abstract method of the same name with an
underscore. Backends implement the abstract methods, which get valid names, and items as JSON text.

Every operation is atomic. Batches of two writers are never lost, reordered or interleaved, and two
calls of pop_item never get the same item. Expired sessions and documents are never returned; a
write to one replaces it by a new one.

Each method has an asynchronous variant with ``a`` before its name, as in Django
(parlant_store.backends.threads.async_methods). It runs as calls of adapters do.

Any method may raise InvalidInput before it writes, StoreUnavailable, or BackendError
(parlant_store.exceptions).

Every write takes a ``request_id``, text or a UUID. If a call of the same method repeats it within
an hour, the call does nothing and returns the first answer; while the first call runs, it waits.
Errors are not stored, so that such a call can be repeated. A write whose answer is lost is sent
again once, and raises OutcomeUnknown if that fails too.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from threading import get_ident
from typing import Any, Literal, TypeVar

from asgiref.sync import sync_to_async
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from django.utils.module_loading import import_string

from parlant_store.backends.contract.memories import MemoryMethods
from parlant_store.backends.contract.records import RecordMethods
from parlant_store.backends.contract.refresh import check_refresh
from parlant_store.backends.contract.retention import parse_rules
from parlant_store.backends.contract.thread_records import ThreadRecordMethods
from parlant_store.backends.contract.thread_retention import ThreadRetentionMethods
from parlant_store.backends.contract.thread_search import ThreadSearchMethods
from parlant_store.backends.contract.trimming import TrimmingMethods
from parlant_store.backends.contract.validation import check_ttl
from parlant_store.backends.threads import caller
from parlant_store.backends.threads.async_methods import as_async
from parlant_store.backends.threads.caller_state import CallerState
from parlant_store.backends.threads.calls import Call, Group, running_call
from parlant_store.backends.threads.executor import Executor
from parlant_store.content.times import as_utc
from parlant_store.exceptions import InvalidLimit

T = TypeVar("T")

IDLE_SECONDS = 60.0
"""The default of the option ``idle_seconds``."""


class BaseBackend(
    ThreadRecordMethods,
    ThreadRetentionMethods,
    ThreadSearchMethods,
    TrimmingMethods,
    RecordMethods,
    MemoryMethods,
):
    """A store: documents, sessions and threads of one alias in PARLANT_STORES."""

    def __init__(
        self,
        alias: str,
        *,
        ttl_seconds: float | None = None,
        ttl_refresh: Literal["write", "read"] = "write",
        retention: Sequence[Mapping[str, Any]] | None = None,
        threads: int = 8,
        idle_seconds: float | None = None,
        call_context: str | Callable[[], AbstractContextManager[Any]] | None = None,
        clock: Callable[[], datetime] = timezone.now,
    ) -> None:
        """``alias`` is the name of the store in PARLANT_STORES; the rest are its OPTIONS.

        ttl_seconds: how long after its last write a session expires; None: never.
        ttl_refresh: "write", or "read": reads of its items and turns prolong a session that
            expires, as writes do, at most once a minute.
        retention: rules for manage.py store_expire, each a dict with fields of Retention, and
            durations as text ("90d"), seconds or a timedelta.
        threads: the number of the store's own threads, on which calls of adapters run; 0: they
            run on the caller's connection, like calls of Django's async ORM.
        idle_seconds: how long such a thread may be idle before it closes its connection and
            ends; None: CONN_MAX_AGE of the database if it is a number above 0, else 60.
        call_context: a function or its dotted path. It is called in the caller's thread, and
            returns a context manager that is entered around the call on the store's thread.
        clock: returns the time that decides what has expired.

        Raise ImproperlyConfigured if an option is wrong.
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
                f"clock of the store {alias!r} must be a function that returns the time, "
                f"not {clock!r}"
            )
        self.alias = alias
        self.ttl_refresh = check_refresh(ttl_refresh, alias)
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
    """Does the backend store the answers of writes, with deleted documents, for an hour?"""

    def forget_requests(self, user_id: str) -> int:
        """Delete the stored answers of the user's own writes over HTTP; return their number."""
        return 0

    aforget_requests = as_async(forget_requests)

    def submit(self, function: Callable[[], T], wake: Callable[[], None] | None = None) -> Call[T]:
        """Run ``function`` on one of the store's threads, for a caller that must not block.

        ``wake`` is called on that thread when the future is done, once for several futures. Waiting
        calls may be grouped if they are a ``partial`` of a method. If the call must use the
        caller's connection, it uses that one (``prepare_call``).
        """
        call = self.make_call(function, wake)
        self.begin(call, in_loop=caller.has_loop())
        return call

    def caller_state(self) -> CallerState:
        """Return what calls of this thread need of it, for ``submit_for`` on another thread."""
        managers = () if self._call_context is None else (self._call_context(),)
        return CallerState(thread=get_ident(), managers=managers)

    def has_own_tenant(self, state: CallerState) -> bool:
        """Whether this thread has set a tenant, instead of that of another thread's state."""
        return False

    def submit_for(self, state: CallerState, function: Callable[[], T]) -> Call[T]:
        """Do as ``submit``, with the state of another thread, which started this one."""
        if self.has_own_tenant(state):
            return self.submit(function)
        call = self.make_call(state.wrap(function))
        call.context, call.database = state.context.copy(), state.database
        connection = self.prepare_call(call)
        if self.is_on_callers_thread() or (connection is not None and not state.managers):
            call.is_on_callers_connection = True
            caller.run(call)
        else:
            call.group = None if state.managers else self.group_of(call)
            self.executor.submit(call)
        return call

    def make_call(
        self, function: Callable[[], T], wake: Callable[[], None] | None = None
    ) -> Call[T]:
        """Return the future of ``function``, which ``begin`` starts."""
        return Call(self, function, wake=wake, timeout=self.call_timeout)

    def begin(
        self,
        call: Call[Any],
        *,
        in_loop: bool,
        collect: Callable[[Executor, Call[Any]], None] | None = None,
    ) -> None:
        """Start ``call`` on the store's threads or the caller's; called in the caller's thread.

        ``in_loop`` means that this thread runs an event loop, which must not be blocked.
        ``collect`` submits the call a little later, together with others, which run as groups.
        """
        connection = self.prepare_call(call)
        if self._call_context is not None:
            call.manager = self._call_context()
        if connection is None and not self.is_on_callers_thread():
            if self._call_context is None:
                call.group = self.group_of(call)
            if collect is not None:
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
        """Whether calls run like those of Django's async ORM, and not on the store's threads.

        So do calls of receivers of signals on a thread of the store, which would wait for it.
        """
        if self.executor.count == 0 or caller.is_forced():
            return True
        call = running_call()
        return call is not None and call.store is self

    call_timeout: float | None = None
    """Limit on the seconds of an adapter's call, including waiting; None: that of the backend."""

    def prepare_call(self, call: Call[Any]) -> BaseDatabaseWrapper | None:
        """Read the state of the caller's thread that ``call`` needs.

        Return the caller's connection if the call must use it.
        """
        return None

    def uses_coroutines_connection(self) -> bool:
        """Whether the running coroutine has a connection of its own that its calls must use."""
        return False

    def has_connection(self) -> bool:
        """Whether sync code may use the store on this thread without opening a connection."""
        return True

    def group_of(self, call: Call[Any]) -> Group | None:
        """Return the group of calls that may be made together with ``call``, or None."""
        return None

    def interrupt(self, resource: Any, *, force: bool) -> None:
        """Cancel the running call on ``resource``; called on another thread.

        ``force`` is True for a call that was not ended by an attempt without it.
        """

    def explain_timeout(self, seconds: float) -> str:
        """Return the message of the error for a call that took longer than ``seconds``."""
        return f"the store {self.alias!r} gave no answer within {seconds:g} s"

    def close(self, **limits: Any) -> None:
        """End the threads and close their connections; the next call starts new ones.

        Calls that exceed the ``limits`` of Executor.close are interrupted.
        """
        self.executor.close(**limits)

    async def aclose(self, **limits: Any) -> None:
        # Not on a thread of the store, which ends.
        await sync_to_async(self.close, thread_sensitive=False)(**limits)

    aclose.__doc__ = close.__doc__

    def thread_count(self, threads: int) -> int:
        """Return the number of threads for the option ``threads``."""
        return threads

    def default_idle_seconds(self) -> float:
        """Return the default of the option ``idle_seconds``."""
        return IDLE_SECONDS

    def after_call(self) -> None:
        """Release the resources of a call; called on the store's thread after each call."""

    def release_thread(self) -> None:
        """Release the resources of this thread, one of the store's threads, before it ends.

        Receivers of signals may have used Django's connections on it, with any backend.
        """
        for connection in connections.all(initialized_only=True):
            connection.close()

    def check(self) -> list[CheckMessage]:
        """Return messages for ``manage.py check``."""
        return []

    def check_databases(self, databases: Sequence[str]) -> list[CheckMessage]:
        """Return messages for ``manage.py check --database``, which may query ``databases``."""
        return []

    def _expires_at(self, now: datetime, ttl: timedelta | None = None) -> datetime | None:
        ttl = self.ttl if ttl is None else ttl
        return None if ttl is None else as_utc(now) + ttl


def check_seconds(seconds: Any, option: str, alias: str) -> float | None:
    """Return the option, a number of seconds above 0, or None; raise ImproperlyConfigured."""
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
