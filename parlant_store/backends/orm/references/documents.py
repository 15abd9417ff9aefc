"""Documents to which tables of the project refer."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import promoted
from parlant_store.backends.contract.operations import (
    DeleteOne,
    FindOne,
    InsertNumbered,
    InsertOne,
    SetDocumentExpiry,
    UpdateOne,
)
from parlant_store.backends.orm.base.documents import Documents
from parlant_store.backends.orm.base.sessions import LIVE, Time
from parlant_store.backends.orm.references.deletion import delete, select_locked, writing
from parlant_store.content import codec
from parlant_store.types import JSONObject, UpdateResult

_BY_ID = f"SELECT key, {LIVE} FROM parlant_store_document WHERE collection = %s AND id = %s"


class ReferencedDocuments(Documents):
    """Deletes by Django's ORM what the statements of ``tables`` would delete."""

    def __init__(self, tables: Documents) -> None:
        self.tables = tables

    def insert_one(self, connection: BaseDatabaseWrapper, insertion: InsertOne, time: Time) -> None:
        with writing(connection):
            delete_if_expired(connection, insertion.collection, insertion.document, time)
            self.tables.insert_one(connection, insertion, time)

    def insert_numbered(
        self, connection: BaseDatabaseWrapper, insertion: InsertNumbered, time: Time
    ) -> JSONObject:
        with writing(connection):
            delete_if_expired(connection, insertion.collection, insertion.document, time)
            return self.tables.insert_numbered(connection, insertion, time)

    def set_document_expiry(
        self, connection: BaseDatabaseWrapper, change: SetDocumentExpiry, time: Time
    ) -> int:
        return self.tables.set_document_expiry(connection, change, time)

    def update_one(
        self, connection: BaseDatabaseWrapper, update: UpdateOne, time: Time
    ) -> UpdateResult:
        if update.changes.get("id") is None:
            return self.tables.update_one(connection, update, time)
        with writing(connection):
            search = FindOne(update.collection, update.filter)
            if update.upsert or self.tables.lock_one(connection, search, time):
                delete_if_expired(connection, update.collection, update.changes, time)
            return self.tables.update_one(connection, update, time)

    def delete_one(
        self, connection: BaseDatabaseWrapper, deletion: DeleteOne, time: Time
    ) -> JSONObject | None:
        from parlant_store.models import Document

        with writing(connection):
            search = FindOne(deletion.collection, deletion.filter)
            rows = self.tables.lock_one(connection, search, time)
            if not rows:
                return None
            ((key, text),) = rows
            document: JSONObject = codec.decode_document(text)
            delete(connection, Document, [key], _named(deletion.collection, document), lock=False)
            return document

    def drop_collection(self, connection: BaseDatabaseWrapper, collection: str) -> int:
        from parlant_store.models import Document

        with writing(connection):
            sql = "SELECT key FROM parlant_store_document WHERE collection = %s ORDER BY key"
            rows = select_locked(connection, sql, (codec.to_column(collection),))
            keys = [key for (key,) in rows]
            what = f"a document of the collection {collection!r}"
            delete(connection, Document, keys, what, lock=False)
            return len(keys)


def delete_if_expired(
    connection: BaseDatabaseWrapper, collection: str, document: JSONObject, time: Time
) -> None:
    """Delete the document of this id if it has expired, so that its id can be reused."""
    from parlant_store.models import Document

    id_: Any = promoted(document).get("id")
    if id_ is None:
        return
    params = (time.now, codec.to_column(collection), id_)
    for key, is_live in select_locked(connection, _BY_ID, params, "FOR NO KEY UPDATE"):
        if not is_live:
            what = f"{_named(collection, document)}, which has expired,"
            delete(connection, Document, [key], what)


def delete_by_id(connection: BaseDatabaseWrapper, collection: str, document_id: str) -> None:
    """Delete the document of this id, if there is one."""
    from parlant_store.models import Document

    sql = "SELECT key FROM parlant_store_document WHERE collection = %s AND id = %s"
    params = (codec.to_column(collection), codec.to_column(document_id))
    keys = [key for (key,) in select_locked(connection, sql, params)]
    what = _named(collection, {"id": document_id})
    delete(connection, Document, keys, what, lock=False)


def _named(collection: str, document: JSONObject) -> str:
    return f"the document {document.get('id')!r} of the collection {collection!r}"
