"""Collections of documents that are tables of their names, over the real PostgREST."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from postgrest.exceptions import APIError
from supabase import Client

from parlant_store.backends.orm import OrmBackend
from parlant_store.exceptions import DuplicateDocument
from parlant_store.models import Document
from parlant_store.types import PROMOTED
from tests.contract.stores import MakeStore
from tests.contract.values import IDS
from tests.servers.supabase import Stack
from tests.servers.supabase_fixtures import client as client
from tests.sql.supabase.databases import aliased
from tests.sql.supabase.partitions.partitioned import (
    DEFAULT,
    EMPTY,
    EVENTS,
    NAMED,
    SESSIONS,
    A,
    B,
    columns_of,
    database_of,
    in_columns,
)

# By name, over the REST API

EVENT = {
    "id": "e1",
    "version": "0.6.0",
    "creation_utc": "2030-01-01T00:00:00+00:00",
    "session_id": "s1",
}


@pytest.fixture
def events(client: Callable[..., Client]) -> Any:
    """The builder of queries of the service's on the partition of events."""
    return lambda: client().table(EVENTS)


@pytest.fixture
def store(make_store: MakeStore) -> Any:
    return make_store()


def test_documented_inserts_and_selects(events, store):
    data = {"kind": "message", "offset": 0, "data": {"message": "hello"}}
    (row,) = events().insert({**EVENT, "data": data}).execute().data
    assert in_columns(row) == EMPTY | EVENT
    assert row["data"] == EVENT | data
    later = {**EVENT, "id": "e2", "creation_utc": "2030-01-02T00:00:00+00:00"}
    other = {**EVENT, "id": "e3", "session_id": "s2"}
    events().insert([{**later, "data": later}, {**other, "data": {}}]).execute()
    found = events().select("*").eq("session_id", "s1").order("creation_utc", desc=True).execute()
    assert [row["id"] for row in found.data] == ["e2", "e1"]
    assert events().select("data->kind").eq("id", "e1").execute().data == [{"kind": "message"}]
    documents = (EVENT | data, later)
    assert store.find(EVENTS, {"session_id": {"$eq": "s1"}}).documents == documents
    assert store.find_one(EVENTS, {"id": {"$eq": "e3"}}) == other
    assert store.list_collections() == [EVENTS]


def test_updates_upserts_and_deletes_by_id(events, store):
    events().insert({**EVENT, "data": {"n": 1}}).execute()
    events().update({"customer_id": "x"}).eq("id", "e1").execute()
    assert store.find_one(EVENTS) == EVENT | {"n": 1, "customer_id": "x"}
    row = {"id": "e1", "data": {"id": "e1", "n": 2, "session_id": "s2"}}
    events().upsert([row, {"id": "e2", "data": {"n": 3}}], on_conflict="id").execute()
    changed = EVENT | {"n": 2, "customer_id": "x", "session_id": "s2"}
    assert store.find_one(EVENTS, {"session_id": {"$eq": "s2"}}) == changed
    assert store.find_one(EVENTS, {"id": {"$eq": "e2"}}) == {"id": "e2", "n": 3}
    events().delete().eq("id", "e1").execute()
    assert [document["id"] for document in store.find(EVENTS).documents] == ["e2"]


def test_an_id_is_taken_once_by_either_way(events, store):
    store.insert_one(EVENTS, EVENT)
    with pytest.raises(APIError, match="duplicate key"):
        events().insert({"id": "e1", "data": {}}).execute()
    events().insert({"id": "e2", "data": {}}).execute()
    with pytest.raises(DuplicateDocument, match="the id 'e2'"):
        store.insert_one(EVENTS, {"id": "e2"})


def test_what_the_store_writes_is_seen_by_name(events, store, sql):
    store.insert_one(EVENTS, EVENT | {"offset": 5})
    store.insert_one("not named", EVENT)
    (row,) = events().select("*").execute().data
    assert row == EMPTY | EVENT | {"data": EVENT | {"offset": 5}}
    store.update_one(EVENTS, {}, {"session_id": None, "agent_id": "a"})
    (row,) = events().select("session_id, agent_id, data->offset").execute().data
    assert row == {"session_id": None, "agent_id": "a", "offset": 5}
    assert sql.execute(f"select collection from {DEFAULT}").fetchall() == [("not named",)]
    store.delete_one(EVENTS, {})
    assert events().select("*").execute().data == []


def test_names_of_any_script_are_kept_alike(events, store):
    for number, name in enumerate(IDS):
        document = dict.fromkeys(PROMOTED, name) | {"n": number}
        store.insert_one(EVENTS, document)
        (row,) = events().select("*").eq("data->n", number).execute().data
        kept = in_columns(row)
        events().insert({"data": row["data"] | {"id": f"e{number}"}}).execute()
        (copy,) = events().select("*").eq("id", f"e{number}").execute().data
        assert in_columns(copy) == kept | {"id": f"e{number}"}
        where = {"session_id": {"$eq": name}}
        assert store.find(EVENTS, where, limit=9).documents == (
            *sorted([document, document | {"id": f"e{number}"}], key=lambda one: one["id"]),
        )


INSERTS = [
    ({"id": "a"}, {"id": "a"}),
    ({"id": "a", "data": None}, {"id": "a"}),
    ({"data": {"id": "a"}}, {"id": "a"}),
    ({"data": {"id": "a", "version": 1, "agent_id": None}}, {"version": 1, "agent_id": None}),
    ({"version": "1", "data": {"version": 1}}, {"version": "1"}),
    ({"agent_id": "x", "data": {"agent_id": None}}, {"agent_id": "x"}),
    ({"agent_id": "x", "data": {"agent_id": "y"}}, {"agent_id": "y"}),
    ({"agent_id": None, "data": {"agent_id": "y"}}, {"agent_id": "y"}),
    ({"creation_utc": "", "data": {"n": {"id": "b"}}}, {"creation_utc": "", "n": {"id": "b"}}),
    ({"session_id": "x" * 600, "data": {}}, {"session_id": "x" * 600}),
]


@pytest.mark.parametrize(("given", "fields"), INSERTS)
def test_a_row_that_is_inserted_becomes_whole(events, given, fields):
    (row,) = events().insert({"id": "a", **given}).execute().data
    expected = {"id": "a"} | fields
    assert row["data"] == expected
    assert in_columns(row) == columns_of(expected)


WHOLE = {"id": "a", "session_id": "s", "version": 1, "customer_id": None, "agent_id": "y" * 600}
UPDATES = [
    ({"session_id": "t"}, {"session_id": "t"}),
    ({"session_id": None}, {"session_id": None}),
    ({"customer_id": "c", "version": "2"}, {"customer_id": "c", "version": "2"}),
    ({"creation_utc": "2030"}, {"creation_utc": "2030"}),
    ({"data": {}}, {"version": ...}),
    ({"data": {"n": 1}}, {"n": 1, "version": ...}),
    ({"data": {**WHOLE, "session_id": "t"}}, {"session_id": "t"}),
    ({"data": {**WHOLE, "session_id": None}}, {"session_id": None}),
    ({"data": {**WHOLE, "session_id": 5}}, {"session_id": 5}),
    ({"session_id": "t", "data": {"version": 1}}, {"session_id": "t"}),
    ({"session_id": "t", "data": {**WHOLE, "session_id": "u"}}, {"session_id": "u"}),
    ({"session_id": None, "data": {**WHOLE, "session_id": "u"}}, {"session_id": "u"}),
    ({"session_id": None, "data": {"version": 1}}, {"session_id": ...}),
    ({"session_id": "t", "data": WHOLE}, {"session_id": "t"}),
    ({"session_id": "t", "data": {**WHOLE, "session_id": None}}, {"session_id": "t"}),
    ({"session_id": "s", "data": {**WHOLE, "session_id": "u"}}, {"session_id": "u"}),
    ({"id": "a"}, {}),
]


@pytest.mark.parametrize(("given", "fields"), UPDATES)
def test_a_row_that_is_updated_stays_whole(events, sql, given, fields):
    events().insert({"data": WHOLE}).execute()
    (before,) = sql.execute("select updated_at from parlant_store_document").fetchone()
    (row,) = events().update(given).eq("id", "a").execute().data
    expected = {name: value for name, value in (WHOLE | fields).items() if value is not ...}
    if "data" in given and "customer_id" not in given["data"]:
        del expected["customer_id"]
    assert row["data"] == expected
    assert in_columns(row) == columns_of(expected)
    (after,) = sql.execute("select updated_at from parlant_store_document").fetchone()
    assert (after > before) == (expected != WHOLE)


@pytest.mark.parametrize("data", [[], [{"id": "a"}], "text", 5, True])
def test_data_must_be_an_object(events, data):
    with pytest.raises(APIError, match="data of 'a' must be a JSON object"):
        events().insert({"id": "a", "data": data}).execute()


def test_the_trigger_is_no_function_of_the_api(client):
    with pytest.raises(APIError, match="PGRST202"):
        client().rpc("parlant_documents_complete", {}).execute()


def documents_of(alias: str) -> list[tuple[str, Any]]:
    return list(Document.objects.using(alias).order_by("key").values_list("collection", "data"))


def test_the_orm_sees_and_writes_the_same(events, store, orm):
    events().insert({**EVENT, "data": {"n": 1}}).execute()
    store.insert_one("free", {"id": "f"})
    alias = orm.using
    assert documents_of(alias) == [(EVENTS, EVENT | {"n": 1}), ("free", {"id": "f"})]
    orm.insert_one(EVENTS, {"id": "e2", "session_id": "s1"})
    orm.update_one(EVENTS, {"id": {"$eq": "e1"}}, {"session_id": "s2"})
    found = events().select("id, session_id").order("id").execute().data
    assert found == [{"id": "e1", "session_id": "s2"}, {"id": "e2", "session_id": "s1"}]
    made = Document.objects.using(alias).create(collection=EVENTS, document_id="e3", data={})
    made.refresh_from_db()
    assert made.data == {"id": "e3"}
    keys = Document.objects.using(alias).values_list("key", flat=True)
    assert len(set(keys)) == 4
    Document.objects.using(alias).all().delete()
    assert store.list_collections() == []


@pytest.fixture
def orm(stack: Stack, django_db_blocker: Any) -> Iterator[OrmBackend]:
    """The same tables, as a Django project that connects to them has them."""
    with aliased(database_of(stack)) as alias, django_db_blocker.unblock():
        store = OrmBackend("orm", using=alias)
        yield store
        store.close()


# Who sees what


def test_users_see_what_is_theirs_by_name_too(client, store):
    for user, number in ((A, 1), (B, 2)):
        session = {"id": f"s{number}", "customer_id": user}
        store.insert_one(SESSIONS, session)
        store.insert_one(EVENTS, {"id": f"e{number}", "session_id": f"s{number}"})
    for user, number in ((A, 1), (B, 2)):
        asked = client(user=user)
        for table in (SESSIONS, EVENTS):
            found = asked.table(table).select("id").execute().data
            assert found == [{"id": f"{'s' if table == SESSIONS else 'e'}{number}"}]
        found = asked.table("parlant_store_document").select("id").order("id").execute().data
        assert found == [{"id": f"e{number}"}, {"id": f"s{number}"}]


def test_users_write_what_is_theirs_by_name_too(client, store):
    store.insert_one(SESSIONS, {"id": "s1", "customer_id": A})
    event = {"id": "e1", "session_id": "s1", "data": {"offset": 1}}
    client(user=A).table(EVENTS).insert(event).execute()
    for event in ({"id": "e2", "session_id": "s1"}, {"id": "e3", "customer_id": A}):
        with pytest.raises(APIError, match="row-level security"):
            client(user=B).table(EVENTS).insert(event | {"data": {}}).execute()
    with pytest.raises(APIError, match="row-level security"):
        client(user=A).table(EVENTS).update({"customer_id": B}).eq("id", "e1").execute()
    assert client(user=B).table(EVENTS).delete().eq("id", "e1").execute().data == []
    expected = {"id": "e1", "session_id": "s1", "offset": 1}
    assert store.find(EVENTS).documents == (expected,)


def test_a_field_of_anothers_in_data_is_refused(client):
    """Data is what counts, so a column cannot hide it."""
    session = {"id": "s", "customer_id": A, "data": {"customer_id": B}}
    with pytest.raises(APIError, match="row-level security"):
        client(user=A).table(SESSIONS).insert(session).execute()


@pytest.mark.parametrize("table", [*NAMED, "parlant_store_document"])
def test_anon_is_let_in_nowhere(client, stack, table):
    anon = client(stack.publishable_key)
    for ask in (
        anon.table(table).select("*"),
        anon.table(table).insert({"id": "a", "data": {}}),
        anon.table(table).update({"id": "b"}).eq("id", "a"),
        anon.table(table).delete().eq("id", "a"),
    ):
        with pytest.raises(APIError, match="permission denied"):
            ask.execute()


def test_what_has_expired_is_seen_no_more_and_leaves_its_id(events, store, sql):
    for number in (1, 2, 3):
        document = {"id": f"e{number}", "agent_id": "a", "n": 1}
        store.insert_one(EVENTS, document)
    sql.execute(
        "update parlant_store_document set expires_at = now() - interval '1 s' where id < 'e3'"
    )
    assert [row["id"] for row in events().select("*").execute().data] == ["e3"]
    assert events().update({"agent_id": "b"}).eq("id", "e1").execute().data == []
    events().insert({"id": "e1", "data": {"n": 2}}).execute()
    events().upsert({"id": "e2", "data": {"n": 2}}, on_conflict="id").execute()
    found = {"id": "e1", "n": 2}, {"id": "e2", "n": 2}, {"id": "e3", "agent_id": "a", "n": 1}
    assert store.find(EVENTS).documents == found
