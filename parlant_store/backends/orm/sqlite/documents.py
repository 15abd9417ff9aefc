"""Documents on SQLite."""

import json
from math import floor
from typing import Any

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import promoted, searched_columns
from parlant_store.backends.contract.documents import duplicate
from parlant_store.backends.contract.operations import (
    DeleteOne,
    FindOne,
    InsertNumbered,
    InsertOne,
    SetDocumentExpiry,
    UpdateOne,
)
from parlant_store.backends.orm.base.documents import Documents, result
from parlant_store.backends.orm.base.sessions import LIVE, Time, adapted
from parlant_store.backends.orm.database.statements import Row, fetch, write
from parlant_store.backends.orm.sqlite.filters import SQLiteRenderer, prepare
from parlant_store.backends.orm.sqlite.related_documents import IN_KEYS, related_keys
from parlant_store.content import codec
from parlant_store.content.query import AllOf, In
from parlant_store.content.text_search import stored_words
from parlant_store.types import JSONObject, UpdateResult


class SQLiteDocuments(Documents):
    renderer = SQLiteRenderer()
    json = terms = "%s"
    stored_words = staticmethod(stored_words)
    # With a constant, SQLite's planner prefers sorting all documents to using the index.
    limit_one = "LIMIT 1 + 0"

    def insert_numbered(
        self, connection: BaseDatabaseWrapper, insertion: InsertNumbered, time: Time
    ) -> JSONObject:
        collection, document, number, within, _ = insertion
        group = In(within, (document[within],))
        taken = FindOne(collection, AllOf((group, In(number, (document[number],)))))
        with write(connection):
            if self.find_one(connection, taken, time) is not None:
                highest = FindOne(collection, group, ((number, "desc"),))
                last = self.find_one(connection, highest, time) or document
                document = {**document, number: floor(last[number]) + 1}
            self.insert_one(connection, InsertOne(collection, document), time)
        return document

    def set_document_expiry(
        self, connection: BaseDatabaseWrapper, change: SetDocumentExpiry, time: Time
    ) -> int:
        where, params = self._by_id(change.collection, change.document_id, time)
        find = f"SELECT key FROM parlant_store_document WHERE {where}"
        update = (
            "UPDATE parlant_store_document SET expires_at = %s"
            f" WHERE key {IN_KEYS} AND {LIVE} RETURNING key"
        )
        with write(connection):
            keys = [key for (key,) in fetch(connection, find, params)]
            keys += related_keys(connection, keys)
            expires_at = adapted(connection, change.expires_at)
            return len(fetch(connection, update, (expires_at, json.dumps(keys), time.now)))

    def update_one(
        self, connection: BaseDatabaseWrapper, update: UpdateOne, time: Time
    ) -> UpdateResult:
        collection, filter_, changes, upsert, _ = update
        target, params = self._first("key, data", FindOne(collection, filter_), time)
        with write(connection):
            rows = self._fetch(connection, target, params)
            if not rows:
                if not upsert:
                    return UpdateResult(matched=False, document=None)
                self.insert_one(connection, InsertOne(collection, changes), time)
                return result([(False, codec.encode_document(changes, "document"))])
            ((key, text),) = rows
            document = codec.decode_document(text) | changes
            columns = promoted(changes)
            searched = searched_columns(collection, changes, stored_words)
            sets = "".join(f", {column} = %s" for column in (*columns, *searched))
            sql = (
                f"UPDATE parlant_store_document SET data = %s, updated_at = %s{sets} WHERE key = %s"
            )
            merged = codec.encode_document(document, "document")
            if columns.get("id") is not None:
                fetch(connection, *self._delete_expired(collection, columns, time))
            try:
                params = [merged, time.now, *columns.values(), *searched.values(), key]
                fetch(connection, sql, params, prepare=None)
            except IntegrityError as exc:
                raise duplicate(collection, changes, str(exc)) from exc
            return result([(True, merged)])

    def delete_one(
        self, connection: BaseDatabaseWrapper, deletion: DeleteOne, time: Time
    ) -> JSONObject | None:
        target, params = self._first("key", FindOne(deletion.collection, deletion.filter), time)
        sql = f"DELETE FROM parlant_store_document WHERE key = ({target}) RETURNING data"
        rows = self._fetch(connection, sql, params)
        return codec.decode_document(rows[0][0]) if rows else None

    def drop_collection(self, connection: BaseDatabaseWrapper, collection: str) -> int:
        with write(connection):
            sql = "DELETE FROM parlant_store_document WHERE collection = %s"
            fetch(connection, sql, (codec.to_column(collection),))
            ((count,),) = fetch(connection, "SELECT changes()")
            return count  # type: ignore[no-any-return]

    def _fetch(self, connection: BaseDatabaseWrapper, sql: str, params: list[Any]) -> list[Row]:
        prepare(connection, sql)
        return super()._fetch(connection, sql, params)
