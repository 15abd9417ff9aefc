"""One round trip for each operation, and the same work whatever is stored."""

import tempfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from psycopg.pq import Trace

from parlant_store.types import (
    DocumentRecord,
    MemoryChange,
    Replacement,
    Retention,
    Revision,
    SessionRecord,
    StoredDocument,
)
from tests.backends.rows_read import analyze, rows_read
from tests.contract.document_values import made
from tests.contract.values import numbered

WHERE = {"session_id": {"$eq": "s1"}, "offset": {"$gte": 3}}

REVISION = Revision(key=1, next_position=30, item_count=30)
RULE = Retention(idle=timedelta(days=1), namespace="")

RECORDS = [SessionRecord(session_id=name, items=numbered(1, 2)) for name in ("s", "record")]
MEMORIES = [
    MemoryChange(namespace=("n",), key="k", value={"n": 2, "text": "words"}, ttl_seconds=60),
    MemoryChange(namespace=("n",), key="l", value=None),
]
DOCUMENTS = [DocumentRecord(document={"id": name}) for name in ("d", "record")]

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "add_items": lambda store: store.add_items("s", numbered(1, 2)),
    "add_items to a new session": lambda store: store.add_items("new", numbered(1)),
    "replace_items": lambda store: store.replace_items("s", numbered(1, 2)),
    "get_items": lambda store: store.get_items("s"),
    "get_items(20)": lambda store: store.get_items("s", limit=20),
    "get_items of whole turns": lambda store: store.get_items("s", limit=20, whole_turns=True),
    "load_snapshot": lambda store: store.load_snapshot("s"),
    "save_snapshot": lambda store: store.save_snapshot("s", numbered(1), state={"a": 1}),
    "save what changed": lambda store: store.save_snapshot(
        "s", numbered(1), state={}, since=REVISION, drop=1, keep=1
    ),
    "branch": lambda store: store.branch("s", "branched"),
    "branch before a turn": lambda store: store.branch("s", "branched", before_turn=0),
    "get_items within tokens": lambda store: store.get_items("s", max_tokens=100),
    "keep_latest": lambda store: store.keep_latest("s", turns=1),
    "list_turns": lambda store: store.list_turns("s"),
    "truncate": lambda store: store.truncate("s", after_position=20),
    "replace_tail": lambda store: store.replace_tail("s", 20, numbered(1)),
    "list_branches": lambda store: store.list_branches("s"),
    "add_usage": lambda store: store.add_usage("s", 5),
    "get_usage": lambda store: store.get_usage("s"),
    "get_usage by turn": lambda store: store.get_usage("s", by="turn"),
    "search": lambda store: store.search("word", namespace=""),
    "set_expiry": lambda store: store.set_expiry("s", None),
    "list_sessions narrowed": lambda store: store.list_sessions(
        namespace="", prefix="s", where={"a": {"$eq": 1}}
    ),
    "pop_item": lambda store: store.pop_item("s"),
    "clear": lambda store: store.clear("s"),
    "exists": lambda store: store.exists("s"),
    "get_session": lambda store: store.get_session("s"),
    "list_sessions": lambda store: store.list_sessions(),
    "list_sessions by activity": lambda store: store.list_sessions(order="activity"),
    "get_metadata": lambda store: store.get_metadata("s"),
    "set_metadata": lambda store: store.set_metadata("s", {"a": 1}),
    "merge metadata": lambda store: store.set_metadata("s", {"b": 1}, merge=True),
    "delete_session": lambda store: store.delete_session("s"),
    "insert_one": lambda store: store.insert_one("c", {}),
    "find": lambda store: store.find("c", WHERE),
    "find a page and count": lambda store: store.find("c", WHERE, limit=2, count=True),
    "find_one": lambda store: store.find_one("c", WHERE, sort=[("offset", "desc")]),
    "update_one": lambda store: store.update_one("c", WHERE, {"a": 1}),
    "upsert": lambda store: store.update_one("c", {"a": {"$eq": 9}}, {"b": 1}, upsert=True),
    "insert_numbered": lambda store: store.insert_numbered(
        "n", {"session_id": "s", "offset": 0}, number="offset", within="session_id"
    ),
    "read_sessions": lambda store: store.read_sessions([("", "s"), ("", "t")]),
    "write_sessions": lambda store: store.write_sessions(RECORDS, replace=True),
    "read_documents": lambda store: store.read_documents("c"),
    "write_documents": lambda store: store.write_documents("c", DOCUMENTS, replace=True),
    "list_versions": lambda store: store.list_versions("c"),
    "read_version": lambda store: store.read_version("c", None),
    "ensure_index that is there": lambda store: store.ensure_index("c", [("a", "asc")]),
    "replace": lambda store: store.replace(
        [
            Replacement(
                stored=StoredDocument(key=1, text="{}", document={}), document={}, collection="c"
            )
        ]
    ),
    "get_document": lambda store: store.get_document("c", "d1"),
    "set_document_expiry": lambda store: store.set_document_expiry("c", "d1", None),
    "delete_one": lambda store: store.delete_one("c", WHERE),
    "list_collections": lambda store: store.list_collections(),
    "drop_collection": lambda store: store.drop_collection("c"),
    "get_memories": lambda store: store.get_memories([(("n",), "k"), (("n",), "l")]),
    "write_memories": lambda store: store.write_memories(MEMORIES),
    "search_memories": lambda store: store.search_memories(
        ("n",), {"n": {"$gt": 1}}, search="word"
    ),
    "list_memory_namespaces": lambda store: store.list_memory_namespaces(max_depth=1),
    "expire": lambda store: store.expire(),
    "expire_batches": lambda store: [*store.expire_batches(rule=RULE)],
    "list_expired": lambda store: [*store.list_expired(rule=RULE)],
}


STATEMENTS = {"expire_batches": 2, "list_expired": 2}
"""The number of statements of those with more than one: of sessions, and of threads."""


def round_trips(call: Callable[[], Any]) -> int:
    """How often the server said that it was ready for the next statement."""
    raw = connection.connection.pgconn
    with tempfile.TemporaryFile("w+") as file:
        raw.trace(file.fileno())
        raw.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS | Trace.REGRESS_MODE)
        try:
            call()
        finally:
            raw.untrace()
        file.seek(0)
        return file.read().count("ReadyForQuery")


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_one_round_trip(store, name):
    operation = OPERATIONS[name]
    store.insert_one("c", made(1, session_id="s1", offset=5))
    store.add_items("s", numbered(*range(30)))
    # Statements are parsed once for a connection: let each be known first.
    for _ in range(7):
        operation(store)
        store.delete_session("new")
        store.add_items("s", numbered(1))
    store.insert_one("c", made(2, session_id="s1", offset=5))
    assert round_trips(lambda: operation(store)) == STATEMENTS.get(name, 1)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_one_statement(store, name):
    store.insert_one("c", made(1, session_id="s1", offset=5))
    store.add_items("s", numbered(*range(30)))
    store.ensure_index("c", [("a", "asc")])
    with CaptureQueriesContext(connection) as queries:
        OPERATIONS[name](store)
    # BEGIN, waiting for one's turn, the statement, COMMIT.
    is_locking = name in ("upsert", "insert_numbered")
    assert len(queries) == (4 if is_locking else STATEMENTS.get(name, 1))


@pytest.mark.parametrize(
    "operation",
    [
        lambda store: store.get_items("s", limit=20),
        lambda store: store.add_items("s", numbered(1, 2)),
        lambda store: store.pop_item("s"),
        lambda store: store.set_metadata("s", {"a": 1}, merge=True),
    ],
    ids=["get_items(20)", "add_items", "pop_item", "set_metadata"],
)
def test_cost_does_not_grow_with_the_session(store, operation):
    for other in range(20):
        store.add_items(f"other {other}", numbered(*range(200)))
    analyze()
    read = []
    for size in (30, 10_000):
        store.replace_items("s", numbered(*range(size)))
        for _ in range(7):  # past the first plans, which are made for the values
            operation(store)
        read.append(rows_read(lambda: operation(store)))
    assert read[0] == read[1]
    items = read[1]["parlant_store_session_item"]
    assert items[0] == 0
    assert items[1] <= 20


def plan_of(store: Any, call: Callable[[], Any]) -> str:
    """EXPLAIN of the one statement that ``call`` sends."""
    with CaptureQueriesContext(connection) as queries:
        call()
    (query,) = queries
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + query["sql"].replace("%", "%%"), ())
        return "\n".join(line for (line,) in cursor.fetchall())


@pytest.fixture
def filled(store):
    """Tables big enough that the planner prefers indexes where it may."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO parlant_store_document
                (collection, id, creation_utc, session_id, customer_id, agent_id, data)
            SELECT c, 'd' || n, to_char(n, 'FM000000'), 's' || n % 500, 'c' || n % 500,
                'a' || n % 500, jsonb_build_object(
                    'id', 'd' || n, 'creation_utc', to_char(n, 'FM000000'),
                    'offset', n / 500, 'variable_id', 'v' || n % 50,
                    'key', 'k' || n % 500, 'tag_id', 't' || n % 500, 'source', 'x' || n % 500,
                    'target', 'y' || n % 500)
            FROM generate_series(1, 2500) n, unnest(ARRAY['events', 'other']) c
            """
        )
    analyze()
    return store


@pytest.mark.parametrize(
    ("where", "index"),
    [
        ({"id": {"$eq": "d7"}}, "parlant_store_doc_id"),
        ({"session_id": {"$eq": "s7"}}, "parlant_store_doc_session"),
        ({"customer_id": {"$eq": "c7"}}, "parlant_store_doc_customer"),
        ({"agent_id": {"$eq": "a7"}}, "parlant_store_doc_agent"),
        ({"variable_id": {"$eq": "v7"}, "key": {"$eq": "k7"}}, "parlant_store_doc_variable"),
        ({"tag_id": {"$eq": "t7"}}, "parlant_store_doc_tag"),
        ({"$or": [{"tag_id": {"$eq": f"t{n}"}} for n in range(3)]}, "parlant_store_doc_tag"),
        ({"source": {"$eq": "x7"}}, "parlant_store_doc_source"),
        ({"target": {"$eq": "y7"}}, "parlant_store_doc_target"),
    ],
)
def test_parlants_filters_use_an_index(filled, where, index):
    plan = plan_of(filled, lambda: filled.find("events", where))
    assert index in plan
    assert "Seq Scan" not in plan
    assert len(filled.find("events", where).documents) > 0


@pytest.mark.parametrize("names", [{}, {"namespace": ""}, {"user_id": "u7"}])
def test_a_page_by_activity_is_read_through_an_index(store, names):
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO parlant_store_session
                (namespace, session_id, user_id, metadata, state, next_position, item_count,
                updated_at)
            SELECT '', 's' || n, 'u' || n % 10, '{}', '{}', 0, 0,
                now() - make_interval(mins => n)
            FROM generate_series(1, 5000) n
            """
        )
    analyze()

    def page() -> Any:
        return store.list_sessions(order="activity", limit=10, **names)

    plan = plan_of(store, page)
    assert "Seq Scan" not in plan
    assert rows_read(page)["parlant_store_session"][1] <= 60
    first = page()
    rest = store.list_sessions(order="activity", limit=10, cursor=first.next_cursor, **names)
    updated = [session.updated_at for session in (*first.sessions, *rest.sessions)]
    assert updated == sorted(updated, reverse=True)
    assert len({*updated}) == 20


def test_the_latest_offset_is_one_step_into_an_index(filled):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE parlant_store_document SET session_id = 's' WHERE id LIKE '%0'")
    analyze()
    where = {"session_id": {"$eq": "s"}}

    def latest() -> Any:
        return filled.find_one("events", where, sort=[("offset", "desc")])

    assert "parlant_store_doc_offset" in plan_of(filled, latest)
    assert rows_read(latest)["parlant_store_document"][1] < 20


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_a_page_reads_what_it_returns(filled, direction):
    cursor = filled.find("events", limit=1_250).next_cursor

    def page() -> Any:
        return filled.find("events", limit=20, cursor=cursor, direction=direction)

    assert "parlant_store_doc_created" in plan_of(filled, page)
    assert rows_read(page)["parlant_store_document"] == (0, 21)


@pytest.mark.parametrize("size", [100, 2_000])
def test_a_turn_of_a_long_memory_writes_what_it_adds(store, size):
    since = store.save_snapshot("s", numbered(*range(size)), state={})

    def save() -> None:
        nonlocal since
        keep = since.item_count
        since = store.save_snapshot("s", numbered(1, 2), state={}, since=since, keep=keep)

    for _ in range(7):
        save()
    assert round_trips(save) == 1
    assert rows_read(save)["parlant_store_session_item"] == (0, 0)
    assert since.item_count == size + 18


def test_a_search_reads_what_it_finds(store):
    for number in range(600):
        text = f"common words and number{number}" + (" rare" if number % 200 == 0 else "")
        store.add_items(f"s{number}", [{"role": "user", "content": text}])
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE parlant_store_session_item")
    assert len(store.search("rare")) == 3
    assert sum(rows_read(lambda: store.search("rare"))["parlant_store_session_item"]) < 20
