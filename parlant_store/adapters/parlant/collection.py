"""Parlant's DocumentCollection on a collection of a store."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Literal, Protocol, cast, get_type_hints
from uuid import uuid4

from parlant.core.persistence import document_database as protocol
from parlant.core.persistence.common import (
    Cursor,
    ObjectId,
    SortDirection,
    Where,
    ensure_is_total,
)
from parlant.core.persistence.document_database import (
    CollectionIndex,
    CollectionSort,
    DeleteResult,
    FindResult,
    InsertResult,
    TDocument,
    UpdateResult,
)

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.contract.indexes import is_plain
from parlant_store.backends.reads import primary_reads
from parlant_store.exceptions import BackendError, DuplicateDocument, InvalidFilter
from parlant_store.types import Direction, DocumentCursor, JSONObject
from parlant_store.types import UpdateResult as StoreUpdateResult

OnDuplicate = Literal["keep", "error"]


class Logger(Protocol):
    """The methods that loggers of Parlant and of logging share."""

    def info(self, message: str) -> None: ...
    def warning(self, message: str) -> None: ...


class DocumentCollection(protocol.DocumentCollection[TDocument]):
    """One collection, as a DocumentDatabase opens it."""

    def __init__(
        self,
        name: str,
        schema: type[TDocument],
        *,
        store: BaseBackend,
        logger: Logger,
        on_duplicate: OnDuplicate,
        max_count: int | None,
    ) -> None:
        self.name = name
        self._schema = schema
        self._store = store
        self._logger = logger
        self._on_duplicate = on_duplicate
        self._count: int | bool = True if max_count is None else max_count
        self._fields = get_type_hints(schema).keys()
        self._numbered = {"session_id", "offset"} <= self._fields

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

        Events of one session are ordered by offset instead: those of several servers may have
        another order of creation.

        total_count is the number of matches from the cursor on: exact without ``limit``, and
        at most the database's max_count with one.
        """
        with primary_reads():
            page = await self._store.afind(
                self.name,
                cast("Mapping[str, Any]", filters),
                # For customers, Parlant passes the size of the page less one, which may be -1.
                limit=None if limit is None else max(limit, 0),
                cursor=None
                if cursor is None
                else DocumentCursor(creation_utc=str(cursor.creation_utc), id=str(cursor.id)),
                direction=_direction(sort_direction),
                count=self._count,
            )
        last = page.next_cursor
        documents = list(page.documents)
        if self._numbered and limit is None and cursor is None and _is_one_session(documents):
            documents.sort(key=itemgetter("offset"), reverse=sort_direction == SortDirection.DESC)
        return FindResult(
            items=cast("list[TDocument]", documents),
            total_count=page.total_count or 0,
            has_more=page.has_more,
            next_cursor=None if last is None else Cursor(last.creation_utc, ObjectId(last.id)),
        )

    async def find_one(
        self, filters: Where, sort: CollectionSort | None = None
    ) -> TDocument | None:
        """Return the first match, ordered by ``sort``, then by creation_utc and id."""
        pairs = [(field, _direction(direction)) for field, direction in sort or ()]
        where = cast("Mapping[str, Any]", filters)
        with primary_reads():
            document = await self._store.afind_one(self.name, where, sort=pairs)
        return cast("TDocument | None", document)

    async def ensure_indexes(self, indexes: Sequence[CollectionIndex]) -> None:
        """Create the indexes that do not exist.

        If an index cannot be created, because the database user may not or because a field
        name has other characters than ASCII letters, digits and _, a warning is logged; for a
        unique index the error is raised.
        """
        for index in indexes:
            fields = [(field, _direction(direction)) for field, direction in index.fields]
            try:
                await self._store.aensure_index(self.name, fields, unique=index.unique)
            except (BackendError, InvalidFilter) as exc:
                if index.unique:
                    raise
                names = ", ".join(f if is_plain(f) else repr(f) for f, _ in fields)
                self._logger.warning(f"No index on {names} of {self.name}: {exc}")

    async def insert_one(self, document: TDocument) -> InsertResult:
        """Insert ``document``; raise TypeError if it lacks a key of its schema.

        In a collection of events, an ``offset`` that another event of the session has is
        replaced by the next free one.
        """
        if not self._is_total(document):
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

        With ``upsert``, they are inserted if none matches; this raises TypeError if they lack a
        key of the schema. Raises DuplicateDocument if another document has the id in
        ``params``. Parlant may give two values of a context variable the same id: then
        ``upsert`` is an error only with on_duplicate="error"; else the document that matches
        keeps its id, and a new document gets a new one.
        """
        is_total = upsert and self._is_total(params)
        where, changes = cast("Mapping[str, Any]", filters), cast(JSONObject, params)
        try:
            result = await self._update(where, changes, upsert=is_total)
        except DuplicateDocument:
            if not is_total or self._on_duplicate == "error" or "id" in where:
                raise
            result = await self._update_with_new_id(where, changes)
        if upsert and not is_total and not result.matched:
            ensure_is_total(params, self._schema)
        return UpdateResult(
            acknowledged=True,
            matched_count=int(result.matched),
            modified_count=int(result.matched),
            updated_document=cast("TDocument | None", result.document),
        )

    async def delete_one(self, filters: Where) -> DeleteResult[TDocument]:
        """Delete the first document that matches."""
        where = cast("Mapping[str, Any]", filters)
        document = await self._store.adelete_one(self.name, where)
        return DeleteResult(
            acknowledged=True,
            deleted_count=int(document is not None),
            deleted_document=cast("TDocument | None", document),
        )

    def _is_total(self, document: TDocument) -> bool:
        """As ensure_is_total, but the schema is read once, not at each write."""
        return self._fields <= document.keys()

    async def _update(
        self, where: Mapping[str, Any], changes: JSONObject, *, upsert: bool
    ) -> StoreUpdateResult:
        return await self._store.aupdate_one(self.name, where, changes, upsert=upsert)

    async def _update_with_new_id(
        self, where: Mapping[str, Any], changes: JSONObject
    ) -> StoreUpdateResult:
        self._logger.info(f"Another document of {self.name} has the id {changes['id']!r}")
        changes_without_id = {field: value for field, value in changes.items() if field != "id"}
        result = await self._update(where, changes_without_id, upsert=False)
        if result.matched:
            return result
        return await self._update(where, {**changes, "id": uuid4().hex}, upsert=True)

    async def _insert(self, document: JSONObject) -> None:
        offset, session_id = document.get("offset"), document.get("session_id")
        if not (self._numbered and type(offset) is int and isinstance(session_id, str)):
            await self._store.ainsert_one(self.name, document)
            return
        stored = await self._store.ainsert_numbered(
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
        with primary_reads():
            return await self._store.afind_one(self.name, where) is not None


def _is_one_session(events: list[JSONObject]) -> bool:
    """Whether ``events`` have an order by offset."""
    sessions = {event.get("session_id") for event in events}
    return len(sessions) == 1 and all(type(event.get("offset")) is int for event in events)


def _direction(direction: SortDirection | None) -> Direction:
    return "desc" if direction == SortDirection.DESC else "asc"
