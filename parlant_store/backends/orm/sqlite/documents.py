"""Documents on SQLite."""

import json
from datetime import datetime
from math import floor
from typing import Any

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store import codec
from parlant_store.backends.documents import duplicate
from parlant_store.backends.orm.connection import Row, fetch, write
from parlant_store.backends.orm.documents import Documents, result
from parlant_store.backends.orm.sessions import LIVE, Time, adapted
from parlant_store.backends.orm.sqlite.belonging import IN_KEYS, parts_of
from parlant_store.backends.orm.sqlite.filters import SQLiteRenderer, prepare
from parlant_store.backends.rows import promoted
from parlant_store.query import AllOf, Filter, In
from parlant_store.types import JSONObject, UpdateResult


class SQLiteDocuments(Documents):
    renderer = SQLiteRenderer()
    json = "%s"
    # With a limit that it sees, SQLite finds sorting all documents cheaper than their index.
    limit_one = "LIMIT 1 + 0"

    def insert_numbered(
        self,
        connection: BaseDatabaseWrapper,
        collection: str,
        document: JSONObject,
        number: str,
        within: str,
        time: Time,
    ) -> JSONObject:
        group = In(within, (document[within],))
        same = AllOf((group, In(number, (document[number],))))
        with write(connection):
            if self.find_one(connection, collection, same, (), time) is not None:
                last = self.find_one(connection, collection, group, ((number, "desc"),), time)
                highest = document[number] if last is None else last[number]
                document = {**document, number: floor(highest) + 1}
            self.insert_one(connection, collection, document, time)
        return document

    def set_document_expiry(
        self,
        connection: BaseDatabaseWrapper,
        collection: str,
        document_id: str,
        expires_at: datetime | None,
        time: Time,
    ) -> int:
        find = (
            f"SELECT key FROM parlant_store_document WHERE collection = %s AND id = %s AND {LIVE}"
        )
        given = (codec.to_column(collection), codec.to_column(document_id), time.now)
        update = (
            "UPDATE parlant_store_document SET expires_at = %s"
            f" WHERE key {IN_KEYS} AND {LIVE} RETURNING key"
        )
        with write(connection):
            keys = [key for (key,) in fetch(connection, find, given)]
            keys += parts_of(connection, keys)
            ends = (adapted(connection, expires_at), json.dumps(keys), time.now)
            return len(fetch(connection, update, ends))

    def update_one(
        self,
        connection: BaseDatabaseWrapper,
        collection: str,
        filter_: Filter,
        params: JSONObject,
        upsert: bool,
        time: Time,
    ) -> UpdateResult:
        target, target_params = self._first("key, data", collection, filter_, (), time)
        with write(connection):
            found = self._fetch(connection, target, target_params)
            if not found:
                if not upsert:
                    return UpdateResult(matched=False, document=None)
                self.insert_one(connection, collection, params, time)
                return result([(False, codec.encode_document(params, "document"))])
            ((key, text),) = found
            document = codec.decode_document(text) | params
            columns = promoted(params)
            sets = "".join(f", {column} = %s" for column in columns)
            sql = (
                f"UPDATE parlant_store_document SET data = %s, updated_at = %s{sets} WHERE key = %s"
            )
            merged = codec.encode_document(document, "document")
            if columns.get("id") is not None:
                fetch(connection, *self._make_room(collection, columns, time))
            try:
                fetch(connection, sql, (merged, time.now, *columns.values(), key), prepare=None)
            except IntegrityError as exc:
                raise duplicate(collection, params, str(exc)) from exc
            return result([(True, merged)])

    def delete_one(
        self, connection: BaseDatabaseWrapper, collection: str, filter_: Filter, time: Time
    ) -> JSONObject | None:
        target, params = self._first("key", collection, filter_, (), time)
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
