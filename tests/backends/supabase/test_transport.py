"""What goes over the wire, and what the other transport makes of it."""

import multiprocessing
from datetime import timedelta

import pytest

from parlant_store.backends.orm import OrmBackend
from parlant_store.types import DocumentRecord, MemoryChange, Replacement, Retention, SessionRecord
from tests.contract.values import IDS, NASTY, numbered

NOW = "2030-01-01T00:00:00"
RULE = Retention(idle=timedelta(days=1), namespace="")


@pytest.fixture
def store(make_store):
    return make_store()


@pytest.fixture
def orm(store):
    backend = OrmBackend("orm", using="default")
    yield backend
    backend.close()


def prepared(store) -> None:
    store.add_items("s", numbered(*range(50)), user_id="ada")
    store.set_metadata("s", {"a": 1})
    for number in range(6):
        store.insert_one("c", {"id": f"d{number}", "version": "1", "session_id": "s", "offset": 1})


def stored_first(store):
    (first,) = store.list_versions("c")
    return first


OPERATIONS = {
    "add_items": lambda store: store.add_items("s", numbered(1, 2)),
    "replace_items": lambda store: store.replace_items("s", numbered(1)),
    "get_items": lambda store: store.get_items("s"),
    "get_latest": lambda store: store.get_items("s", limit=20, whole_turns=True),
    "pop_item": lambda store: store.pop_item("s"),
    "clear": lambda store: store.clear("s"),
    "delete_session": lambda store: store.delete_session("s"),
    "exists": lambda store: store.exists("s"),
    "get_session": lambda store: store.get_session("s"),
    "get_metadata": lambda store: store.get_metadata("s"),
    "set_metadata": lambda store: store.set_metadata("s", {"b": 1}, merge=True),
    "set_expiry": lambda store: store.set_expiry("s", None),
    "load_snapshot": lambda store: store.load_snapshot("s"),
    "save_snapshot": lambda store: store.save_snapshot("s", numbered(1), state={}),
    "branch": lambda store: store.branch("s", "t"),
    "keep_latest": lambda store: store.keep_latest("s", turns=1),
    "list_turns": lambda store: store.list_turns("s"),
    "truncate": lambda store: store.truncate("s", after_position=0),
    "replace_tail": lambda store: store.replace_tail("s", 0, numbered(1)),
    "list_branches": lambda store: store.list_branches("s"),
    "add_usage": lambda store: store.add_usage("s", 5),
    "get_usage": lambda store: store.get_usage("s"),
    "get_usage by turn": lambda store: store.get_usage("s", by="turn"),
    "search": lambda store: store.search("word"),
    "list_sessions": lambda store: store.list_sessions(where={"a": {"$eq": 1}}),
    "list_summaries": lambda store: list(store.list_summaries(prefix="s")),
    "insert_one": lambda store: store.insert_one("c", {"id": "new"}),
    "insert_numbered": lambda store: store.insert_numbered(
        "c", {"session_id": "s", "offset": 1}, number="offset", within="session_id"
    ),
    "find": lambda store: store.find("c", {"offset": {"$gte": 1}}, limit=5, count=True),
    "find_one": lambda store: store.find_one("c", sort=[("offset", "desc")]),
    "update_one": lambda store: store.update_one("c", {}, {"a": 1}),
    "upsert": lambda store: store.update_one("c", {"x": {"$eq": 1}}, {"x": 1}, upsert=True),
    "get_document": lambda store: store.get_document("c", "a"),
    "set_document_expiry": lambda store: store.set_document_expiry("c", "a", None),
    "delete_one": lambda store: store.delete_one("c", {}),
    "list_collections": lambda store: store.list_collections(),
    "drop_collection": lambda store: store.drop_collection("c"),
    "list_versions": lambda store: store.list_versions("c"),
    "read_version": lambda store: store.read_version("c", "1"),
    "get_memories": lambda store: store.get_memories([(("n",), "k")]),
    "write_memories": lambda store: store.write_memories(
        [MemoryChange(namespace=("n",), key=key, value={"x": 1}) for key in "kl"]
    ),
    "search_memories": lambda store: store.search_memories(("n",), {"x": {"$gt": 0}}, search="a"),
    "list_memory_namespaces": lambda store: store.list_memory_namespaces(),
    "ensure_index": lambda store: store.ensure_index("c", [("id", "asc")]),
    "read_sessions": lambda store: store.read_sessions([("", "s"), ("n", "t")]),
    "write_sessions": lambda store: store.write_sessions(
        [SessionRecord(session_id=name, items=numbered(1)) for name in "st"]
    ),
    "read_documents": lambda store: store.read_documents("c"),
    "write_documents": lambda store: store.write_documents(
        "c", [DocumentRecord(document={"id": "a"})]
    ),
    "expire": lambda store: store.expire(),
    "expire_batches": lambda store: [*store.expire_batches(rule=RULE)],
    "list_expired": lambda store: [*store.list_expired(rule=RULE)],
}


REQUESTS = {"ensure_index": 0, "expire_batches": 2, "list_expired": 2}
"""Those of sessions and of threads, if an operation takes more than one."""


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_one_request(store, project, name):
    prepared(store)
    project.gateway.clear()
    OPERATIONS[name](store)
    assert len(project.gateway.requests) == REQUESTS.get(name, 1)


def test_replacing_is_one_request(store, project):
    prepared(store)
    first = stored_first(store)
    project.gateway.clear()
    new = Replacement(stored=first, document=first.document | {"version": "2"}, collection="c")
    assert store.replace([new]) == [True]
    assert len(project.gateway.requests) == 1


def test_names_of_every_operation_are_in_the_contract(store):
    names = {name.partition(" ")[0] for name in OPERATIONS} - {"get_latest", "upsert"}
    assert all(hasattr(store, name) for name in names)


@pytest.mark.parametrize("name", IDS)
def test_names_of_any_script_are_the_same_sessions(store, orm, name):
    store.add_items(name, NASTY, namespace=name, user_id=name)
    assert orm.get_items(name, namespace=name) == NASTY
    orm.set_metadata(name, {name: name}, namespace=name)
    assert store.get_session(name, namespace=name) == orm.get_session(name, namespace=name)
    assert store.list_sessions() == orm.list_sessions()
    assert [*store.list_summaries()] == [*orm.list_summaries()]
    orm.add_items(name, numbered(1), namespace=name)
    assert store.pop_item(name, namespace=name) == {"n": 1}
    assert store.load_snapshot(name, namespace=name) == orm.load_snapshot(name, namespace=name)


@pytest.mark.parametrize("value", NASTY)
def test_documents_are_the_same(store, orm, value):
    store.insert_one("c", {"id": "a", "value": value})
    orm.insert_one("c", {"id": "b", "value": value})
    assert store.find("c", count=True) == orm.find("c", count=True)
    where = {"value": {"$eq": value}}
    assert len(store.find("c", where).documents) == len(orm.find("c", where).documents) == 2
    assert store.list_versions("c") == orm.list_versions("c")
    assert store.update_one("c", where, {"x": value}) == orm.update_one("c", where, {"x": value})


def test_search_finds_the_same(store, orm):
    texts = ["a rare word", "Hello, server", "漢字 and more", "rare rare rare"]
    for number, text in enumerate(texts):
        writer = (store, orm)[number % 2]
        writer.add_items(f"s{number}", [{"role": "user", "content": text}])
    for asked in ("rare", "serv", "漢字", "word hello"):
        assert store.search(asked) == orm.search(asked) != []


def test_an_index_that_one_transport_made_is_there_for_the_other(store, orm, own_indexes):
    assert store.ensure_index("c", [("colour", "asc"), ("offset", "desc")])
    assert not orm.ensure_index("c", [("colour", "asc"), ("offset", "desc")])
    assert orm.ensure_index("c", [("shape", "asc")], unique=True)
    assert not store.ensure_index("c", [("shape", "asc")], unique=True)


def test_5000_items_past_the_row_limit(store, project):
    store.add_items("s", numbered(*range(5_000)))
    project.gateway.clear()
    assert store.get_items("s") == numbered(*range(5_000))
    assert store.get_items("s", limit=3_000) == numbered(*range(2_000, 5_000))
    assert len(store.load_snapshot("s").items) == 5_000
    assert len(project.gateway.requests) == 3
    store.branch("s", "t")
    assert len(store.get_items("t")) == 5_000


def test_2500_documents_and_sessions_past_the_row_limit(store, orm):
    from parlant_store.models import Document, Session

    Document.objects.bulk_create(
        Document(
            collection="c",
            document_id=f"d{n:04}",
            creation_utc=NOW,
            version="1",
            data={"id": f"d{n:04}", "creation_utc": NOW, "version": "1", "n": n},
        )
        for n in range(2_500)
    )
    Session.objects.bulk_create(Session(session_id=f"s{n:04}") for n in range(2_500))
    everything = store.find("c", count=True)
    assert [document["n"] for document in everything.documents] == list(range(2_500))
    assert everything.total_count == 2_500
    assert len(store.find("c", limit=1_500).documents) == 1_500
    assert len(store.read_version("c", "1", limit=2_000)) == 2_000
    assert len([*store.list_summaries()]) == 2_500
    assert len(store.list_sessions(limit=1_800).sessions) == 1_800
    where = {"id": {"$in": [f"d{n:04}" for n in range(20_000)]}}
    assert len(store.find("c", where).documents) == 2_500
    assert store.find("c", {"id": {"$nin": where["id"]["$in"]}}).documents == ()
    parts = {"$or": [{"n": {"$eq": n}, "id": {"$ne": "x"}} for n in range(0, 2_500, 2)]}
    assert len(store.find("c", parts).documents) == 1_250


def test_a_child_has_connections_of_its_own(store):
    store.add_items("s", numbered(1))
    context = multiprocessing.get_context("fork")
    child = context.Process(target=store.add_items, args=("s", numbered(2)))
    child.start()
    child.join(600)
    assert child.exitcode == 0
    store.add_items("s", numbered(3))
    assert store.get_items("s") == numbered(1, 2, 3)
