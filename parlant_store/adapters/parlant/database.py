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
from parlant_store.adapters.parlant.opening import open_collection
from parlant_store.adapters.waiting import run
from parlant_store.handler import stores
from parlant_store.types import JSONObject

Loader = Callable[[BaseDocument], Awaitable[TDocument | None]]

MAX_COUNT = 1_000


class DocumentDatabase(protocol.DocumentDatabase):
    """A Parlant database: collections of a store, under one prefix.

    Any number of processes may use it at once. Closing it is not needed: it holds nothing
    besides what the store holds. Methods may raise what parlant_store.exceptions lists; a
    cancelled call raises CancelledError once it is settled whether its write happened.
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
        table_prefix: what the names of collections begin with in the store. Each Parlant
            store needs its own, because each has a collection "metadata".
        store: alias in PARLANT_STORES.
        on_duplicate: what inserting an id again does. "keep" keeps the stored document and
            logs it; "error" raises DuplicateDocument.
        max_count: up to where a page's total_count is exact; a larger one is given as this
            number. None: always exact, at the cost of a pass over all that matches.
        """
        if on_duplicate not in ("keep", "error"):
            raise ValueError(f'on_duplicate must be "keep" or "error", not {on_duplicate!r}')
        self._logger: Logger = logging.getLogger("parlant_store") if logger is None else logger
        self._prefix = table_prefix
        self._store = stores[store]
        self._on_duplicate: OnDuplicate = on_duplicate
        self._max_count = max_count
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
        """Return a new collection; raise ValueError when it holds documents already."""
        if await self._holds_documents(name):
            raise ValueError(f"the collection {name!r} exists already, with documents")
        return self._collection(name, schema)

    async def get_collection(
        self, name: str, schema: type[TDocument], document_loader: Loader[TDocument]
    ) -> DocumentCollection[TDocument]:
        """Open a collection; raise ValueError when there is none."""
        if name not in self._opened and not await self._holds_documents(name):
            raise ValueError(f"there is no collection {name!r}")
        return await self.get_or_create_collection(name, schema, document_loader)

    async def get_or_create_collection(
        self, name: str, schema: type[TDocument], document_loader: Loader[TDocument]
    ) -> DocumentCollection[TDocument]:
        """Open a collection: documents of old versions are migrated by ``document_loader``."""
        loader = cast("Callable[[JSONObject], Awaitable[JSONObject | None]]", document_loader)
        await open_collection(self._store, self._prefix + name, loader, self._logger)
        return self._collection(name, schema)

    async def delete_collection(self, name: str) -> None:
        """Remove a collection with its documents; raise ValueError when there is none."""
        removed = await run(self._store, self._store.drop_collection, self._prefix + name)
        if not removed and name not in self._opened:
            raise ValueError(f"there is no collection {name!r}")
        self._opened.discard(name)

    async def _holds_documents(self, name: str) -> bool:
        found = await run(self._store, self._store.find_one, self._prefix + name)
        return found is not None

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
