"""Sessions on PostgreSQL."""

from collections.abc import Sequence
from typing import cast

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import Columns, columns, decode, full_names, name_of
from parlant_store.backends.contract.expiry import Expired
from parlant_store.backends.contract.operations import (
    AddItems,
    GetItems,
    SetExpiry,
    SetMetadata,
)
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.base.sessions import (
    LIVE,
    PLAIN,
    KeyColumn,
    Sessions,
    Time,
    adapted,
)
from parlant_store.backends.orm.database.errors import was_undone
from parlant_store.backends.orm.database.statements import fetch
from parlant_store.backends.orm.postgresql.arrays import array
from parlant_store.backends.orm.postgresql.filters import PostgreSQLRenderer
from parlant_store.backends.orm.postgresql.requests import fetch_once
from parlant_store.content import codec
from parlant_store.content.items import Batch
from parlant_store.types import JSONObject

_LATEST_OF_ALL = f"""
SELECT read.number, item.data
FROM unnest(%s::text[], %s::text[], %s::bigint[])
    WITH ORDINALITY AS read (namespace, session_id, count, number)
CROSS JOIN LATERAL (
    SELECT position, data FROM parlant_store_session_item
    WHERE session_key = (
        SELECT {{key}} FROM parlant_store_session
        WHERE namespace = read.namespace AND session_id = read.session_id AND {LIVE}
    )
    ORDER BY position DESC LIMIT read.count
) item
ORDER BY read.number, item.position
"""


class PostgreSQLSessions(Sessions):
    """Each write is one call of a function in sql/functions/sessions.sql."""

    metadata = PostgreSQLRenderer("metadata", ())

    def seconds(self, connection: BaseDatabaseWrapper, column: str) -> str:
        return f"date_part('epoch', {column})"

    def add_items(self, connection: BaseDatabaseWrapper, addition: AddItems, time: Time) -> int:
        sql = (
            "SELECT parlant_store_add_items(%s::text, %s::text, %s::text, %s::text, %s::text[],"
            " %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint,"
            " %s::timestamptz, %s::timestamptz, %s::boolean)"
        )
        owned = named(addition.session, addition.user_id)
        params = (*owned, *arrays(addition.batch), *time, addition.replace)
        ((count,),) = fetch_once(connection, sql, params)
        return count  # type: ignore[no-any-return]

    def add_all(
        self, connection: BaseDatabaseWrapper, additions: Sequence[AddItems], time: Time
    ) -> list[int] | None:
        sql = (
            "SELECT parlant_store_add_all(%s::text[], %s::text[], %s::text[], %s::text[],"
            " %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],"
            " %s::bigint[], %s::timestamptz, %s::timestamptz)"
        )
        rows = [(*named(each.session, each.user_id), *arrays(each.batch)) for each in additions]
        try:
            params = (*map(array, zip(*rows, strict=True)), *time)
            ((counts,),) = fetch_once(connection, sql, params)
        except DatabaseError as exc:
            if was_undone(exc):
                return None
            raise
        return counts  # type: ignore[no-any-return]

    def get_all(
        self,
        connection: BaseDatabaseWrapper,
        reads: Sequence[GetItems],
        time: Time,
        key: KeyColumn = PLAIN,
    ) -> list[list[JSONObject]] | None:
        names, limits, _ = zip(*reads, strict=True)
        namespaces, session_ids = zip(*map(columns, names), strict=True)
        arrays = (array(namespaces), array(session_ids), array(map(str, limits)))
        params = (*arrays, *key.params, time.now)
        texts: list[list[str]] = [[] for _ in reads]
        for number, text in fetch(connection, _LATEST_OF_ALL.format(key=key.sql), params):
            texts[number - 1].append(text)
        items = [decode(session_texts) for session_texts in texts]
        return None if None in items else cast("list[list[JSONObject]]", items)

    def pop_text(self, connection: BaseDatabaseWrapper, columns: Columns, time: Time) -> str | None:
        sql = "SELECT parlant_store_pop_item(%s::text, %s::text, %s::timestamptz, %s::timestamptz)"
        ((text,),) = fetch_once(connection, sql, (*columns, *time))
        return text  # type: ignore[no-any-return]

    def clear(self, connection: BaseDatabaseWrapper, name: SessionName, time: Time) -> None:
        sql = "SELECT parlant_store_clear(%s::text, %s::text, %s::timestamptz, %s::timestamptz)"
        fetch_once(connection, sql, (*columns(name), *time))

    def delete_session(
        self, connection: BaseDatabaseWrapper, name: SessionName, time: Time
    ) -> int | None:
        sql = (
            "SELECT v_items"
            " FROM parlant_store_delete_session(%s::text, %s::text, %s::timestamptz, NULL)"
        )
        ((count,),) = fetch_once(connection, sql, (*columns(name), time.now))
        return count  # type: ignore[no-any-return]

    def set_expiry(self, connection: BaseDatabaseWrapper, change: SetExpiry, time: Time) -> bool:
        sql = (
            "SELECT parlant_store_set_expiry(%s::text, %s::text, %s::timestamptz, %s::timestamptz)"
        )
        expires_at = adapted(connection, change.expires_at)
        params = (*columns(change.session), expires_at, time.now)
        ((exists,),) = fetch_once(connection, sql, params)
        return exists  # type: ignore[no-any-return]

    def set_metadata(
        self, connection: BaseDatabaseWrapper, change: SetMetadata, time: Time
    ) -> JSONObject:
        sql = (
            "SELECT parlant_store_set_metadata(%s::text, %s::text, %s::text, %s::text,"
            " %s::timestamptz, %s::timestamptz, %s::boolean)"
        )
        name = change.session
        params = (*columns(name), full_names(name), change.metadata, *time, change.merge)
        ((text,),) = fetch_once(connection, sql, params)
        return codec.decode_document(text)  # type: ignore[no-any-return]

    def expire(self, connection: BaseDatabaseWrapper, time: Time, batch_size: int) -> Expired:
        sql = "SELECT * FROM parlant_store_expire(%s::timestamptz, %s::bigint, NULL)"
        answer = fetch_once(connection, sql, (time.now, batch_size))
        ((*sessions, documents, has_hidden, threads, has_threads),) = answer
        rows = zip(*(column or () for column in sessions), strict=True)
        expired = [(name_of(*names), items) for *names, items in rows]
        return Expired(
            *(expired, documents),
            has_hidden=has_hidden,
            threads=threads,
            has_threads=has_threads,
        )


def named(name: SessionName, user_id: str | None) -> list[str | None]:
    """Return the parameters of the functions for the name and the owner of a session."""
    owner = None if user_id is None else codec.to_column(user_id)
    return [*columns(name), full_names(name, user_id), owner]


def arrays(batch: Batch) -> list[str | None]:
    """Return the parameters of the functions for items."""
    return [
        array(batch.data),
        array(batch.roles),
        array(batch.texts),
        array(batch.tsvectors()),
        _numbers(batch.tokens),
        _numbers(batch.failed),
        str(batch.total or "") or None,
    ]


def _numbers(numbers: list[int | None]) -> str | None:
    """Return an array of numbers; None if there are none."""
    if not any(numbers):
        return None
    return array(None if number is None else str(number) for number in numbers)
