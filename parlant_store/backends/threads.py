"""A store's own threads, each keeping what it opened from call to call."""

import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from contextvars import Context, copy_context
from time import monotonic
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

HOLD_SECONDS = 0.002
"""How long a single thread goes on to the next call before it wakes who waits for the last.

Waking an event loop makes its thread and this one fight for the interpreter's lock. Under
load, waking it once for several short results gives twice the calls per second. Several
threads spend their time waiting for a server, and wake at once.
"""


MAX_TOGETHER = 32
"""How many calls that wait are made together at most."""

Together = Callable[[Sequence[Callable[[], Any]]], Sequence[Any] | None]
"""Makes several calls at once and returns their results.

None when it did nothing, and each must be made by itself.
"""


class _Job(NamedTuple):
    future: Future[Any]
    call: Callable[[], Any]
    wake: Callable[[], None] | None
    together: Together | None
    context: Context

    def begin(self) -> bool:
        """Whether the call is to be made: nobody has cancelled it."""
        return self.future.running() or self.future.set_running_or_notify_cancel()

    def run(self) -> None:
        try:
            result = self.context.run(self.call)
        except BaseException as exc:
            self.future.set_exception(exc)
        else:
            self.future.set_result(result)


def _run_together(jobs: list[_Job], together: Together) -> bool:
    try:
        results = together([job.call for job in jobs])
    except BaseException as exc:
        for job in jobs:
            job.future.set_exception(exc)
        return True
    if results is None:
        return False
    for job, result in zip(jobs, results, strict=True):
        job.future.set_result(result)
    return True


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

    def submit(
        self,
        call: Callable[[], T],
        wake: Callable[[], None] | None = None,
        together: Together | None = None,
    ) -> Future[T]:
        """Run ``call`` on one of the threads, with the caller's context variables.

        ``wake`` is called on that thread after the future is done, once for several
        futures that come with an equal ``wake``. Calls that wait for a thread and come with
        an equal ``together`` are made by it; what it raises, each of them raises.
        """
        if self._pid != os.getpid():
            self._start_anew()
        job = _Job(Future(), call, wake, together, copy_context())
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
            if self._ending:
                self._jobs.append(job)
            elif self._resting:
                self._resting.pop().give(job)
            elif len(self._workers) < self._count:
                worker = _Worker(self, f"{self._name}-{len(self._workers)}")
                self._workers.append(worker)
                worker.give(job)
                worker.start()
            else:
                self._jobs.append(job)

    def next_job(self) -> _Job | None:
        """Take a job that waits, if any."""
        with self._lock:
            return self._jobs.popleft() if self._jobs else None

    def like(self, job: _Job) -> list[_Job]:
        """Take the jobs that wait and can be done together with ``job``."""
        like: list[_Job] = []
        if job.together is not None and self._jobs:
            others: deque[_Job] = deque()
            with self._lock:
                for other in self._jobs:
                    fits = other.together == job.together and len(like) < MAX_TOGETHER - 1
                    (like if fits else others).append(other)
                self._jobs = others
        return like

    def rest(self, worker: "_Worker") -> None:
        """Give ``worker`` a job that waits, or let it rest until there is one."""
        with self._lock:
            if self._jobs:
                worker.give(self._jobs.popleft())
            elif self._ending:
                worker.give(None)
            else:
                self._resting.append(worker)

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
            done = self._run_all([job, *self._crew.like(job)])
            wakes.update((job.wake, None) for job in done if job.wake is not None)
            job = self._crew.next_job() if monotonic() < until else None
        return wakes

    def _run_all(self, jobs: list[_Job]) -> list[_Job]:
        """Run ``jobs`` and return those that are done; the others go back to the crew."""
        begun = [job for job in jobs if job.begin()]
        together = jobs[0].together
        if len(begun) > 1 and together is not None and not _run_together(begun, together):
            # One of them may have long to wait, which is not the business of the others.
            for job in begun[1:]:
                self._crew.take(job._replace(together=None))
                jobs.remove(job)
            del begun[1:]
        if len(begun) == 1:
            begun[0].run()
        return jobs
