"""Statements for documents."""

from abc import ABC, abstractmethod
from typing import Any

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import (
    NOT_SEARCHED,
    REPLACED,
    StoredWords,
    promoted,
    searched_columns,
)
from parlant_store.backends.contract.documents import duplicate
from parlant_store.backends.contract.operations import (
    DeleteOne,
    Find,
    FindOne,
    GetDocument,
    InsertNumbered,
    InsertOne,
    SetDocumentExpiry,
    UpdateOne,
)
from parlant_store.backends.contract.validation import MAX_LIMIT
from parlant_store.backends.orm.base.filters import Renderer, Sql
from parlant_store.backends.orm.base.sessions import LIVE, Time, aware
from parlant_store.backends.orm.database.statements import Row, fetch
from parlant_store.content import codec
from parlant_store.content.query import Filter
from parlant_store.types import PROMOTED, DocumentInfo, JSONObject, UpdateResult

NAMES = (
    "WITH RECURSIVE names (name) AS (SELECT min(collection) FROM parlant_store_document"
    " UNION ALL SELECT (SELECT min(collection) FROM parlant_store_document"
    " WHERE collection > name) FROM names WHERE name IS NOT NULL)"
)
"""The names of all collections, and null, by a loose index scan."""

_COLUMNS = ", ".join(PROMOTED)
_REPLACE = ", ".join(REPLACED)


class Documents(ABC):
    """The operations on documents, for one kind of database."""

    renderer: Renderer
    json: str
    """SQL that converts a parameter to the column ``data``."""

    terms: str
    """SQL that converts a parameter to the column ``terms``."""

    stored_words: StoredWords

    limit_one = "LIMIT 1"
    lock = ""
    """SQL that locks the selected rows; SQLite has one lock for all."""

    def insert_one(self, connection: BaseDatabaseWrapper, insertion: InsertOne, time: Time) -> None:
        collection, document, _ = insertion
        sql = f"{self._insert(f'VALUES ({self._values})')} RETURNING key"
        try:
            rows = self._fetch_once(connection, sql, self._inserted(collection, document, time))
        except IntegrityError as exc:
            raise duplicate(collection, document, str(exc)) from exc
        if not rows:
            raise duplicate(collection, document)

    def find(
        self, connection: BaseDatabaseWrapper, search: Find, time: Time
    ) -> tuple[list[JSONObject], int | None]:
        collection, filter_, limit, cursor, direction, count_to = search
        where, params = self._where(collection, filter_, time)
        if cursor is not None:
            after, after_params = self.renderer.after(cursor, direction)
            where, params = f"{where} AND {after}", params + after_params
        order = self.renderer.order(filter_, direction)
        ordered = f"SELECT {{}} FROM parlant_store_document WHERE {where} ORDER BY {order}"
        # A limit that the planner knows, to choose between an ordered index scan and a sort.
        page = ordered if limit is None else f"{ordered} LIMIT %s"
        page_params = params if limit is None else [*params, limit]
        if count_to is None:
            rows = self._fetch(connection, page.format("data"), page_params)
            return codec.decode_documents([text for (text,) in rows]), None
        # Ordered as well, so that counting up to a low limit scans an index and not the table.
        counted = f"{ordered.format('1')} LIMIT %s"
        if count_to == MAX_LIMIT:
            counted = f"SELECT 1 FROM parlant_store_document WHERE {where} LIMIT %s"
        # Each row has the count; if the page is empty, there is one row with the count only.
        sql = (
            f"SELECT matching.n, page.data FROM (SELECT count(*) AS n FROM ({counted}) AS counted)"
            f" AS matching LEFT JOIN ({page.format('data, creation_utc, id')}) AS page ON TRUE"
            f" ORDER BY {order}"
        )
        rows = self._fetch(connection, sql, [*params, count_to, *page_params])
        texts = [text for _, text in rows if text is not None]
        return codec.decode_documents(texts), rows[0][0]

    def find_one(
        self, connection: BaseDatabaseWrapper, search: FindOne, time: Time
    ) -> JSONObject | None:
        first, params = self._first("data", search, time)
        rows = self._fetch(connection, first, params)
        return codec.decode_document(rows[0][0]) if rows else None

    def get_document(
        self, connection: BaseDatabaseWrapper, read: GetDocument, time: Time
    ) -> DocumentInfo | None:
        where, params = self._by_id(read.collection, read.document_id, time)
        sql = f"SELECT data, updated_at, expires_at FROM parlant_store_document WHERE {where}"
        rows = fetch(connection, sql, params)
        if not rows:
            return None
        ((text, *times),) = rows
        updated_at, expires_at = (aware(connection, when) for when in times)
        return DocumentInfo(
            document=codec.decode_document(text), updated_at=updated_at, expires_at=expires_at
        )

    @abstractmethod
    def set_document_expiry(
        self, connection: BaseDatabaseWrapper, change: SetDocumentExpiry, time: Time
    ) -> int:
        """Return the number of documents that now expire then."""

    @abstractmethod
    def insert_numbered(
        self, connection: BaseDatabaseWrapper, insertion: InsertNumbered, time: Time
    ) -> JSONObject: ...

    @abstractmethod
    def update_one(
        self, connection: BaseDatabaseWrapper, update: UpdateOne, time: Time
    ) -> UpdateResult: ...

    @abstractmethod
    def delete_one(
        self, connection: BaseDatabaseWrapper, deletion: DeleteOne, time: Time
    ) -> JSONObject | None: ...

    def lock_one(self, connection: BaseDatabaseWrapper, search: FindOne, time: Time) -> list[Row]:
        """Lock the first document that matches, and return its key and text."""
        sql, params = self._first("key, data", search, time)
        return self._fetch(connection, f"{sql} {self.lock}", params)

    @abstractmethod
    def drop_collection(self, connection: BaseDatabaseWrapper, collection: str) -> int: ...

    def list_collections(self, connection: BaseDatabaseWrapper, time: Time) -> list[str]:
        sql = (
            f"{NAMES} SELECT name FROM names WHERE EXISTS ("
            f"SELECT 1 FROM parlant_store_document WHERE collection = name AND {LIVE})"
            " ORDER BY name"
        )
        return [codec.unescape(name) for (name,) in fetch(connection, sql, (time.now,))]

    def _delete_expired(self, collection: str, columns: dict[str, Any], time: Time) -> Sql:
        """Return a statement that deletes an expired document with the id in ``columns``."""
        sql = "DELETE FROM parlant_store_document WHERE collection = %s AND id = %s"
        params = [codec.to_column(collection), columns.get("id"), time.now]
        return f"{sql} AND expires_at <= %s RETURNING key", params

    def _insert(self, source: str) -> str:
        """Return an insert from ``source``, which replaces an expired document."""
        return (
            f"INSERT INTO parlant_store_document AS d (collection, {_COLUMNS}, data, updated_at,"
            f" terms, failed_calls) {source} ON CONFLICT (collection, id) DO UPDATE SET {_REPLACE}"
            " WHERE d.expires_at <= %s"
        )

    @property
    def _values(self) -> str:
        return f"%s, {', '.join(['%s'] * len(PROMOTED))}, {self.json}, %s, {self.terms}, %s"

    def _inserted(self, collection: str, document: JSONObject, time: Time) -> list[Any]:
        fields = promoted(document)
        searched = NOT_SEARCHED | searched_columns(collection, document, self.stored_words)
        return [
            codec.to_column(collection),
            *(fields.get(field) for field in PROMOTED),
            codec.encode_document(document, "document"),
            time.now,
            *searched.values(),
            time.now,
        ]

    def _where(self, collection: str, filter_: Filter, time: Time) -> Sql:
        sql, params = self.renderer.where(filter_)
        return f"collection = %s AND {sql} AND {LIVE}", [
            codec.to_column(collection),
            *params,
            time.now,
        ]

    def _by_id(self, collection: str, document_id: str, time: Time) -> Sql:
        return f"collection = %s AND id = %s AND {LIVE}", [
            codec.to_column(collection),
            codec.to_column(document_id),
            time.now,
        ]

    def _first(self, column: str, search: FindOne, time: Time) -> Sql:
        collection, filter_, sort = search
        where, params = self._where(collection, filter_, time)
        order, order_params = self.renderer.order_by(filter_, sort)
        sql = f"SELECT {column} FROM parlant_store_document WHERE {where} ORDER BY {order}"
        return f"{sql} {self.limit_one}", params + order_params

    def _fetch_once(
        self, connection: BaseDatabaseWrapper, sql: str, params: list[Any]
    ) -> list[Row]:
        """Run the statement of a write, which returns a row unless it writes nothing."""
        return fetch(connection, sql, params)

    def _fetch(self, connection: BaseDatabaseWrapper, sql: str, params: list[Any]) -> list[Row]:
        return fetch(connection, sql, params, prepare=None)


def result(rows: list[Row]) -> UpdateResult:
    if not rows:
        return UpdateResult(matched=False, document=None)
    ((matched, text),) = rows
    return UpdateResult(matched=matched, document=codec.decode_document(text))
