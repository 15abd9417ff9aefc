"""Attacks by planting and moving: where users may write, and where nobody but the service may.

As a user and as anon of the Data API, and as a server with a user's token; with one table for all
documents, and with partitions.
"""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from parlant_store.backends.columns import promoted
from parlant_store.backends.supabase import SupabaseBackend
from parlant_store.exceptions import AccessDenied
from parlant_store.personal_data import PersonalData
from parlant_store.types import FAILED, OWNERS, Replacement, Retention, StoredDocument
from tests.sql.supabase.attacks.attackers import (
    AGENTS,
    EVENTS,
    MARK,
    OWN,
    SESSIONS,
    VALUES,
    A,
    Attacker,
    B,
    Target,
    attacked,
    code_of,
)
from tests.sql.supabase.attacks.attackers import served as served
from tests.sql.supabase.attacks.attackers import target as target
from tests.sql.supabase.attacks.table_attacks import DENIED, DOCUMENT, TOO_MUCH

CUSTOMERS, TAGS = "parlant_customers_customers", "parlant_customers_customer_tag_associations"
GUIDELINES = "parlant_guidelines_guidelines"
PARTITIONS = (SESSIONS, EVENTS, AGENTS, GUIDELINES, TAGS, "notes", OWN)

Document = dict[str, Any]


@pytest.fixture(scope="module", params=["plain", "partitioned"])
def project(request: pytest.FixtureRequest, django_db_setup: None) -> Iterator[Target]:
    collections = PARTITIONS if request.param == "partitioned" else ()
    with attacked(collections=collections, readable_collections=[TAGS]) as made:
        yield made


def has_views(target: Target) -> bool:
    return bool(target.server.execute("select to_regclass('notes') is not null").fetchone()[0])


def row_of(collection: str, document: Document) -> Document:
    return {"collection": collection, "data": document} | promoted(document)


def arguments_of(collection: str, document: Document) -> Document:
    named = {"p_collection": collection, "p_now": "2030-01-01"}
    return named | {"p_document": json.dumps(document), "p_columns": promoted(document)}


# How a document can be planted

UPSERT = f"{DOCUMENT}?on_conflict=collection,id"
NONE, ALL = {"any": []}, {"all": []}
NUMBERED = {"p_number": "offset", "p_turn": "t", "p_group": ALL, "p_taken": NONE}
UPSERTED = {"p_filter": NONE, "p_upsert": True, "p_turn": "t"}


def prefer(what: str) -> dict[str, str]:
    return {"Prefer": what}


def once(who: Attacker, collection: str, document: Document) -> Any:
    given = {"p_function": "insert_one", "p_arguments": arguments_of(collection, document)}
    return who.call("once", given | {"p_request": "00000000-0000-0000-0000-0000000000cc"})


WAYS: dict[str, Callable[[Attacker, str, Document], Any]] = {
    "insert": lambda who, name, one: who.send("POST", DOCUMENT, row_of(name, one)),
    "insert unseen": lambda who, name, one: who.send(
        "POST", DOCUMENT, row_of(name, one), prefer("return=minimal")
    ),
    "upsert": lambda who, name, one: who.send(
        "POST", UPSERT, row_of(name, one), prefer("resolution=merge-duplicates")
    ),
    "insert unless there": lambda who, name, one: who.send(
        "POST", UPSERT, row_of(name, one), prefer("resolution=ignore-duplicates")
    ),
    "insert beside another": lambda who, name, one: who.send(
        "POST", f"{DOCUMENT}?columns=collection,id,session_id,customer_id,version,data",
        [row_of(OWN, {"id": "fine", "customer_id": A}), row_of(name, one)],
    ),
    "insert_one": lambda who, name, one: who.call("insert_one", arguments_of(name, one)),
    "update_one": lambda who, name, one: who.call("update_one", arguments_of(name, one) | UPSERTED),
    "insert_numbered": lambda who, name, one: who.call(
        "insert_numbered", arguments_of(name, one) | NUMBERED
    ),
    "once": once,
}  # fmt: skip
BY_NAME: dict[str, Callable[[Attacker, str, Document], Any]] = {
    "insert": lambda who, name, one: who.send("POST", name, {"data": one} | promoted(one)),
    "insert data": lambda who, name, one: who.send("POST", name, {"id": one["id"], "data": one}),
    "upsert": lambda who, name, one: who.send(
        "POST", f"{name}?on_conflict=id", {"data": one} | promoted(one),
        prefer("resolution=merge-duplicates"),
    ),
}  # fmt: skip

PLANTED: dict[str, tuple[str, Document]] = {
    "a session under no prefix": ("sessions", {"id": "b-talk", "customer_id": A}),
    "a session under a shorter prefix": ("parlant_sessions", {"id": "b-talk", "customer_id": A}),
    "a session under another prefix": ("other_sessions", {"id": "b-talk", "customer_id": A}),
    "what is beside a session": ("parlant_sessions_notes", {"id": "n", "session_id": "a-talk"}),
    "an agent": (AGENTS, {"id": "n", "customer_id": A}),
    "an agent under another prefix": ("agents", {"id": "n", "customer_id": A}),
    "a guideline": (GUIDELINES, {"id": "n", "customer_id": A}),
    "a guideline of an own session": (GUIDELINES, {"id": "n", "session_id": "a-talk"}),
    "a customer": (CUSTOMERS, {"id": B, "customer_id": A}),
    "a customer under another prefix": ("x_customers", {"id": B, "customer_id": A}),
    "a tag": (TAGS, {"id": "n", "customer_id": A, "tag_id": "vip"}),
    "a value": (VALUES, {"id": "n", "key": B, "customer_id": A}),
    "the version of sessions": ("parlant_sessions_metadata", {"id": "n", "customer_id": A}),
    "a version": ("notesmetadata", {"id": "n", "customer_id": A, "version": "9"}),
    "whose a collection is": (OWNERS, {"id": "parlant_tags_tags", "customer_id": A}),
    "a failed note": (f"notes{FAILED}", {"id": "n", "customer_id": A}),
    "a failed event": (
        EVENTS + FAILED,
        {"id": "n", "session_id": "a-talk", "reason": "r", "collection": AGENTS, "document": {}},
    ),
    "a collection of one's own": ("anything", {"id": "n", "customer_id": A}),
    "almost an open collection": ("notes ", {"id": "n", "customer_id": A}),
    "another case": ("Notes", {"id": "n", "customer_id": A}),
}  # fmt: skip
CLOSED = list(dict.fromkeys(name for name, _ in PLANTED.values()))


@pytest.mark.parametrize("way", WAYS)
def test_each_way_leads_into_an_open_collection(target, way):
    """What is refused below is refused for its collection."""
    assert WAYS[way](target.a, EVENTS, {"id": "n", "session_id": "a-talk"}).is_success
    assert target.server.execute(f"select from {DOCUMENT} where id = 'n'").rowcount == 1


@pytest.mark.parametrize("what", PLANTED)
@pytest.mark.parametrize("who", ["user", "anon"])
def test_nothing_is_planted(target, who, what):
    collection, document = PLANTED[what]
    before = target.rows()
    attacker = target.a if who == "user" else target.attacker()
    for way, plant in WAYS.items():
        answer = plant(attacker, collection, document)
        assert code_of(answer) == DENIED, (way, answer.text)
    if has_views(target) and collection in PARTITIONS:
        for way, plant in BY_NAME.items():
            answer = plant(attacker, collection, document)
            assert code_of(answer) == DENIED, (way, answer.text)
    assert target.rows() == before


@pytest.mark.parametrize("what", PLANTED)
def test_a_server_with_a_users_token_plants_nothing(target, what):
    collection, document = PLANTED[what]
    store = target.store_of_a
    before = target.rows()
    numbered = document | {"offset": 1}
    for plant in (
        lambda: store.insert_one(collection, document),
        lambda: store.update_one(collection, {"id": {"$eq": "?"}}, document, upsert=True),
        lambda: store.insert_numbered(collection, numbered, number="offset", within="id"),
    ):
        with pytest.raises(AccessDenied):
            plant()
    assert target.rows() == before


def test_no_thousands_of_collections(target):
    names = target.service.call("list_collections", {"p_now": "2030-01-01"}).json()
    rows = [row_of(f"c{number}", {"id": "n", "customer_id": A}) for number in range(3_000)]
    assert code_of(target.a.send("POST", DOCUMENT, rows)) == TOO_MUCH
    for start in range(0, 3_000, 500):
        assert code_of(target.a.send("POST", DOCUMENT, rows[start : start + 500])) == DENIED
    assert target.service.call("list_collections", {"p_now": "2030-01-01"}).json() == names


# Moving what is there

OWN_DOCUMENTS = {"a-note": "notes", "a-talk": SESSIONS, "a-event": EVENTS}


def places(target: Target) -> list[Any]:
    return target.server.execute(
        f"select key, collection, id, session_id, customer_id from {DOCUMENT} order by key"
    ).fetchall()


def stored(target: Target, id_: str) -> StoredDocument:
    ((key, text),) = target.server.execute(
        f"select key, data::text from {DOCUMENT} where id = %s", [id_]
    )
    return StoredDocument(key=key, text=text, document={})


@pytest.mark.parametrize("collection", [*CLOSED, *OWN_DOCUMENTS.values()])
def test_nothing_moves_to_another_collection(target, collection):
    before = target.rows()
    for id_ in (id_ for id_, own in OWN_DOCUMENTS.items() if own != collection):
        document = {"id": id_, "customer_id": A}
        for change in ({"collection": collection}, row_of(collection, document)):
            answer = target.a.send("PATCH", f"{DOCUMENT}?id=eq.{id_}", change)
            assert code_of(answer) == DENIED, (id_, answer.text)
        place = stored(target, id_)
        moved = Replacement(stored=place, document=document, collection=collection)
        with pytest.raises(AccessDenied):
            target.store_of_a.replace([moved])
        assert target.rows() == before, id_


MOVES: dict[str, tuple[str, Document]] = {
    "another id": ("a-note", {"id": "n", "customer_id": A}),
    "a session of another id": ("a-talk", {"id": "n", "customer_id": A}),
    "an event of another id": ("a-event", {"id": "n", "session_id": "a-talk"}),
    "another's note": ("a-note", {"id": "a-note", "customer_id": B}),
    "nobody's note": ("a-note", {"id": "a-note"}),
    "another's session": ("a-talk", {"id": "a-talk", "customer_id": B}),
    "a note of a session": ("a-note", {"id": "a-note", "session_id": "a-talk", "customer_id": A}),
    "an event of another's session": ("a-event", {"id": "a-event", "session_id": "b-talk"}),
    "an event of another session": ("a-event", {"id": "a-event", "session_id": "a-two"}),
    "an event of no session": ("a-event", {"id": "a-event", "customer_id": A}),
    "an event with an owner": (
        "a-event",
        {"id": "a-event", "session_id": "a-talk", "customer_id": A},
    ),
}


@pytest.mark.parametrize("what", MOVES)
def test_nothing_changes_its_name_or_its_owner(target, what):
    id_, document = MOVES[what]
    target.service.send("POST", DOCUMENT, row_of(SESSIONS, {"id": "a-two", "customer_id": A}))
    before, at = places(target), f"id=eq.{id_}"
    columns = dict.fromkeys(("id", "session_id", "customer_id")) | promoted(document)
    row = {"data": document} | columns
    assert code_of(target.a.send("PATCH", f"{DOCUMENT}?{at}", row)) == DENIED
    for alone in (columns, {"data": document}):
        target.a.send("PATCH", f"{DOCUMENT}?{at}", alone)
        assert places(target) == before
    if has_views(target):
        for change in (row, columns, {"data": document}):
            target.a.send("PATCH", f"{OWN_DOCUMENTS[id_]}?{at}", change)
            assert places(target) == before
    store = target.store_of_a
    with pytest.raises(AccessDenied):
        store.update_one(OWN_DOCUMENTS[id_], {"id": {"$eq": id_}}, dict(columns))
    assert places(target) == before


def test_what_has_expired_makes_room_for_another_of_its_id(target):
    store = target.store_of_a
    store.insert_one(SESSIONS, {"id": "a-two", "customer_id": A})
    target.server.execute(f"update {DOCUMENT} set expires_at = now() where id = 'a-event'")
    store.insert_one(EVENTS, {"id": "a-event", "session_id": "a-two"})
    assert store.find_one(EVENTS, {"id": {"$eq": "a-event"}})["session_id"] == "a-two"


# Closed collections, and those where users only read


@pytest.mark.parametrize("collection", [AGENTS, TAGS, EVENTS + FAILED])
def test_what_is_there_is_read_where_it_is_listed_and_never_changed(served, collection):
    is_listed = collection == TAGS
    ids = ("of-a", "of-session")
    for row in (
        row_of(collection, {"id": ids[0], "customer_id": A}),
        row_of(collection, {"id": ids[1], "session_id": "a-talk"}),
        row_of(collection, {"id": "of-b", "customer_id": B}),
    ):
        assert served.service.send("POST", DOCUMENT, row).is_success
    before = served.rows()["document"]
    paths = [f"{DOCUMENT}?collection=eq.{collection}"]
    if has_views(served) and collection in PARTITIONS:
        paths.append(f"{collection}?id=like.of*")
    if not is_listed:
        for path in paths[1:]:
            for method in ("GET", "PATCH", "DELETE"):
                assert code_of(served.a.send(method, path, {})) == DENIED
        del paths[1:]
    for path in paths:
        found = {row["id"] for row in served.a.send("GET", path).json()}
        assert found == ({"of-a"} if is_listed else set())
        for change in ({"agent_id": None}, {"id": "n"}, {"customer_id": B}, {"data": {}}):
            assert served.a.send("PATCH", path, change).json() == []
        assert served.a.send("DELETE", path).json() == []
    assert served.a.send("PATCH", paths[0], {"collection": "notes"}).json() == []
    store = served.store_of_a
    assert not store.update_one(collection, {}, {"x": 1}).matched
    assert store.delete_one(collection, {}) is None
    assert store.drop_collection(collection) == 0
    assert store.set_document_expiry(collection, "of-a", None) == 0
    assert served.rows()["document"] == before


# What comes of it


def records(store: SupabaseBackend, user: str) -> list[str]:
    return sorted(json.dumps(record) for record in PersonalData(store, user).exported())


def test_no_attempt_leads_to_what_is_anothers(served):
    """What the planted documents were for: export, erase and rules of retention."""
    store, rule = served.store_of_the_service, Retention(older_than=timedelta(microseconds=1))
    before = {user: records(store, user) for user in (A, B)}
    listed = [*store.list_expired(rule=rule)]
    for collection, document in PLANTED.values():
        for plant in (*WAYS.values(), *BY_NAME.values()):
            plant(served.a, collection, document)
    assert {user: records(store, user) for user in (A, B)} == before
    assert MARK not in "".join(before[A])
    assert [*store.list_expired(rule=rule)] == listed
    # Checkpoints are erased with their thread.
    erased = [record for record in before[A] if '"kind": "checkpoint"' not in record]
    assert len(list(PersonalData(store, A).erase())) == len(erased)
