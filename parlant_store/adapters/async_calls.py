"""Awaiting what a store does on its own threads, from any event loop."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, ParamSpec, TypeVar
from weakref import ref

from parlant_store.adapters import sync_thread
from parlant_store.backends.base import BaseBackend
from parlant_store.backends.threads.calls import Call
from parlant_store.backends.threads.executor import Executor
from parlant_store.exceptions import StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")

LOOK_SECONDS = 0.005
"""How often a loop that waits looks for results by itself.

A busy thread wakes it for several results at once (parlant_store.backends.threads.pool); when
the last of them takes long, the others are found here.
"""


SETTLE_SECONDS = 0.8
"""How long a cancelled call has to end before it is left to its thread."""


async def run(store: BaseBackend, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return ``call(*args, **kwargs)``, run where the store runs calls of this caller.

    When cancelled, raise CancelledError once the outcome is settled, within a second: a call
    that has not begun never will, and one that has begun is cancelled at the server too.
    """
    calls = _calls_of_loop()
    future = store.make_call(partial(call, *args, **kwargs), calls.wake)
    try:
        if not sync_thread.has_one() or store.uses_coroutines_connection():
            store.begin(future, in_loop=True, collect=calls.collect)
        else:
            await sync_thread.run(partial(store.begin, future, in_loop=False))
        if not future.done():
            await calls.wait(future)
    except asyncio.CancelledError:
        future.stop()
        await _settle(calls, future)
        raise
    return future.result()


async def _settle(calls: "_Calls", future: Future[Any]) -> None:
    deadline = monotonic() + SETTLE_SECONDS
    while not future.done() and (seconds := deadline - monotonic()) > 0:
        with suppress(asyncio.CancelledError):
            await asyncio.wait([calls.wait(future)], timeout=seconds)


class _Calls:
    """The calls of one event loop: those to submit, and what waits there for their ends."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)
        self._done: deque[asyncio.Future[None]] = deque()
        self._collected: dict[Executor, list[Call[Any]]] = {}
        self._waiting = 0
        self._looking = False
        self._woken = False

    def collect(self, executor: Executor, call: Call[Any]) -> None:
        """Submit ``call`` with what else this loop calls before it looks for events again.

        The store's thread then makes them together, while this one has nothing to do.
        """
        calls = self._collected.get(executor)
        if calls is None:
            calls = self._collected[executor] = []
            asyncio.get_running_loop().call_soon(self._submit, executor)
        calls.append(call)

    def _submit(self, executor: Executor) -> None:
        calls = self._collected.pop(executor)
        try:
            executor.submit(*calls)
        except StoreUnavailable as exc:
            for call in calls:
                if call.begin():
                    call.fail(exc)

    def wait(self, future: Future[Any]) -> asyncio.Future[None]:
        """A future of the running loop that is done soon after ``future`` is."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting += 1
        done = self._done
        future.add_done_callback(lambda _: done.append(waiter))
        if not self._looking:
            self._looking = True
            loop.call_later(LOOK_SECONDS, self._look)
        return waiter

    def wake(self) -> None:
        """Let the loop look at what is done, unless it is about to; called on any thread."""
        if self._woken:
            return
        loop = self._loop()
        # A loop that was closed while the call ran has nobody waiting any more.
        if loop is not None and not loop.is_closed():
            self._woken = True
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._open)

    def _open(self) -> None:
        self._woken = False
        while self._done:
            waiter = self._done.popleft()
            self._waiting -= 1
            if not waiter.done():
                waiter.set_result(None)

    def _look(self) -> None:
        self._open()
        self._looking = self._waiting > 0
        if self._looking:
            asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)


class _Last(threading.local):
    """The calls of the loop that this thread ran last: a thread has one loop for a long time."""

    loop: Callable[[], asyncio.AbstractEventLoop | None] = staticmethod(lambda: None)
    calls: _Calls


_last = _Last()


def _calls_of_loop() -> _Calls:
    loop = asyncio.get_running_loop()
    if _last.loop() is not loop:
        _last.loop, _last.calls = ref(loop), _Calls(loop)
    return _last.calls
