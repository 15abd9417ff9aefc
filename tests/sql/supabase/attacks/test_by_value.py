"""Values that look like anything but data, in every argument of the store; broken rows."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from parlant_store.exceptions import DuplicateDocument
from parlant_store.types import DocumentCursor, SessionCursor
from tests.sql.supabase.attacks.attackers import A_KEY, A_THREAD, EVENTS, OWN, SESSIONS, A, code_of
from tests.sql.supabase.attacks.attackers import project as project
from tests.sql.supabase.attacks.attackers import served as served
from tests.sql.supabase.attacks.attackers import target as target
from tests.sql.supabase.attacks.table_attacks import DOCUMENT, EMPTY, ITEM, SESSION, THREAD
from tests.sql.supabase.attacks.thread_attacks import CHECKPOINT, VALUE, WRITE

DATA = [
    "'; drop table parlant_store_session; --",
    "a$$; select 1; $$ %s %(a)s %L %I %1$s",
    "eq.1",
    "in.(1,2)",
    "or=(a.eq.1,b.like.*)",
    'a,b.c ("x") a->>b::text',
    "*",
    "\\' \\\" '' \"\" \\",
    "null",
    "{}",
    "-1e400",
    "a&b=c;d#e?f/g%20+h\n\t",
    "x" * 1000,
    "NUL \0",
]


@pytest.mark.parametrize("who", ["service", "user"])
@pytest.mark.parametrize("value", DATA)
def test_values_are_data(served, who, value):
    is_user = who == "user"
    store = served.store_of_a if is_user else served.store_of_the_service
    name = value.replace("\0", "")
    before, catalog = served.rows(), served.catalog()
    use_sessions(store, value, name, owner=None if is_user else name)
    collection = OWN if is_user else name[:100]
    use_documents(store, value, name[:100], owner=A if is_user else name, collection=collection)
    assert served.rows() | {"request": 0} == before | {"request": 0}
    assert served.catalog() == catalog


def use_sessions(store: Any, value: str, name: str, owner: str | None) -> None:
    at = {"namespace": name}
    items = [{"role": "user", "content": f"{value} zebra", value: value}, {"role": value}]
    store.add_items(name, items, user_id=owner, **at)
    assert store.get_items(name, **at) == items
    assert store.set_metadata(name, {value: value}, merge=True, **at) == {value: value}
    (found,) = store.list_sessions(
        namespace=name,
        user_id=owner,
        prefix=name[:100],
        where={value: {"$eq": value, "$gte": value}, "other": {"$nin": [value, 1]}},
    ).sessions
    assert (found.namespace, found.session_id, found.metadata) == (name, name, {value: value})
    assert found.user_id == (owner or A)
    assert store.list_sessions(where={value: {"$gt": value}}).sessions == ()
    for prefix in (f"{name[:50]}_", f"%{name[:50]}", f"_{name[:50]}"):
        assert store.list_sessions(prefix=prefix).sessions == ()
    names = [(each.namespace, each.session_id) for each in store.list_sessions().sessions]
    page = store.list_sessions(cursor=SessionCursor(namespace=name, session_id=name))
    assert [(each.namespace, each.session_id) for each in page.sessions] == [
        each for each in names if each > (name, name)
    ]
    (hit,) = store.search(f"{value} zebra", namespace=name)
    assert (hit.session_id, hit.snippets[0][:50]) == (name, f"{name} zebra"[:50]) or "\0" in value
    store.save_snapshot(name, items, state={value: value}, **at)
    store.branch(name, f"{name}'", **at)
    snapshot = store.load_snapshot(f"{name}'", **at)
    assert (snapshot.items, snapshot.state) == (items, {value: value})
    assert store.pop_item(name, **at) == items[1]
    assert store.set_expiry(name, datetime(2100, 1, 1, tzinfo=UTC), **at)
    store.clear(name, **at)
    assert store.delete_session(name, **at)
    assert store.delete_session(f"{name}'", **at)


def use_documents(store: Any, value: str, name: str, owner: str, collection: str) -> None:
    document = {"id": name, "customer_id": owner, value: value, "version": value, "#": 2}
    document |= {"creation_utc": value, "agent_id": value, f"{value}#": 2}
    other = {"id": f"{name} other", "customer_id": owner, f"{value}#": 1}
    store.insert_one(collection, document)
    store.insert_one(collection, other)
    with pytest.raises(DuplicateDocument):
        store.insert_one(collection, document)
    for filter_, found in [
        ({value: {"$eq": value}}, [document]),
        ({value: {"$ne": value}}, [other]),
        ({value: {"$in": [value, 1, None]}}, [other, document]),
        ({value: {"$nin": [value, True]}}, [other]),
        ({value: {"$gte": value, "$lte": value}}, [document]),
        ({value: {"$gt": value}}, []),
        ({value: {"$lt": value}}, []),
        ({"id": {"$eq": name}, "customer_id": {"$in": [owner, value]}}, [document]),
        ({"creation_utc": {"$gte": value}, "agent_id": {"$eq": value}}, [document]),
        ({"$or": [{value: {"$eq": value}}, {f"{value}#": {"$eq": 1}}]}, [other, document]),
    ]:
        assert [*store.find(collection, filter_).documents] == found, filter_
    place = DocumentCursor(creation_utc=value, id=name)
    assert store.find(collection, cursor=place).documents == ()
    assert store.find(collection, cursor=place, direction="desc").documents == (other,)
    assert store.find_one(collection, sort=[(f"{value}#", "desc")]) == document
    changed = store.update_one(collection, {value: {"$eq": value}}, {"more": value})
    assert changed.document == document | {"more": value}
    numbered = {"customer_id": owner, value: value, f"{value}#": 2}
    assert store.insert_numbered(
        collection, numbered, number=f"{value}#", within=value
    ) == numbered | {f"{value}#": 3}
    assert collection in store.list_collections()
    assert len(store.list_versions(collection)) == 2
    assert len(store.read_version(collection, value)) == 1
    assert store.delete_one(collection, {"id": {"$eq": name}}) == changed.document
    assert store.drop_collection(collection) == 2
    store.insert_one(SESSIONS, {"id": name, "customer_id": owner})
    store.insert_one(EVENTS, {"id": name, "session_id": name, "data": value})
    (event,) = store.find(EVENTS, {"session_id": {"$eq": name}}).documents
    assert event["data"] == value
    for each in (EVENTS, SESSIONS):
        assert store.delete_one(each, {"id": {"$eq": name}})


# What a user writes by table must not stop those who read everybody's

LONG = "9" * 5000
DEEP = "[" * 600 + "]" * 600


def shortened(text: str) -> str:
    """What a column keeps of a long name."""
    return f"{text[:400]}\x01\x03{sha256(text.encode()).hexdigest()}"


NEW = EMPTY | {"session_id": "n"}
NEXT = {"session_key": A_KEY, "position": 9, "data": "{}"}
PLACE = {"namespace": "", "thread_id": "n"}
STEP = {"thread_key": A_THREAD, "checkpoint_ns": "", "checkpoint_id": "9", "type": "msgpack"}
STEP |= {"value": "\\x80", "versions": {}, "metadata": {}}
DELTA = "counters_since_delta_snapshot"
TEXTS = [*map(str, range(101))]
NOTE = {"collection": "notes", "customer_id": A, "data": {"customer_id": A}}
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    # "LONG" and "DEEP" stand for what Python does not write.
    "an endless time": (SESSION, NEW | {"created_at": "infinity"}),
    "a time before all": (SESSION, NEW | {"updated_at": "-infinity"}),
    "a time before Christ": (SESSION, NEW | {"updated_at": "0044-03-15 BC"}),
    "an end in 20,000 years": (SESSION, NEW | {"expires_at": "20000-01-01"}),
    "a long number in metadata": (SESSION, NEW | {"metadata": {"a": "LONG"}}),
    "a long number in the state": (SESSION, NEW | {"state": {"a": ["LONG"]}}),
    "deep metadata": (SESSION, NEW | {"metadata": {"a": "DEEP"}}),
    "metadata that is no object": (SESSION, NEW | {"metadata": "x"}),
    "a name that is a number": (
        SESSION,
        NEW | {"session_id": shortened(LONG), "full_names": f'{{"session_id": {LONG}}}'},
    ),
    "a name that is an object": (
        SESSION,
        NEW | {"session_id": shortened('{"a": 1}'), "full_names": '{"session_id": {"a": 1}}'},
    ),
    "two names, one of which is a number": (
        SESSION,
        NEW
        | {"session_id": shortened("y" * 600)}
        | {"full_names": f'{{"session_id": {LONG}, "session_id": "{"y" * 600}"}}'},
    ),
    "an item of no time": (ITEM, NEXT | {"created_at": "infinity"}),
    "a document with a long number": (
        DOCUMENT,
        NOTE | {"data": {"customer_id": A, "a": ["LONG"]}},
    ),
    "a deep document": (DOCUMENT, NOTE | {"data": {"customer_id": A, "a": "DEEP"}}),
    "a document of no time": (DOCUMENT, NOTE | {"updated_at": "infinity"}),
    "a thread of no time": (THREAD, PLACE | {"expires_at": "-infinity"}),
    "a thread with a name that is a number": (
        THREAD,
        PLACE | {"thread_id": shortened(LONG), "full_names": f'{{"thread_id": {LONG}}}'},
    ),
    "a checkpoint of no time": (CHECKPOINT, STEP | {"created_at": "infinity"}),
    "a checkpoint with a name of another": (CHECKPOINT, STEP | {"full_ns": "x" * 600}),
    "a checkpoint with a long number": (CHECKPOINT, STEP | {"metadata": {"a": "LONG"}}),
    "a deep checkpoint": (CHECKPOINT, STEP | {"metadata": {"a": "DEEP"}}),
    "metadata that is a list": (CHECKPOINT, STEP | {"metadata": []}),
    "versions that are a text": (CHECKPOINT, STEP | {"versions": "1"}),
    "many counters": (CHECKPOINT, STEP | {"metadata": {DELTA: dict.fromkeys(TEXTS, 1)}}),
    "a checkpoint before itself": (CHECKPOINT, STEP | {"parent_id": "9"}),
    "a checkpoint before another": (CHECKPOINT, STEP | {"parent_id": "99"}),
    **{
        f"the version {version!r}": (CHECKPOINT, STEP | {"versions": {"c": version}})
        for version in (1, None, {}, "", "x", "01", "NaN", "[1]", '"', '"\\x"', '"\x01"', "1" * 600)
    },
}


@pytest.mark.parametrize("what", REFUSED)
def test_rows_that_stop_readers_are_refused(target, what):
    table, row = REFUSED[what]
    body = json.dumps(row).replace('"LONG"', LONG).replace('"DEEP"', DEEP)
    before = target.rows()
    assert code_of(target.a.send("POST", table, body)) == "42501"
    assert target.rows() == before


ODD = ["\x01", "\x01\x01\x01", "\ud7ff", "\ud7ff\u0100\x01\x02", f"n\x01\x03{'0' * 64}"]


@pytest.mark.parametrize("odd", ODD)
def test_rows_that_no_store_writes_are_read(served, odd):
    session = EMPTY | {"namespace": odd, "session_id": odd, "metadata": {odd: odd}}
    session |= {"item_count": -5, "next_position": 2**63 - 1, "tokens": 2**62, "full_names": "{}"}
    (made,) = served.a.send("POST", SESSION, session).json()
    items = [{"data": "no JSON", "text": odd}, {"data": "9" * 5000}]
    for position, item in enumerate(items):
        more = {"session_key": made["key"], "position": position, "terms": "'plain':1"}
        assert served.a.send("POST", ITEM, item | more).status_code == 201
    data = {"customer_id": A, "id": odd, "version": odd, odd: odd, "offset": odd, "x": 1e308}
    kept = {"collection": "notes", "customer_id": A, "id": odd, "version": odd}
    assert served.a.send("POST", DOCUMENT, kept | {"data": data}).status_code == 201
    write_odd_thread(served, odd)
    odd_collection = f"insert into {DOCUMENT} (collection, data) values (%s, '{{}}')"
    served.server.execute(odd_collection, [f"notes{odd}"])
    store = served.store_of_the_service
    assert len(store.list_sessions().sessions) == 6
    assert len(list(store.list_summaries())) == 6
    assert {hit.session_id for hit in store.search("plain")} > {"a-session"}
    assert {hit.session_id for hit in store.search("plain", tools=True)} > {"a-session"}
    assert len(store.find("notes", count=True, limit=9).documents) == 3
    assert store.find_one("notes", {"offset": {"$ne": 0}}, sort=[("offset", "desc")])
    assert len(store.list_versions("notes")) == 3
    assert len(store.read_version("notes", None)) == 1
    assert "notes" in store.list_collections()
    assert len(store.list_threads().threads) == 4
    found = store.list_checkpoints()
    assert len(found) == 7
    assert len(found[0].writes) == 1
    assert store.prune_thread("a-thread", keep=1) == 2
    assert store.get_channel_history("a-thread", [odd])[odd].writes == ()


def write_odd_thread(served: Any, odd: str) -> None:
    """Rows of a new thread and, with ids that come last, of an old one."""
    row = {"checkpoint_ns": "", "type": odd, "value": "\\x00"}
    values = {"x": '"y"', odd: "-0.5e999", "z": f'"{odd.translate(dict.fromkeys(range(32)))}"'}
    metadata = {odd: odd, DELTA: {odd: odd}, "parents": [odd], "run_id": [1]}
    checkpoint = {"parent_id": "2", "versions": values, "metadata": metadata, "run_id": odd}
    made = served.a.send("POST", THREAD, {"namespace": odd, "thread_id": odd, "full_names": "{}"})
    for key in (made.json()[0]["key"], A_THREAD):
        row["thread_key"] = key
        for table, columns in (
            (CHECKPOINT, {"checkpoint_id": f"\uffff{odd}"} | checkpoint),
            (VALUE, {"channel": odd, "version": values[odd]}),
            (
                WRITE,
                {"checkpoint_id": f"\uffff{odd}", "task_id": odd, "idx": -(2**31)}
                | {"task_path": odd, "channel": odd},
            ),
        ):
            answer = served.a.send("POST", table, row | columns)
            assert answer.status_code == 201, answer.text


def test_a_planned_count_tells_of_the_rows_of_others(served):
    """What docs/supabase.md says that a user can learn."""
    served.server.execute(
        "insert into parlant_store_session (session_id, namespace, user_id, metadata, state,"
        " next_position, item_count, tokens)"
        " select 'b' || n, '', 'b', '{}', '{}', 0, 0, 0 from generate_series(1, 5000) n"
    )
    served.server.execute("analyze parlant_store_session")
    answer = served.a.send("GET", f"{SESSION}?select=key", headers={"Prefer": "count=planned"})
    assert len(answer.json()) == 1
    assert int(answer.headers["Content-Range"].partition("/")[2]) > 100
