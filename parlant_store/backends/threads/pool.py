"""The threads of an executor, and the calls that wait for one of them."""

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable
from time import monotonic
from typing import Any

from parlant_store.backends.threads.calls import CLOSED, RETRY_SECONDS, Call, Group, run_after
from parlant_store.backends.threads.deadlines import deadlines
from parlant_store.exceptions import StoreUnavailable

HOLD_SECONDS = 0.002
"""How long a single thread runs further calls before it wakes event loops for finished ones.

The thread of a woken event loop competes with this one for the interpreter's lock. Under load,
waking it once for several short results doubles the calls per second. If there are several
threads, they mostly wait for a server, and wake event loops at once.
"""

MAX_GROUP = 64
"""Limit on the calls of a group."""

FINISH_SECONDS = 2.5
"""How long ``close`` waits for calls before it interrupts them."""

ABANDON_SECONDS = 0.6
"""How long ``close`` waits for interrupted calls before it returns."""


class Pool:
    """The threads between their first call and ``close``, and the waiting calls."""

    def __init__(
        self,
        name: str,
        count: int,
        after_call: Callable[[], None] | None,
        release: Callable[[], None],
        idle_seconds: float | None,
    ) -> None:
        self.after_call = after_call
        self.release = release
        self.idle_seconds = idle_seconds
        self.hold = HOLD_SECONDS if count == 1 else 0
        self._name = name
        self._count = count
        self._lock = threading.Lock()
        self._calls: deque[Call[Any]] = deque()
        self._workers: list[Worker] = []
        self._idle: list[Worker] = []
        self._is_closing = False

    def submit(self, calls: Iterable[Call[Any]]) -> None:
        with self._lock:
            for group in _groups(calls):
                self._submit(group)

    def _submit(self, group: list[Call[Any]]) -> None:
        if self._is_closing:
            self._calls.extend(group)
        elif self._idle:
            self._idle.pop().give(group)
        elif len(self._workers) < self._count:
            worker = Worker(self, f"{self._name}-{len(self._workers)}")
            worker.give(group)
            _start(worker)
            self._workers.append(worker)
        else:
            self._calls.extend(group)

    def take(self) -> list[Call[Any]]:
        """Return the next waiting call, if any."""
        with self._lock:
            return [self._calls.popleft()] if self._calls else []

    def take_group(self, group: Group | None, limit: int) -> list[Call[Any]]:
        """Return up to ``limit`` waiting calls that can run with one of ``group``."""
        taken: list[Call[Any]] = []
        if group is not None and self._calls:
            others: deque[Call[Any]] = deque()
            with self._lock:
                for call in self._calls:
                    is_taken = call.group is not None and call.group.key == group.key
                    is_taken = is_taken and len(taken) < limit
                    (taken if is_taken else others).append(call)
                self._calls = others
        return taken

    def next_or_idle(self, worker: "Worker") -> None:
        """Give ``worker`` a waiting call, or add it to the idle threads."""
        with self._lock:
            if self._calls:
                worker.give([self._calls.popleft()])
            elif self._is_closing:
                worker.give(None)
            else:
                self._idle.append(worker)

    def leave(self, worker: "Worker") -> bool:
        """Remove ``worker``, which ends; return False if it got a call meanwhile."""
        with self._lock:
            if worker not in self._idle:
                return False
            self._idle.remove(worker)
            self._workers.remove(worker)
            return True

    def end_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
            self._workers = [worker for worker in self._workers if worker not in idle]
            for worker in idle:
                worker.give(None)
        _join(idle, ABANDON_SECONDS)

    def close(self, finish_seconds: float, abandon_seconds: float) -> None:
        with self._lock:
            self._is_closing = True
            for worker in self._idle:
                worker.give(None)
            workers = list(self._workers)
        if _join(workers, finish_seconds):
            return
        with self._lock:
            waiting, self._calls = self._calls, deque()
        for call in waiting:
            if not call.is_silent:
                call.expire(CLOSED)
        # In this thread, because Python starts no threads at exit.
        until = monotonic() + abandon_seconds
        while not _join(workers, min(RETRY_SECONDS, max(0.0, until - monotonic()))):
            for call in [call for worker in workers for call in worker.calls]:
                call.interrupt(CLOSED)
                if monotonic() >= until:
                    return
            if monotonic() >= until:
                return

    def calls(self) -> list[Call[Any]]:
        """Return the waiting and the running calls."""
        with self._lock:
            return [*self._calls, *(call for worker in self._workers for call in worker.calls)]


def _groups(calls: Iterable[Call[Any]]) -> list[list[Call[Any]]]:
    """Return ``calls`` as groups, each of which runs on one thread."""
    groups: list[list[Call[Any]]] = []
    last: dict[Any, list[Call[Any]]] = {}
    for call in calls:
        key = call if call.group is None else call.group.key
        if key not in last or len(last[key]) == MAX_GROUP:
            last[key] = []
            groups.append(last[key])
        last[key].append(call)
    return groups


def _start(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError as exc:
        # Python 3.12 and later start no threads at exit.
        raise StoreUnavailable(f"no thread can be started for the call: {exc}") from exc


def _join(workers: "list[Worker]", seconds: float) -> bool:
    """Wait for ``workers`` to end; return False if some have not."""
    until = monotonic() + seconds
    for worker in workers:
        worker.join(max(0.0, until - monotonic()))
    return not any(worker.is_alive() for worker in workers)


class Worker(threading.Thread):
    """A thread, and the calls that it runs next."""

    calls: Collection[Call[Any]] = ()
    """The calls that are running or run next."""

    def __init__(self, pool: Pool, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._pool = pool
        self._next: list[Call[Any]] | None = None
        self._has_next = threading.Lock()
        self._has_next.acquire()

    def give(self, calls: list[Call[Any]] | None) -> None:
        """Let the thread run ``calls``, which are one group; None ends it."""
        self._next, self.calls = calls, calls or ()
        self._has_next.release()

    def run(self) -> None:
        while self._wait() and self._next is not None:
            wakes = self._make_calls(self._next)
            self._next = None
            # First idle, then wake: the woken caller may use this thread for its next call.
            self._pool.next_or_idle(self)
            for wake in wakes:
                wake()
        self._pool.release()

    def _wait(self) -> bool:
        """Wait for a call; return False after ``idle_seconds``."""
        seconds = self._pool.idle_seconds
        if self._has_next.acquire(timeout=-1 if seconds is None else seconds):
            return True
        return not self._pool.leave(self) and self._has_next.acquire()

    def _make_calls(self, calls: list[Call[Any]]) -> Collection[Callable[[], None]]:
        """Run ``calls``, and waiting calls for a short time; return the ``wake`` of each."""
        wakes: dict[Callable[[], None], None] = {}
        until = monotonic() + self._pool.hold
        while calls:
            calls += self._pool.take_group(calls[0].group, MAX_GROUP - len(calls))
            for call in self._make_group(calls):
                if call.done():
                    deadlines.discard(call)
                if call.wake is not None:
                    wakes[call.wake] = None
            calls = self._pool.take() if monotonic() < until else []
        return wakes

    def _make_group(self, group: list[Call[Any]]) -> list[Call[Any]]:
        """Run the calls of ``group`` and return those that are done; the others wait again."""
        self.calls = calls = [call for call in group if call.begin()]
        if len(calls) > 1 and not self._run_together(calls):
            # One of them may wait long, which must not delay the others.
            for call in calls[1:]:
                call.requeue()
                self._pool.submit((call,))
                group.remove(call)
            del calls[1:]
        if len(calls) == 1:
            calls[0].run(self._pool.after_call)
        self.calls = ()
        return group

    def _run_together(self, calls: list[Call[Any]]) -> bool:
        first = calls[0]
        assert first.group is not None
        first.group_calls = calls[1:]
        for call in calls[1:]:
            call.leader = first
        try:
            results = first.as_running(first.group.run, calls)
        except BaseException as exc:
            run_after(self._pool.after_call)
            for call in calls:
                call.fail(exc)
            return True
        finally:
            first.group_calls = ()
        if results is None:
            return False
        run_after(self._pool.after_call)
        for call, result in zip(calls, results, strict=True):
            call.finish(result)
        return True
