"""What tests of collections with tables of their names share."""

import json
from typing import Any
from uuid import UUID

from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Json

from parlant_store.backends.columns import promoted
from parlant_store.sql.supabase.partitions import partitions_schema
from parlant_store.sql.supabase.schema import identifier
from parlant_store.types import PROMOTED
from tests.servers.supabase import Stack
from tests.sql.supabase.catalogs import everything
from tests.sql.supabase.databases import Database

SESSIONS, EVENTS = "parlant_sessions_sessions", "parlant_sessions_events"
NAMED = ("c", "other", SESSIONS, EVENTS)
DEFAULT = "parlant_store_document_default"
TABLES = ("document", "session_item", "session", "request")
A, B = str(UUID(int=10)), str(UUID(int=11))

Row = dict[str, Any]


def database_of(stack: Stack) -> str:
    return str(conninfo_to_dict(stack.dsn)["dbname"])


EMPTY = dict.fromkeys(PROMOTED)


def in_columns(row: Row) -> Row:
    return {name: row[name] for name in PROMOTED}


def columns_of(document: Row) -> Row:
    return EMPTY | promoted(document)


# What is made


def partitions(database: Database, schema: str = "public") -> dict[str, str]:
    """The bounds of the partitions of documents, by their names."""
    rows = database.execute(
        "select inhrelid::regclass::text, pg_get_expr(relpartbound, inhrelid)"
        " from pg_inherits join pg_class c on c.oid = inhrelid"
        " where inhparent = %s::regclass",
        [f"{identifier(schema)}.parlant_store_document"],
    )
    return dict(rows.fetchall())


def whole(database: Database, schema: str = "public") -> dict[str, list[str]]:
    others = everything(database, partitions_schema(schema))
    return everything(database, schema) | {f"partitions: {key}": others[key] for key in others}


def write(database: Database, collection: str, *ids: str, **fields: str) -> None:
    for id_ in ids:
        document = {"id": id_, **fields}
        database.execute(
            "select parlant_store_insert_one(%s, %s, %s, now())",
            [collection, json.dumps(document), Json(promoted(document))],
        )


def rows(database: Database, table: str = "parlant_store_document") -> list[Any]:
    return database.execute(f"select * from {table} order by key").fetchall()
