"""What Parlant's own Supabase adapter wrote, for Parlant on the store and by the old calls."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from parlant.core.common import IdGenerator
from parlant.core.context_variables import ContextVariableDocumentStore
from parlant.core.customers import CustomerDocumentStore
from parlant.core.sessions import EventKind, EventSource, SessionDocumentStore
from parlant.core.tags import TagId
from postgrest.exceptions import APIError
from supabase import Client

from parlant_store.adapters.parlant import DocumentDatabase, server_stores
from parlant_store.exceptions import BackendError
from parlant_store.sql.supabase.parlant_tables import documented_tables
from tests.servers.supabase import Stack
from tests.sql.supabase.adoption.adopted import USER, documents, rows_of
from tests.sql.supabase.adoption.adopted import adopt as adopt
from tests.sql.supabase.adoption.adopted import client as client
from tests.sql.supabase.adoption.adopted import stack as stack
from tests.sql.supabase.adoption.adopted import store as store
from tests.sql.supabase.adoption.old_adapter import OldDatabase, row_of
from tests.sql.supabase.adoption.old_tables import (
    ALL,
    FAILED,
    LOADED,
    LONGEST,
)

COUNT = 6


@pytest.fixture
def configured(stack: Stack, settings: Any) -> None:
    """The project's is the default store."""
    settings.PARLANT_STORES = {
        "default": {
            "BACKEND": "parlant_store.backends.supabase.SupabaseBackend",
            "OPTIONS": {"url": stack.url, "key": stack.service_key},
        }
    }


def old_stores(client: Client) -> tuple[Any, Any, Any]:
    ids = IdGenerator()
    return (
        SessionDocumentStore(OldDatabase(client, "parlant_sessions_")),
        CustomerDocumentStore(ids, OldDatabase(client, "parlant_customers_")),
        ContextVariableDocumentStore(ids, OldDatabase(client, "parlant_context_variables_")),
    )


async def live(sessions: Any, customers: Any, variables: Any) -> None:
    for number in range(COUNT):
        customer = await customers.create_customer(f"Jörg {number}", {"city": "東京"})
        await customers.upsert_tag(customer.id, TagId(f"tag{number % 3}"))
        session = await sessions.create_session(customer.id, f"agent{number % 2}")
        for turn in range(3):
            await sessions.create_event(
                session.id,
                EventSource.CUSTOMER,
                EventKind.MESSAGE,
                f"trace{turn}",
                {"message": f'it\'s "{turn}" 😀', "participant": {"display_name": "Jörg"}},
            )
        variable = await variables.create_variable(f"plan {number}")
        await variables.add_variable_tag(variable.id, TagId(f"tag{number % 3}"))
        await variables.update_value(variable.id, customer.id, {"plan": [number, 1.5, None]})


async def answers(sessions: Any, customers: Any, variables: Any) -> list[Any]:
    """All that the stores hold, as an application sees it."""
    every_session = sorted((await sessions.list_sessions()).items, key=lambda one: one.id)
    # Guests are made anew at each listing.
    every_customer = sorted(
        (one for one in (await customers.list_customers()).items if one.id != "guest"),
        key=lambda one: one.id,
    )
    every_variable = sorted(await variables.list_variables(), key=lambda one: one.id)
    return [
        every_session,
        [list(await sessions.list_events(session.id)) for session in every_session],
        every_customer,
        every_variable,
        [list(await variables.list_values(variable.id)) for variable in every_variable],
    ]


async def opened(stores: tuple[Any, Any, Any], *works: Any) -> Any:
    result = None
    for each in stores:
        await each.__aenter__()
    for work in works:
        result = await work(*stores)
    for each in stores:
        await each.__aexit__(None, None, None)
    return result


def new_stores() -> tuple[Any, Any, Any]:
    made = server_stores()
    return made["session_store"], made["customer_store"], made["variable_store"]


def test_seventeen_tables_are_known():
    assert documented_tables() == {
        table.encode()[:63].decode(): collection for table, collection in ALL.items()
    }
    assert len(ALL) == 17
    assert len(LONGEST) == 69


def test_parlants_stores_find_everything(stack, adopt, client, configured, database):
    before = asyncio.run(opened(old_stores(client()), live, answers))
    assert [len(part) for part in before] == [COUNT] * 5
    assert all(len(events) == 3 for events in before[1])
    counted = {table: len(rows_of(database, table)) for table in LOADED}
    said = adopt()
    for table, collection in LOADED.items():
        assert f"{table}: {counted[table]} rows are documents of {collection}" in said
    assert asyncio.run(opened(new_stores(), answers)) == before
    assert counted == {table: len(documents(database, name)) for table, name in LOADED.items()}
    assert not any(documents(database, name) for name in FAILED.values())
    # What one writes, the other reads.
    asyncio.run(opened(new_stores(), live))
    both = asyncio.run(opened(new_stores(), answers))
    assert len(both[0]) == 2 * COUNT
    assert asyncio.run(opened(old_stores(client()), answers)) == both


def test_a_database_of_a_prefix_finds_its_sessions(adopt, client, configured):
    client().table("parlant_sessions_").insert(
        [row_of({"id": f"s{number}", "version": "0.9.0"}) for number in range(COUNT)]
    ).execute()
    adopt()

    async def find() -> Any:
        database = DocumentDatabase(None, "parlant_sessions_")
        sessions = await database.get_or_create_collection("sessions", dict, same)
        return await sessions.find({})

    async def same(document: Any) -> Any:
        return document

    assert len(asyncio.run(find()).items) == COUNT


# The old adapter's calls


def use(client: Client, table: str) -> list[Any]:
    """What each of the calls on the table answers."""
    one = {
        "id": "1",
        "version": "0.9.0",
        "creation_utc": "2030-01-01T00:00:00+00:00",
        "session_id": "1",
        "customer_id": USER,
        "kind": "message",
        "offset": 1,
        "agent_id": None,
    }
    two = {**one, "offset": 2}
    other = {**one, "id": "2", "creation_utc": "2030-01-02T00:00:00+00:00"}
    changed = row_of(two)
    del changed["id"]

    def rows(query: Any) -> Any:
        return [{name: row[name] for name in ("id", "data")} for row in query.execute().data]

    def calls() -> Iterator[Any]:
        is_failed = "failed_mig" in table
        as_row = (
            (lambda document: {"id": document["id"], "data": document}) if is_failed else row_of
        )
        query = client.table(table)
        yield rows(query.insert(as_row(one)))
        yield rows(query.insert(as_row(other)))
        yield rows(query.select("*").eq("id", "1"))
        yield rows(query.select("*").eq("data->kind", '"message"').order("id", desc=True).limit(1))
        if is_failed:
            # It has no primary key: an upsert that names no column is an insert.
            yield rows(query.upsert(as_row({**other, "id": "3"})))
            yield rows(query.delete().eq("id", "3"))
        else:
            yield rows(query.update(changed).eq("id", "1"))
            yield rows(query.upsert(row_of({**two, "offset": 3})))
            yield rows(query.upsert([row_of({**other, "offset": 4}), row_of(two)]))
            yield rows(query.select("*").order("creation_utc").order("id"))
        yield rows(query.delete().eq("id", "2"))
        yield rows(query.select("*"))
        yield rows(query.delete().eq("id", "1"))

    return list(calls())


def test_the_old_calls_go_on(adopt, client, store, database):
    asked = client()
    # POST takes no more than the 63 bytes that PostgreSQL keeps of a name.
    tables = {table[:63]: collection for table, collection in ALL.items()}
    before = {table: use(asked, table) for table in tables}
    adopt()
    assert asked.table(LONGEST).select("*").execute().data == []
    for table, collection in tables.items():
        assert use(asked, table) == before[table], table
        row = {"id": "x", "data": {"id": "x", "n": 1}}
        asked.table(table).insert(row).execute()
        assert store.find(collection).documents == (row["data"],)
        assert asked.table(table).select("id", "data").execute().data == [row]
        store.update_one(collection, {}, {"n": 2})
        assert asked.table(table).select("data->n").execute().data == [{"n": 2}]


def test_an_upsert_merges_into_what_the_store_wrote(adopt, client, store):
    adopt()
    collection = "parlant_sessions_sessions"
    store.insert_one(collection, {"id": "s", "customer_id": "c", "title": "a"})
    row = {"id": "s", "data": {"id": "s", "customer_id": "c", "title": "b"}}
    (found,) = client().table("parlant_sessions_").upsert(row).execute().data
    assert (found["customer_id"], found["data"]["title"]) == ("c", "b")
    assert [one["title"] for one in store.find(collection).documents] == ["b"]
    with pytest.raises(APIError, match="duplicate key"):
        client().table("parlant_sessions_").insert(row).execute()


def test_an_adopted_collection_goes_on_asking_for_ids(adopt, store):
    adopt()
    with pytest.raises(BackendError, match='null value in column "id"'):
        store.insert_one("parlant_sessions_sessions", {"n": 1})
    store.insert_one("parlant_sessions_sessions_failed_migrations", {"n": 1})


ALL_TABLES = frozenset(ALL)
READ_BY_USERS = frozenset(("parlant_sessions_", "parlant_sessions_events"))
LET_IN = {
    "service": {"service": ALL_TABLES},
    "owner": {"service": ALL_TABLES, "user": READ_BY_USERS},
    "open": {"service": ALL_TABLES, "user": ALL_TABLES, "anon": ALL_TABLES},
}
"""By policy, which tables each caller may name."""


def is_let_in(client: Client, table: str) -> bool:
    try:
        client.table(table).select("*").execute()
    except APIError as error:
        if error.code != "42501":
            raise
        return False
    return True


def test_the_policy_says_who_goes_on(adopt, client, stack):
    callers = {
        "anon": client(stack.anon_key),
        "user": client(stack.anon_key, USER),
        "service": client(),
    }
    assert all(is_let_in(caller, table) for caller in callers.values() for table in ALL)
    for policy, tables in LET_IN.items():
        adopt("--policy", policy)
        for name, caller in callers.items():
            let_in = {table for table in ALL if is_let_in(caller, table)}
            assert let_in == tables.get(name, set()), (policy, name)


def test_users_go_on_with_what_is_theirs(adopt, client, stack):
    service = client()
    for number, customer in ((1, USER), (2, "another")):
        session = {"id": f"s{number}", "customer_id": customer}
        service.table("parlant_sessions_").insert(row_of(session)).execute()
        event = {"id": f"e{number}", "session_id": f"s{number}"}
        service.table("parlant_sessions_events").insert(row_of(event)).execute()
    adopt("--policy", "owner")
    user = client(stack.anon_key, USER)
    for table, own in (("parlant_sessions_", "s1"), ("parlant_sessions_events", "e1")):
        found = user.table(table).select("id").execute().data
        assert found == [{"id": own}]
    event = {"id": "e3", "session_id": "s1", "n": 1}
    events = user.table("parlant_sessions_events")
    events.insert(row_of(event)).execute()
    (row,) = events.upsert(row_of({**event, "n": 2})).execute().data
    assert row["data"]["n"] == 2
    with pytest.raises(APIError, match="row-level security"):
        events.upsert(row_of({"id": "e4", "session_id": "s2"})).execute()
