"""``stores`` and ``store``: one backend for each alias and process, shared by all threads."""

import atexit
import os
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any, cast

from django.core.signals import setting_changed
from django.utils.connection import ConnectionProxy

from parlant_store import conf
from parlant_store.backends.base import BaseBackend
from parlant_store.backends.threads import caller
from parlant_store.backends.threads.calls import PROCESS_ENDS
from parlant_store.backends.threads.executor import Executor
from parlant_store.backends.threads.pool import ABANDON_SECONDS, FINISH_SECONDS
from parlant_store.exceptions import InvalidStoreError


class StoreHandler:
    """``stores["default"]`` is the store of that alias; iterating gives the aliases."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._stores: dict[str, BaseBackend] = {}

    def __getitem__(self, alias: str) -> BaseBackend:
        """Return the store; raise InvalidStoreError if the alias is missing or invalid."""
        try:
            return self._stores[alias]
        except (KeyError, TypeError):
            if not isinstance(alias, str):
                raise InvalidStoreError(
                    f"a store is named by its alias in {conf.SETTING}, which is text, not by an "
                    f"object of type {type(alias).__name__}"
                ) from None
        with self._lock:
            if alias not in self._stores:
                # Not in a variable: error pages show variables, and the settings contain keys.
                if alias not in conf.configured():
                    raise InvalidStoreError(
                        f"there is no store {alias!r}; {conf.SETTING} has "
                        + (", ".join(map(repr, conf.configured())) or "none")
                    )
                self._stores[alias] = conf.build(alias, conf.configured()[alias])
            return self._stores[alias]

    def __iter__(self) -> Iterator[str]:
        return iter(conf.configured())

    def close_all(self) -> None:
        """Close all stores; each opens again at its next call.

        This takes a few seconds at most (parlant_store.backends.threads.pool).
        """
        finish, abandon = FINISH_SECONDS, ABANDON_SECONDS
        closes: list[Callable[..., None]] = [store.close for store in [*self._stores.values()]]
        for close in [*closes, caller.executor.close]:
            began = monotonic()
            close(finish_seconds=finish, abandon_seconds=abandon)
            seconds = monotonic() - began
            abandon = max(0.0, abandon - max(0.0, seconds - finish))
            finish = max(0.0, finish - seconds)

    def limit_calls(self) -> None:
        """Limit the time of calls that other threads wait for."""
        for executor in self._executors():
            executor.limit(FINISH_SECONDS, PROCESS_ENDS)

    def end(self) -> None:
        """Close all stores at the exit of the process, when only daemon threads are left."""
        for executor in self._executors():
            executor.silence()
        self.close_all()

    def end_idle_threads(self) -> None:
        """Close the connections of idle threads before a fork.

        A child process that frees a connection to SQLite would delete the files of its journal.
        """
        for executor in self._executors():
            executor.end_idle()

    def _executors(self) -> list[Executor]:
        return [*(store.executor for store in [*self._stores.values()]), caller.executor]

    def forget(self) -> None:
        """Close every store and read the settings again."""
        with self._lock:
            self.close_all()
            self._stores.clear()


stores = StoreHandler()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=stores.end_idle_threads)
atexit.register(stores.end)
# Before atexit, Python waits for threads that are not daemons. This function, like the one of
# concurrent.futures, runs before that wait.
getattr(threading, "_register_atexit", atexit.register)(stores.limit_calls)

# It forwards each attribute to stores["default"]; Django's stubs know it for databases only.
store = cast(BaseBackend, ConnectionProxy(cast(Any, stores), conf.DEFAULT_ALIAS))


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting in (conf.SETTING, "DATABASES"):
        stores.forget()


setting_changed.connect(_forget)
