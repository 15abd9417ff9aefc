"""Calls of a store by sync code, which LangGraph may run on threads of its own."""

from collections.abc import Callable
from typing import TypeVar

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.threads import caller, sync_thread

T = TypeVar("T")


def call_sync(store: BaseBackend, function: Callable[[], T]) -> T:
    """Call ``function`` on the connection of this thread, and in its transaction.

    If this thread has no connection, or runs an event loop, the call runs on a thread of the store:
    LangGraph's threads do not close the connections that they open.
    """
    if caller.has_loop() or store.has_connection():
        return sync_thread.call(store, function)
    return store.submit(function).result()
