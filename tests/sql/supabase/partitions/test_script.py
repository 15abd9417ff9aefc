"""What the script makes of collections that are named."""

from typing import Any

import psycopg
import pytest
from django.core.management import CommandError

from parlant_store.sql.supabase.access import POLICIES
from parlant_store.sql.supabase.partitions import partitions_schema, partitions_sql
from parlant_store.sql.supabase.schema import identifier, tables_sql
from tests.sql.supabase.catalogs import differences
from tests.sql.supabase.databases import ODD, Database, emitted, sql_for
from tests.sql.supabase.linter import READ_BY_USERS, UNAVOIDABLE, findings
from tests.sql.supabase.partitions.partitioned import (
    DEFAULT,
    EVENTS,
    NAMED,
    SESSIONS,
    partitions,
    rows,
    whole,
    write,
)
from tests.sql.supabase.partitions.test_old_tables import LAYOUTS


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
            database.execute(sql_for(policy=policy, collections="c,d", adopt=True))
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
        database.execute(sql_for(collections="c"))
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
    database.execute(sql_for(policy=policy, collections=",".join(NAMED)))
    schemas = ("public", partitions_schema("public"))
    found = findings(database.cursor(), schemas)
    assert {finding.rule for finding in found} == UNAVOIDABLE[policy]
    shown = {finding.object for finding in found if finding.rule == "0027"}
    views = {f"{schema}.{name}" for schema in schemas for name in (SESSIONS, EVENTS)}
    assert policy == "open" or shown == (READ_BY_USERS | views if policy == "owner" else set())
    flags = database.execute(
        "select relrowsecurity from pg_class"
        " where relispartition and relkind = 'r' or relname = 'parlant_store_document'"
    )
    assert flags.fetchall() == [(True,)] * (len(NAMED) + 2)


def test_another_policy_is_that_of_every_partition(database):
    database.execute(sql_for(policy="open", collections="c,d"))
    write(database, "c", "a")
    may = "select has_table_privilege('anon', oid, 'select') from pg_class where relname = 'c'"
    assert database.execute(may).fetchall() == [(True,)] * 2
    database.execute(sql_for(policy="service"))
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
    database.execute(sql_for())
    write(database, "c", "a", "b", "gone")
    write(database, "d", "a")
    database.execute("delete from parlant_store_document where key > 2")
    database.execute(sql_for(collections="c"))
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
        database.execute(sql_for(collections=names, policy="owner"))
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
    database.execute(sql_for())
    plain = [database.execute(query).fetchall() for query in (found, columns)]
    database.execute(sql_for(collections="c"))
    assert [database.execute(query).fetchall() for query in (found, columns)] == plain


def test_a_publication_of_documents_has_their_partitions(database):
    database.execute("create publication supabase_realtime")
    database.execute(sql_for(realtime=True))
    database.execute(sql_for(collections="c"))
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
    database.execute(sql_for())
    write(database, "c", "a")
    database.execute(BOUND[what])
    before = whole(database), rows(database)
    with pytest.raises(psycopg.Error, match=f"cannot be partitioned with: .*{what.split()[0]}"):
        database.execute(sql_for(collections="c"))
    database.execute("rollback")
    assert (whole(database), rows(database)) == before


def test_django_can_take_it_all_away(database, migrate):
    migrate(database)
    database.execute(sql_for(collections="c", policy="owner"))
    write(database, "c", "a")
    migrate(database, migration_name="zero")
    assert partitions_left(database) == []


def partitions_left(database: Database) -> list[Any]:
    return database.execute("select relname from pg_class where relispartition").fetchall()


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
    database.execute(sql_for(collections=", ".join(names)))
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
