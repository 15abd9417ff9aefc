"""Documents on PostgreSQL."""

from typing import Any

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import (
    number_lock,
    promoted,
    searched_columns,
    upsert_lock,
)
from parlant_store.backends.contract.documents import duplicate
from parlant_store.backends.contract.operations import (
    DeleteOne,
    FindOne,
    InsertNumbered,
    SetDocumentExpiry,
    UpdateOne,
)
from parlant_store.backends.orm.base.documents import Documents, result
from parlant_store.backends.orm.base.sessions import Time, adapted
from parlant_store.backends.orm.database.statements import Row
from parlant_store.backends.orm.postgresql.filters import PostgreSQLRenderer
from parlant_store.backends.orm.postgresql.requests import fetch_once
from parlant_store.content import codec
from parlant_store.content.query import AllOf, In
from parlant_store.content.text_search import tsvector
from parlant_store.types import PROMOTED, JSONObject, UpdateResult

_COLUMNS = ", ".join(["%s::text"] * (1 + len(PROMOTED)))
"""The collection and the promoted fields, as parameters."""

_TYPED = {"terms": "%s::tsvector", "failed_calls": "%s::bigint"}

_ONE_ROW = "SELECT result.* FROM (VALUES (1)) one LEFT JOIN"
"""Followed by a source of at most one row, it returns this row, or one of nulls."""

_SET_EXPIRY = (
    "SELECT parlant_store_set_document_expiry(%s::text, %s::text, %s::timestamptz, %s::timestamptz)"
)


class PostgreSQLDocuments(Documents):
    renderer = PostgreSQLRenderer()
    json = "%s::jsonb"
    terms = "%s::tsvector"
    stored_words = staticmethod(tsvector)
    lock = "FOR UPDATE"

    def insert_numbered(
        self, connection: BaseDatabaseWrapper, insertion: InsertNumbered, time: Time
    ) -> JSONObject:
        collection, document, number, within, _ = insertion
        group = In(within, (document[within],))
        taken, taken_params = self._where(
            collection, AllOf((group, In(number, (document[number],)))), time
        )
        highest, highest_params = self._first(
            "floor((data ->> %s::text)::numeric)",
            FindOne(collection, group, ((number, "desc"),)),
            time,
        )
        values = self._inserted(collection, document, time)
        sql = self._insert(
            f"SELECT {_COLUMNS}, {self.json} || CASE WHEN EXISTS ("
            f"SELECT FROM parlant_store_document WHERE {taken})"
            f" THEN jsonb_build_object(%s::text, ({highest}) + 1) ELSE '{{}}' END,"
            f" %s::timestamptz, {self.terms}, %s::bigint"
        )
        field = codec.escape(number)
        params = [*values[:-4], *taken_params, field, field, *highest_params, *values[-4:]]
        name = number_lock(collection, document[within])
        try:
            rows = fetch_once(connection, f"{sql} RETURNING data::text", params, lock=name)
        except IntegrityError as exc:
            raise duplicate(collection, document, str(exc)) from exc
        if not rows:
            raise duplicate(collection, document)
        return codec.decode_document(rows[0][0])  # type: ignore[no-any-return]

    def set_document_expiry(
        self, connection: BaseDatabaseWrapper, change: SetDocumentExpiry, time: Time
    ) -> int:
        names = (codec.to_column(change.collection), codec.to_column(change.document_id))
        params = (*names, adapted(connection, change.expires_at), time.now)
        ((count,),) = fetch_once(connection, _SET_EXPIRY, params)
        return count  # type: ignore[no-any-return]

    def update_one(
        self, connection: BaseDatabaseWrapper, update: UpdateOne, time: Time
    ) -> UpdateResult:
        collection, filter_, changes, upsert, _ = update
        target, target_params = self._first("key", FindOne(collection, filter_), time)
        columns = promoted(changes)
        searched = searched_columns(collection, changes, tsvector)
        sets = "".join(f", {column} = %s" for column in columns)
        sets += "".join(f", {column} = {_TYPED[column]}" for column in searched)
        # The lock waits for other writers, so that the merge uses the row that they committed.
        ctes, after_deletion = f"target AS ({target} FOR UPDATE)", ""
        values = [codec.encode_document(changes, "document"), time.now, *columns.values()]
        values += searched.values()
        if columns.get("id") is not None:
            # The count makes PostgreSQL run the deletion before the update.
            deletion, deletion_params = self._delete_expired(collection, columns, time)
            ctes += f", deleted AS ({deletion})"
            after_deletion = " CROSS JOIN (SELECT count(*) FROM deleted) AS counted"
            values = [*deletion_params, *values]
        ctes += (
            ", updated AS (UPDATE parlant_store_document d"
            f" SET data = d.data || %s::jsonb, updated_at = %s{sets}"
            f" FROM target{after_deletion} WHERE d.key = target.key"
            " RETURNING TRUE AS matched, d.data::text AS document)"
        )
        sql, lock = f"{_ONE_ROW} updated AS result ON TRUE", None
        if upsert:
            source = f"SELECT {self._typed_values} WHERE NOT EXISTS (SELECT FROM target)"
            ctes += f", inserted AS ({self._insert(source)} RETURNING FALSE, data::text)"
            values += self._inserted(collection, changes, time)
            # Two calls at once that match no document would both insert one.
            lock = upsert_lock(collection, filter_)
            sql = "SELECT * FROM updated UNION ALL SELECT * FROM inserted"
        params = [*target_params, *values]
        try:
            rows = fetch_once(connection, sql, params, ctes=ctes, lock=lock, prepare=None)
        except IntegrityError as exc:
            raise duplicate(collection, changes, str(exc)) from exc
        if upsert and not rows:
            raise duplicate(collection, changes)
        return result([row for row in rows if row[0] is not None])

    def delete_one(
        self, connection: BaseDatabaseWrapper, deletion: DeleteOne, time: Time
    ) -> JSONObject | None:
        target, params = self._first("key", FindOne(deletion.collection, deletion.filter), time)
        ctes = (
            f"target AS ({target} FOR UPDATE),"
            " deleted AS (DELETE FROM parlant_store_document d USING target"
            " WHERE d.key = target.key RETURNING d.data::text)"
        )
        sql = f"{_ONE_ROW} deleted AS result ON TRUE"
        ((text,),) = fetch_once(connection, sql, params, ctes=ctes, prepare=None)
        return None if text is None else codec.decode_document(text)

    def drop_collection(self, connection: BaseDatabaseWrapper, collection: str) -> int:
        ctes = "dropped AS (DELETE FROM parlant_store_document WHERE collection = %s RETURNING 1)"
        sql = "SELECT count(*) FROM dropped"
        ((count,),) = fetch_once(connection, sql, (codec.to_column(collection),), ctes=ctes)
        return count  # type: ignore[no-any-return]

    def _fetch_once(
        self, connection: BaseDatabaseWrapper, sql: str, params: list[Any]
    ) -> list[Row]:
        return fetch_once(connection, sql, params)

    @property
    def _typed_values(self) -> str:
        return f"{_COLUMNS}, {self.json}, %s::timestamptz, {self.terms}, %s::bigint"
