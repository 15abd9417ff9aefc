"""Asynchronous variants of a store's methods, with ``a`` before the name, as in Django."""

import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from itertools import islice
from typing import Any, Concatenate, ParamSpec, TypeVar

from asgiref.sync import markcoroutinefunction

from parlant_store.backends.threads.async_calls import run

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")


def as_async(
    method: Callable[Concatenate[S, P], T],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Return the asynchronous variant of ``method``, for the body of its class.

    It calls ``method``, or what a subclass overrides it by, where the store runs the calls of the
    caller (parlant_store.backends.threads.async_calls).
    """
    name = method.__name__

    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        store: Any = self
        coroutine = run(store, getattr(store, name), *args, **kwargs)
        # Warnings about a coroutine that is not awaited show its name.
        coroutine.__qualname__ = call.__qualname__
        return coroutine

    _rename(call)
    # It is no coroutine function, so that there is one coroutine less in each call.
    return markcoroutinefunction(call)


def as_async_iterator(
    method: Callable[Concatenate[S, P], Iterator[T]], size: int
) -> Callable[Concatenate[S, P], AsyncIterator[T]]:
    """Return the asynchronous variant of ``method``, which returns an iterator.

    It returns an asynchronous iterator, like Django's ``QuerySet.aiterator``. A call of the store
    reads up to ``size`` values ahead.
    """
    name = method.__name__

    @wraps(method)
    async def iterate(self: S, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        store: Any = self
        values: Iterator[T] | None = None

        def take() -> list[T]:
            nonlocal values
            if values is None:
                values = getattr(store, name)(*args, **kwargs)
            return list(islice(values, size))

        # Backends distinguish calls by their names.
        take.__name__ = name
        while taken := await run(store, take):
            for value in taken:
                yield value
            if len(taken) < size:
                break

    _rename(iterate)
    doc = inspect.getdoc(method)
    iterate.__doc__ = f"{doc}\n\nThis variant returns an asynchronous iterator, for ``async for``."
    return iterate


def _rename(variant: Any) -> None:
    owner, _, name = variant.__qualname__.rpartition(".")
    variant.__name__ = f"a{name}"
    variant.__qualname__ = f"{owner}.a{name}"
