"""A future that costs little: it has a lock, and a condition once a thread waits for it."""

import threading
from concurrent import futures
from typing import Any, TypeVar

T = TypeVar("T")

RLock: Any = type(threading.RLock())
"""What threading.RLock makes, without that function."""


class _Condition(RLock):  # type: ignore[misc]
    """What a future needs of threading.Condition, made when it is first waited for."""

    made: threading.Condition | None = None

    def wait(self, timeout: float | None = None) -> bool:
        if self.made is None:
            self.made = threading.Condition(self)
        return self.made.wait(timeout)

    def notify_all(self) -> None:
        if self.made is not None:
            self.made.notify_all()


class Future(futures.Future[T]):
    """concurrent.futures.Future, whose Condition takes a good part of the time of a short call."""

    def __init__(self) -> None:
        if not _IS_KNOWN:
            super().__init__()
            return
        self._condition = _Condition()
        self._state = futures._base.PENDING
        self._result = None
        self._exception = None
        self._waiters = []
        self._done_callbacks: list[Any] = []


_IS_KNOWN = vars(futures.Future()).keys() == {
    "_condition",
    "_state",
    "_result",
    "_exception",
    "_waiters",
    "_done_callbacks",
}
"""Does this Python's own make nothing else?"""
