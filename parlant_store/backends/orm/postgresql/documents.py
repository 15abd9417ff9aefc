"""Documents on PostgreSQL."""

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store import codec
from parlant_store.backends.orm.connection import fetch
from parlant_store.backends.orm.documents import Documents, duplicate, promoted, result
from parlant_store.backends.orm.postgresql.filters import PostgreSQLRenderer
from parlant_store.backends.orm.sessions import Time
from parlant_store.query import Filter
from parlant_store.types import PROMOTED, JSONObject, UpdateResult


class PostgreSQLDocuments(Documents):
    renderer = PostgreSQLRenderer()
    json = "%s::jsonb"

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
        sql = (
            f"WITH target AS ({target} FOR UPDATE), updated AS ("
            f"UPDATE parlant_store_document d SET data = d.data || %s::jsonb, updated_at = %s{sets}"
            " FROM target WHERE d.key = target.key RETURNING d.data)"
        )
        values = [codec.encode_document(params, "document"), time.now, *columns.values()]
        rows = "SELECT TRUE, data FROM updated"
        if upsert:
            source = f"SELECT {self._typed_values} WHERE NOT EXISTS (SELECT FROM target)"
            sql += f", inserted AS ({self._insert(source)} RETURNING data)"
            values += self._inserted(collection, params, time)
            rows += " UNION ALL SELECT FALSE, data FROM inserted"
        try:
            found = self._fetch(connection, f"{sql} {rows}", [*target_params, *values])
        except IntegrityError as exc:
            raise duplicate(collection, params) from exc
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
        texts = ", ".join(["%s::text"] * (1 + len(PROMOTED)))
        return f"{texts}, {self.json}, %s::timestamptz"
