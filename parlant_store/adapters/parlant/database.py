"""Parlant's DocumentDatabase on a store."""

import logging
from collections.abc import Awaitable, Callable
from typing import Self, cast

from parlant.core.persistence import document_database as protocol
from parlant.core.persistence.document_database import (
    BaseDocument,
    TDocument,
)

from parlant_store.adapters.parlant.collection import DocumentCollection, Logger, OnDuplicate
from parlant_store.adapters.parlant.migration import migrate_collection
from parlant_store.adapters.parlant.ownership import is_registered, register, unregister
from parlant_store.backends.contract.validation import check_limit
from parlant_store.backends.reads import primary_reads
from parlant_store.content.codec import check_name
from parlant_store.handler import stores
from parlant_store.types import JSONObject

Loader = Callable[[BaseDocument], Awaitable[TDocument | None]]

MAX_COUNT = 1_000


class DocumentDatabase(protocol.DocumentDatabase):
    """A Parlant database: collections of a store whose names have one prefix.

    Any number of processes may use it at once. It need not be closed. Methods may raise the
    errors of parlant_store.exceptions. A cancelled call is also cancelled at the server, and
    raises CancelledError within a second.
    """

    def __init__(
        self,
        logger: Logger | None = None,
        table_prefix: str = "",
        store: str = "default",
        *,
        on_duplicate: OnDuplicate = "keep",
        max_count: int | None = MAX_COUNT,
    ) -> None:
        """
        logger: Parlant's, or one of logging; None: the logger "parlant_store".
        table_prefix: the prefix of the names of collections in the store. Each Parlant store
            needs its own, because each has a collection "metadata".
        store: alias in PARLANT_STORES.
        on_duplicate: what happens when an id is inserted again. "keep" keeps the stored
            document and logs it; "error" raises DuplicateDocument.
        max_count: the limit on a page's total_count, which is exact below it. None: no limit,
            at the cost of counting all documents that match.
        """
        if on_duplicate not in ("keep", "error"):
            raise ValueError(f'on_duplicate must be "keep" or "error", not {on_duplicate!r}')
        self._logger: Logger = logging.getLogger("parlant_store") if logger is None else logger
        self._prefix = check_name(table_prefix, "table_prefix", empty=True)
        self._store = stores[store]
        self._on_duplicate: OnDuplicate = on_duplicate
        self._max_count = check_limit(max_count, "max_count")
        self._opened: set[str] = set()

    def __repr__(self) -> str:
        return f"<DocumentDatabase {self._prefix!r} in {self._store.alias!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def create_collection(
        self, name: str, schema: type[TDocument]
    ) -> DocumentCollection[TDocument]:
        """Return a new collection; raise ValueError if it contains documents.

        This and the methods below raise ImproperlyConfigured if a database with another
        ``table_prefix`` has a collection of the same full name.
        """
        await register(self._store, self._prefix, name)
        if await self._has_documents(name):
            raise ValueError(f"the collection {name!r} exists already, with documents")
        return self._collection(name, schema)

    async def get_collection(
        self, name: str, schema: type[TDocument], document_loader: Loader[TDocument]
    ) -> DocumentCollection[TDocument]:
        """Return a collection, which may be empty; raise ValueError if it does not exist."""
        if not await self._exists(name):
            raise ValueError(f"there is no collection {name!r}")
        return await self.get_or_create_collection(name, schema, document_loader)

    async def get_or_create_collection(
        self, name: str, schema: type[TDocument], document_loader: Loader[TDocument]
    ) -> DocumentCollection[TDocument]:
        """Return a collection, after ``document_loader`` has migrated documents of old versions."""
        loader = cast("Callable[[JSONObject], Awaitable[JSONObject | None]]", document_loader)
        await register(self._store, self._prefix, name)
        await migrate_collection(self._store, self._prefix + name, loader, self._logger)
        return self._collection(name, schema)

    async def delete_collection(self, name: str) -> None:
        """Delete a collection with its documents; raise ValueError if it does not exist."""
        if not await self._exists(name):
            raise ValueError(f"there is no collection {name!r}")
        await self._store.adrop_collection(self._prefix + name)
        await unregister(self._store, self._prefix, name)
        self._opened.discard(name)

    async def _exists(self, name: str) -> bool:
        registered = await is_registered(self._store, self._prefix, name)
        return registered or name in self._opened or await self._has_documents(name)

    async def _has_documents(self, name: str) -> bool:
        with primary_reads():
            return await self._store.afind_one(self._prefix + name) is not None

    def _collection(self, name: str, schema: type[TDocument]) -> DocumentCollection[TDocument]:
        self._opened.add(name)
        return DocumentCollection(
            self._prefix + name,
            schema,
            store=self._store,
            logger=self._logger,
            on_duplicate=self._on_duplicate,
            max_count=self._max_count,
        )
