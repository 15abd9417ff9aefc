"""A store's own threads, each keeping what it opened from call to call."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
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

    ``release`` runs on each of them before it ends. After a fork the child starts its own.
    """

    def __init__(self, name: str, count: int, release: Callable[[], None]) -> None:
        self.name = name
        self.count = count
        self._release = release
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def submit(self, call: Callable[[], T], wake: Callable[[], None] | None = None) -> Future[T]:
        """Run ``call`` on one of the threads.

        ``wake`` is called on that thread after the future is done, once for several
        futures that come with an equal ``wake``.
        """
        future: Future[T] = Future()
        if self._pid != os.getpid():
            self._lock = threading.Lock()
            self._begin()
        with self._lock:
            self._jobs.put(_Job(future, call, wake))
            if len(self._threads) < self.count and not self._idle.acquire(blocking=False):
                self._start()
        return future

    def _start(self) -> None:
        name = f"{self.name}-{len(self._threads)}"
        thread = threading.Thread(
            target=self._work, args=(self._jobs, self._idle), name=name, daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _work(self, jobs: "SimpleQueue[_Job | None]", idle: threading.Semaphore) -> None:
        while (job := jobs.get()) is not None:
            _run_some(job, jobs, HOLD_SECONDS if self.count == 1 else 0)
            idle.release()
        self._release()

    def close(self) -> None:
        """Finish what was submitted, release what each thread holds and end them."""
        if self._pid != os.getpid():
            return
        with self._lock:
            threads = self._threads
            for _ in threads:
                self._jobs.put(None)
            self._begin()
        for thread in threads:
            thread.join()


def _run_some(job: _Job | None, jobs: "SimpleQueue[_Job | None]", hold: float) -> None:
    """Run ``job`` and those after it until none is left or time is up, then wake all at once."""
    wakes: dict[Callable[[], None], None] = {}
    until = monotonic() + hold
    while job is not None:
        job.run()
        if job.wake is not None:
            wakes[job.wake] = None
        if monotonic() >= until:
            break
        try:
            job = jobs.get_nowait()
        except Empty:
            break
        if job is None:
            jobs.put(None)
    for wake in wakes:
        wake()
