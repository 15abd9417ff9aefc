"""Whole threads on PostgreSQL, by functions of sql/functions/thread_records.sql."""

import json
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.contract.checkpoint_operations import WriteThreads
from parlant_store.backends.orm.base.sessions import Time
from parlant_store.backends.orm.base.thread_records import ThreadRecords
from parlant_store.backends.orm.postgresql.arrays import array
from parlant_store.backends.orm.postgresql.checkpoints import PostgreSQLCheckpoints
from parlant_store.backends.orm.postgresql.records import PostgreSQLRecords
from parlant_store.backends.orm.postgresql.requests import fetch_once
from parlant_store.backends.thread_record_columns import Chunk, publication, staged
from parlant_store.sql.functions import MAX_DELETED

_STAGE = (
    "SELECT parlant_store_stage_threads(%s::bigint[], %s::bigint, %s::jsonb, %s::jsonb, %s::jsonb,"
    " %s::jsonb, %s::timestamptz)"
)
_PUBLISH = (
    "SELECT parlant_store_publish_threads(%s::bigint[], %s::bigint[], %s::text[], %s::text[],"
    " %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[],"
    " %s::timestamptz[], %s::boolean, %s::timestamptz)"
)


class PostgreSQLThreadRecords(ThreadRecords):
    """Writes rows to staged threads first, because a thread may be too large for one statement."""

    names = PostgreSQLRecords.names
    joined_rows = PostgreSQLCheckpoints.joined_rows
    no_bytes = "CAST(NULL AS bytea)"

    def name_params(self, names: list[tuple[str, str]]) -> tuple[Any, ...]:
        return tuple(map(array, zip(*names, strict=True)))

    def write_threads(
        self, connection: BaseDatabaseWrapper, operation: WriteThreads, time: Time
    ) -> list[bool]:
        count = len(operation.entries)

        def stage(keys: list[int] | None, chunk: Chunk) -> list[int]:
            params = (keys, count, *map(json.dumps, chunk), time.now)
            ((created,),) = fetch_once(connection, _STAGE, params)
            return created  # type: ignore[no-any-return]

        columns = publication(operation, staged(operation, stage)).values()
        params = (*map(_array, columns), operation.replace, time.now)
        ((written,),) = fetch_once(connection, _PUBLISH, params)
        if operation.replace or not all(written):
            _delete_hidden(connection, time)
        return written  # type: ignore[no-any-return]


def _array(values: list[Any]) -> str:
    return array(None if value is None else str(value) for value in values)


def _delete_hidden(connection: BaseDatabaseWrapper, time: Time) -> None:
    checkpoints, has_more = PostgreSQLCheckpoints(), True
    while has_more:
        _, has_more = checkpoints.delete_expired(connection, time, MAX_DELETED)
