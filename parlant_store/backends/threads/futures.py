"""A future with low overhead: it creates a condition only if a thread waits for it."""

import threading
from concurrent import futures
from typing import Any, TypeVar

T = TypeVar("T")

RLock: Any = type(threading.RLock())
"""The class of the objects that threading.RLock creates."""


class _Condition(RLock):  # type: ignore[misc]
    """The methods of threading.Condition that a future needs; it is created at the first wait."""

    made: threading.Condition | None = None

    def wait(self, timeout: float | None = None) -> bool:
        if self.made is None:
            self.made = threading.Condition(self)
        return self.made.wait(timeout)

    def notify_all(self) -> None:
        if self.made is not None:
            self.made.notify_all()


class Future(futures.Future[T]):
    """concurrent.futures.Future, without the cost of its Condition for short calls."""

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
"""Whether futures of this Python version have these attributes only."""
