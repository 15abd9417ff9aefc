"""Calls on the connection of their caller, like those of Django's async ORM."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import ref

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.threads.calls import Call
from parlant_store.backends.threads.deadlines import deadlines
from parlant_store.backends.threads.executor import Executor


def has_loop() -> bool:
    """Whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def connection_of_coroutine(alias: str) -> BaseDatabaseWrapper | None:
    """Return the connection that the running coroutine has used, or None.

    In Django, each coroutine has its own connections, in addition to those of its thread.
    """
    # As connections.all(initialized_only=True), for one alias.
    storage: Any = connections._connections  # type: ignore[attr-defined]
    try:
        # As getattr, without the cost of its exceptions for a missing connection.
        return storage._storage.cvar._storage().data.get(alias)  # type: ignore[no-any-return]
    except AttributeError:
        return getattr(storage, alias, None)


def connection_of_caller(alias: str) -> BaseDatabaseWrapper:
    """Return the connection with the tenant, the transaction and the hooks of the caller.

    In a coroutine, it is the one that the coroutine has used, or else that of its thread, which
    sync code may have prepared before it ran the loop.
    """
    if not has_loop():
        return connections[alias]
    connection = connection_of_coroutine(alias)
    return connection or _connection_of_thread(alias)


class _ThreadConnections(threading.local):
    """A cache of this thread's connections, which sync code cannot change while a loop runs."""

    loop: Callable[[], asyncio.AbstractEventLoop | None] = staticmethod(lambda: None)
    by_alias: dict[str, BaseDatabaseWrapper]


_thread = _ThreadConnections()


def _connection_of_thread(alias: str) -> BaseDatabaseWrapper:
    """Return ``connections[alias]`` of sync code on this thread."""
    loop = asyncio.get_running_loop()
    if _thread.loop() is not loop:
        _thread.loop, _thread.by_alias = ref(loop), {}
    if alias not in _thread.by_alias:
        asyncio._set_running_loop(None)
        try:
            _thread.by_alias[alias] = connections[alias]
        finally:
            asyncio._set_running_loop(loop)
    return _thread.by_alias[alias]


_forced = 0
"""The number of active ``forced`` contexts."""


@contextmanager
def forced() -> Iterator[None]:
    """Run the calls of all stores, in all threads, on the connections of their callers."""
    global _forced
    _forced += 1
    try:
        yield
    finally:
        _forced -= 1


def is_forced() -> bool:
    return _forced > 0


def run(call: Call[Any]) -> None:
    """Run ``call`` at once in this thread; then its future has the result."""
    if call.begin():
        if call.deadline is not None:
            deadlines.add(call)
        call.run()
        deadlines.discard(call)


def lend(connection: BaseDatabaseWrapper | None, call: Call[Any]) -> None:
    """Run ``call`` on another thread, which uses this thread's ``connection`` meanwhile.

    This thread runs an event loop, which Django does not allow to block. Such calls run one after
    another, like those of the async ORM.
    """
    if connection is not None:
        function = call.function

        def borrow() -> Any:
            with _borrowed(connection):
                return function()

        call.function = borrow
    executor.submit(call)


@contextmanager
def _borrowed(connection: BaseDatabaseWrapper) -> Iterator[None]:
    connection.inc_thread_sharing()
    connections[connection.alias] = connection
    try:
        yield
    finally:
        del connections[connection.alias]
        connection.dec_thread_sharing()


def _close_connections() -> None:
    for connection in connections.all(initialized_only=True):
        connection.close()


executor = Executor("store-caller", 1, release=_close_connections, idle_seconds=60.0)
