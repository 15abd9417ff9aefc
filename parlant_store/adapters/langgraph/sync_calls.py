"""Calls of a store by sync code, which LangGraph may run on threads of its own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from threading import get_ident
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.threads import caller, sync_thread
from parlant_store.backends.threads.caller_state import CallerState

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

T = TypeVar("T")

_states: ContextVar[Mapping[str, CallerState]] = ContextVar(
    "parlant_store_states", default=MappingProxyType({})
)
"""The state of the thread that started the run, for each alias."""

_RUNTIME = "__pregel_runtime"
_KEY = "__pregel_parlant_store_states"
"""LangGraph hides keys that start so from metadata and streams, and shows them to subgraphs."""


def begin_run(store: BaseBackend, config: "RunnableConfig") -> None:
    """Save the state of this thread for calls on the threads that LangGraph starts.

    A run on such a thread has the state of the thread that started the outer run.
    """
    configurable: dict[str, Any] = config["configurable"]
    with in_run(config):
        state = _state_of_other_thread(store)
    if state is None or store.has_own_tenant(state):
        state = store.caller_state()
    states = {**_states.get(), store.alias: state}
    _states.set(states)
    if _RUNTIME in configurable:
        configurable[_KEY] = states


@contextmanager
def in_run(config: "RunnableConfig") -> Iterator[None]:
    """Use the state of the run of ``config``.

    LangGraph stores what parallel tasks wrote on threads without the context of the run.
    """
    states = config["configurable"].get(_KEY)
    if states is None:
        yield
        return
    token = _states.set(states)
    try:
        yield
    finally:
        _states.reset(token)


def submit(store: BaseBackend, function: Callable[[], T]) -> T:
    """Call ``function`` on a thread of the store, as the thread that started the run."""
    state = _state_of_other_thread(store)
    call = store.submit(function) if state is None else store.submit_for(state, function)
    return call.result()


def _state_of_other_thread(store: BaseBackend) -> CallerState | None:
    state = _states.get().get(store.alias)
    return None if state is None or state.thread == get_ident() else state


def call_sync(store: BaseBackend, function: Callable[[], T]) -> T:
    """Call ``function`` on the connection of this thread, and in its transaction.

    If this thread has no connection, or runs an event loop, the call runs on a thread of the store:
    LangGraph's threads do not close the connections that they open.
    """
    state = _state_of_other_thread(store)
    if state is not None and state.managers and not store.has_own_tenant(state):
        return submit(store, function)
    if caller.has_loop() or store.has_connection():
        return sync_thread.call(store, function)
    return submit(store, function)
