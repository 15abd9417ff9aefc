"""Parlant's own stores on a store, wired into a server."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

from lagom import Container
from parlant.core.common import IdGenerator
from parlant.core.context_variables import ContextVariableDocumentStore, ContextVariableStore
from parlant.core.customers import CustomerDocumentStore, CustomerStore
from parlant.core.emission.event_publisher import EventPublisherFactory
from parlant.core.emissions import EventEmitterFactory
from parlant.core.loggers import Logger
from parlant.core.sessions import SessionDocumentStore, SessionStore

from parlant_store.adapters.parlant.collection import OnDuplicate
from parlant_store.adapters.parlant.database import DocumentDatabase

StoreName = Literal["sessions", "customers", "variables"]
Configure = Callable[[Container], Awaitable[Container]]

STORES: tuple[StoreName, ...] = ("sessions", "customers", "variables")
"""The stores that a server can keep; its agents and guidelines are made anew at each start."""

_PREFIXES: dict[StoreName, str] = {
    "sessions": "sessions_",
    "customers": "customers_",
    "variables": "context_variables_",
}
_ARGUMENTS: dict[StoreName, str] = {
    "sessions": "session_store",
    "customers": "customer_store",
    "variables": "variable_store",
}
_INTERFACES: dict[StoreName, type] = {
    "sessions": SessionStore,
    "customers": CustomerStore,
    "variables": ContextVariableStore,
}


def server_stores(
    *names: StoreName,
    store: str = "default",
    table_prefix: str = "parlant_",
    on_duplicate: OnDuplicate = "keep",
    migrate: bool = True,
    configure_container: Configure | None = None,
) -> dict[str, Any]:
    """Return the arguments of ``parlant.sdk.Server`` that make it keep its stores here.

    names: which of "sessions", "customers" and "variables"; none: all of them.
    store: alias in PARLANT_STORES.
    table_prefix: what the names of all collections begin with; two applications in one
        database need different ones.
    on_duplicate: what creating again what is stored does: "keep" keeps the stored one and
        logs it, "error" raises DuplicateDocument.
    migrate: whether documents of older versions of Parlant are migrated at the start; if
        not, Parlant raises MigrationRequired when there are some.
    configure_container: your own, called after the stores are open.
    """
    ids = IdGenerator()
    made = {}
    for name, prefix in _prefixes(names, table_prefix).items():
        database = DocumentDatabase(None, prefix, store, on_duplicate=on_duplicate)
        made[name] = _make(name, ids, database, migrate)

    async def configure(container: Container) -> Container:
        for given in made.values():
            await given.__aenter__()
        return container if configure_container is None else await configure_container(container)

    arguments = {_ARGUMENTS[name]: given for name, given in made.items()}
    return {**arguments, "configure_container": configure}


def configure_container(
    *names: StoreName,
    store: str = "default",
    table_prefix: str = "parlant_",
    on_duplicate: OnDuplicate = "keep",
    migrate: bool = True,
) -> Configure:
    """Return a ``configure_container`` for ``parlant.sdk.Server`` that puts the stores in.

    For servers whose stores are chosen there; the arguments are those of server_stores.
    """
    prefixes = _prefixes(names, table_prefix)

    async def configure(container: Container) -> Container:
        for name, prefix in prefixes.items():
            database = DocumentDatabase(
                _found(container, Logger), prefix, store, on_duplicate=on_duplicate
            )
            made = _make(name, container[IdGenerator], database, migrate)
            container[_INTERFACES[name]] = await made.__aenter__()
        if "sessions" in prefixes:
            _emit_into(container, _found(container, SessionStore))
        return container

    return configure


def _emit_into(container: Container, sessions: SessionStore) -> None:
    """Let events that tools emit reach ``sessions`` as well.

    The server's tool services hold the factory that was there before, with the session
    store that was there before.
    """
    factory = _found(container, EventEmitterFactory)
    if not isinstance(factory, EventPublisherFactory) or not hasattr(factory, "_session_store"):
        raise TypeError(
            "this version of Parlant wires its emitters in another way: give the stores to the "
            "server itself, as p.Server(**server_stores())"
        )
    factory._session_store = sessions


def _found(container: Container, interface: Any) -> Any:
    """What the container has for ``interface``, which type checkers want to be concrete."""
    return container[interface]


def _prefixes(names: Sequence[StoreName], table_prefix: str) -> dict[StoreName, str]:
    for name in names:
        if name not in STORES:
            raise ValueError(f"{name!r} is no store of a server; there are {', '.join(STORES)}")
    return {name: table_prefix + _PREFIXES[name] for name in names or STORES}


def _make(name: StoreName, ids: IdGenerator, database: DocumentDatabase, migrate: bool) -> Any:
    if name == "sessions":
        return SessionDocumentStore(database, allow_migration=migrate)
    if name == "customers":
        return CustomerDocumentStore(ids, database, allow_migration=migrate)
    return ContextVariableDocumentStore(ids, database, allow_migration=migrate)
