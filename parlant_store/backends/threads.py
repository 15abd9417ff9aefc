"""A store's own threads, each keeping what it opened from call to call."""

import os
import threading
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future
from time import monotonic
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

HOLD_SECONDS = 0.002
"""How long a single thread goes on to the next call before it wakes who waits for the last.

Waking an event loop makes its thread and this one fight for the interpreter's lock. Under
load, waking it once for several short results gives twice the calls per second. Several
threads spend their time waiting for a server, and wake at once.
"""


class _Job(NamedTuple):
    future: Future[Any]
    call: Callable[[], Any]
    wake: Callable[[], None] | None

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.call()
        except BaseException as exc:
            self.future.set_exception(exc)
        else:
            self.future.set_result(result)


class Threads:
    """``count`` threads at most, started when first needed.

    The thread that rested last works next, so that few calls keep few threads, and what
    they hold, warm. ``release`` runs on each of them before it ends. After a fork the child
    starts its own.
    """

    def __init__(self, name: str, count: int, release: Callable[[], None]) -> None:
        self.name = name
        self.count = count
        self._release = release
        self._start_anew()

    def _start_anew(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._crew: _Crew | None = None

    def submit(self, call: Callable[[], T], wake: Callable[[], None] | None = None) -> Future[T]:
        """Run ``call`` on one of the threads.

        ``wake`` is called on that thread after the future is done, once for several
        futures that come with an equal ``wake``.
        """
        if self._pid != os.getpid():
            self._start_anew()
        job = _Job(Future(), call, wake)
        with self._lock:
            if self._crew is None:
                self._crew = _Crew(self.name, self.count, self._release)
            self._crew.take(job)
        return job.future

    def close(self) -> None:
        """Finish what was submitted, release what each thread holds and end them."""
        if self._pid != os.getpid():
            return
        with self._lock:
            crew, self._crew = self._crew, None
        if crew is not None:
            crew.end()


class _Crew:
    """The threads from their first job to ``end``, and the jobs that wait for them."""

    def __init__(self, name: str, count: int, release: Callable[[], None]) -> None:
        self.release = release
        self.hold = HOLD_SECONDS if count == 1 else 0
        self._name = name
        self._count = count
        self._lock = threading.Lock()
        self._jobs: deque[_Job] = deque()
        self._workers: list[_Worker] = []
        self._resting: list[_Worker] = []
        self._ending = False

    def take(self, job: _Job) -> None:
        with self._lock:
            if self._resting:
                self._resting.pop().give(job)
            elif len(self._workers) < self._count:
                worker = _Worker(self, f"{self._name}-{len(self._workers)}")
                self._workers.append(worker)
                worker.give(job)
                worker.start()
            else:
                self._jobs.append(job)

    def next_job(self) -> _Job | None:
        """A job that waits, if any."""
        try:
            return self._jobs.popleft()
        except IndexError:
            return None

    def rest(self, worker: "_Worker") -> None:
        """Give ``worker`` a job that waits, or let it rest until there is one."""
        with self._lock:
            job = self.next_job()
            if job is None and not self._ending:
                self._resting.append(worker)
            else:
                worker.give(job)

    def end(self) -> None:
        with self._lock:
            self._ending = True
            for worker in self._resting:
                worker.give(None)
        for worker in self._workers:
            worker.join()


class _Worker(threading.Thread):
    """One thread, with a place for the job that it is to do next."""

    def __init__(self, crew: _Crew, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._crew = crew
        self._job: _Job | None = None
        self._given = threading.Lock()
        self._given.acquire()

    def give(self, job: _Job | None) -> None:
        """Let the thread run ``job``; None ends it."""
        self._job = job
        self._given.release()

    def run(self) -> None:
        while True:
            self._given.acquire()
            if self._job is None:
                break
            wakes = self._run_some(self._job)
            # Resting first: whoever is woken finds this thread free for its next call.
            self._crew.rest(self)
            for wake in wakes:
                wake()
        self._crew.release()

    def _run_some(self, job: _Job | None) -> Collection[Callable[[], None]]:
        """Run ``job`` and what waits behind it until time is up; return whom to wake."""
        wakes: dict[Callable[[], None], None] = {}
        until = monotonic() + self._crew.hold
        while job is not None:
            job.run()
            if job.wake is not None:
                wakes[job.wake] = None
            job = self._crew.next_job() if monotonic() < until else None
        return wakes
