"""What Parlant asks most reads about as much as it returns, however much is stored."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from parlant.core.sessions import SessionDocumentStore

from parlant_store.adapters.parlant import DocumentDatabase
from parlant_store.backends.orm.database.statements import fetch
from parlant_store.backends.threads.async_calls import run
from parlant_store.models import Document
from parlant_store.types import DocumentCursor
from tests.backends.rows_read import analyze, work_of
from tests.conftest import VENDOR

SIZE = 20_000
LONG = 5_000
"""Events of the one long session."""

COLLECTIONS = {
    "sessions": {"agent_id": "'a' || (n % 10)", "customer_id": "'c' || (n % 1000)"},
    "events": {
        "session_id": f"CASE WHEN n <= {LONG} THEN 'long' ELSE 's' || (n / 10) END",
        "offset": f"CASE WHEN n <= {LONG} THEN n ELSE n % 10 END",
        "source": "CASE WHEN n % 2 = 0 THEN 'customer' ELSE 'ai_agent' END",
        "kind": "CASE WHEN n % 3 = 0 THEN 'message' WHEN n % 3 = 1 THEN 'status' ELSE 'tool' END",
        "trace_id": "'t' || (n / 5)",
    },
    "customers": {"name": "'n' || n"},
    "customer_tags": {"customer_id": "'c' || (n / 3)", "tag_id": "'t' || (n / 5)"},
    "values": {"variable_id": "'v' || (n % 20)", "key": "'k' || (n / 20)"},
    "variable_tags": {"variable_id": "'v' || (n / 3)", "tag_id": "'t' || (n / 5)"},
    "relationships": {
        "source": "'x' || (n / 3)",
        "target": "'y' || (n / 3)",
        "kind": "'k' || (n % 3)",
    },
}
IN_THE_MIDDLE = DocumentCursor(creation_utc=f"{SIZE // 2:06}", id="d")
OF_LONG = {"session_id": {"$eq": "long"}, "deleted": {"$eq": False}}
LATE = {**OF_LONG, "offset": {"$gte": LONG - 20}}
OF_SHORT = {"session_id": {"$eq": "s1000"}, "deleted": {"$eq": False}}
VALUE = {"variable_id": {"$eq": "v7"}, "key": {"$eq": "k77"}}


def eq(**fields: Any) -> dict[str, Any]:
    return {field: {"$eq": value} for field, value in fields.items()}


def page(collection: str, where: dict[str, Any], direction: str = "asc") -> Callable[[Any], Any]:
    return lambda store: store.find(
        collection, where, limit=20, cursor=IN_THE_MIDDLE, direction=direction, count=1_000
    )


# Each with the rows that it may read on PostgreSQL.
QUERIES: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "a session": (4, lambda store: store.find_one("sessions", eq(id="d77"))),
    "a page of sessions": (1_100, page("sessions", {})),
    "a page backwards": (1_100, page("sessions", {}, "desc")),
    "the first page": (1_100, lambda store: store.find("sessions", {}, limit=20, count=1_000)),
    "a page of an agent's": (1_100, page("sessions", eq(agent_id="a7"))),
    "a customer's": (50, page("sessions", eq(customer_id="c7"))),
    "a customer's with an agent": (60, page("sessions", eq(customer_id="c7", agent_id="a7"))),
    "update a session": (4, lambda store: store.update_one("sessions", eq(id="d77"), {"a": 1})),
    "delete a session": (4, lambda store: store.delete_one("sessions", eq(id="d78"))),
    "the latest offset": (
        4,
        lambda store: store.find_one("events", eq(session_id="long"), sort=[("offset", "desc")]),
    ),
    "the latest offset of a short session": (
        4,
        lambda store: store.find_one("events", eq(session_id="s1000"), sort=[("offset", "desc")]),
    ),
    "insert an event": (
        15,
        lambda store: store.insert_numbered(
            "events", {"session_id": "long", "offset": 7}, number="offset", within="session_id"
        ),
    ),
    "insert an event whose offset is free": (
        4,
        lambda store: store.insert_numbered(
            "events",
            {"session_id": "long", "offset": 10**6},
            number="offset",
            within="session_id",
        ),
    ),
    "versions of a late collection": (8, lambda store: store.list_versions("relationships")),
    "versions of none": (4, lambda store: store.list_versions("none")),
    "a version": (50, lambda store: store.read_version("relationships", "1", limit=20)),
    "events": (12, lambda store: store.find("events", OF_SHORT)),
    "events from an offset on": (40, lambda store: store.find("events", LATE)),
    "events by source": (12, lambda store: store.find("events", {**OF_SHORT, **eq(source="x")})),
    "events by trace": (12, lambda store: store.find("events", {**OF_SHORT, **eq(trace_id="x")})),
    "late events by kind": (
        40,
        lambda store: store.find(
            "events", {"$or": [{**LATE, **eq(kind=kind)} for kind in ("message", "tool")]}
        ),
    ),
    "an event": (
        4,
        lambda store: store.find_one(
            "events", {**eq(id="d77", session_id="long"), "deleted": {"$ne": True}}
        ),
    ),
    "update an event": (
        4,
        lambda store: store.update_one("events", eq(id="d77", session_id="long"), {"a": 1}),
    ),
    "delete an event": (4, lambda store: store.delete_one("events", eq(id="d78"))),
    "a page of customers": (
        1_100,
        page("customers", {"$and": [{"id": {"$ne": "d1"}}, {"id": {"$ne": "d2"}}]}),
    ),
    "customers by id": (
        40,
        lambda store: store.find("customers", {"$or": [eq(id=f"d{n}") for n in range(30)]}),
    ),
    "tags of a customer": (5, lambda store: store.find("customer_tags", eq(customer_id="c77"))),
    "delete a tag of a customer": (
        8,
        lambda store: store.delete_one("customer_tags", eq(customer_id="c79", tag_id="t47")),
    ),
    "a value": (4, lambda store: store.find_one("values", VALUE)),
    "update a value": (
        5,
        lambda store: store.update_one("values", VALUE, {"data": 1, "id": "new"}, upsert=True),
    ),
    "insert a value": (
        5,
        lambda store: store.update_one("values", eq(variable_id="v", key="k"), {}, upsert=True),
    ),
    "delete a value": (4, lambda store: store.delete_one("values", VALUE)),
    "tags of a variable": (5, lambda store: store.find("variable_tags", eq(variable_id="v77"))),
    "variables by tag": (
        20,
        lambda store: store.find("variable_tags", {"$or": [eq(tag_id="t7"), eq(tag_id="t8")]}),
    ),
    "relationships of a source": (
        5,
        lambda store: store.find("relationships", eq(source="x77", kind="k1")),
    ),
    "relationships of a target": (5, lambda store: store.find("relationships", eq(target="y77"))),
    "relationships by id": (
        5,
        lambda store: store.find("relationships", {"id": {"$in": ["d1", "d2", "d3"]}}),
    ),
}


def fill() -> None:
    """As many documents of each collection as SIZE says, as the stores would have written them."""
    build = "jsonb_build_object" if VENDOR == "postgresql" else "json_object"
    numbers = f"generate_series(1, {SIZE}) n"
    prefix = ""
    if VENDOR != "postgresql":
        prefix = f"WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT {SIZE})"
        numbers = "t"
    created = "to_char(n, 'FM000000')" if VENDOR == "postgresql" else "printf('%06d', n)"
    with connection.cursor() as cursor:
        for collection, fields in COLLECTIONS.items():
            made = {"id": "'d' || n", "creation_utc": created, "version": "'1'", **fields}
            columns = [field for field in made if field in ("id", "creation_utc", "version")]
            columns += [f for f in ("session_id", "customer_id", "agent_id") if f in fields]
            pairs = ", ".join(f"'{field}', {value}" for field, value in made.items())
            false = "false" if VENDOR == "postgresql" else "json('false')"
            sql = (
                f"{prefix} INSERT INTO parlant_store_document"
                f" (collection, {', '.join(columns)}, data, updated_at)"
                f" SELECT '{collection}', {', '.join(made[column] for column in columns)},"
                f" {build}({pairs}, 'deleted', {false}), CURRENT_TIMESTAMP FROM {numbers}"
            )
            cursor.execute(sql.replace("%", "%%"), [])


def too_much(store: Any, plans: str) -> dict[str, int]:
    """The queries that read more than they may."""
    found = {}
    for name, (allowed, query) in QUERIES.items():
        # A hundred steps of SQLite's machine do for several rows.
        allowed = allowed if VENDOR == "postgresql" else max(allowed, 10)
        work = work_of(lambda query=query: query(store))
        if work > allowed:
            found[f"{name} ({plans})"] = work
    return found


@pytest.mark.usefixtures("own_indexes")
def test_hot_queries_read_what_they_return(store):
    fill()
    for fields in (["session_id", "deleted", "offset"], ["customer_id", "tag_id"]):
        store.ensure_index("c", [(field, "asc") for field in fields])
    if VENDOR == "sqlite3":
        assert too_much(store, "without statistics") == {}
    analyze()
    assert too_much(store, "with statistics") == {}
    if VENDOR == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET plan_cache_mode = force_generic_plan")
        try:
            assert too_much(store, "plans for any value") == {}
        finally:
            connection.close()


def test_reopening_a_large_store_reads_next_to_nothing(store_of_one_thread):
    sql = (
        "INSERT INTO parlant_store_document"
        " (collection, id, version, creation_utc, agent_id, customer_id, data, updated_at)"
        " SELECT 'p_sessions', 's' || n, '0.9.0', '2030', 'a', 'c', {}, CURRENT_TIMESTAMP FROM {}"
    )
    if VENDOR == "postgresql":
        data = "jsonb_build_object('id', 's' || n, 'version', '0.9.0')"
        sql = sql.format(data, "generate_series(1, 100000) n")
    else:
        numbers = "WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT 100000) "
        sql = numbers + sql.format("json_object('id', 's' || n, 'version', '0.9.0')", "t")
    with connection.cursor() as cursor:
        cursor.execute(sql)
    analyze()
    assert Document.objects.count() == 100_000
    statements: list[tuple[str, Any]] = []

    def record(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append((sql, params))
        return execute(sql, params, many, context)

    async def open_store() -> None:
        await run(store_of_one_thread, lambda: connection.execute_wrappers.append(record))
        await SessionDocumentStore(DocumentDatabase(table_prefix="p_")).__aenter__()
        await run(store_of_one_thread, lambda: connection.execute_wrappers.clear())

    asyncio.run(open_store())
    # A write stores its answer among the requests.
    reads = [
        each
        for each in statements
        if each[0].lstrip().startswith(("SELECT", "WITH")) and "INSERT" not in each[0]
    ]
    assert len(reads) > 5
    assert work_of(lambda: [fetch(connection, *read) for read in reads]) < 100
