"""What manage.py supabase_sql emits, run by PostgreSQL."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from parlant_store.sql.supabase.access import POLICIES
from parlant_store.sql.supabase.schema import identifier, literal, tables_sql
from tests.sql.supabase.catalogs import catalog, differences, everything
from tests.sql.supabase.databases import ODD, Database, connected, emitted, new_database, sql_for


@pytest.fixture
def empty(database: Database) -> Database:
    return database


@pytest.fixture
def migrated(project: str, migrate: Callable[..., None]) -> Iterator[Database]:
    with new_database(project) as name, connected(name) as database:
        migrate(database)
        yield database


def use(database: Database, schema: str) -> None:
    """Lets all who connect from now on work in the schema."""
    database.execute(f"create schema if not exists {identifier(schema)}")
    name = identifier(database.info.dbname)
    database.execute(f"alter database {name} set search_path to {identifier(schema)}")


def test_the_tables_and_functions_are_those_of_migrate(empty, migrated):
    empty.execute(sql_for())
    made = catalog(migrated)
    assert all(made[kind] for kind in ("columns", "sequences", "indexes", "functions", "types"))
    assert differences(catalog(empty), made) == [], "sql/schema.py must render what migrate makes"


def test_in_another_schema_they_are_those_of_migrate_too(project, empty, migrate):
    empty.execute(sql_for(schema=ODD))
    with new_database(project) as name, connected(name) as other:
        use(other, ODD)
        migrate(other)
        made = catalog(other, ODD)
        assert made["columns"]
        assert differences(catalog(empty, ODD), made) == []
    assert not any(catalog(empty, "public").values())


@pytest.mark.parametrize("schema", ["public", ODD])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_second_run_changes_nothing(empty, policy, schema):
    empty.execute("create publication supabase_realtime")
    script = emitted(schema=schema, policy=policy, realtime=True)
    empty.execute(script)
    before = everything(empty, schema)
    assert before["columns"]
    assert before["security: policies"]
    empty.execute(script)
    assert differences(everything(empty, schema), before) == []


def fill(database: Database) -> list[Any]:
    """A row in each table."""
    database.execute("""
        insert into parlant_store_document (collection, id, data) values ('c', 'd', '{"id": "d"}');
        insert into parlant_store_session (
            namespace, session_id, metadata, state, next_position, item_count
        ) values ('', 's', '{}', '{}', 1, 1);
        insert into parlant_store_session_item (session_key, position, data)
            select key, 0, '{}' from parlant_store_session;
        insert into parlant_store_request (id) values (gen_random_uuid());
    """)
    return rows(database)


def rows(database: Database) -> list[Any]:
    tables = ("document", "session", "session_item", "request")
    queries = [f"select '{table}', t.* from parlant_store_{table} t" for table in tables]
    return [row for query in queries for row in database.execute(query)]


@pytest.mark.parametrize("policy", POLICIES)
def test_the_owner_of_the_database_may_run_it(empty, policy):
    role, name = map(identifier, (f"{empty.info.dbname}_owner", empty.info.dbname))
    empty.execute(f"create role {role}; alter database {name} owner to {role}")
    empty.execute(f"grant usage on schema auth to {role}; set role {role}")
    try:
        empty.execute("create publication supabase_realtime")
        for _ in range(2):
            empty.execute(sql_for(policy=policy, realtime=True))
        owners = empty.execute(
            "select distinct tableowner from pg_tables where schemaname = 'public'"
        )
        assert owners.fetchall() == [(f"{empty.info.dbname}_owner",)]
    finally:
        empty.execute(f"rollback; reset role; reassign owned by {role} to current_user")
        empty.execute(f"drop owned by {role}; drop role {role}")


@pytest.mark.parametrize("policy", POLICIES)
def test_tables_that_migrate_made_keep_their_rows_and_become_the_same(empty, migrated, policy):
    kept = fill(migrated)
    assert len(kept) == 4
    script = emitted(policy=policy)
    migrated.execute(script)
    assert rows(migrated) == kept
    empty.execute(script)
    assert differences(everything(migrated), everything(empty)) == []


def test_the_app_may_come_to_django_after_the_script(empty, migrate):
    empty.execute(sql_for(policy="owner"))
    kept, before = fill(empty), everything(empty)
    migrate(empty, fake_initial=True)
    assert differences(everything(empty), before) == []
    assert rows(empty) == kept
    applied = empty.execute("select app, name from django_migrations").fetchall()
    assert ("parlant_store", "0001_initial") in applied


def test_a_failing_script_leaves_nothing_behind(empty):
    with pytest.raises(psycopg.Error, match="publication supabase_realtime does not exist"):
        empty.execute(sql_for(realtime=True))
    empty.execute("rollback")
    assert not any(catalog(empty).values())


def published(database: Database) -> set[tuple[str, str]]:
    found = database.execute("select schemaname, tablename from pg_publication_tables")
    return set(found.fetchall())


def test_realtime_publishes_sessions_items_and_documents(empty):
    empty.execute("create table other (key int)")
    empty.execute("create publication supabase_realtime for table other")
    empty.execute(sql_for(schema=ODD, realtime=True))
    tables = ("document", "session", "session_item")
    own = {(ODD, f"parlant_store_{table}") for table in tables}
    assert published(empty) == {("public", "other"), *own}


def test_realtime_takes_a_publication_of_all_tables(empty):
    empty.execute("create publication supabase_realtime for all tables")
    empty.execute(sql_for(realtime=True))
    assert ("public", "parlant_store_session") in published(empty)


def test_postgrest_is_told(empty):
    with connected(empty.info.dbname) as listener:
        listener.execute("listen pgrst")
        empty.execute(sql_for())
        (told,) = listener.notifies(timeout=120, stop_after=1)
    assert told.payload == "reload schema"


def test_a_schema_of_63_bytes_is_whole(empty):
    schema = "s" * 63
    empty.execute(sql_for(schema=schema))
    assert catalog(empty, schema)["columns"]


def test_parts_of_a_do_block_are_quoted(empty):
    """The quotes of a DO block never occur in the schema's name."""
    schema = "$$ $q$ $qq$"
    empty.execute(f"create schema {identifier(schema)}")
    empty.execute(tables_sql(schema))
    assert catalog(empty, schema)["constraints"]
    assert literal("a'b\\") == " E'a''b\\\\'"
