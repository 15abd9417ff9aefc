"""The choice of the database for reads, if it is another one than for writes."""

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

PRIMARY, ROUTER = "primary", "router"
CHOICES = (PRIMARY, ROUTER)
"""The values of the option ``reads``."""

_primary: ContextVar[bool] = ContextVar("parlant_store_primary_reads", default=False)


class primary_reads:
    """Use the database of writes for all reads of a store, whatever its option ``reads`` is.

    It is for reads that a write, a report or the next turn of an agent relies on: a replica may
    lag. (A generator as context manager would take longer than this, in each read of an agent.)
    """

    def __enter__(self) -> None:
        self._token = _primary.set(True)

    def __exit__(self, *error: object) -> None:
        _primary.reset(self._token)


def is_primary() -> bool:
    """Whether ``primary_reads`` is in effect."""
    return _primary.get()


def on_primary(generator: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    """Run each step of ``generator`` in ``primary_reads``, and its consumer outside of it."""

    @wraps(generator)
    def run(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        steps = generator(*args, **kwargs)
        while True:
            with primary_reads():
                try:
                    value = next(steps)
                except StopIteration:
                    return
            yield value

    return run
