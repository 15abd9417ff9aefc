"""Sessions on PostgreSQL."""

from collections.abc import Sequence
from typing import cast

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store import codec
from parlant_store.backends.arguments import SessionName
from parlant_store.backends.expiry import Expired
from parlant_store.backends.orm.connection import fetch, was_undone
from parlant_store.backends.orm.postgresql.arrays import array
from parlant_store.backends.orm.postgresql.filters import PostgreSQLRenderer
from parlant_store.backends.orm.sessions import LIVE, Sessions, Time
from parlant_store.backends.rows import Columns, columns, decode, full_names, name_of
from parlant_store.backends.sessions import Addition, Latest
from parlant_store.items import Batch
from parlant_store.search import tsvector
from parlant_store.types import JSONObject

_LATEST_OF_ALL = f"""
SELECT asked.number, item.data
FROM unnest(%s::text[], %s::text[], %s::bigint[])
    WITH ORDINALITY AS asked (namespace, session_id, count, number)
CROSS JOIN LATERAL (
    SELECT position, data FROM parlant_store_session_item
    WHERE session_key = (
        SELECT key FROM parlant_store_session
        WHERE namespace = asked.namespace AND session_id = asked.session_id AND {LIVE}
    )
    ORDER BY position DESC LIMIT asked.count
) item
ORDER BY asked.number, item.position
"""


class PostgreSQLSessions(Sessions):
    """Each write is one call of a function in sql/functions/sessions.sql."""

    metadata = PostgreSQLRenderer("metadata", ())

    def seconds(self, connection: BaseDatabaseWrapper, column: str) -> str:
        return f"date_part('epoch', {column})"

    def add_items(
        self,
        connection: BaseDatabaseWrapper,
        name: SessionName,
        batch: Batch,
        user_id: str | None,
        time: Time,
        *,
        replace: bool,
    ) -> int:
        sql = (
            "SELECT parlant_store_add_items(%s::text, %s::text, %s::text, %s::text, %s::text[],"
            " %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint,"
            " %s::timestamptz, %s::timestamptz, %s::boolean)"
        )
        params = (*named(name, user_id), *arrays(batch), *time, replace)
        ((count,),) = fetch(connection, sql, params)
        return count  # type: ignore[no-any-return]

    def add_all(
        self, connection: BaseDatabaseWrapper, additions: Sequence[Addition], time: Time
    ) -> list[int] | None:
        sql = (
            "SELECT parlant_store_add_all(%s::text[], %s::text[], %s::text[], %s::text[],"
            " %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[],"
            " %s::timestamptz, %s::timestamptz)"
        )
        rows = [(*named(name, user_id), *arrays(batch)) for name, batch, user_id in additions]
        try:
            ((counts,),) = fetch(connection, sql, (*map(array, zip(*rows, strict=True)), *time))
        except DatabaseError as exc:
            if was_undone(exc):
                return None
            raise
        return counts  # type: ignore[no-any-return]

    def get_all(
        self, connection: BaseDatabaseWrapper, reads: Sequence[Latest], time: Time
    ) -> list[list[JSONObject]] | None:
        names, limits = zip(*reads, strict=True)
        namespaces, session_ids = zip(*map(columns, names), strict=True)
        params = (array(namespaces), array(session_ids), array(map(str, limits)), time.now)
        texts: list[list[str]] = [[] for _ in reads]
        for number, text in fetch(connection, _LATEST_OF_ALL, params):
            texts[number - 1].append(text)
        found = [decode(of_one) for of_one in texts]
        return None if None in found else cast("list[list[JSONObject]]", found)

    def pop_text(self, connection: BaseDatabaseWrapper, columns: Columns, time: Time) -> str | None:
        sql = "SELECT parlant_store_pop_item(%s::text, %s::text, %s::timestamptz, %s::timestamptz)"
        ((text,),) = fetch(connection, sql, (*columns, *time))
        return text  # type: ignore[no-any-return]

    def clear(self, connection: BaseDatabaseWrapper, name: SessionName, time: Time) -> None:
        sql = "SELECT parlant_store_clear(%s::text, %s::text, %s::timestamptz, %s::timestamptz)"
        fetch(connection, sql, (*columns(name), *time))

    def delete_session(
        self, connection: BaseDatabaseWrapper, name: SessionName, time: Time
    ) -> int | None:
        sql = "SELECT parlant_store_delete_session(%s::text, %s::text, %s::timestamptz)"
        ((count,),) = fetch(connection, sql, (*columns(name), time.now))
        return count  # type: ignore[no-any-return]

    def set_metadata(
        self,
        connection: BaseDatabaseWrapper,
        name: SessionName,
        metadata: str,
        time: Time,
        merge: bool,
    ) -> JSONObject:
        sql = (
            "SELECT parlant_store_set_metadata(%s::text, %s::text, %s::text, %s::text,"
            " %s::timestamptz, %s::timestamptz, %s::boolean)"
        )
        params = (*columns(name), full_names(name), metadata, *time, merge)
        ((text,),) = fetch(connection, sql, params)
        return codec.decode_document(text)  # type: ignore[no-any-return]

    def expire(self, connection: BaseDatabaseWrapper, time: Time, batch_size: int) -> Expired:
        sql = "SELECT * FROM parlant_store_expire(%s::timestamptz, %s::bigint)"
        ((*sessions, documents),) = fetch(connection, sql, (time.now, batch_size))
        rows = zip(*(column or () for column in sessions), strict=True)
        return Expired([(name_of(*names), items) for *names, items in rows], documents)


def named(name: SessionName, user_id: str | None) -> list[str | None]:
    """The columns of a session's name and owner, as the functions take them."""
    owner = None if user_id is None else codec.to_column(user_id)
    return [*columns(name), full_names(name, user_id), owner]


def arrays(batch: Batch) -> list[str]:
    """The columns of items, as the functions take them."""
    return [
        array(batch.data),
        array(batch.roles),
        array(batch.texts),
        array(None if words is None else tsvector(words) for words in batch.words),
        array(None if tokens is None else str(tokens) for tokens in batch.tokens),
        str(batch.total),
    ]
