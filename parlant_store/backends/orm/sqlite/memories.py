"""Memories on SQLite."""

import json
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import searched_columns
from parlant_store.backends.contract.operations import (
    GetMemories,
    ListNamespaces,
    MemoryRow,
    SearchMemories,
    WriteMemories,
)
from parlant_store.backends.orm.base.filters import Sql
from parlant_store.backends.orm.base.memories import Memories
from parlant_store.backends.orm.base.search import create_matches_function
from parlant_store.backends.orm.base.sessions import LIVE, Time, adapted, aware
from parlant_store.backends.orm.database.statements import Row, fetch, write
from parlant_store.backends.orm.sqlite.filters import SQLiteRenderer, prepare
from parlant_store.content import codec
from parlant_store.content.memories import (
    IdRange,
    Namespace,
    id_after,
    ids_below,
    is_match,
    labels_of,
    namespace_of,
    prefix_of_all,
)
from parlant_store.content.query import kind_of
from parlant_store.content.text_search import fts5_query, stored_words
from parlant_store.content.times import MAX_TTL_SECONDS
from parlant_store.sql.search_index import SQLITE_DOCUMENTS
from parlant_store.types import MEMORIES, DocumentRecord, JSONObject

_DOCUMENT = "parlant_store_document"
_BY_ID = f"collection = '{MEMORIES}' AND id IN (SELECT value FROM json_each(%s))"
_GET = f"SELECT key, data, updated_at, NULL FROM {_DOCUMENT} WHERE {_BY_ID} AND {LIVE}"
_DELETE = f"DELETE FROM {_DOCUMENT} WHERE {_BY_ID} RETURNING key"
_CREATED = (
    f"SELECT id, creation_utc FROM {_DOCUMENT} WHERE {_BY_ID} AND {LIVE}"
    " AND creation_utc IS NOT NULL"
)
_WRITE = (
    f"INSERT INTO {_DOCUMENT} AS d"
    " (collection, id, creation_utc, customer_id, data, terms, updated_at, expires_at)"
    f" VALUES ('{MEMORIES}', %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (collection, id) DO UPDATE SET"
    " version = NULL, session_id = NULL, agent_id = NULL,"
    " creation_utc = excluded.creation_utc, customer_id = excluded.customer_id,"
    " data = excluded.data, terms = excluded.terms, updated_at = excluded.updated_at,"
    " expires_at = excluded.expires_at RETURNING key"
)
_REFRESH = (
    f"UPDATE {_DOCUMENT} SET expires_at = %s"
    " WHERE key IN (SELECT value FROM json_each(%s)) AND expires_at > %s RETURNING key"
)
_NEXT = f"SELECT id, json_extract(data, '$.id') FROM {_DOCUMENT} WHERE {{}} ORDER BY id LIMIT 1"


class SQLiteMemories(Memories):
    renderer = SQLiteRenderer("json_extract(data, '$.value')", ())

    def get(
        self, connection: BaseDatabaseWrapper, read: GetMemories, time: Time
    ) -> list[MemoryRow]:
        return self._read(connection, _GET, [_list(read.ids), time.now], time, refresh=read.refresh)

    def write(self, connection: BaseDatabaseWrapper, write_: WriteMemories, time: Time) -> None:
        with write(connection):
            if write_.deleted:
                fetch(connection, _DELETE, [_list(write_.deleted)])
            ids = _list([record.document["id"] for record in write_.records])
            created: dict[str, str] = dict(fetch(connection, _CREATED, [ids, time.now]))
            for record in write_.records:
                fetch(connection, _WRITE, _row(connection, record, created, time))

    def search(
        self, connection: BaseDatabaseWrapper, search: SearchMemories, time: Time
    ) -> list[MemoryRow]:
        score, table = "NULL", f"{_DOCUMENT} d"
        params: list[Any] = []
        if search.terms is not None:
            create_matches_function(connection)
            score = "parlant_store_matches_in(d.terms, %s, 0)"
            table = (
                f"{SQLITE_DOCUMENTS} CROSS JOIN {_DOCUMENT} d ON d.key = {SQLITE_DOCUMENTS}.rowid"
                f" AND {SQLITE_DOCUMENTS} MATCH %s"
            )
            params = [json.dumps(search.terms), fts5_query(search.terms)]
        below, below_params = _below(ids_below(search.namespace), time)
        where, where_params = self.renderer.where(search.filter)
        prepare(connection, where)
        sql = (
            f"SELECT key, data, updated_at, {score} AS score FROM {table} WHERE {below} AND {where}"
            " ORDER BY score DESC, updated_at DESC, id DESC LIMIT %s OFFSET %s"
        )
        params += [*below_params, *where_params, search.limit, search.offset]
        return self._read(connection, sql, params, time, refresh=search.refresh)

    def list_namespaces(
        self, connection: BaseDatabaseWrapper, listing: ListNamespaces, time: Time
    ) -> list[Namespace]:
        ids = ids_below(prefix_of_all(listing.conditions))
        found: dict[str, None] = {}
        while len(found) - listing.offset < listing.limit:
            below, params = _below(ids, time)
            rows = fetch(connection, _NEXT.format(below), params)
            if not rows:
                break
            ((column, id_),) = rows
            namespace, is_cut = namespace_of(id_), False
            labels = labels_of(codec.unescape(namespace))
            if is_match(labels, listing.conditions):
                is_cut = listing.max_depth is not None and len(labels) >= listing.max_depth
                namespace = ".".join(namespace.split(".")[: listing.max_depth])
                found.setdefault(namespace)
            ids = ids._replace(first=id_after(column, namespace, below=is_cut))
        return [labels_of(codec.unescape(each)) for each in [*found][listing.offset :]]

    def _read(
        self,
        connection: BaseDatabaseWrapper,
        sql: str,
        params: list[Any],
        time: Time,
        *,
        refresh: bool,
    ) -> list[MemoryRow]:
        rows = fetch(connection, sql, params)
        documents = codec.decode_documents([text for _, text, *_ in rows])
        if refresh:
            _refresh(connection, rows, documents, time)
        return [
            MemoryRow(document, aware(connection, updated_at), score)
            for document, (_, _, updated_at, score) in zip(documents, rows, strict=True)
        ]


def _list(ids: list[str]) -> str:
    return json.dumps(list(map(codec.to_column, ids)))


def _row(
    connection: BaseDatabaseWrapper, record: DocumentRecord, created: dict[str, str], time: Time
) -> list[Any]:
    """Return the columns; a memory that exists keeps the time of its creation."""
    document = record.document
    id_ = codec.to_column(document["id"])
    document = document | {"creation_utc": created.get(id_, document["creation_utc"])}
    owner = document.get("customer_id")
    return [
        id_,
        document["creation_utc"],
        None if owner is None else codec.to_column(owner),
        codec.encode_document(document, "document"),
        searched_columns(MEMORIES, document, stored_words)["terms"],
        time.now,
        adapted(connection, record.expires_at),
    ]


def _below(ids: IdRange, time: Time) -> Sql:
    sql, params = f"collection = '{MEMORIES}' AND id >= %s AND {LIVE}", [ids.first, time.now]
    if ids.end is not None:
        sql, params = f"{sql} AND id < %s", [*params, ids.end]
    if ids.start is not None:
        sql += " AND substr(json_extract(data, '$.id'), 1, %s) = %s"
        params += [len(ids.start), ids.start]
    return sql, params


def _refresh(
    connection: BaseDatabaseWrapper, rows: list[Row], documents: list[JSONObject], time: Time
) -> None:
    """Let memories with a ttl expire by it from now on."""
    keys: dict[float, list[int]] = defaultdict(list)
    for (key, *_), document in zip(rows, documents, strict=True):
        ttl: Any = document.get("ttl")
        if kind_of(ttl) == "number" and 0 < ttl <= MAX_TTL_SECONDS:
            keys[ttl].append(key)
    if not keys:
        return
    now = datetime.fromisoformat(time.now)
    with write(connection):
        for ttl, each in keys.items():
            expires_at = str(now + timedelta(seconds=ttl))
            fetch(connection, _REFRESH, (expires_at, json.dumps(each), time.now))
