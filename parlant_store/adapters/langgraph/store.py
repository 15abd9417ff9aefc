"""LangGraph's long-term memory in a store."""

from collections.abc import Iterable
from functools import partial
from typing import Any, cast

from langgraph.store.base import BaseStore, Op, Result, TTLConfig

from parlant_store.adapters.langgraph.batches import NO_VECTORS, Batch, seconds
from parlant_store.adapters.langgraph.sync_calls import call_sync
from parlant_store.backends.contract.validation import check_limit
from parlant_store.backends.reads import primary_reads
from parlant_store.exceptions import InvalidInput, NotSupported
from parlant_store.handler import stores


class Store(BaseStore):
    """The ``store`` of a graph: values under keys in namespaces, beyond a thread.

    They are documents of the collection "langgraph_store" (parlant_store.content.memories). One
    object may be used by any number of threads and event loops. Sync methods run in the caller's
    transaction, and on a thread of the store if this thread has no connection or runs an event
    loop, as those of nodes do.

    A batch reads before it writes, and writes in one transaction. Expired values are never
    returned, and manage.py store_expire deletes them. The ``query`` of a search finds values with
    one of its words in their texts, the most matches first, and is no semantic search.

    Methods may raise the errors of parlant_store.exceptions, of which those about arguments are
    ValueErrors, and LangGraph's InvalidNamespaceError.
    """

    supports_ttl = True

    def __init__(
        self,
        store: str = "default",
        *,
        ttl: float | TTLConfig | None = None,
        user_label: int | None = None,
        index: None = None,
    ) -> None:
        """
        store: alias in PARLANT_STORES.
        ttl: after how many minutes without a read or a write a value expires that is put without
            a ttl, or LangGraph's TTLConfig, of which default_ttl and refresh_on_read count.
        user_label: the place of the label in namespaces that is the id of a user, as 1 in
            ("memories", "ada"). The values are then personal data of that user, which
            manage.py store_export and store_erase find.
        index: must be None: there are no vectors.
        """
        if index is not None:
            raise NotSupported(NO_VECTORS)
        self.ttl_config = _ttl_config(ttl)
        self._user_label = check_limit(user_label, "user_label")
        self._store = stores[store]

    def __repr__(self) -> str:
        return f"<Store in {self._store.alias!r}>"

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Run the operations; return the result of each."""
        batch = Batch(ops, self._user_label)
        with primary_reads():
            for call in batch.calls():
                method = getattr(self._store, call.method)
                function = partial(method, *call.arguments, **call.options)
                call.take(call_sync(self._store, function))
        return batch.results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Run the operations; return the result of each."""
        batch = Batch(ops, self._user_label)
        with primary_reads():
            for call in batch.calls():
                method = getattr(self._store, f"a{call.method}")
                call.take(await method(*call.arguments, **call.options))
        return batch.results


def _ttl_config(ttl: Any) -> TTLConfig | None:
    """Return the TTLConfig; raise a ValueError if one of its options is invalid."""
    if ttl is None:
        return None
    config = cast(TTLConfig, ttl if isinstance(ttl, dict) else {"default_ttl": ttl})
    for name in config:
        if name not in TTLConfig.__annotations__:
            options = ", ".join(sorted(TTLConfig.__annotations__))
            raise InvalidInput(f"ttl has no option {name!r}; there are {options}")
    seconds(config.get("default_ttl"))
    return config
