"""Whole sessions and documents on PostgreSQL, by functions of sql/functions/records.sql."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.contract.operations import (
    WriteDocuments,
    WriteSessions,
)
from parlant_store.backends.orm.base.records import Records
from parlant_store.backends.orm.base.sessions import Time
from parlant_store.backends.orm.postgresql.arrays import array
from parlant_store.backends.orm.postgresql.requests import fetch_once
from parlant_store.backends.record_columns import document_columns, item_columns, session_columns
from parlant_store.content import codec
from parlant_store.exceptions import DuplicateDocument

_WRITE_SESSIONS = (
    "SELECT parlant_store_write_sessions("
    " %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],"
    " %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::bigint[],"
    " %s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[],"
    " %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[],"
    " %s::bigint[], %s::timestamptz[], %s::text[],"
    " %s::boolean, %s::timestamptz)"
)
_WRITE_DOCUMENTS = (
    "SELECT parlant_store_write_documents(%s::text, %s::text[], %s::text[], %s::text[],"
    " %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[],"
    " %s::timestamptz[], %s::timestamptz[], %s::boolean, %s::timestamptz)"
)


class PostgreSQLRecords(Records):
    names = "SELECT * FROM unnest(%s::text[], %s::text[])"
    items = (
        "session CROSS JOIN LATERAL (SELECT session_key, position, data, usage, created_at"
        " FROM parlant_store_session_item WHERE session_key = session.key OFFSET 0) i"
    )
    ids = "id = ANY (%s::text[])"

    def name_params(self, names: list[tuple[str, str]]) -> tuple[Any, ...]:
        return tuple(map(array, zip(*names, strict=True)))

    def id_params(self, ids: list[str]) -> list[Any]:
        return [array(ids)]

    def write_sessions(
        self, connection: BaseDatabaseWrapper, operation: WriteSessions, time: Time
    ) -> list[bool]:
        parts = (*session_columns(operation).values(), *item_columns(operation).values())
        params = (*map(_array, parts), operation.replace, time.now)
        ((written,),) = fetch_once(connection, _WRITE_SESSIONS, params)
        return written  # type: ignore[no-any-return]

    def write_documents(
        self, connection: BaseDatabaseWrapper, operation: WriteDocuments, time: Time
    ) -> list[bool]:
        parts = document_columns(operation).values()
        params = (
            codec.to_column(operation.collection),
            *map(_array, parts),
            operation.replace,
            time.now,
        )
        try:
            ((written,),) = fetch_once(connection, _WRITE_DOCUMENTS, params)
        except IntegrityError as exc:
            raise DuplicateDocument(str(exc).partition("\n")[0]) from exc
        return written  # type: ignore[no-any-return]


def _array(values: Iterable[str | int | datetime | None]) -> str:
    return array(None if value is None else str(value) for value in values)
