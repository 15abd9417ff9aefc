"""Memories on PostgreSQL, by the functions of sql/functions/memories.sql."""

import json
from functools import partial

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.contract.operations import (
    GetMemories,
    ListNamespaces,
    MemoryRow,
    SearchMemories,
    WriteMemories,
)
from parlant_store.backends.memory_arguments import (
    get_arguments,
    list_arguments,
    memory_rows,
    namespaces,
    search_arguments,
    write_arguments,
)
from parlant_store.backends.orm.base.memories import Memories
from parlant_store.backends.orm.base.sessions import Time, time_of
from parlant_store.backends.orm.database.statements import fetch
from parlant_store.backends.orm.postgresql.arrays import array
from parlant_store.backends.orm.postgresql.requests import fetch_once
from parlant_store.content.memories import Namespace
from parlant_store.types import JSONObject

_GET = "SELECT parlant_store_get_memories(%s::text, %s::text[], %s::boolean, %s::timestamptz)::text"
_WRITE = (
    "SELECT parlant_store_write_memories(%s::text, %s::text[], %s::text[], %s::text[], %s::text[],"
    " %s::timestamptz[], %s::text[], %s::text, %s::timestamptz)"
)
_SEARCH = (
    "SELECT parlant_store_search_memories(%s::text, %s::text, %s::text, %s::text, %s::json,"
    " %s::text, %s::bigint, %s::bigint, %s::boolean, %s::timestamptz)::text"
)
_LIST = (
    "SELECT parlant_store_list_namespaces(%s::text, %s::text, %s::text, %s::text, %s::json,"
    " %s::bigint, %s::bigint, %s::bigint, %s::timestamptz)::text"
)


class PostgreSQLMemories(Memories):
    def get(
        self, connection: BaseDatabaseWrapper, read: GetMemories, time: Time
    ) -> list[MemoryRow]:
        arguments = get_arguments(read)
        return _rows(connection, _GET, arguments | {"ids": array(arguments["ids"])}, time)

    def write(self, connection: BaseDatabaseWrapper, write: WriteMemories, time: Time) -> None:
        params = [
            array(value) if isinstance(value, list) else value
            for value in write_arguments(write).values()
        ]
        fetch_once(connection, _WRITE, (*params, time.now))

    def search(
        self, connection: BaseDatabaseWrapper, search: SearchMemories, time: Time
    ) -> list[MemoryRow]:
        arguments = search_arguments(search)
        condition = json.dumps(arguments["filter"])
        return _rows(connection, _SEARCH, arguments | {"filter": condition}, time)

    def list_namespaces(
        self, connection: BaseDatabaseWrapper, listing: ListNamespaces, time: Time
    ) -> list[Namespace]:
        arguments = list_arguments(listing)
        conditions = json.dumps(arguments["conditions"])
        params = (*(arguments | {"conditions": conditions}).values(), time.now)
        ((text,),) = fetch(connection, _LIST, params)
        return namespaces(json.loads(text))


def _rows(
    connection: BaseDatabaseWrapper, sql: str, arguments: JSONObject, time: Time
) -> list[MemoryRow]:
    ((text,),) = fetch(connection, sql, (*arguments.values(), time.now))
    return memory_rows(json.loads(text), partial(time_of, connection))
