"""Locks of sessions, between threads and between processes."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256

from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.threads.calls import running_call
from parlant_store.exceptions import StoreUnavailable

FOLDER = ".locks"

COUNT = 1_024
"""The number of lock files, which the sessions share."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.02
"""Seconds between two attempts to lock a file that another process has locked."""

_POLL_SECONDS = 0.05
"""How long a thread waits for another one before it checks whether its call was stopped."""


class Locks:
    """The locks of a store.

    The operating system releases the lock of a process that ends, however it ends.
    """

    def __init__(self, open_file: Callable[[str], int], timeout: float) -> None:
        """
        open_file: opens a lock file and returns its descriptor.
        timeout: how many seconds to wait for a lock.
        """
        self._open_file = open_file
        self._timeout = timeout
        self._restart()

    def _restart(self) -> None:
        self._pid = os.getpid()
        self._threads = [threading.Lock() for _ in range(COUNT)]

    @contextmanager
    def hold(self, name: SessionName, timeout: float | None = None) -> Iterator[None]:
        """Lock the session; raise StoreUnavailable if that takes too long.

        ``timeout`` is in seconds; None: that of the store.
        """
        if self._pid != os.getpid():
            # A thread of the parent process may have had a lock during the fork.
            self._restart()
        digest = sha256("\0".join(name).encode("utf-8", "surrogatepass")).digest()
        number = int.from_bytes(digest[:2]) % COUNT
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        lock = self._threads[number]
        while not lock.acquire(timeout=_POLL_SECONDS):
            self._check(name, deadline)
        try:
            descriptor = self._open_file(f"{number:04}")
            try:
                self._lock_file(descriptor, name, deadline)
                yield
            finally:
                os.close(descriptor)
        finally:
            lock.release()

    def _lock_file(self, descriptor: int, name: SessionName, deadline: float) -> None:
        # Only this backend needs the package.
        import portalocker

        flags = portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING
        pause = _FIRST_PAUSE
        while True:
            try:
                portalocker.lock(descriptor, flags)
            except portalocker.AlreadyLocked:
                self._check(name, deadline)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except portalocker.LockException as exc:
                raise StoreUnavailable(f"the file system gives no locks: {exc}") from exc
            else:
                return

    def _check(self, name: SessionName, deadline: float) -> None:
        call = running_call()
        if call is not None:
            call.check()
        if time.monotonic() >= deadline:
            raise StoreUnavailable(
                f"another writer has locked the session {name.session_id!r} for {self._timeout:g} s"
            )
