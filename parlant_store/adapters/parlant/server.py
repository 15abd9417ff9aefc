"""Arguments for a Parlant server whose stores use a store of this package."""

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
"""The stores to persist; a server creates its agents and guidelines at each start."""

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
    """Return arguments for ``parlant.sdk.Server`` that persist its stores.

    names: any of "sessions", "customers" and "variables"; by default all of them.
    store: alias in PARLANT_STORES.
    table_prefix: the prefix of the names of all collections; two applications in one
        database need different prefixes.
    on_duplicate: what happens when an id is created again: "keep" keeps the stored document
        and logs it, "error" raises DuplicateDocument.
    migrate: whether to migrate documents of older versions of Parlant at the start; if
        False, Parlant raises MigrationRequired for such documents.
    configure_container: your function, called after the stores are open.
    """
    ids = IdGenerator()
    stores = {}
    for name, prefix in _prefixes(names, table_prefix).items():
        database = DocumentDatabase(None, prefix, store, on_duplicate=on_duplicate)
        stores[name] = _document_store(name, ids, database, migrate)

    async def configure(container: Container) -> Container:
        for document_store in stores.values():
            await document_store.__aenter__()
        return container if configure_container is None else await configure_container(container)

    arguments = {_ARGUMENTS[name]: document_store for name, document_store in stores.items()}
    return {**arguments, "configure_container": configure}


def configure_container(
    *names: StoreName,
    store: str = "default",
    table_prefix: str = "parlant_",
    on_duplicate: OnDuplicate = "keep",
    migrate: bool = True,
) -> Configure:
    """Return a ``configure_container`` for ``parlant.sdk.Server`` that sets the stores.

    For servers that set their stores in the container; the arguments are those of
    server_stores.
    """
    prefixes = _prefixes(names, table_prefix)

    async def configure(container: Container) -> Container:
        for name, prefix in prefixes.items():
            database = DocumentDatabase(
                _get(container, Logger), prefix, store, on_duplicate=on_duplicate
            )
            document_store = _document_store(name, container[IdGenerator], database, migrate)
            container[_INTERFACES[name]] = await document_store.__aenter__()
        if "sessions" in prefixes:
            _emit_into(container, _get(container, SessionStore))
        return container

    return configure


def _emit_into(container: Container, sessions: SessionStore) -> None:
    """Also write the events that tools emit to ``sessions``.

    The server's tool services use the factory that existed before, with its session store.
    """
    factory = _get(container, EventEmitterFactory)
    if not isinstance(factory, EventPublisherFactory) or not hasattr(factory, "_session_store"):
        raise TypeError(
            "this version of Parlant creates its event emitters in another way: pass the stores to "
            "the server itself, as p.Server(**server_stores())"
        )
    factory._session_store = sessions


def _get(container: Container, interface: Any) -> Any:
    """Return ``container[interface]``; type checkers accept only concrete classes there."""
    return container[interface]


def _prefixes(names: Sequence[StoreName], table_prefix: str) -> dict[StoreName, str]:
    for name in names:
        if name not in STORES:
            raise ValueError(f"{name!r} is no store of a server; there are {', '.join(STORES)}")
    return {name: table_prefix + _PREFIXES[name] for name in names or STORES}


def _document_store(
    name: StoreName, ids: IdGenerator, database: DocumentDatabase, migrate: bool
) -> Any:
    if name == "sessions":
        return SessionDocumentStore(database, allow_migration=migrate)
    if name == "customers":
        return CustomerDocumentStore(ids, database, allow_migration=migrate)
    return ContextVariableDocumentStore(ids, database, allow_migration=migrate)
