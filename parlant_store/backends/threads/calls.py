"""A call of a store on another thread: its result, its cancellation and its timeout."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import AbstractContextManager, contextmanager
from contextvars import Context, copy_context
from time import monotonic
from typing import Any, NamedTuple, Protocol, TypeVar

from asgiref import sync

from parlant_store.backends.threads.futures import Future, RLock
from parlant_store.exceptions import BackendError, OutcomeUnknown, StoreUnavailable

T = TypeVar("T")
R = TypeVar("R")

logger = logging.getLogger("parlant_store")

RETRY_SECONDS = 0.05
"""How long an interrupted call may run before it is interrupted again."""

FORCE_AFTER = 8
"""The number of interruptions after which the connection is closed."""

LEAVE_AFTER = 20
"""The number of interruptions after which the caller of a late call gets an error."""

CLOSED = "the store was closed before it had an answer"
"""The reason for stopping calls when their store is closed."""

PROCESS_ENDS = "the process ends, and an answer took too long"
"""The reason for stopping calls that delay the end of the process."""


class Interrupts(Protocol):
    """The methods of a backend that stop a call from another thread."""

    def interrupt(self, resource: Any, *, force: bool) -> None: ...

    def explain_timeout(self, seconds: float) -> str: ...


class Group(NamedTuple):
    """Waiting calls with the same ``key``, which ``run`` may run at once."""

    key: Any
    run: Callable[[Sequence["Call[Any]"]], Sequence[Any] | None]
    """Returns their results, or None if it did nothing and each must run alone."""


class Call(Future[T]):
    """The future of ``function``, which runs with the context variables of its caller.

    ``wake`` is called after the future is done. ``timeout`` is in seconds from now.
    """

    database: str | None = None
    """The alias in DATABASES that the routers chose for the caller."""

    read_database: str | None = None
    """The alias for its reads, if the routers chose another one for them."""

    resource: Any = None
    """The connection that the call uses now, for ``Interrupts.interrupt``."""

    group: Group | None = None

    is_on_callers_connection = False

    manager: AbstractContextManager[Any] | None = None
    """Entered around ``function``, on the thread that runs it."""

    stopped: str | None = None
    """The reason for stopping the call: "cancelled", "timeout", CLOSED or PROCESS_ENDS."""

    leader: "Call[Any] | None" = None
    """The first call of the group, whose ``resource`` the group uses."""

    group_calls: Sequence["Call[Any]"] = ()
    """The other calls of the group, if this is the first one."""

    may_leave: type[StoreUnavailable] | None = None
    """The error for the caller if the call is stopped during a wait that cannot be interrupted."""

    is_silent = False
    late_reason = "timeout"

    def __init__(
        self,
        store: Interrupts,
        function: Callable[[], T],
        *,
        wake: Callable[[], None] | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__()
        self._lock = RLock()
        self.store = store
        self.function = function
        self.wake = wake
        self.context = copy_context()
        self.timeout = timeout
        self.deadline = None if timeout is None else monotonic() + timeout
        self._is_begun = False
        self._is_requeued = False
        self._is_finished = False

    def begin(self) -> bool:
        """Mark the call as running; return False if it is running or done already."""
        with self._lock:
            if self._is_requeued:
                self._is_requeued = False
                return True
            if self._is_begun or not self.set_running_or_notify_cancel():
                return False
            self._is_begun = True
            return True

    def requeue(self) -> None:
        """Let the call begin again, alone, because its group could not run."""
        with self._lock:
            self.group, self.leader, self._is_requeued = None, None, True

    def run(self, after: Callable[[], None] | None = None) -> None:
        """Run the call, which has begun, on this thread; ``after`` runs before it is done."""
        try:
            self.check()
            result = self.as_running(self.run_in_context, self._invoke)
        except BaseException as exc:
            run_after(after)
            self.fail(exc)
        else:
            run_after(after)
            self.finish(result)

    def run_in_context(self, function: Callable[..., R], *args: Any) -> R:
        """Run ``function(*args)`` with the context variables and asgiref's Locals of the caller.

        These have Django's active time zone and language.
        """
        return self.context.run(_run_moved, self.context, function, *args)

    def as_running(self, function: Callable[..., R], *args: Any) -> R:
        """Run ``function(*args)``; meanwhile ``running_call`` returns this call on this thread."""
        outer, _running.call = _running.call, self
        try:
            return function(*args)
        finally:
            _running.call = outer

    def _invoke(self) -> T:
        if self.manager is None:
            return self.function()
        with self.manager:
            return self.function()

    def finish(self, result: T) -> None:
        if self._end():
            self.set_result(result)

    def fail(self, error: BaseException) -> None:
        if self.is_silent or not self._end():
            return
        if self.stopped is None and self.is_late():
            self.stopped = self.late_reason
        if self.stopped is not None and isinstance(error, (StoreUnavailable, BackendError)):
            kind = type(error) if isinstance(error, StoreUnavailable) else StoreUnavailable
            explained = kind(self._explanation())
            explained.__cause__ = error
            error = explained
        self.set_exception(error)

    def _end(self) -> bool:
        """Mark the call as finished; return False if it was finished already."""
        # With the lock, so that no interruption hits the next call of the thread.
        with self._lock:
            was_finished, self._is_finished = self._is_finished, True
            self.resource = None
            return not was_finished

    @contextmanager
    def leaving(self, error: type[StoreUnavailable]) -> Iterator[None]:
        """Surround a wait that cannot be interrupted: a caller that is stopped gets ``error``.

        Raise StoreUnavailable afterwards if the call was stopped.
        """
        with self._lock:
            self.may_leave = error
        try:
            yield
        finally:
            with self._lock:
                self.may_leave = None
        self.check()

    def is_late(self) -> bool:
        return self.deadline is not None and monotonic() >= self.deadline

    def check(self) -> None:
        """Raise StoreUnavailable if the call, or another one of its group, was stopped."""
        for call in (self, *self.group_calls):
            if call.stopped is not None:
                raise StoreUnavailable(f"the call was stopped: {call.stopped}")

    def limit(self, seconds: float, reason: str) -> None:
        """Shorten the timeout of the call to ``seconds``; ``reason`` is for its error."""
        deadline = monotonic() + seconds
        if self.deadline is None or self.deadline > deadline:
            self.deadline, self.late_reason = deadline, reason

    def silence(self) -> None:
        """Report no errors to the caller before its timeout, because the process ends before.

        A thread that reports an error during the exit of Python may break it.
        """
        self.is_silent, self.late_reason = True, "timeout"
        self.deadline = None if self.timeout is None else monotonic() + self.timeout

    def expire(self, reason: str | None = None) -> None:
        """Stop the call because of its timeout or another ``reason``.

        If it has not begun, it does not begin; otherwise it is interrupted until it ends.
        """
        reason = reason or self.late_reason
        if self.begin():
            self.stopped = reason
            self._leave(StoreUnavailable)
        elif self.is_silent:
            self._leave(OutcomeUnknown)
        elif self.stopped is None and not self.done():
            self._start_interrupting(reason)

    def stop(self) -> None:
        """Cancel the call."""
        if not self.cancel():
            self.expire("cancelled")

    def interrupt(self, reason: str, *, force: bool = False) -> None:
        """Interrupt the current statement of the call, which may then start another one."""
        self.stopped = reason
        if self._is_requeued and self.begin():
            self._leave(StoreUnavailable)
            return
        running = self.leader or self
        with running._lock:
            if running.may_leave is not None:
                self._leave(running.may_leave)
            elif running.resource is not None and not running._is_finished:
                self.store.interrupt(running.resource, force=force)

    def _leave(self, kind: type[StoreUnavailable]) -> None:
        """Raise an error in the caller, while the thread may still run the call."""
        if self._end():
            self.set_exception(kind(self._explanation()))
            if self.wake is not None:
                self.wake()

    def _interrupt_until_done(self, reason: str) -> None:
        attempts = 0
        while not wait([self], RETRY_SECONDS if attempts else 0).done:
            if attempts >= LEAVE_AFTER and reason != "cancelled":
                self._leave(OutcomeUnknown)
            self.interrupt(reason, force=attempts >= FORCE_AFTER)
            attempts += 1

    def _start_interrupting(self, reason: str) -> None:
        self.stopped = reason
        threading.Thread(target=self._interrupt_until_done, args=(reason,), daemon=True).start()

    def _explanation(self) -> str:
        if self.stopped == "timeout":
            return self.store.explain_timeout(self.timeout or 0)
        return f"the call was stopped: {self.stopped}"


def run_after(after: Callable[[], None] | None) -> None:
    """Run ``after``, and log its error, which is not an error of the call."""
    if after is not None:
        try:
            after()
        except Exception:
            logger.exception("Could not release the resources of a call")


# asgiref hides its Locals from threads to which it has not moved the context itself.
_restore: Callable[[Context], None] | None = getattr(sync, "_restore_context", None)


def _run_moved(context: Context, function: Callable[..., R], *args: Any) -> R:
    if _restore is not None:
        _restore(context)
    return function(*args)


class _Running(threading.local):
    call: Call[Any] | None = None


_running = _Running()


def running_call() -> Call[Any] | None:
    """Return the call that this thread runs, or None."""
    return _running.call
