"""Stops calls at their timeout."""

import os
import threading
from time import monotonic, sleep
from typing import Any

from parlant_store.backends.threads.calls import Call

MAX_PAUSE = 0.25
"""Limit on the seconds between two checks, and on the delay of a timeout."""

IDLE_SECONDS = 5.0
"""How long the thread may be idle before it ends."""


class Deadlines:
    """The calls of a process that have a deadline, and the thread that checks them."""

    def __init__(self) -> None:
        self._restart()

    def _restart(self) -> None:
        self._lock = threading.Lock()
        self._calls: set[Call[Any]] = set()
        self._thread: threading.Thread | None = None

    def add(self, call: Call[Any]) -> None:
        """Check ``call``, which has a deadline, until it is discarded."""
        self._calls.add(call)
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="store-deadlines", daemon=True)
            if self._take_over(thread):
                thread.start()

    def discard(self, call: Call[Any]) -> None:
        self._calls.discard(call)

    def _take_over(self, thread: threading.Thread | None = None) -> bool:
        """Make ``thread``, or this one, the thread that checks calls; False if there is one."""
        with self._lock:
            if self._thread is None:
                self._thread = thread or threading.current_thread()
                return True
            return False

    def _run(self) -> None:
        last = monotonic()
        while True:
            calls = self._calls.copy()
            for call in calls:
                if call.is_late():
                    call.expire()
            if calls:
                last = monotonic()
            elif monotonic() - last > IDLE_SECONDS:
                self._thread = None
                # A call that was added before this may not have started another thread.
                if not self._calls or not self._take_over():
                    return
            timeouts = [call.timeout for call in calls if call.timeout is not None]
            sleep(min([MAX_PAUSE, *(timeout / 10 for timeout in timeouts)]))


deadlines = Deadlines()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=deadlines._restart)
