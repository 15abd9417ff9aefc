"""Ending a command between two steps, when somebody asks it to end."""

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """While it is entered, the first SIGINT or SIGTERM is noted; another one acts as always.

    On other threads than the main one no signal arrives, and nothing is noted.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self.signal: int | None = None

    def __bool__(self) -> bool:
        """Whether the command is to end."""
        return self.signal is not None

    @property
    def returncode(self) -> int:
        """What a shell says of a process that the signal ended."""
        return 128 + (self.signal or 0)

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
