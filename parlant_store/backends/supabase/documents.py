"""Documents over Supabase."""

import json

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.columns import (
    number_lock,
    promoted,
    replaced,
    searched_columns,
    stored,
    upsert_lock,
)
from parlant_store.backends.contract.documents import duplicate
from parlant_store.backends.contract.indexes import Index, index_for, not_unique
from parlant_store.backends.contract.operations import (
    DeleteOne,
    DropCollection,
    EnsureIndex,
    Find,
    FindOne,
    GetDocument,
    InsertNumbered,
    InsertOne,
    ReadVersion,
    ReplaceDocuments,
    SetDocumentExpiry,
    UpdateOne,
)
from parlant_store.backends.filter_trees import tree
from parlant_store.backends.supabase.client import Conflict, Connection, is_overdue, time_of
from parlant_store.backends.supabase.rest import shapes
from parlant_store.content import codec
from parlant_store.content.query import AllOf, In
from parlant_store.content.text_search import tsvector
from parlant_store.exceptions import DuplicateDocument, StoreUnavailable
from parlant_store.types import DocumentInfo, JSONObject, StoredDocument, UpdateResult


class SupabaseDocuments(BaseBackend):
    """The operations on documents, each by one call."""

    connection: Connection
    schema: str | None

    def _insert_one(self, insertion: InsertOne) -> None:
        collection, document, request = insertion
        try:
            inserted = self.connection.write(
                "insert_one",
                shapes.boolean,
                request,
                **self._in(collection),
                **_content(collection, document),
            )
        except Conflict as exc:
            raise duplicate(collection, document, str(exc)) from exc
        if not inserted:
            raise duplicate(collection, document)

    def _insert_numbered(self, insertion: InsertNumbered) -> JSONObject:
        collection, document, number, within, request = insertion
        group = In(within, (document[within],))
        taken = AllOf((group, In(number, (document[number],))))
        try:
            text = self.connection.write(
                "insert_numbered",
                shapes.optional(shapes.document),
                request,
                **self._in(collection),
                **_content(collection, document),
                number=codec.escape(number),
                group=tree(group),
                taken=tree(taken),
                turn=number_lock(collection, document[within]),
            )
        except Conflict as exc:
            raise duplicate(collection, document, str(exc)) from exc
        if text is None:
            raise duplicate(collection, document)
        return codec.decode_document(text)  # type: ignore[no-any-return]

    def _find(self, search: Find) -> tuple[list[JSONObject], int | None]:
        cursor = search.cursor
        page = self.connection.read(
            "find",
            shapes.FOUND,
            **self._in(search.collection),
            filter=tree(search.filter),
            limit=search.limit,
            created=None if cursor is None else codec.to_column(cursor.creation_utc),
            id=None if cursor is None else codec.to_column(cursor.id),
            direction=search.direction,
            count_to=search.count_to,
        )
        return codec.decode_documents(page["documents"]), page["total"]

    def _find_one(self, search: FindOne) -> JSONObject | None:
        text = self.connection.read(
            "find_one",
            shapes.optional(shapes.document),
            **self._in(search.collection),
            filter=tree(search.filter),
            sort=[[codec.escape(field), direction] for field, direction in search.sort],
        )
        return None if text is None else codec.decode_document(text)

    def _get_document(self, read: GetDocument) -> DocumentInfo | None:
        row = self.connection.read(
            "get_document",
            shapes.optional(shapes.DOCUMENT),
            **self._in(read.collection),
            id=codec.to_column(read.document_id),
        )
        return row and DocumentInfo(
            document=codec.decode_document(row["document"]),
            updated_at=time_of(row["updated_at"]),
            expires_at=time_of(row["expires_at"]),
        )

    def _set_document_expiry(self, change: SetDocumentExpiry) -> int:
        count: int = self.connection.write(
            "set_document_expiry",
            shapes.integer,
            change.request,
            **self._in(change.collection),
            id=codec.to_column(change.document_id),
            expires_at=change.expires_at,
        )
        return count

    def _update_one(self, update: UpdateOne) -> UpdateResult:
        collection, filter_, changes, upsert, request = update
        try:
            row = self.connection.write(
                "update_one",
                shapes.optional(shapes.UPDATED),
                request,
                **self._in(collection),
                filter=tree(filter_),
                **_content(collection, changes),
                upsert=upsert,
                turn=upsert_lock(collection, filter_),
            )
        except Conflict as exc:
            raise duplicate(collection, changes, str(exc)) from exc
        if row is None:
            return UpdateResult(matched=False, document=None)
        if row["document"] is None:
            raise duplicate(collection, changes)
        document = codec.decode_document(row["document"])
        return UpdateResult(matched=row["matched"], document=document)

    def _delete_one(self, deletion: DeleteOne) -> JSONObject | None:
        text = self.connection.write(
            "delete_one",
            shapes.optional(shapes.document),
            deletion.request,
            **self._in(deletion.collection),
            filter=tree(deletion.filter),
        )
        return None if text is None else codec.decode_document(text)

    def _list_collections(self) -> list[str]:
        names = self.connection.read(
            "list_collections", shapes.list_of(shapes.text), now=self.clock()
        )
        return [codec.unescape(name) for name in names]

    def _drop_collection(self, deletion: DropCollection) -> int:
        count: int = self.connection.write(
            "drop_collection",
            shapes.integer,
            deletion.request,
            collection=codec.to_column(deletion.collection),
        )
        return count

    def _list_versions(self, collection: str) -> list[StoredDocument]:
        return stored(self.connection.read("list_versions", shapes.STORED, **self._in(collection)))

    def _read_version(self, read: ReadVersion) -> list[StoredDocument]:
        rows = self.connection.read(
            "read_version",
            shapes.STORED,
            **self._in(read.collection),
            version=None if read.version is None else codec.to_column(read.version),
            after=read.after,
            limit=read.limit,
        )
        return stored(rows)

    def _replace(self, replacement: ReplaceDocuments) -> list[bool]:
        replacements, request = replacement
        documents = [
            {"key": each.stored.key, "old": each.stored.text, **replaced(each, tsvector)}
            for each in replacements
        ]
        try:
            keys = self.connection.write(
                "replace",
                shapes.list_of(shapes.integer),
                request,
                documents=documents,
                now=self.clock(),
            )
        except Conflict as exc:
            raise DuplicateDocument("another document has the id of one of these") from exc
        replaced_keys = set(keys)
        return [each.stored.key in replaced_keys for each in replacements]

    def _ensure_index(self, operation: EnsureIndex) -> bool:
        collection, fields, unique, request = operation
        index = index_for(collection, fields, unique)
        if index is None:
            return False
        try:
            is_created: bool = self.connection.write(
                "ensure_index",
                shapes.boolean,
                request,
                name=index.name,
                collection=codec.to_column(collection),
                fields=index.fields,
                unique=unique,
            )
        except Conflict as exc:
            raise not_unique(collection, fields) from exc
        except StoreUnavailable as exc:
            if not is_overdue(exc):
                raise
            call = _ensure_index_sql(self.schema or "public", index, collection, unique)
            raise StoreUnavailable(
                f"{exc}; if creating the index takes so long, run this in the SQL editor: {call}"
            ) from exc.__cause__
        return is_created

    def _in(self, collection: str) -> JSONObject:
        return {"collection": codec.to_column(collection), "now": self.clock()}


def _ensure_index_sql(schema: str, index: Index, collection: str, unique: bool) -> str:
    # Imported here, because it needs psycopg.
    from parlant_store.sql.supabase.schema import identifier, literal

    arguments = [index.name, codec.to_column(collection), json.dumps(index.fields)]
    literals = ", ".join(literal(argument) for argument in arguments)
    return (
        "set statement_timeout to 0; select "
        f"{identifier(schema)}.parlant_store_ensure_index({literals}, {str(unique).lower()});"
    )


def _content(collection: str, document: JSONObject) -> JSONObject:
    searched = searched_columns(collection, document, tsvector)
    return {
        "document": codec.encode_document(document, "document"),
        "columns": {**promoted(document), **searched},
    }
