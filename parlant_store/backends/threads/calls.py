"""One call of a store on another thread than its caller's: its result, its end, its limits."""

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
"""How long an interrupted call has to end before it is interrupted again."""

FORCE_AFTER = 8
"""After how many interruptions the connection itself is shut down."""

LEAVE_AFTER = 20
"""After how many interruptions a call that took too long is left to its thread."""

CLOSED = "the store was closed before it had an answer"
"""Why a call ends that the end of its store interrupts."""

PROCESS_ENDS = "the process ends, and an answer took too long"
"""Why a call ends that a thread waits for which the process waits for."""


class Interrupts(Protocol):
    """What ends the work of a call from another thread: a backend."""

    def interrupt(self, resource: Any, *, force: bool) -> None: ...

    def explain_timeout(self, seconds: float) -> str: ...


class Group(NamedTuple):
    """Calls with an equal ``key`` that wait for a thread may be made by one ``run``."""

    key: Any
    run: Callable[[Sequence["Call[Any]"]], Sequence[Any] | None]
    """Returns their results; None when it did nothing, and each must be made by itself."""


class Call(Future[T]):
    """The future of ``function``, which runs with the context variables of its maker.

    ``wake`` is called after the future is done. ``timeout`` is in seconds from now on.
    """

    database: str | None = None
    """The alias in DATABASES that the caller's routers gave."""

    resource: Any = None
    """What the store works with at the moment, for ``Interrupts.interrupt``."""

    group: Group | None = None

    is_on_callers_connection = False

    manager: AbstractContextManager[Any] | None = None
    """Entered around ``function``, on the thread that runs it."""

    stopped: str | None = None
    """Why the call is to end: "cancelled", "timeout", CLOSED or PROCESS_ENDS."""

    leader: "Call[Any] | None" = None
    """The call that this one is made with, on whose ``resource`` that is."""

    group_calls: Sequence["Call[Any]"] = ()
    """Those that this one is made with, if it leads them."""

    may_leave: type[StoreUnavailable] | None = None
    """What the caller gets when the call is left to its thread now, in mid-wait."""

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
        """Whether the caller of this is the one that runs the call; else another is, or was."""
        with self._lock:
            if self._is_requeued:
                self._is_requeued = False
                return True
            if self._is_begun or not self.set_running_or_notify_cancel():
                return False
            self._is_begun = True
            return True

    def requeue(self) -> None:
        """Have the call begin once more, by itself: it could not be made with others."""
        with self._lock:
            self.group, self.leader, self._is_requeued = None, None, True

    def run(self, after: Callable[[], None] | None = None) -> None:
        """Make the call, which has begun, on this thread; ``after`` runs before it is done."""
        try:
            self.check()
            with self.as_running():
                result = self.run_in_context(self._invoke)
        except BaseException as exc:
            run_after(after)
            self.fail(exc)
        else:
            run_after(after)
            self.finish(result)

    def run_in_context(self, function: Callable[..., R], *args: Any) -> R:
        """``function(*args)``, which sees the context variables and asgiref's Locals of the maker.

        These hold the time zone and the language that Django has activated there.
        """
        return self.context.run(_run_moved, self.context, function, *args)

    @contextmanager
    def as_running(self) -> Iterator[None]:
        """Have ``running_call`` return this on this thread."""
        outer, _running.call = _running.call, self
        try:
            yield
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
        """Whether the call was still going on."""
        # Nobody interrupts the thread's next call in place of this one.
        with self._lock:
            was_left, self._is_finished = self._is_finished, True
            self.resource = None
            return not was_left

    @contextmanager
    def leaving(self, error: type[StoreUnavailable]) -> Iterator[None]:
        """Around a wait that cannot be interrupted: who is stopped meanwhile gets ``error``.

        Afterwards raises StoreUnavailable when the call was stopped.
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
        """Raise StoreUnavailable when the call, or one that it leads, was stopped meanwhile."""
        for call in (self, *self.group_calls):
            if call.stopped is not None:
                raise StoreUnavailable(f"the call was stopped: {call.stopped}")

    def limit(self, seconds: float, reason: str) -> None:
        """Have the call end within ``seconds``, for this ``reason``, if it has longer."""
        deadline = monotonic() + seconds
        if self.deadline is None or self.deadline > deadline:
            self.deadline, self.late_reason = deadline, reason

    def silence(self) -> None:
        """Keep errors from the caller until its time is up; for a process that ends before.

        A thread that reports one while Python ends may break its end.
        """
        self.is_silent, self.late_reason = True, "timeout"
        self.deadline = None if self.timeout is None else monotonic() + self.timeout

    def expire(self, reason: str | None = None) -> None:
        """End the call because its time is up, or because of another ``reason``.

        If it has not begun it never will; else it is interrupted until it ends.
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
        """End what the call is doing now; it may begin something else."""
        self.stopped = reason
        if self._is_requeued and self.begin():
            self._leave(StoreUnavailable)
            return
        made = self.leader or self
        with made._lock:
            if made.may_leave is not None:
                self._leave(made.may_leave)
            elif made.resource is not None and not made._is_finished:
                self.store.interrupt(made.resource, force=force)

    def _leave(self, kind: type[StoreUnavailable]) -> None:
        """Let the caller go with an error, whatever the thread still does."""
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
    """Run ``after``; that it fails is no failure of the call."""
    if after is not None:
        try:
            after()
        except Exception:
            logger.exception("Could not give back what a call used")


# asgiref hides its Locals from threads to which it did not move them itself.
_restore: Callable[[Context], None] | None = getattr(sync, "_restore_context", None)


def _run_moved(context: Context, function: Callable[..., R], *args: Any) -> R:
    if _restore is not None:
        _restore(context)
    return function(*args)


class _Running(threading.local):
    call: Call[Any] | None = None


_running = _Running()


def running_call() -> Call[Any] | None:
    """The call that this thread is making, if any."""
    return _running.call
