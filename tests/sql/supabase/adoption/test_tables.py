"""Which tables are adopted, and what becomes of each row."""

from typing import Any

import psycopg
import pytest
from django.core.management import CommandError
from psycopg.types.json import Jsonb

from parlant_store.sql.supabase.schema import identifier
from tests.sql.supabase.adoption.adopted import PARTITIONS, adopted, documents, rows_of
from tests.sql.supabase.adoption.adopted import adopt as adopt
from tests.sql.supabase.adoption.adopted import client as client
from tests.sql.supabase.adoption.adopted import stack as stack
from tests.sql.supabase.adoption.adopted import store as store
from tests.sql.supabase.adoption.old_tables import (
    ALL,
    SELECTOOLS,
    SELECTOOLS_SQL,
    tables_sql,
)
from tests.sql.supabase.catalogs import differences, everything
from tests.sql.supabase.databases import ODD, Database, connected, emitted, new_database, sql_for
from tests.sql.supabase.linter import READ_BY_USERS, UNAVOIDABLE, findings

MANY = 20


def test_an_id_held_twice_is_kept_beside_and_named(adopt, client, store, database):
    table = "parlant_sessions_events_failed_migrations"
    collection = ALL[table]
    query = client().table(table)
    first, second = {"id": "e", "n": 1, "session_id": "s"}, {"id": "e", "n": 2, "version": "0.1"}
    for document in (first, second):
        query.insert({"id": "e", "data": document}).execute()
    query.insert([{"id": None, "data": {"n": 3}}, {"id": None, "data": {"n": 3}}]).execute()
    query.insert([{"id": "f", "data": None}, {"id": "f", "data": {}}]).execute()
    said = adopt()
    assert (
        f"{table}: 2 of 6 rows have the id of another row; they are in {collection} now: e, f"
        in said
    )
    found = documents(database, collection)
    assert len(found) == 6
    plain = [document for document in found if "reason" not in document]
    assert plain == [first, {"n": 3}, {"n": 3}, {"id": "f"}]
    beside = {document["document"]["id"]: document for document in found if "reason" in document}
    assert beside["e"]["document"] == second
    assert beside["f"]["document"] == {"id": "f"}
    assert beside["e"]["version"] == "0.1"
    assert beside["e"]["reason"] == f"the table {table} had the id 'e' twice"
    assert beside["e"]["collection"] == "parlant_sessions_events"
    assert len(query.select("*").execute().data) == 6
    assert len(store.find(collection, {"reason": {"$ne": None}}).documents) == 2


def write(database: Database, collection: str, document: dict[str, Any]) -> None:
    database.execute(
        "insert into parlant_store_document (collection, data) values (%s, %s)",
        [collection, Jsonb(document)],
    )


def test_a_document_of_the_store_keeps_its_id(database):
    database.execute(tables_sql())
    for table in ("parlant_sessions_", "parlant_sessions_events"):
        database.execute(
            f"insert into {table} (id, customer_id, data) values ('a', 'c', '{{\"n\": 1}}'),"
            " ('b', 'c', '{\"id\": \"c\"}'), ('d', null, '{\"id\": \"c\"}')"
        )
    # The one is in a partition, the other in the default one.
    database.execute(sql_for(collections="parlant_sessions_sessions"))
    insert = (
        "insert into parlant_store_document (collection, id, data, expires_at)"
        " values (%s, %s, %s, %s)"
    )
    for collection in ("parlant_sessions_sessions", "parlant_sessions_events"):
        new = {"id": "a", "n": 2}
        database.execute(insert, [collection, "a", Jsonb(new), None])
        database.execute(insert, [collection, "c", Jsonb({"id": "c"}), "2020-01-01"])
    adopted(database, "--adopt")
    for collection in ("parlant_sessions_sessions", "parlant_sessions_events"):
        assert sorted(documents(database, collection), key=lambda one: one["id"]) == [
            {"id": "a", "n": 2},
            {"id": "c", "customer_id": "c"},
        ]
        aside = documents(database, f"{collection}_failed_migrations")
        kept = [document["document"] for document in aside]
        assert sorted(kept, key=lambda one: one["id"]) == [
            {"id": "a", "n": 1, "customer_id": "c"},
            {"id": "c"},
        ]
    for name in ("parlant_sessions_", "parlant_sessions_sessions"):
        assert len(rows_of(database, name)) == 2


# Other tables


def test_other_tables_are_named(database):
    names = {"shop_": "shop_sessions", "Old Events": "shop_" + "é" * 40, "same": "same"}
    for table in names:
        database.execute(
            f'create table "{table}" (id text primary key, data jsonb);'
            f"insert into \"{table}\" select n, '{{}}' from generate_series(1, {MANY}) n"
        )
    named = ",".join(f"{table}={collection}" for table, collection in names.items())
    script = emitted("--adopt", named.removesuffix("=same"))
    assert "--adopt 'shop_=shop_sessions,Old Events=shop_" in script
    database.execute(script)
    made = everything(database), everything(database, PARTITIONS)
    for table, collection in names.items():
        assert len(documents(database, collection)) == MANY
        assert len(rows_of(database, f'"{table}"')) == MANY
    database.execute(script)
    database.execute(sql_for("--adopt"))
    database.execute(sql_for(collections="same"))
    assert (everything(database), everything(database, PARTITIONS)) == made


def test_data_of_rows_without_an_id_must_be_objects_too(database):
    database.execute("create table c (id text, data jsonb); insert into c values (null, '5')")
    with pytest.raises(psycopg.Error, match="data of a row without an id must be a JSON object"):
        database.execute(sql_for("--adopt", "c"))


def test_a_documented_table_may_be_named_for_another_collection(database):
    database.execute(tables_sql())
    database.execute("insert into parlant_customers_ (id) values ('a')")
    adopted(database, "--adopt", "parlant_customers_=c")
    assert documents(database, "c") == [{"id": "a"}]
    assert documents(database, ALL["parlant_customers_"]) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a=b,a=c", "The table 'a' is named twice"),
        (f"{'a' * 63}=b,{'a' * 64}=c", "is named twice"),
        ("a=c,b=c", "The collection 'c' is named for two tables, 'a' and 'b'"),
        (f"a={'é' * 248}", "The collection of 'a' has 514 bytes with '_failed_migrations'"),
        ("a=", "The collection of 'a' must not be empty"),
        ("=a", "The collection '' has 0 bytes"),
        ("", "The collection of '' must not be empty"),
        ("a\nb=c", "cannot be printed"),
        ("parlant_store_session=c", "has the name of another table"),
        ("auth_user=c", "has the name of another table"),
    ],
)
def test_a_wrong_option_is_refused(given, message):
    with pytest.raises(CommandError, match=message):
        emitted("--adopt", given)


def test_one_table_is_not_for_two_collections():
    with pytest.raises(CommandError, match="The table 'c' is named for two collections"):
        emitted("--collections", "c", "--adopt", "c=d")


def test_a_named_table_that_is_not_there_is_an_error(database):
    with pytest.raises(psycopg.Error, match="there is no table x to adopt in the schema public"):
        database.execute(sql_for("--adopt", "x=y"))


SHOWN_TO_USERS = READ_BY_USERS | {
    *(
        f"{schema}.{table}"
        for schema in ("public", PARTITIONS)
        for table in ("parlant_sessions_", "parlant_sessions_events")
    ),
}
"""What users read by its name, each what is theirs: pg_graphql shows them that it is there."""


@pytest.mark.parametrize(
    ("schema", "policy"), [("public", "service"), ("public", "owner"), (ODD, "open")]
)
def test_the_second_run_changes_nothing(database, schema, policy):
    database.execute(tables_sql())
    database.execute(SELECTOOLS_SQL)
    if schema != "public":
        name = '"' + schema.replace('"', '""') + '"'
        database.execute(f"create schema {name}")
        for table in (*ALL, SELECTOOLS):
            database.execute(f"alter table public.{table} set schema {name}")
    options = ("--policy", policy, "--schema", schema)
    others = f"{PARTITIONS}_{schema}" if schema != "public" else PARTITIONS
    database.execute(sql_for("--adopt", *options))
    made = everything(database, schema), everything(database, others)
    assert len(made[1]["security: policies"]) >= len(ALL) + 1
    for again in (
        emitted("--adopt", *options),
        emitted(*options),
        emitted("--collections", "parlant_sessions_events", *options),
    ):
        database.execute(again)
        assert (everything(database, schema), everything(database, others)) == made
    found = findings(database.cursor(), (schema, others))
    assert {finding.rule for finding in found} == UNAVOIDABLE[policy]
    if policy != "open":
        shown = {finding.object for finding in found if finding.rule in ("0026", "0027")}
        assert shown == (SHOWN_TO_USERS if policy == "owner" else set())


def test_the_owner_of_the_database_may_adopt(database):
    """As postgres on Supabase, who is no superuser."""
    role, name = map(identifier, (f"{database.info.dbname}_owner", database.info.dbname))
    database.execute(f"create role {role}; alter database {name} owner to {role}")
    database.execute(f"grant usage on schema auth to {role}; set role {role}")
    try:
        database.execute(f"{tables_sql()}; {SELECTOOLS_SQL}")
        database.execute(f"insert into {SELECTOOLS} (session_id, memory_json) values ('a', '{{}}')")
        for _ in range(2):
            database.execute(sql_for("--adopt", "--policy", "owner"))
        assert len(rows_of(database, "parlant_store_session")) == 1
    finally:
        database.execute(f"rollback; reset role; reassign owned by {role} to current_user")
        database.execute(f"drop owned by {role}; drop role {role}")


def test_a_collection_that_is_a_partition_takes_the_rows(database):
    """Both names go on."""
    database.execute(tables_sql())
    collection = "parlant_sessions_sessions"
    database.execute("insert into parlant_sessions_ (id) values ('old')")
    database.execute(sql_for(collections=collection))
    database.execute(f"insert into {collection} (id) values ('new')")
    keys = "select id, key from parlant_store_document"
    before = dict(database.execute(keys).fetchall())
    adopted(database, "--adopt")
    found = dict(database.execute(keys).fetchall())
    assert found["new"] == before["new"]
    assert len({*found.values()}) == 2
    for name in (collection, "parlant_sessions_"):
        database.execute(f"insert into {name} (id) values (%s)", [f"by {name}"])
        assert {"old", "new", f"by {name}"} <= {row[0] for row in rows_of(database, name)}
    assert len(documents(database, collection)) == 4
    may = "select has_table_privilege('service_role', %s, 'insert')"
    assert database.execute(may, [collection]).fetchone() == (True,)


def test_partitions_of_an_earlier_version_get_primary_keys_of_their_own(project, database):
    with new_database(project) as name, connected(name) as other:
        other.execute(sql_for(collections="c"))
        made = everything(other), everything(other, PARTITIONS)
    database.execute(sql_for(collections="c"))
    for partition in ("parlant_store_document_default", f"{PARTITIONS}.c"):
        (key,) = database.execute(
            "select conname from pg_constraint where contype = 'p' and conrelid = %s::regclass",
            [partition],
        ).fetchone()
        database.execute(f"alter table {partition} drop constraint {key}")
    database.execute("alter table parlant_store_document add primary key (key, collection)")
    database.execute(sql_for(collections="c"))
    found = everything(database), everything(database, PARTITIONS)
    ours = [differences(*pair) for pair in zip(found, made, strict=True)]
    assert [row for rows in ours for row in rows if "pkey" not in row] == []
    write(database, "c", {"id": "a"})
    assert rows_of(database, "c")[0][0] == "a"
