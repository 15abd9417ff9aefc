"""Awaits calls of a store on its own threads, from any event loop."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, ParamSpec, TypeVar
from weakref import ref

from parlant_store.backends.threads import sync_thread
from parlant_store.backends.threads.calls import Call
from parlant_store.backends.threads.executor import Executor
from parlant_store.exceptions import StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")

POLL_SECONDS = 0.005
"""How often a waiting loop polls for results.

A busy thread wakes the loop once for several results (parlant_store.backends.threads.pool).
If the last of them takes long, polling finds the others.
"""


SETTLE_SECONDS = 0.8
"""How long to wait for the end of a cancelled call, which then goes on in its thread."""


async def run(
    store: sync_thread.Store, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Return ``call(*args, **kwargs)``, run where the store runs calls of this caller.

    When cancelled, raise CancelledError within a second: a call that has not started does not
    start, and one that has started is also cancelled at the server.
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
    """The calls of an event loop that are to be submitted, and the futures that await results."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)
        self._done: deque[asyncio.Future[None]] = deque()
        self._collected: dict[Executor, list[Call[Any]]] = {}
        self._waiting = 0
        self._last_count = 0
        self._is_polling = False
        self._is_woken = False

    def collect(self, executor: Executor, call: Call[Any]) -> None:
        """Submit ``call`` together with other calls of the same iteration of the loop.

        The store's thread can group them. A loop whose calls come one after the other does not
        wait for others.
        """
        calls = self._collected.get(executor)
        if calls is None:
            if self._last_count == 1 and not self._waiting:
                _submit(executor, [call])
                return
            calls = self._collected[executor] = []
            asyncio.get_running_loop().call_soon(self._submit_collected, executor)
        calls.append(call)

    def _submit_collected(self, executor: Executor) -> None:
        calls = self._collected.pop(executor)
        self._last_count = len(calls)
        _submit(executor, calls)

    def wait(self, future: Future[Any]) -> asyncio.Future[None]:
        """Return a future of the running loop that is done soon after ``future``."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting += 1
        done = self._done
        future.add_done_callback(lambda _: done.append(waiter))
        if not self._is_polling:
            self._is_polling = True
            loop.call_later(POLL_SECONDS, self._poll)
        return waiter

    def wake(self) -> None:
        """Have the loop set the results of futures that are done; called on any thread."""
        if self._is_woken:
            return
        loop = self._loop()
        # In a loop that was closed while the call ran, no future waits any more.
        if loop is not None and not loop.is_closed():
            self._is_woken = True
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._set_results)

    def _set_results(self) -> None:
        self._is_woken = False
        while self._done:
            waiter = self._done.popleft()
            self._waiting -= 1
            if not waiter.done():
                waiter.set_result(None)

    def _poll(self) -> None:
        self._set_results()
        self._is_polling = self._waiting > 0
        if self._is_polling:
            asyncio.get_running_loop().call_later(POLL_SECONDS, self._poll)


def _submit(executor: Executor, calls: Sequence[Call[Any]]) -> None:
    try:
        executor.submit(*calls)
    except StoreUnavailable as exc:
        for call in calls:
            if call.begin():
                call.fail(exc)


class _Last(threading.local):
    """A cache of the calls of this thread's last loop."""

    loop: Callable[[], asyncio.AbstractEventLoop | None] = staticmethod(lambda: None)
    calls: _Calls


_last = _Last()


def _calls_of_loop() -> _Calls:
    loop = asyncio.get_running_loop()
    if _last.loop() is not loop:
        _last.loop, _last.calls = ref(loop), _Calls(loop)
    return _last.calls
