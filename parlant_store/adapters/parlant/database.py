"""Parlant's DocumentDatabase and its collections."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, Self, cast, get_type_hints

from parlant.core.persistence import document_database as protocol
from parlant.core.persistence.common import (
    Cursor,
    ObjectId,
    SortDirection,
    Where,
    ensure_is_total,
)
from parlant.core.persistence.document_database import (
    BaseDocument,
    CollectionIndex,
    CollectionSort,
    DeleteResult,
    FindResult,
    InsertResult,
    TDocument,
    UpdateResult,
)

from parlant_store.adapters.parlant.opening import open_collection
from parlant_store.adapters.waiting import run
from parlant_store.exceptions import BackendError, DuplicateDocument
from parlant_store.handler import stores
from parlant_store.types import Direction, DocumentCursor, JSONObject

Loader = Callable[[BaseDocument], Awaitable[TDocument | None]]
OnDuplicate = Literal["keep", "error"]

MAX_COUNT = 1_000


class Logger(Protocol):
    """What is used of a logger: Parlant's has it, and logging's."""

    def info(self, message: str) -> None: ...
    def warning(self, message: str) -> None: ...


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
    ) -> "DocumentCollection[TDocument]":
        """Return a new collection; raise ValueError when it holds documents already."""
        if await self._holds_documents(name):
            raise ValueError(f"the collection {name!r} exists already, with documents")
        return self._collection(name, schema)

    async def get_collection(
        self, name: str, schema: type[TDocument], document_loader: Loader[TDocument]
    ) -> "DocumentCollection[TDocument]":
        """Open a collection; raise ValueError when there is none."""
        if name not in self._opened and not await self._holds_documents(name):
            raise ValueError(f"there is no collection {name!r}")
        return await self.get_or_create_collection(name, schema, document_loader)

    async def get_or_create_collection(
        self, name: str, schema: type[TDocument], document_loader: Loader[TDocument]
    ) -> "DocumentCollection[TDocument]":
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

    def _collection(self, name: str, schema: type[TDocument]) -> "DocumentCollection[TDocument]":
        self._opened.add(name)
        return DocumentCollection(
            self._prefix + name,
            schema,
            store=self._store.alias,
            logger=self._logger,
            on_duplicate=self._on_duplicate,
            max_count=self._max_count,
        )


class DocumentCollection(protocol.DocumentCollection[TDocument]):
    """One collection, as a DocumentDatabase opens it."""

    def __init__(
        self,
        name: str,
        schema: type[TDocument],
        *,
        store: str,
        logger: Logger,
        on_duplicate: OnDuplicate,
        max_count: int | None,
    ) -> None:
        self.name = name
        self._schema = schema
        self._store = stores[store]
        self._logger = logger
        self._on_duplicate = on_duplicate
        self._count: int | bool = True if max_count is None else max_count
        self._numbered = {"session_id", "offset"} <= get_type_hints(schema).keys()

    def __repr__(self) -> str:
        return f"<DocumentCollection {self.name!r} in {self._store.alias!r}>"

    async def find(
        self,
        filters: Where,
        limit: int | None = None,
        cursor: Cursor | None = None,
        sort_direction: SortDirection | None = None,
    ) -> FindResult[TDocument]:
        """Return the documents that match, ordered by creation_utc and id.

        total_count is how many match from the cursor on: exact without ``limit``, and up
        to the database's max_count with one.
        """
        page = await run(
            self._store,
            self._store.find,
            self.name,
            cast("Mapping[str, Any]", filters),
            limit=limit,
            cursor=None
            if cursor is None
            else DocumentCursor(creation_utc=str(cursor.creation_utc), id=str(cursor.id)),
            direction=_direction(sort_direction),
            count=self._count,
        )
        last = page.next_cursor
        return FindResult(
            items=cast("list[TDocument]", list(page.documents)),
            total_count=page.total_count or 0,
            has_more=page.has_more,
            next_cursor=None if last is None else Cursor(last.creation_utc, ObjectId(last.id)),
        )

    async def find_one(
        self, filters: Where, sort: CollectionSort | None = None
    ) -> TDocument | None:
        """Return the first document that matches: by ``sort``, then by creation_utc and id."""
        pairs = [(field, _direction(direction)) for field, direction in sort or ()]
        where = cast("Mapping[str, Any]", filters)
        document = await run(self._store, self._store.find_one, self.name, where, sort=pairs)
        return cast("TDocument | None", document)

    async def ensure_indexes(self, indexes: Sequence[CollectionIndex]) -> None:
        """Have ``indexes``; one that is there already, in whatever words, is not made again.

        When the database's user may not make them, that is logged, unless they are unique.
        """
        for index in indexes:
            fields = [(field, _direction(direction)) for field, direction in index.fields]
            try:
                await run(
                    self._store, self._store.ensure_index, self.name, fields, unique=index.unique
                )
            except BackendError as exc:
                if index.unique:
                    raise
                names = ", ".join(field for field, _ in fields)
                self._logger.warning(f"No index on {names} of {self.name}: {exc}")

    async def insert_one(self, document: TDocument) -> InsertResult:
        """Store ``document``; raise TypeError when it lacks a key of its schema.

        In a collection of events, an ``offset`` that another event of the session has
        already becomes the next free one.
        """
        ensure_is_total(document, self._schema)
        try:
            await self._insert(cast(JSONObject, document))
        except DuplicateDocument:
            if self._on_duplicate == "error" or not await self._has_id(document):
                raise
            self._logger.info(f"Kept the stored document {document.get('id')!r} of {self.name}")
        return InsertResult(acknowledged=True)

    async def update_one(
        self, filters: Where, params: TDocument, upsert: bool = False
    ) -> UpdateResult[TDocument]:
        """Merge ``params`` into the first document that matches, key by key.

        With ``upsert`` they become a new document when none does; TypeError is raised when
        they lack a key of the schema then. Raises DuplicateDocument when the id in
        ``params`` belongs to another document.
        """
        is_total = upsert and get_type_hints(self._schema).keys() <= params.keys()
        result = await run(
            self._store,
            self._store.update_one,
            self.name,
            cast("Mapping[str, Any]", filters),
            cast(JSONObject, params),
            upsert=is_total,
        )
        if upsert and not is_total and not result.matched:
            ensure_is_total(params, self._schema)
        return UpdateResult(
            acknowledged=True,
            matched_count=int(result.matched),
            modified_count=int(result.matched),
            updated_document=cast("TDocument | None", result.document),
        )

    async def delete_one(self, filters: Where) -> DeleteResult[TDocument]:
        """Remove the first document that matches."""
        where = cast("Mapping[str, Any]", filters)
        document = await run(self._store, self._store.delete_one, self.name, where)
        return DeleteResult(
            acknowledged=True,
            deleted_count=int(document is not None),
            deleted_document=cast("TDocument | None", document),
        )

    async def _insert(self, document: JSONObject) -> None:
        offset = document.get("offset")
        if not (self._numbered and type(offset) is int and _is_text(document.get("session_id"))):
            await run(self._store, self._store.insert_one, self.name, document)
            return
        stored = await run(
            self._store,
            self._store.insert_numbered,
            self.name,
            document,
            number="offset",
            within="session_id",
        )
        if stored["offset"] != offset:
            self._logger.info(
                f"Gave {document.get('id')!r} of {self.name} the offset {stored['offset']}: "
                f"{offset} was taken"
            )

    async def _has_id(self, document: TDocument) -> bool:
        where = {"id": {"$eq": document.get("id")}}
        return await run(self._store, self._store.find_one, self.name, where) is not None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _direction(direction: SortDirection | None) -> Direction:
    return "desc" if direction == SortDirection.DESC else "asc"
