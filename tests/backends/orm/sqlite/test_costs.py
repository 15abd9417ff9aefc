"""One short transaction for each write, and indexes for every read."""

import sqlite3
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from tests.contract.snapshot_values import said
from tests.contract.values import numbered


def statements_of(call: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        call()
    return [query["sql"] for query in queries]


WRITES: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "add_items": (4, lambda store: store.add_items("s", numbered(1))),
    "replace_items": (6, lambda store: store.replace_items("s", numbered(1))),
    "pop_item": (4, lambda store: store.pop_item("s")),
    "clear": (4, lambda store: store.clear("s")),
    "set_metadata": (4, lambda store: store.set_metadata("s", {}, merge=True)),
    "save_snapshot": (7, lambda store: store.save_snapshot("s", numbered(1), state={})),
    "truncate": (5, lambda store: store.truncate("s", after_position=5)),
    "replace_tail": (6, lambda store: store.replace_tail("s", 5, numbered(1))),
    "add_usage": (6, lambda store: store.add_usage("s", 5)),
    "delete_session": (5, lambda store: store.delete_session("s")),
    "update_one": (4, lambda store: store.update_one("c", {}, {"a": 1})),
}


@pytest.mark.parametrize("size", [10, 10_000])
@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_one_short_transaction(store, name, size):
    store.add_items("s", numbered(*range(size)))
    store.insert_one("c", {"id": "d"})
    count, write = WRITES[name]
    statements = statements_of(lambda: write(store))
    assert statements[0] == "BEGIN IMMEDIATE"
    assert statements[-1] == "COMMIT"
    assert len(statements) == count


READS: dict[str, Callable[[Any], Any]] = {
    "get_items": lambda store: store.get_items("s"),
    "get_items(20)": lambda store: store.get_items("s", limit=20),
    "get_session": lambda store: store.get_session("s"),
    "list_sessions": lambda store: store.list_sessions(namespace=""),
    "list_sessions by activity": lambda store: store.list_sessions(order="activity"),
    "list_sessions of a person": lambda store: store.list_sessions(order="activity", user_id="u"),
    "list_turns": lambda store: store.list_turns("s"),
    "list_branches": lambda store: store.list_branches("s"),
    "get_usage": lambda store: store.get_usage("s", by="turn"),
    "find by id": lambda store: store.find("c", {"id": {"$eq": "d"}}),
    "find by session": lambda store: store.find("c", {"session_id": {"$eq": "d"}}, limit=5),
    "find by customer": lambda store: store.find("c", {"customer_id": {"$eq": "d"}}),
    "find by agent": lambda store: store.find("c", {"agent_id": {"$eq": "d"}}),
    "find by variable": lambda store: store.find(
        "c", {"variable_id": {"$eq": "v"}, "key": {"$eq": "k"}}
    ),
    "find by tag": lambda store: store.find("c", {"tag_id": {"$in": ["a", "b"]}}),
    "find a page": lambda store: store.find("c", limit=5),
    "find latest offset": lambda store: store.find_one(
        "c", {"session_id": {"$eq": "s"}}, sort=[("offset", "desc")]
    ),
    "get_document": lambda store: store.get_document("c", "d"),
    "insert_one": lambda store: store.insert_one("c", {}),
    "delete_one": lambda store: store.delete_one("c", {"id": {"$eq": "d"}}),
}


@pytest.mark.parametrize("name", READS)
def test_one_statement_through_an_index(store, name):
    store.add_items("s", numbered(1))
    (statement,) = statements_of(lambda: READS[name](store))
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + statement.replace("%", "%%"), ())
        plan = [row[3] for row in cursor.fetchall()]
    scans = [step for step in plan if step.startswith("SCAN parlant_store")]
    assert scans == []


@pytest.mark.parametrize(
    ("where", "index"),
    [
        ({"session_id": {"$eq": "d"}}, "parlant_store_doc_session"),
        ({"variable_id": {"$eq": "v"}, "key": {"$eq": "k"}}, "parlant_store_doc_variable"),
        ({"variable_id": {"$eq": "v"}}, "parlant_store_doc_variable"),
        ({"tag_id": {"$eq": "a"}}, "parlant_store_doc_tag"),
        ({"tag_id": {"$in": ["a", "b"]}}, "parlant_store_doc_tag"),
        ({"id": {"$in": ["a", "b"]}}, "(collection=? AND id=?)"),
        ({"id": {"$eq": "a"}, "session_id": {"$eq": "b"}}, "(collection=? AND id=?)"),
        ({"source": {"$eq": "a"}}, "parlant_store_doc_source"),
        ({"target": {"$eq": "a"}}, "parlant_store_doc_target"),
    ],
)
def test_parlants_filters_use_an_index(store, where, index):
    (statement,) = statements_of(lambda: store.find("c", where))
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + statement.replace("%", "%%"), ())
        assert index in str(cursor.fetchall())


def test_a_database_that_begins_late_still_waits_for_the_lock(store, monkeypatch):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "transaction_mode", None)
    monkeypatch.setattr(connections["default"], "transaction_mode", None)
    statements = statements_of(lambda: store.update_one("c", {}, {}))
    assert statements[0] == "BEGIN"
    assert statements[1].startswith("UPDATE")


def test_migrating_back_takes_the_search_index_away(transactional_db):
    def names() -> set[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM sqlite_master WHERE name LIKE '%fts%'")
            return {name for (name,) in cursor.fetchall()}

    assert "parlant_store_session_item_fts_insert" in names()
    try:
        call_command("migrate", "parlant_store", "zero", verbosity=0)
        assert names() == set()
    finally:
        call_command("migrate", "parlant_store", verbosity=0)
    assert "parlant_store_session_item_fts_insert" in names()


def test_summaries_in_a_database_of_another_zone(store, monkeypatch):
    monkeypatch.setattr(connections["default"], "timezone", ZoneInfo("Asia/Tokyo"))
    store.add_items("s", numbered(1))
    (session,) = store.list_sessions().sessions
    (summary,) = store.list_summaries()
    assert summary.created_at == session.created_at.timestamp()


def test_messages_that_are_too_long_for_one_text(store):
    store.add_items("s", said("long " * 50) * 3)
    messages = [*store.list_user_messages("s")]
    limit = connection.connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 700)
    try:
        assert len(statements_of(lambda: store.list_user_messages("s"))) == 2
        assert [*store.list_user_messages("s")] == messages
    finally:
        connection.connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limit)
