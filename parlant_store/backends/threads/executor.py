"""The threads of a store, which keep their connections between calls."""

import os
import threading
from collections.abc import Callable
from typing import Any

from parlant_store.backends.threads.calls import Call
from parlant_store.backends.threads.deadlines import deadlines
from parlant_store.backends.threads.pool import ABANDON_SECONDS, FINISH_SECONDS, Pool


class Executor:
    """At most ``count`` threads, which are started when needed.

    The most recently used idle thread gets the next call, so that few calls use few threads. After
    a fork, the child starts its own threads.
    """

    def __init__(
        self,
        name: str,
        count: int,
        *,
        after_call: Callable[[], None] | None = None,
        release: Callable[[], None],
        idle_seconds: float | None = None,
    ) -> None:
        """
        after_call: runs on the thread after each call, before its future is done.
        release: runs on the thread before it ends.
        idle_seconds: how long a thread waits for a call before it ends; None: no limit.
        """
        self.name = name
        self.count = count
        self.idle_seconds = idle_seconds
        self._after_call = after_call
        self._release = release
        self._restart()

    def _restart(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._pool: Pool | None = None

    def submit(self, call: Call[Any], *others: Call[Any]) -> None:
        """Run ``call``, and then ``others``, on the threads.

        ``wake`` of a call is called on the thread when it is done, once for several calls with the
        same ``wake``. Waiting calls whose groups have the same key run together; if the group
        raises an error, each of them does.
        """
        if self._pid != os.getpid():
            self._restart()
        calls = (call, *others)
        for one in calls:
            if one.deadline is not None:
                deadlines.add(one)
        with self._lock:
            if self._pool is None:
                self._pool = Pool(
                    self.name, self.count, self._after_call, self._release, self.idle_seconds
                )
            self._pool.submit(calls)

    def end_idle(self) -> None:
        """End the idle threads, which close their connections; the next call starts others."""
        pool = self._pool
        if pool is not None and self._pid == os.getpid():
            pool.end_idle()

    def close(
        self,
        finish_seconds: float = FINISH_SECONDS,
        abandon_seconds: float = ABANDON_SECONDS,
    ) -> None:
        """Wait for the calls, and end the threads, which release their resources.

        Calls are interrupted after ``finish_seconds``; ``close`` returns after ``abandon_seconds``
        more, even if calls still run.
        """
        if self._pid != os.getpid():
            return
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close(finish_seconds, abandon_seconds)

    def limit(self, seconds: float, reason: str) -> None:
        """Shorten the timeouts of the submitted calls to ``seconds``."""
        for call in self._calls():
            call.limit(seconds, reason)
            deadlines.add(call)

    def silence(self) -> None:
        """Report no errors of the submitted calls (``Call.silence``)."""
        for call in self._calls():
            call.silence()

    def _calls(self) -> list[Call[Any]]:
        return [] if self._pool is None or self._pid != os.getpid() else self._pool.calls()
