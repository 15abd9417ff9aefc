"""Collections of documents that are tables of their names, over the real PostgREST."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from django.core.management import CommandError
from postgrest.exceptions import APIError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row
from psycopg.types.json import Json
from supabase import Client

from parlant_store.backends.columns import promoted
from parlant_store.backends.orm import OrmBackend
from parlant_store.exceptions import DuplicateDocument
from parlant_store.models import Document
from parlant_store.sql.supabase.access import POLICIES
from parlant_store.sql.supabase.partitions import partitions_schema, partitions_sql
from parlant_store.sql.supabase.schema import identifier, tables_sql
from parlant_store.types import PROMOTED
from tests.contract.documents import DocumentContract
from tests.contract.stores import MakeStore
from tests.contract.values import IDS
from tests.servers.supabase import Stack, supabase
from tests.servers.supabase_fixtures import client_of, django_dsn, stores_on
from tests.sql.supabase.catalogs import differences, everything
from tests.sql.supabase.databases import ODD, Database, aliased, connected, emitted, new_database
from tests.sql.supabase.databases import database as database
from tests.sql.supabase.databases import migrate as migrate
from tests.sql.supabase.databases import project as project
from tests.sql.supabase.linter import UNAVOIDABLE, findings

SESSIONS, EVENTS = "parlant_sessions_sessions", "parlant_sessions_events"
NAMED = ("c", "other", SESSIONS, EVENTS)
DEFAULT = "parlant_store_document_default"
TABLES = ("document", "session_item", "session", "request")
A, B = str(UUID(int=10)), str(UUID(int=11))

Row = dict[str, Any]


@pytest.fixture(scope="module")
def running(project: str) -> Iterator[Stack]:
    with new_database(project) as name, connected(name) as database:
        database.execute(emitted(collections=",".join(NAMED), policy="owner"))
        with supabase(make_conninfo(django_dsn(), dbname=name)) as stack:
            yield stack


@pytest.fixture(scope="module")
def cleaner(running: Stack) -> Iterator[Database]:
    with connected(database_of(running)) as database:
        yield database


@pytest.fixture
def stack(running: Stack, cleaner: Database) -> Iterator[Stack]:
    """With empty tables, and without the indexes that a test makes."""
    yield running
    for table in TABLES:
        cleaner.execute(f"delete from parlant_store_{table}")
    for (index,) in cleaner.execute(
        "select oid::regclass from pg_class where relkind = 'I'"
        " and relname ~ '^parlant_store_doc_[ux]_'"
    ).fetchall():
        cleaner.execute(f"drop index {index}")


@pytest.fixture
def sql(stack: Stack) -> Iterator[Database]:
    with connected(database_of(stack)) as database:
        yield database


def database_of(stack: Stack) -> str:
    return str(conninfo_to_dict(stack.dsn)["dbname"])


@pytest.fixture
def make_store(stack: Stack) -> Iterator[MakeStore]:
    with stores_on(stack) as make:
        yield make


class TestPartitionedDocuments(DocumentContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


# By name, over the REST API

EVENT = {
    "id": "e1",
    "version": "0.6.0",
    "creation_utc": "2030-01-01T00:00:00+00:00",
    "session_id": "s1",
}
EMPTY = dict.fromkeys(PROMOTED)


@pytest.fixture
def client(stack: Stack, http: httpx.Client) -> Callable[..., Client]:
    def make(key: str = stack.service_key, user: str | None = None) -> Client:
        return client_of(stack, http, key, None if user is None else stack.user_token(user))

    return make


@pytest.fixture
def events(client: Callable[..., Client]) -> Any:
    """The builder of queries of the service's on the partition of events."""
    return lambda: client().table(EVENTS)


@pytest.fixture
def store(make_store: MakeStore) -> Any:
    return make_store()


def in_columns(row: Row) -> Row:
    return {name: row[name] for name in PROMOTED}


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


def columns_of(document: Row) -> Row:
    return EMPTY | promoted(document)


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


@pytest.mark.parametrize("schema", ["public", ODD])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_second_run_changes_nothing(database, policy, schema):
    database.execute("create publication supabase_realtime")
    options = {"schema": schema, "policy": policy, "realtime": True}
    script = emitted(collections=f"c,{ODD.replace(',', '')}", **options)
    database.execute(script)
    made = whole(database, schema)
    assert all(
        made[kind] for kind in ("columns", "partitions: columns", "partitions: security: policies")
    )
    assert len(partitions(database, schema)) == 3
    for again in (script, emitted(**options), emitted(collections="c", adopt=True, **options)):
        database.execute(again)
        assert differences(whole(database, schema), made) == []


@pytest.mark.parametrize("policy", POLICIES)
def test_the_owner_of_the_database_may_run_it(database, policy):
    role, name = map(identifier, (f"{database.info.dbname}_owner", database.info.dbname))
    database.execute(f"create role {role}; alter database {name} owner to {role}")
    database.execute(f"grant usage on schema auth to {role}; set role {role}")
    try:
        database.execute(f"create table d ({LAYOUTS['documented'][0]})")
        for _ in range(2):
            database.execute(emitted(policy=policy, collections="c,d", adopt=True))
        write(database, "c", "a")
        owners = (
            "select distinct relowner::regrole::text from pg_class"
            " where relispartition or relname ~ '^parlant' or relname in ('c', 'd')"
        )
        assert database.execute(owners).fetchall() == [(f"{database.info.dbname}_owner",)]
    finally:
        database.execute(f"rollback; reset role; reassign owned by {role} to current_user")
        database.execute(f"drop owned by {role}; drop role {role}")


def test_who_runs_it_does_not_take_the_tables_of_their_owner(database):
    role = identifier(f"{database.info.dbname}_django")
    database.execute(f"create role {role}; grant all on schema public to {role}; set role {role}")
    try:
        database.execute(tables_sql("public"))
        database.execute("reset role")
        database.execute("grant select on parlant_store_document to pg_monitor")
        database.execute(emitted(collections="c"))
        database.execute(f"set role {role}")
        insert = "insert into parlant_store_document (collection, id, data) values (%s, 'a', '{}')"
        for collection in ("c", "d"):
            database.execute(insert, [collection])
        assert len(rows(database)) == 2
        granted = "select has_table_privilege('pg_monitor', 'parlant_store_document', 'select')"
        assert database.execute(granted).fetchone() == (True,)
    finally:
        database.execute(f"reset role; drop owned by {role} cascade; drop role {role}")


@pytest.mark.parametrize("policy", POLICIES)
def test_the_linter_finds_nothing_and_each_partition_has_row_level_security(database, policy):
    database.execute(emitted(policy=policy, collections=",".join(NAMED)))
    schemas = ("public", partitions_schema("public"))
    found = findings(database.cursor(), schemas)
    assert {finding.rule for finding in found} == UNAVOIDABLE[policy]
    shown = {finding.object for finding in found if finding.rule == "0027"}
    tables = {f"public.parlant_store_{name}" for name in ("session", "session_item")}
    views = {f"{schema}.{name}" for schema in schemas for name in (SESSIONS, EVENTS)}
    assert policy == "open" or shown == (tables | views if policy == "owner" else set())
    flags = database.execute(
        "select relrowsecurity from pg_class"
        " where relispartition and relkind = 'r' or relname = 'parlant_store_document'"
    )
    assert flags.fetchall() == [(True,)] * (len(NAMED) + 2)


def test_another_policy_is_that_of_every_partition(database):
    database.execute(emitted(policy="open", collections="c,d"))
    write(database, "c", "a")
    may = "select has_table_privilege('anon', oid, 'select') from pg_class where relname = 'c'"
    assert database.execute(may).fetchall() == [(True,)] * 2
    database.execute(emitted(policy="service"))
    assert database.execute(may).fetchall() == [(False,)] * 2
    policies = "select distinct policyname from pg_policies"
    assert database.execute(policies).fetchall() == [("parlant_store_service",)]
    for table in ("c", "parlant_store_collections.c", "parlant_store_document"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), database.transaction():
            database.execute("set local role authenticated")
            database.execute(f"select from {table}")
        with database.transaction():
            database.execute("set local role service_role")
            assert len(database.execute(f"select from {table}").fetchall()) == 1


def test_keys_go_on_and_are_each_ones_own(database):
    database.execute(emitted())
    write(database, "c", "a", "b", "gone")
    write(database, "d", "a")
    database.execute("delete from parlant_store_document where key > 2")
    database.execute(emitted(collections="c"))
    write(database, "c", "c")
    write(database, "d", "b")
    database.execute("insert into c (id) values ('by name')")
    assert [(row[0], row[2]) for row in rows(database)] == [
        (1, "a"), (2, "b"), (5, "c"), (6, "b"), (7, "by name")
    ]  # fmt: skip


def test_rows_of_a_table_that_migrate_made_stay(database, migrate):
    migrate(database)
    for collection in (EVENTS, "free", "c"):
        write(database, collection, "a", "b", session_id="s", note="\ud7ff")
    database.execute("update parlant_store_document set expires_at = now() where id = 'b'")
    index = "parlant_store_doc_u_0123456789abcdef"
    database.execute(
        f"select parlant_store_ensure_index('{index}', 'c', '[[\"name\", \"asc\"]]', true)"
    )
    kept = rows(database)
    assert len(kept) == 6
    for names, expected in (("c", {"c"}), (f"{EVENTS},more", {"c", EVENTS, "more"})):
        database.execute(emitted(collections=names, policy="owner"))
        made = {name: f"FOR VALUES IN ('{name}')" for name in expected}
        assert partitions(database) == {DEFAULT: "DEFAULT"} | {
            f"parlant_store_collections.{name}": bound for name, bound in made.items()
        }
        assert rows(database) == kept
    for name in (EVENTS, "c"):
        of_name = [row for row in kept if row[1] == name]
        assert rows(database, f"parlant_store_collections.{name}") == of_name
        assert len(database.execute(f"select from {name}").fetchall()) == 1
    database.execute("insert into c (id, data) values ('c', '{\"name\": 1}')")
    with pytest.raises(psycopg.errors.UniqueViolation, match=index):
        database.execute("insert into c (id, data) values ('d', '{\"name\": 1}')")


def test_plain_indexes_and_constraints_are_those_of_the_plain_table(project, database):
    found = (
        "select indexname, replace(indexdef, 'ON ONLY', 'ON') from pg_indexes"
        " where tablename = 'parlant_store_document' and indexname not like '%_pkey' order by 1"
    )
    columns = (
        "select attnum, attname, attnotnull, format_type(atttypid, atttypmod), attcollation"
        " from pg_attribute where attrelid = 'parlant_store_document'::regclass and attnum > 0"
    )
    database.execute(emitted())
    plain = [database.execute(query).fetchall() for query in (found, columns)]
    database.execute(emitted(collections="c"))
    assert [database.execute(query).fetchall() for query in (found, columns)] == plain


def test_a_publication_of_documents_has_their_partitions(database):
    database.execute("create publication supabase_realtime")
    database.execute(emitted(realtime=True))
    database.execute(emitted(collections="c"))
    published = database.execute("select tablename from pg_publication_tables").fetchall()
    assert {(DEFAULT,), ("c",)} <= set(published)


BOUND = {
    "view": "create view seen as select id from parlant_store_document",
    "trigger parlant_store": "create trigger parlant_store after insert on parlant_store_document"
    " execute function suppress_redundant_updates_trigger()",
    "policy own": "create policy own on parlant_store_document using (id = 'a')",
    "constraint": "create table other (key bigint references parlant_store_document (key))",
    "publication": "create publication one for table parlant_store_document (key)",
}


@pytest.mark.parametrize("what", BOUND)
def test_what_hangs_on_the_plain_table_is_named(database, what):
    database.execute(emitted())
    write(database, "c", "a")
    database.execute(BOUND[what])
    before = whole(database), rows(database)
    with pytest.raises(psycopg.Error, match=f"cannot be partitioned with: .*{what.split()[0]}"):
        database.execute(emitted(collections="c"))
    database.execute("rollback")
    assert (whole(database), rows(database)) == before


def test_django_can_take_it_all_away(database, migrate):
    migrate(database)
    database.execute(emitted(collections="c", policy="owner"))
    write(database, "c", "a")
    migrate(database, migration_name="zero")
    assert partitions_left(database) == []


def partitions_left(database: Database) -> list[Any]:
    return database.execute("select relname from pg_class where relispartition").fetchall()


# Tables to adopt

MANY = 1_000
UUIDS = "('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid"
DATA = """
    jsonb_build_object('n', n, 'agent_id', null, 'text', repeat('x', n)) || (case n % 3
        when 0 then '{"version": "9", "session_id": "s"}' when 1 then '{"version": 9}' else '{}'
    end)::jsonb"""
LAYOUTS = {
    "documented": (
        "id text primary key, version text not null, creation_utc text not null, session_id text,"
        " customer_id text, agent_id text, data jsonb not null",
        f"n, '1', '2030', case when n % 2 = 0 then 't' end, 'c', 'a', {DATA}",
    ),
    "of other types": (
        "id uuid primary key default gen_random_uuid(), version varchar(20) default '1',"
        " creation_utc timestamptz not null default now(), session_id uuid, customer_id char(9),"
        " agent_id varchar, data json default '{}', updated_at timestamp default localtimestamp",
        f"{UUIDS}, null, '2030-01-01 00:00+00'::timestamptz + n * interval '0.5 s', {UUIDS},"
        f" 'c ', '', {DATA}, '2030-01-01'",
    ),
    "the least": ("data jsonb, id text unique", f"{DATA}, n"),
    "in another order": (
        "data jsonb, session_id text generated always as (data ->> 'session_id') stored,"
        " creation_utc timestamp, expires_at timestamptz, id varchar primary key",
        f"{DATA}, default, '2030-01-01'::timestamp + n * interval '1 h', null, n",
    ),
    "with keys": (
        "key bigint generated always as identity, collection text, data jsonb check (data <> '5'),"
        ' id text collate "POSIX" primary key, updated_at timestamptz',
        f"default, null, {DATA}, n, null",
    ),
}


def old_table(database: Database, layout: str, name: str = EVENTS) -> dict[str, Row]:
    """Makes a table of the layout, in an empty database; the documents that its rows are."""
    columns, values = LAYOUTS[layout]
    values = values.replace("default,", "")
    generated = {"session_id", "key"} if "default," in LAYOUTS[layout][1] else set()
    database.execute(f"set timezone to 'Asia/Tokyo'; create table {name} ({columns})")
    made = [row.name for row in database.execute(f"select * from {name}").description or ()]
    named = ", ".join(column for column in made if column not in generated)
    database.execute(
        f"insert into {name} ({named}) select {values} from generate_series(1, {MANY}) n"
    )
    with database.cursor(row_factory=dict_row) as cursor:
        documents = [document_of(row) for row in cursor.execute(f"select * from {name}")]
    assert len(documents) == MANY
    return {document["id"]: document for document in documents}


def document_of(row: Row) -> Row:
    """What its data says, and what its columns say where data says nothing."""
    columns = {name: text_of(row[name]) for name in PROMOTED if row.get(name) is not None}
    data: Row = row["data"]
    return data | {name: text for name, text in columns.items() if type(data.get(name)) is not str}


def text_of(value: Any) -> str:
    if isinstance(value, datetime):
        value = value if value.tzinfo else value.replace(tzinfo=UTC)
        return value.astimezone(UTC).isoformat()
    return str(value).rstrip(" ")


@pytest.mark.parametrize("policy", ["service", "owner"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_old_table_is_adopted_with_its_rows(database, layout, policy):
    documents = old_table(database, layout)
    database.execute(
        f"create policy anyone on {EVENTS} using (true); grant all on {EVENTS} to anon"
    )
    table = database.execute(f"select '{EVENTS}'::regclass::oid").fetchone()
    options = {"collections": f"c,{EVENTS}", "policy": policy}
    database.execute(emitted(adopt=True, **options))
    made = whole(database)
    database.execute(emitted(adopt=True, **options))
    database.execute(emitted(**options))
    assert differences(whole(database), made) == []
    partition = f"parlant_store_collections.{EVENTS}"
    assert database.execute(f"select '{partition}'::regclass::oid").fetchone() == table
    with database.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("select * from parlant_store_document order by key").fetchall()
    assert {row["id"]: row["data"] for row in found} == documents
    assert [row["key"] for row in found] == list(range(1, MANY + 1))
    assert all(in_columns(row) == columns_of(row["data"]) for row in found)
    assert {row["collection"] for row in found} == {EVENTS}
    assert all(row["updated_at"].tzinfo for row in found)
    write(database, EVENTS, "new")
    database.execute(f"insert into {EVENTS} (id, data) values ('by name', '{{}}')")
    assert len(database.execute(f"select id from {EVENTS}").fetchall()) == MANY + 2
    assert {finding.rule for finding in findings(database.cursor())} == UNAVOIDABLE[policy]


def test_defaults_of_an_old_table_stay(database):
    old_table(database, "of other types")
    database.execute(emitted(collections=EVENTS, adopt=True))
    database.execute(f"insert into {EVENTS} (session_id) values ('new')")
    (data,) = database.execute(
        "select data from parlant_store_document where session_id = 'new'"
    ).fetchone()
    assert UUID(data["id"])
    assert data["version"] == "1"
    assert datetime.fromisoformat(data["creation_utc"]).utcoffset() == timedelta()
    assert "T" in data["creation_utc"]


def test_an_old_table_takes_the_documents_of_its_name(database):
    database.execute(emitted())
    write(database, EVENTS, "a", "b")
    old_table(database, "documented")
    database.execute(emitted(collections=EVENTS, adopt=True))
    assert len(rows(database)) == MANY + 2
    assert len({row[0] for row in rows(database)}) == MANY + 2
    assert rows(database, DEFAULT) == []


def test_an_old_table_with_keys_of_documents_is_left_alone(database):
    database.execute(emitted())
    write(database, "c", "a")
    old_table(database, "with keys")
    with pytest.raises(psycopg.Error, match="documents have keys of its rows"):
        database.execute(emitted(collections=EVENTS, adopt=True))


REFUSED = {
    "create table c (id text primary key, data jsonb)": (False, "c exists already"),
    "create view c as select 'a' as id": (False, "c exists already"),
    "create view c as select 'b' as id": (True, "c cannot be adopted: it is not a plain table"),
    "create table c (key bigint)": (True, "c cannot be adopted: it has no column id, data"),
    "create table c (id text, data jsonb, extra int, more text)": (
        True,
        "c cannot be adopted with its column extra integer, more text",
    ),
    "create table c (id int, data jsonb)": (True, "c cannot be adopted with its column id integer"),
    "create table c (id text, data text)": (True, "c cannot be adopted with its column data text"),
    "create table c (id text primary key, data jsonb); insert into c values ('a', '[]')": (
        True,
        "data of 'a' must be a JSON object",
    ),
}


@pytest.mark.parametrize("statement", REFUSED)
def test_another_table_is_left_alone(database, statement):
    database.execute(statement)
    before = whole(database)
    adopt, message = REFUSED[statement]
    with pytest.raises(psycopg.Error, match=message) as error:
        database.execute(emitted(collections="c", adopt=adopt))
    assert adopt or "--adopt" in str(error.value)
    database.execute("rollback")
    assert differences(whole(database), before) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"collections": ""}, "The collection '' has 0 bytes"),
        ({"collections": "c,"}, "The collection '' has 0 bytes"),
        ({"collections": "é" * 32}, "has 64 bytes"),
        ({"collections": "c,a\nb"}, "cannot be printed"),
        ({"collections": "a\0"}, "cannot be printed"),
        ({"collections": "\ud800"}, "cannot be printed"),
        ({"collections": "parlant_store_document"}, "has the name of another table"),
        ({"collections": "parlant_store_doc_id"}, "has the name of another table"),
        ({"collections": "django_migrations"}, "has the name of another table"),
        ({"collections": "auth_user_groups"}, "has the name of another table"),
    ],
)
def test_a_wrong_option_is_refused(options, message):
    with pytest.raises(CommandError, match=message):
        emitted(**options)


def test_names_that_sql_has_to_quote(database):
    names = [ODD.replace(",", ""), "select", "Ä b", "x" * 63]
    database.execute(emitted(collections=", ".join(names)))
    for name in names:
        write(database, name, "a")
        database.execute(f"insert into {identifier(name)} (id) values ('b')")
    assert [row[1] for row in rows(database)] == [name for name in names for _ in "ab"]
    assert rows(database, DEFAULT) == []


def test_partitions_need_names():
    with pytest.raises(ValueError, match="no collection to partition"):
        partitions_sql("public", [])


@pytest.mark.parametrize("schema", ["public", "s", "s" * 63])
def test_each_schema_has_partitions_of_its_own(schema):
    name = partitions_schema(schema)
    assert name.startswith("parlant_store_collections")
    assert len(name) <= 63
    assert schema == "public" or name != partitions_schema("public")
