"""Documents on PostgreSQL."""

from datetime import datetime

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store import codec
from parlant_store.backends.documents import duplicate
from parlant_store.backends.orm.connection import fetch, fetch_alone
from parlant_store.backends.orm.documents import Documents, result
from parlant_store.backends.orm.postgresql.filters import PostgreSQLRenderer
from parlant_store.backends.orm.sessions import Time, adapted
from parlant_store.backends.rows import number_turn, promoted, upsert_turn
from parlant_store.query import AllOf, Filter, In
from parlant_store.types import PROMOTED, JSONObject, UpdateResult

_COLUMNS = ", ".join(["%s::text"] * (1 + len(PROMOTED)))
"""The collection and the promoted fields, as parameters."""

_SET_EXPIRY = (
    "SELECT parlant_store_set_document_expiry(%s::text, %s::text, %s::timestamptz, %s::timestamptz)"
)


class PostgreSQLDocuments(Documents):
    renderer = PostgreSQLRenderer()
    json = "%s::jsonb"

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
        taken, taken_params = self._where(
            collection, AllOf((group, In(number, (document[number],)))), time
        )
        highest, highest_params = self._first(
            "floor((data ->> %s::text)::numeric)", collection, group, ((number, "desc"),), time
        )
        given = self._inserted(collection, document, time)
        sql = self._insert(
            f"SELECT {_COLUMNS}, {self.json} || CASE WHEN EXISTS ("
            f"SELECT FROM parlant_store_document WHERE {taken})"
            f" THEN jsonb_build_object(%s::text, ({highest}) + 1) ELSE '{{}}' END,"
            " %s::timestamptz"
        )
        field = codec.escape(number)
        params = [*given[:-2], *taken_params, field, field, *highest_params, *given[-2:]]
        name = number_turn(collection, document[within])
        try:
            rows = fetch_alone(connection, name, f"{sql} RETURNING data", params)
        except IntegrityError as exc:
            raise duplicate(collection, document, str(exc)) from exc
        if not rows:
            raise duplicate(collection, document)
        return codec.decode_document(rows[0][0])  # type: ignore[no-any-return]

    def set_document_expiry(
        self,
        connection: BaseDatabaseWrapper,
        collection: str,
        document_id: str,
        expires_at: datetime | None,
        time: Time,
    ) -> int:
        names = (codec.to_column(collection), codec.to_column(document_id))
        given = (*names, adapted(connection, expires_at), time.now)
        ((count,),) = fetch(connection, _SET_EXPIRY, given)
        return count  # type: ignore[no-any-return]

    def update_one(
        self,
        connection: BaseDatabaseWrapper,
        collection: str,
        filter_: Filter,
        params: JSONObject,
        upsert: bool,
        time: Time,
    ) -> UpdateResult:
        target, target_params = self._first("key", collection, filter_, (), time)
        columns = promoted(params)
        sets = "".join(f", {column} = %s" for column in columns)
        # The lock waits for other writers, so that the merge begins from what they left.
        sql, beside = f"WITH target AS ({target} FOR UPDATE)", ""
        values = [codec.encode_document(params, "document"), time.now, *columns.values()]
        if columns.get("id") is not None:
            # What is counted before the update is gone before it.
            freed, freed_params = self._make_room(collection, columns, time)
            sql += f", freed AS ({freed})"
            beside = " CROSS JOIN (SELECT count(*) FROM freed) AS counted"
            values = [*freed_params, *values]
        sql += (
            ", updated AS (UPDATE parlant_store_document d"
            f" SET data = d.data || %s::jsonb, updated_at = %s{sets}"
            f" FROM target{beside} WHERE d.key = target.key RETURNING d.data)"
        )
        rows = "SELECT TRUE, data FROM updated"
        if upsert:
            source = f"SELECT {self._typed_values} WHERE NOT EXISTS (SELECT FROM target)"
            sql += f", inserted AS ({self._insert(source)} RETURNING data)"
            values += self._inserted(collection, params, time)
            rows += " UNION ALL SELECT FALSE, data FROM inserted"
        sql, all_params = f"{sql} {rows}", [*target_params, *values]
        try:
            if upsert:
                # Two that find nothing at once would both insert.
                turn = upsert_turn(collection, filter_)
                found = fetch_alone(connection, turn, sql, all_params)
            else:
                found = self._fetch(connection, sql, all_params)
        except IntegrityError as exc:
            raise duplicate(collection, params, str(exc)) from exc
        if upsert and not found:
            raise duplicate(collection, params)
        return result(found)

    def delete_one(
        self, connection: BaseDatabaseWrapper, collection: str, filter_: Filter, time: Time
    ) -> JSONObject | None:
        target, params = self._first("key", collection, filter_, (), time)
        sql = (
            f"WITH target AS ({target} FOR UPDATE)"
            " DELETE FROM parlant_store_document d USING target"
            " WHERE d.key = target.key RETURNING d.data"
        )
        rows = self._fetch(connection, sql, params)
        return codec.decode_document(rows[0][0]) if rows else None

    def drop_collection(self, connection: BaseDatabaseWrapper, collection: str) -> int:
        sql = (
            "WITH dropped AS (DELETE FROM parlant_store_document WHERE collection = %s"
            " RETURNING 1) SELECT count(*) FROM dropped"
        )
        ((count,),) = fetch(connection, sql, (codec.to_column(collection),))
        return count  # type: ignore[no-any-return]

    @property
    def _typed_values(self) -> str:
        return f"{_COLUMNS}, {self.json}, %s::timestamptz"
