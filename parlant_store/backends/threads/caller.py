"""Calls on the connection of their caller, as Django's async ORM makes its own."""

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
    """What the running coroutine has used of ``connections``; None: nothing.

    Django gives each coroutine connections of its own, besides those of its thread.
    """
    # What connections.all(initialized_only=True) looks at, for one alias.
    storage: Any = connections._connections  # type: ignore[attr-defined]
    try:
        # What getattr finds, without the exceptions that say on the way that there is nothing.
        return storage._storage.cvar._storage().data.get(alias)  # type: ignore[no-any-return]
    except AttributeError:
        return getattr(storage, alias, None)


def connection_of_caller(alias: str) -> BaseDatabaseWrapper:
    """The connection whose tenant, transaction and hooks are those of the code that calls.

    In a coroutine it is the one that the coroutine has used, or that of its thread, which sync
    code may have prepared before it ran the loop.
    """
    if not has_loop():
        return connections[alias]
    connection = connection_of_coroutine(alias)
    return connection or _connection_of_thread(alias)


class _ThreadConnections(threading.local):
    """Connections of this thread, which no sync code changes while a loop runs."""

    loop: Callable[[], asyncio.AbstractEventLoop | None] = staticmethod(lambda: None)
    by_alias: dict[str, BaseDatabaseWrapper]


_thread = _ThreadConnections()


def _connection_of_thread(alias: str) -> BaseDatabaseWrapper:
    """What sync code of this thread has as ``connections[alias]``."""
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
"""How many have asked for it."""


@contextmanager
def forced() -> Iterator[None]:
    """Have the calls of every store, in all threads, use the connections of their callers."""
    global _forced
    _forced += 1
    try:
        yield
    finally:
        _forced -= 1


def is_forced() -> bool:
    return _forced > 0


def run(call: Call[Any]) -> None:
    """Make ``call`` at once, in this thread; its future has the result then."""
    if call.begin():
        if call.deadline is not None:
            deadlines.add(call)
        call.run()
        deadlines.discard(call)


def lend(connection: BaseDatabaseWrapper | None, call: Call[Any]) -> None:
    """Make ``call`` on a thread that uses this thread's ``connection`` meanwhile.

    For a thread that runs an event loop: Django refuses to block it. Such calls are made one
    after another, as those of the async ORM are.
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
