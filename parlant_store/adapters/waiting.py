"""Awaiting what a store does on its own threads, from any event loop."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, ParamSpec, TypeVar
from weakref import ref

from parlant_store.backends.base import BaseBackend

P = ParamSpec("P")
T = TypeVar("T")

LOOK_SECONDS = 0.005
"""How often a loop that waits looks for results by itself.

A busy thread wakes it for several results at once (parlant_store.backends.threads); when
the last of them takes long, the others are found here.
"""


async def run(store: BaseBackend, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return ``call(*args, **kwargs)``, run on one of the store's threads.

    When cancelled, raise CancelledError only after the outcome is settled: a call that has
    not begun never will, and one that has begun runs to its end first, so that nobody sees
    the write of a cancelled call take effect later.
    """
    mailbox = _mailbox()
    future = store.submit(partial(call, *args, **kwargs), mailbox.wake)
    future.add_done_callback(mailbox.done.append)
    try:
        await mailbox.wait(future)
    except asyncio.CancelledError:
        while not future.cancel() and not future.done():
            try:
                await mailbox.wait(future)
            except asyncio.CancelledError:
                continue
        raise
    return future.result()


class _Mailbox:
    """The futures that became done for one event loop, and who waits for them there."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.done: deque[Future[Any]] = deque()
        self._loop = ref(loop)
        self._waiting: dict[Future[Any], asyncio.Future[None]] = {}
        self._looking = False
        self._woken = False

    def wait(self, future: Future[Any]) -> asyncio.Future[None]:
        """A future of the running loop that is done soon after ``future`` is."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting[future] = waiter
        if not self._looking:
            self._looking = True
            loop.call_later(LOOK_SECONDS, self._look)
        return waiter

    def wake(self) -> None:
        """Let the loop look at ``done``, unless it is about to; called on the store's threads."""
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
        while self.done:
            waiter = self._waiting.pop(self.done.popleft(), None)
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def _look(self) -> None:
        self._open()
        self._looking = bool(self._waiting)
        if self._looking:
            asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)


class _Last(threading.local):
    """The mailbox that this thread used last: a thread has one loop for a long time."""

    loop: Callable[[], asyncio.AbstractEventLoop | None] = staticmethod(lambda: None)
    mailbox: _Mailbox


_last = _Last()


def _mailbox() -> _Mailbox:
    loop = asyncio.get_running_loop()
    if _last.loop() is not loop:
        _last.loop, _last.mailbox = ref(loop), _Mailbox(loop)
    return _last.mailbox
