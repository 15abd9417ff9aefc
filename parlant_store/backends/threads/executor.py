"""A store's own threads, each keeping what it opened from call to call."""

import os
import threading
from collections.abc import Callable
from typing import Any

from parlant_store.backends.threads.calls import Call
from parlant_store.backends.threads.deadlines import deadlines
from parlant_store.backends.threads.pool import ABANDON_SECONDS, FINISH_SECONDS, Pool


class Executor:
    """``count`` threads at most, started when first needed.

    The thread that rested last works next, so that few calls keep few threads, and what
    they hold, warm. After a fork the child starts its own.
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
        after_call: runs on the thread after each call, before its result is known.
        release: runs on the thread before it ends.
        idle_seconds: how long a thread waits for a call before it ends; None: for ever.
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
        """Make ``call`` on one of the threads, and ``others`` behind it.

        Its ``wake`` is called there after it is done, once for several calls that come with
        an equal ``wake``. Calls that wait for a thread and whose groups have equal keys are
        made by one of them; what that raises, each of them raises.
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
        """End the threads that rest, and close what they hold; the next call starts others."""
        pool = self._pool
        if pool is not None and self._pid == os.getpid():
            pool.end_idle()

    def close(
        self,
        finish_seconds: float = FINISH_SECONDS,
        abandon_seconds: float = ABANDON_SECONDS,
    ) -> None:
        """Finish what was submitted, release what each thread holds and end them.

        What is not done after ``finish_seconds`` is interrupted, and after ``abandon_seconds``
        more left to its thread.
        """
        if self._pid != os.getpid():
            return
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close(finish_seconds, abandon_seconds)

    def limit(self, seconds: float, reason: str) -> None:
        """Have the calls that were submitted end within ``seconds``; not those to come."""
        for call in self._calls():
            call.limit(seconds, reason)
            deadlines.add(call)

    def silence(self) -> None:
        """Keep errors of the calls that were submitted from their callers (``Call.silence``)."""
        for call in self._calls():
            call.silence()

    def _calls(self) -> list[Call[Any]]:
        return [] if self._pool is None or self._pid != os.getpid() else self._pool.calls()
