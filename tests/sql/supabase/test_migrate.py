"""What is closed after manage.py migrate in a project of Supabase, before any script of it ran."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import override_settings
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from parlant_store import stores
from tests.sql.supabase.catalogs import differences, everything
from tests.sql.supabase.databases import (
    Database,
    aliased,
    connected,
    new_database,
    sql_for,
)

GUESTS = ("anon", "authenticated")
OPEN = """
    with guests (role) as (select unnest(array['anon', 'authenticated']::regrole[]))
    select role::text, oid::regclass::text, privilege from guests, pg_class, unnest(array[
        'select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger'
    ]) privilege
    where relkind in ('r', 'p') and relname like 'parlant%%'
        and has_table_privilege(role, oid, privilege)
    union all
    select role::text, oid::regclass::text, 'usage' from guests, pg_class
    where relkind = 'S' and relname like 'parlant%%' and has_sequence_privilege(role, oid, 'usage')
    union all
    select role::text, oid::regprocedure::text, 'execute' from guests, pg_proc
    where proname like 'parlant%%' and has_function_privilege(role, oid, 'execute')
    union all
    select 'public', oid::regclass::text, 'row level security is off' from pg_class
    where relkind in ('r', 'p') and relname like 'parlant%%' and not relrowsecurity
    union all
    select 'public', oid::regprocedure::text, 'security definer' from pg_proc
    where proname like 'parlant%%' and prosecdef
"""


@pytest.fixture(scope="module")
def migrated_project(project: str, django_db_blocker: Any) -> Iterator[str]:
    with new_database(project) as name:
        with aliased(name) as alias, django_db_blocker.unblock():
            call_command("migrate", "parlant_store", database=alias, verbosity=0)
        yield name


@pytest.fixture
def migrated(migrated_project: str) -> Iterator[Database]:
    with new_database(migrated_project) as name, connected(name) as database:
        yield database


def found_open(database: Database) -> list[Any]:
    return database.execute(OPEN).fetchall()


def warnings(database: Database, blocker: Any) -> list[str]:
    """What check --database says of the app's tables and functions and the public roles."""
    with aliased(database.info.dbname) as alias, blocker.unblock():
        return warnings_of(alias)


def warnings_of(alias: str) -> list[str]:
    with override_settings(PARLANT_STORES={"default": {"OPTIONS": {"using": alias}}}):
        stores.forget()
        messages = run_checks(databases=[alias])
    stores.forget()
    return [each.msg for each in messages if each.id == "parlant_store.W018"]


def test_after_migrate_nothing_is_open(migrated):
    assert migrated.execute("select count(*) from pg_class where relname like 'parlant%'")
    assert found_open(migrated) == []


def test_no_moment_of_migrate_leaves_anything_open(database, migrate):
    """A trigger on the catalog sees what each transaction leaves behind: there is one."""
    with connected(database.info.dbname) as watcher:
        watcher.execute("create table seen (open text)")
        # Runs at the end of every command, inside the transaction of the migration.
        watcher.execute(
            sql.SQL(
                "create function watch() returns event_trigger language plpgsql as $$ begin"
                " insert into public.seen select o::text from ({}) o where o::text ~"
                " 'security definer'; end $$;"
                " create event trigger watch on ddl_command_end execute function watch()"
            ).format(sql.SQL(OPEN.replace("%%", "%")))
        )
        migrate(database)
        assert watcher.execute("select distinct open from seen").fetchall() == []
        # The tables and functions came in one transaction, with what closes them.
        kinds = watcher.execute(
            "select count(distinct xmin::text) from pg_class"
            " where relname in ('parlant_store_doc_version', 'parlant_store_request')"
            " and relkind in ('i', 'r')"
        )
        assert kinds.fetchone() == (1,)


@pytest.mark.parametrize("role", GUESTS)
def test_the_public_roles_may_do_nothing(migrated, role):
    for statement in (
        "select parlant_store_ensure_index('parlant_store_doc_u_0123456789abcdef', 'c',"
        ' \'[["x", "asc"]]\', true)',
        "select * from parlant_store_document",
        "truncate parlant_store_request",
        "select nextval('parlant_store_session_key_seq')",
        "select parlant_store_version()",
    ):
        with pytest.raises(InsufficientPrivilege), migrated.transaction():
            migrated.execute(f"set local role {role}")
            migrated.execute(statement)


def test_the_owner_works_on(migrated):
    migrated.execute(
        "insert into parlant_store_document (collection, id, data) values ('c', 'd', '{}')"
    )
    name = "parlant_store_doc_u_0123456789abcdef"
    made = f"select parlant_store_ensure_index('{name}', 'c', '[[\"x\", \"asc\"]]', true)"
    assert migrated.execute(made).fetchone() == (True,)
    assert migrated.execute("select id from parlant_store_document").fetchall() == [("d",)]


def test_without_these_roles_nothing_is_closed(migrated):
    """Row level security is for projects of Supabase: others have users who own no table."""
    from parlant_store.sql.closing import CLOSE

    renamed = CLOSE.replace("'anon', 'authenticated'", "'no such', 'role'")
    migrated.execute("alter table parlant_store_session disable row level security")
    migrated.execute(renamed)
    assert len(found_open(migrated)) == 1


HOLES = {
    "a function that runs as its owner": "alter function parlant_store_ensure_index security"
    " definer; grant execute on function parlant_store_ensure_index to anon",
    "a function": "grant execute on function parlant_store_expire to public",
    "a table to read": "grant select (id) on parlant_store_document to anon",
    "a table to write": "grant insert on parlant_store_session to authenticated",
    "a table to empty": "grant truncate on parlant_store_session to authenticated",
    "a sequence": "grant usage on sequence parlant_store_session_key_seq to anon",
    "row level security": "alter table parlant_store_request disable row level security",
}


@pytest.mark.parametrize("what", HOLES)
def test_a_hole_is_told_and_closed_by_migrate(migrated, migrate, django_db_blocker, what):
    before = everything(migrated)
    assert warnings(migrated, django_db_blocker) == []
    migrated.execute(HOLES[what])
    # Turning row level security on by hand, as the dashboard offers, hides no hole.
    for table in ("document", "session", "session_item"):
        migrated.execute(f"alter table parlant_store_{table} enable row level security")
    (said,) = warnings(migrated, django_db_blocker)
    assert "parlant_store_" in said
    migrate(migrated)
    assert warnings(migrated, django_db_blocker) == []
    assert [row for row in found_open(migrated) if row[2] != "security definer"] == []
    left = differences(everything(migrated), before)
    assert all("ensure_index" in row for row in left), left


@pytest.mark.parametrize("policy", ["service", "owner", "open"])
def test_migrate_leaves_alone_what_a_script_opened(migrated, migrate, django_db_blocker, policy):
    migrated.execute(sql_for(policy=policy, collections="notes"))
    before = everything(migrated)
    assert warnings(migrated, django_db_blocker) == []
    migrate(migrated)
    assert differences(everything(migrated), before) == []


@pytest.mark.parametrize("policy", ["service", "owner", "open"])
def test_a_hole_beside_a_script_is_told_and_closed(migrated, migrate, django_db_blocker, policy):
    migrated.execute(sql_for(policy=policy, collections="notes"))
    before = everything(migrated)
    for hole in (
        "grant execute on function parlant_store_ensure_index to authenticated",
        "alter table parlant_store_collections.notes disable row level security",
    ):
        migrated.execute(hole)
        (said,) = warnings(migrated, django_db_blocker)
        assert "ensure_index" in said or "notes" in said
        migrate(migrated)
        assert warnings(migrated, django_db_blocker) == []
    left = [row for row in differences(everything(migrated), before) if "ensure_index" not in row]
    assert all("notes" in row for row in left), left


def test_what_another_role_owns_is_told_and_stops_nothing(migrated, migrate, django_db_blocker):
    name = migrated.info.dbname
    role = f"{name}_django"
    migrated.execute(
        f"create role {role} login; grant all on all tables in schema public to {role};"
        f" grant create, usage on schema public to {role};"
        " grant select on parlant_store_document to anon"
    )
    try:
        with aliased(name, USER=role) as alias, django_db_blocker.unblock():
            call_command("migrate", "parlant_store", database=alias, verbosity=0)
            (said,) = warnings_of(alias)
            assert "parlant_store_document" in said
    finally:
        migrated.execute(f"drop owned by {role}; drop role {role}")
