"""Whole sessions and documents on SQLite."""

import json
from typing import Any

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import (
    NOT_SEARCHED,
    REPLACED,
    columns,
    full_names,
    parent_columns,
    promoted,
    searched_columns,
)
from parlant_store.backends.contract.documents import duplicate
from parlant_store.backends.contract.operations import (
    SessionEntry,
    WriteDocuments,
    WriteSessions,
)
from parlant_store.backends.orm.base.records import Records
from parlant_store.backends.orm.base.sessions import Time, adapted
from parlant_store.backends.orm.database.statements import Row, fetch, write
from parlant_store.backends.orm.sqlite.items import (
    delete_items,
    insert_items,
    item_rows,
)
from parlant_store.content import codec
from parlant_store.content.text_search import stored_words
from parlant_store.content.usage import encode_usage
from parlant_store.types import PROMOTED, DocumentRecord

_COLUMNS = (
    "full_names, user_id, metadata, state, next_position, item_count, tokens, failed_calls,"
    " next_turn, usage, parent_id, parent_name, parent_position, created_at, updated_at, expires_at"
)
_REPLACE = ", ".join(
    f"{column} = {'next_position + ' if column == 'next_position' else ''}excluded.{column}"
    for column in _COLUMNS.split(", ")
)
_WRITE = (
    f"INSERT INTO parlant_store_session (namespace, session_id, {_COLUMNS})"
    f" VALUES ({', '.join(['%s'] * 18)})"
    f" ON CONFLICT (namespace, session_id) DO UPDATE SET {_REPLACE}"
    " WHERE %s RETURNING key, next_position"
)
_EXPIRED = (
    "SELECT s.key FROM json_each(%s) name JOIN parlant_store_session s"
    " ON s.namespace = json_extract(name.value, '$[0]')"
    " AND s.session_id = json_extract(name.value, '$[1]') WHERE s.expires_at <= %s"
)
_SET_USAGE = (
    "UPDATE parlant_store_session_item SET usage = %s WHERE session_key = %s AND position = %s"
)
_DOCUMENT = (
    f"INSERT INTO parlant_store_document AS d (collection, {', '.join(PROMOTED)}, data, updated_at,"
    f" terms, failed_calls, expires_at) VALUES ({', '.join(['%s'] * (len(PROMOTED) + 6))})"
    f" ON CONFLICT (collection, id) DO UPDATE SET {', '.join(REPLACED)}"
    " WHERE %s OR d.expires_at <= %s RETURNING key"
)


class SQLiteRecords(Records):
    names = "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(%s)"
    # SQLite keeps the order of a cross join.
    items = "session CROSS JOIN parlant_store_session_item i"
    # Django's converter of the column takes ten times as long as fromisoformat.
    time = "CAST({} AS text)"
    ids = "id IN (SELECT value FROM json_each(%s))"

    def name_params(self, names: list[tuple[str, str]]) -> tuple[Any, ...]:
        return (json.dumps(names),)

    def id_params(self, ids: list[str]) -> list[Any]:
        return [json.dumps(ids)]

    def write_sessions(
        self, connection: BaseDatabaseWrapper, operation: WriteSessions, time: Time
    ) -> list[bool]:
        rows: list[Row] = []
        usages: list[Row] = []
        written = []
        with write(connection):
            self._delete_expired(connection, operation, time)
            for entry in operation.entries:
                params = (*_session_row(connection, entry), operation.replace)
                found = fetch(connection, _WRITE, params)
                written.append(bool(found))
                for key, position in found:
                    first = position - len(entry.batch.data)
                    if first:
                        delete_items(connection, [(key,)])
                    rows += _item_rows(connection, key, first, entry)
                    usages += _usage_rows(key, first, entry)
            insert_items(connection, rows)
            for row in usages:
                fetch(connection, _SET_USAGE, row)
        return written

    def write_documents(
        self, connection: BaseDatabaseWrapper, operation: WriteDocuments, time: Time
    ) -> list[bool]:
        with write(connection):
            return [
                self._write_document(connection, operation, record, time)
                for record in operation.records
            ]

    def _delete_expired(
        self, connection: BaseDatabaseWrapper, operation: WriteSessions, time: Time
    ) -> None:
        names = json.dumps([columns(entry.session) for entry in operation.entries])
        expired = fetch(connection, _EXPIRED, (names, time.now))
        if expired:
            delete_items(connection, expired)
            keys = json.dumps([key for (key,) in expired])
            sql = "DELETE FROM parlant_store_session WHERE key IN (SELECT value FROM json_each(%s))"
            fetch(connection, sql, (keys,))

    def _write_document(
        self,
        connection: BaseDatabaseWrapper,
        operation: WriteDocuments,
        record: DocumentRecord,
        time: Time,
    ) -> bool:
        document = record.document
        fields = promoted(document)
        searched = searched_columns(operation.collection, document, stored_words)
        params = (
            codec.to_column(operation.collection),
            *(fields.get(name) for name in PROMOTED),
            codec.encode_document(document, "document"),
            adapted(connection, record.updated_at) or time.now,
            *(NOT_SEARCHED | searched).values(),
            adapted(connection, record.expires_at),
            operation.replace,
            time.now,
        )
        try:
            return bool(fetch(connection, _DOCUMENT, params))
        except IntegrityError as exc:
            raise duplicate(operation.collection, record.document, str(exc)) from exc


def _session_row(connection: BaseDatabaseWrapper, entry: SessionEntry) -> Row:
    name, batch, _, user_id, state, metadata, *times, history = entry
    return (
        *columns(name),
        full_names(name, user_id),
        None if user_id is None else codec.to_column(user_id),
        *(metadata, state, len(batch.data), len(batch.data), entry.tokens or None),
        *(batch.failed_total, entry.last_turn, encode_usage(history.usage)),
        *(*parent_columns(history.parent_id), history.parent_position),
        *(adapted(connection, time) for time in times),
    )


def _item_rows(
    connection: BaseDatabaseWrapper, key: int, first: int, entry: SessionEntry
) -> list[Row]:
    turn = entry.history.first_turn - 1
    rows = item_rows(key, first, turn, entry.batch, Time(None, None))
    times = {time: adapted(connection, time) for time in set(entry.item_times)}
    return [(*row[:-1], times[time]) for row, time in zip(rows, entry.item_times, strict=True)]


def _usage_rows(key: int, first: int, entry: SessionEntry) -> list[Row]:
    """Return the parameters of ``_SET_USAGE`` for each turn that has usage."""
    usages = map(encode_usage, entry.item_usage)
    return [(usage, key, place) for place, usage in enumerate(usages, first) if usage is not None]
