"""Stopping a command between two steps, by SIGINT or SIGTERM."""

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """A context manager that records the first SIGINT or SIGTERM; the next one acts as usual.

    Only the main thread receives signals: on other threads nothing is recorded.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self.signal: int | None = None

    def __bool__(self) -> bool:
        """Whether a signal has arrived, so that the command should stop."""
        return self.signal is not None

    @property
    def returncode(self) -> int:
        """The exit code of a process that the signal ends, as shells report it."""
        return 128 + (self.signal or 0)

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._record) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()

    def _record(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
