"""From alias to store: one backend for each alias and process, shared by all threads."""

import atexit
import threading
from collections.abc import Iterator
from typing import Any, cast

from django.core.signals import setting_changed
from django.utils.connection import ConnectionProxy

from parlant_store import conf
from parlant_store.backends.base import BaseBackend
from parlant_store.exceptions import InvalidStoreError


class StoreHandler:
    """``stores["default"]`` is the store of that alias; iterating gives the aliases."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._stores: dict[str, BaseBackend] = {}

    def __getitem__(self, alias: str) -> BaseBackend:
        """Raise InvalidStoreError when PARLANT_STORES has no such alias, or a wrong one."""
        try:
            return self._stores[alias]
        except KeyError:
            pass
        with self._lock:
            if alias not in self._stores:
                configured = conf.configured()
                if alias not in configured:
                    raise InvalidStoreError(
                        f"there is no store {alias!r}; {conf.SETTING} has "
                        + (", ".join(map(repr, configured)) or "none")
                    )
                self._stores[alias] = conf.build(alias, configured[alias])
            return self._stores[alias]

    def __iter__(self) -> Iterator[str]:
        return iter(conf.configured())

    def close_all(self) -> None:
        """Close every store that was used; each begins anew at its next call."""
        for store in list(self._stores.values()):
            store.close()

    def forget(self) -> None:
        """Close every store and read the settings again."""
        with self._lock:
            self.close_all()
            self._stores.clear()


stores = StoreHandler()
atexit.register(stores.close_all)

# It forwards each attribute to stores["default"]; Django's stubs know it for databases only.
store = cast(BaseBackend, ConnectionProxy(cast(Any, stores), conf.DEFAULT_ALIAS))


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting in (conf.SETTING, "DATABASES"):
        stores.forget()


setting_changed.connect(_forget)
