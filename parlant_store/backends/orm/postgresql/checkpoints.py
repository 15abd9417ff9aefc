"""Threads on PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.channel_values import BaseCache, EncodedValues, write_values
from parlant_store.backends.contract.checkpoint_operations import (
    CopyThread,
    DeleteThread,
    PruneThreads,
    PutCheckpoint,
    PutWrites,
    SetThreadExpiry,
    ThreadName,
)
from parlant_store.backends.contract.checkpoints import thread_exists
from parlant_store.backends.orm.base.checkpoints import Checkpoints, base_place
from parlant_store.backends.orm.base.sessions import Time, adapted
from parlant_store.backends.orm.database.statements import fetch
from parlant_store.backends.orm.postgresql.arrays import array
from parlant_store.backends.orm.postgresql.requests import fetch_once, fetch_repeatable
from parlant_store.backends.thread_columns import (
    checkpoint_columns,
    message_columns,
    thread_columns,
    thread_names,
    write_columns,
)
from parlant_store.content import codec
from parlant_store.content.text_search import tsvector
from parlant_store.content.thread_messages import MessageTexts

_PUT_CHECKPOINT = (
    "SELECT parlant_store_put_checkpoint(%s::text, %s::text, %s::text, %s::text,"
    " %s::text, %s::text, %s::text, %s::text, %s::text, %s::text, %s::bytea, %s::text, %s::text,"
    " %s::text[], %s::text[], %s::text[], %s::integer[], %s::bytea,"
    " %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::boolean, %s::text,"
    " %s::timestamptz, %s::timestamptz)"
)
_PUT_MESSAGES = (
    "SELECT parlant_store_put_messages(%s::bigint, %s::bigint[], %s::bigint[], %s::text[],"
    " %s::text[], %s::boolean, %s::text)"
)
_PUT_WRITES = (
    "SELECT parlant_store_put_writes(%s::text, %s::text, %s::text, %s::text, %s::text, %s::text,"
    " %s::text[], %s::text[], %s::integer[], %s::text[], %s::text[], %s::integer[], %s::bytea,"
    " %s::timestamptz, %s::timestamptz)"
)
_DELETE = "SELECT parlant_store_delete_thread(%s::text, %s::text, %s::timestamptz, %s::timestamptz)"
_SET_EXPIRY = (
    "SELECT parlant_store_set_thread_expiry(%s::text, %s::text, %s::timestamptz, %s::timestamptz)"
)
_EXPIRE = "SELECT * FROM parlant_store_expire_threads(%s::timestamptz, %s::bigint)"
_DELETE_RUNS = "SELECT parlant_store_delete_runs(%s::text, %s::text[])"
# An error changes nothing, and its answer is not stored.
_COPY = (
    "SELECT copied FROM parlant_store_copy_thread(%s::text, %s::text, %s::text, %s::text,"
    " %s::boolean, %s::timestamptz, %s::timestamptz) AS copied WHERE copied IS NOT NULL"
)
_PRUNE = (
    "SELECT parlant_store_prune_threads(%s::text[], %s::text[], %s::bigint, %s::boolean,"
    " %s::timestamptz)"
)


class PostgreSQLCheckpoints(Checkpoints):
    """Each write is one call of a function in sql/functions/checkpoints.sql."""

    each_version = "jsonb_each_text({})"
    # LIMIT and OFFSET keep the planner from joining all rows of a thread.
    joined_value = (
        "CROSS JOIN LATERAL (SELECT * FROM {table} {name} WHERE {condition} LIMIT 1) {name}"
    )
    joined_rows = (
        "CROSS JOIN LATERAL (SELECT * FROM {table} {name} WHERE {condition} OFFSET 0) {name}"
    )
    each_text = "unnest(%s::text[]) AS channel (value)"
    is_unknown = "{column} <> ALL (%s::text[])"
    field = "{column} ->> {name}"
    contains = "metadata @> %s::jsonb"

    def texts(self, texts: list[str]) -> str:
        return array(texts)

    def put_checkpoint(
        self, connection: BaseDatabaseWrapper, put: PutCheckpoint, time: Time, cache: BaseCache
    ) -> None:
        checkpoint = (
            *_named(put.thread, put.user_id),
            *checkpoint_columns(put.checkpoint, put.metadata),
        )
        messages = _messages(put.messages)

        def write(values: EncodedValues) -> bool:
            rows = values.rows
            channels, versions, types, data = zip(*rows, strict=True) if rows else ([],) * 4
            arrays = (array(channels), array(versions), array(types), *_joined(data))
            params = (*checkpoint, *arrays, *messages, *time)
            ((is_written,),) = fetch_repeatable(connection, _PUT_CHECKPOINT, params)
            return is_written  # type: ignore[no-any-return]

        place = base_place(connection, put.thread, put.checkpoint.checkpoint_ns)
        write_values(cache, place, put.values, write)

    def put_messages(
        self, connection: BaseDatabaseWrapper, key: int, messages: MessageTexts
    ) -> None:
        fetch(connection, _PUT_MESSAGES, (key, *_messages(messages)))

    def put_writes(self, connection: BaseDatabaseWrapper, put: PutWrites, time: Time) -> None:
        tasks, paths, indexes, channels, types, values = zip(
            *write_columns(put.writes), strict=True
        )
        params = (
            *_named(put.thread, put.user_id),
            *(codec.to_column(put.checkpoint_ns), codec.to_column(put.checkpoint_id)),
            *(array(tasks), array(paths), array(map(str, indexes)), array(channels)),
            *(array(types), *_joined(values)),
            *time,
        )
        fetch_repeatable(connection, _PUT_WRITES, params)

    def delete_thread(
        self, connection: BaseDatabaseWrapper, deletion: DeleteThread, time: Time
    ) -> bool:
        until = adapted(connection, deletion.written_until)
        params = (*thread_columns(deletion.thread), time.now, until)
        ((result,),) = fetch_once(connection, _DELETE, params)
        return result  # type: ignore[no-any-return]

    def set_expiry(
        self, connection: BaseDatabaseWrapper, change: SetThreadExpiry, time: Time
    ) -> bool:
        expires_at = adapted(connection, change.expires_at)
        params = (*thread_columns(change.thread), expires_at, time.now)
        ((exists,),) = fetch_once(connection, _SET_EXPIRY, params)
        return exists  # type: ignore[no-any-return]

    def delete_expired(
        self, connection: BaseDatabaseWrapper, time: Time, limit: int
    ) -> tuple[int, bool]:
        ((threads, has_more),) = fetch_once(connection, _EXPIRE, (time.now, limit))
        return threads, has_more

    def delete_runs(
        self, connection: BaseDatabaseWrapper, namespace: str, run_ids: list[str]
    ) -> int:
        runs = array(codec.to_column(run_id) for run_id in run_ids)
        ((result,),) = fetch_once(connection, _DELETE_RUNS, (codec.to_column(namespace), runs))
        return result  # type: ignore[no-any-return]

    def copy_thread(self, connection: BaseDatabaseWrapper, copy: CopyThread, time: Time) -> bool:
        source, target = thread_columns(copy.source), thread_columns(copy.target)
        params = (*source, target.thread_id, thread_names(copy.target), copy.replace, *time)
        rows = fetch_once(connection, _COPY, params)
        if not rows:
            raise thread_exists(copy.target)
        return rows[0][0]  # type: ignore[no-any-return]

    def prune_threads(
        self, connection: BaseDatabaseWrapper, prune: PruneThreads, time: Time
    ) -> list[int]:
        namespaces, ids = zip(*map(thread_columns, prune.threads), strict=True)
        params = (array(namespaces), array(ids), prune.keep, prune.is_dry_run, time.now)
        ((result,),) = fetch_once(connection, _PRUNE, params)
        return result  # type: ignore[no-any-return]


def _named(name: ThreadName, user_id: str | None) -> list[str | None]:
    """Return the parameters of the functions for the name and the owner of a thread."""
    owner = None if user_id is None else codec.to_column(user_id)
    return [*thread_columns(name), thread_names(name, user_id), owner]


def _messages(messages: MessageTexts) -> tuple[Any, ...]:
    rows = message_columns(messages, tsvector)
    digests, numbers, texts, terms = zip(*rows, strict=True) if rows else ([],) * 4
    return (
        *(array(map(str, digests)), array(map(str, numbers)), array(texts), array(terms)),
        *(messages.is_whole, messages.title),
    )


def _joined(values: Sequence[bytes]) -> tuple[str, bytes]:
    """Return the sizes of the values as an array, and the values one after another."""
    return array(str(len(value)) for value in values), b"".join(values)
