"""The thread on which Django runs sync code for the running coroutine."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import AsyncToSync, SyncToAsync, sync_to_async

from parlant_store.backends.threads.calls import Call
from parlant_store.backends.threads.executor import Executor

T = TypeVar("T")


class Store(Protocol):
    """The methods of a backend that start a call."""

    def make_call(
        self, function: Callable[[], T], wake: Callable[[], None] | None = None
    ) -> Call[T]: ...

    def begin(
        self,
        call: Call[Any],
        *,
        in_loop: bool,
        collect: Callable[[Executor, Call[Any]], None] | None = None,
    ) -> None: ...

    def uses_coroutines_connection(self) -> bool: ...


def has_one() -> bool:
    """Whether a sync caller waits for this coroutine, or the request has its own thread.

    That thread has the caller's connection and transaction, its tenant and its thread locals.
    """
    loop = asyncio.get_running_loop()
    outer = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
    if outer is not None and outer is not loop and outer.is_running():
        # Sync code of that loop runs this one: the caller's thread is this thread.
        return False
    return (
        SyncToAsync.thread_sensitive_context.get(None) is not None
        or loop in AsyncToSync.loop_thread_executors
        or _has_sync_caller(asyncio.current_task())
    )


_sync_callers: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def _has_sync_caller(task: Any) -> bool:
    """Whether a sync caller waits for the running task, which it started on another event loop."""
    has_sync_caller = None if task is None else _sync_callers.get(task)
    if has_sync_caller is None:
        has_sync_caller = getattr(AsyncToSync.executors, "current", None) is not None
        if task is not None:
            _sync_callers[task] = has_sync_caller
    return has_sync_caller


def begin(store: Store, call: Call[Any]) -> None:
    """Start ``call`` for sync code on a thread that runs an event loop; the code then waits."""
    executor = None
    if has_one() and not store.uses_coroutines_connection():
        current = getattr(AsyncToSync.executors, "current", None)
        executor = current or AsyncToSync.loop_thread_executors.get(asyncio.get_running_loop())
    if executor is None:
        store.begin(call, in_loop=True)
    else:
        executor.submit(copy_context().run, partial(store.begin, call, in_loop=False)).result()


def call(store: Store, function: Callable[[], T]) -> T:
    """Call ``function`` in the caller's transaction, unless this thread runs an event loop.

    There, it runs on a thread of the store, and this one waits for it.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return function()
    future = store.make_call(function)
    begin(store, future)
    return future.result()


async def run(function: Callable[[], Any]) -> None:
    """Run ``function`` on that thread."""
    await sync_to_async(function, thread_sensitive=True)()
