"""What calls need of their caller's thread, for calls on threads that a framework starts.

Such threads have neither the connections nor the thread locals of the caller, and not always its
context.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ContextDecorator
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class CallerState:
    thread: int
    """The identifier of the thread that has this state."""

    context: Context = field(default_factory=copy_context)

    database: str | None = None
    """The alias in DATABASES that the routers choose there."""

    managers: tuple[AbstractContextManager[Any], ...] = ()
    """Entered around each call, the first one outside."""

    def wrap(self, function: Callable[[], T]) -> Callable[[], T]:
        for manager in reversed(self.managers):
            function = _within(manager, function)
        return function


def _within(manager: AbstractContextManager[Any], function: Callable[[], T]) -> Callable[[], T]:
    if isinstance(manager, ContextDecorator):
        # It enters a new one for each call, if it can be entered only once.
        return manager(function)

    def call() -> T:
        with manager:
            return function()

    return call
