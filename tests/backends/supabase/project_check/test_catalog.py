"""What manage.py supabase_check says of tables, functions, policies and grants."""

import re
from contextlib import closing
from uuid import uuid4

import pytest
from django.core.checks import run_checks
from django.db import connection

from parlant_store.backends.supabase import SupabaseBackend
from parlant_store.sql.supabase.django_tables import lock_django_sql
from parlant_store.sql.supabase.policies import policies_sql
from tests.backends.supabase.project_check.reports import Check, failed, run, the_failure
from tests.servers.supabase import ROLES, Stack, supabase


@pytest.mark.parametrize(
    ("schema", "said", "mend"),
    [
        ("empty", "functions     missing in the schema 'empty'", "supabase_sql"),
        ("hidden", "schema        the API does not expose the schema 'hidden'", "Exposed schemas"),
    ],
)
def test_a_wrong_schema(check: Check, schema: str, said: str, mend: str) -> None:
    failure = the_failure(check("--schema", schema, fails=True))
    assert failure.startswith(said)
    assert mend in failure


BROKEN = [
    (
        "create or replace function parlant_store_version() returns text language sql immutable"
        " set search_path to public, pg_temp as $$ select '123' $$",
        "version       the functions are 123, this package's are",
        "supabase_sql",
    ),
    (
        "drop function parlant_store_pop_item",
        "functions     missing: parlant_store_pop_item",
        "supabase_sql",
    ),
    (
        "revoke execute on function parlant_store_pop_item from service_role",
        "functions     service_role may not call parlant_store_pop_item",
        "supabase_rls",
    ),
    (
        "revoke insert, delete on parlant_store_document from service_role",
        "tables        service_role lacks the grants to delete, insert in some of the tables",
        "supabase_rls",
    ),
    (
        "alter table parlant_store_document disable row level security",
        "row security  off for parlant_store_document",
        "supabase_rls",
    ),
    (
        "create table parlant_store_parts (n int) partition by list (n);"
        "alter table parlant_store_parts enable row level security;"
        "create table piece partition of parlant_store_parts default",
        "row security  off for piece",
        "supabase_rls",
    ),
    (
        "grant execute on function parlant_store_get_items to anon",
        "grants        everybody who has the public key may call 1 function",
        "--policy service",
    ),
    (
        "create table auth_user (id int); create table mine (id int);"
        "grant select on auth_user to anon; grant select (id) on mine to authenticated",
        "other tables  everybody who has the public key, or any user, can read auth_user, mine",
        "supabase_rls --lock-django",
    ),
]


@pytest.mark.parametrize(("statement", "said", "mend"), BROKEN)
def test_what_the_catalog_tells(
    check: Check, fresh: Stack, statement: str, said: str, mend: str
) -> None:
    run(
        fresh.dsn,
        "alter default privileges in schema public revoke all on tables from anon, authenticated",
        statement,
    )
    failure = the_failure(check("--no-write", fails=True))
    assert failure.startswith(said)
    assert mend in failure


def test_a_missing_table(check: Check, fresh: Stack) -> None:
    run(fresh.dsn, "drop table parlant_store_request cascade")
    first, second = failed(check(fails=True))
    assert first.startswith("tables        missing: parlant_store_request")
    assert second.startswith("writing       ")


def test_locking_mends_djangos_tables(check: Check, fresh: Stack) -> None:
    run(fresh.dsn, "create table auth_user (id int); grant select on auth_user to anon")
    check(fails=True)
    run(fresh.dsn, lock_django_sql("public"))
    check()


def test_anon_sees_a_row_and_calls_a_function(check: Check, fresh: Stack) -> None:
    with closing(SupabaseBackend("test", url=fresh.url, key=fresh.secret_key)) as store:
        store.add_items("s", [{"role": "user", "content": "hidden"}])
    run(fresh.dsn, "grant select on parlant_store_session, parlant_store_session_item to anon")
    # Row level security lets no row through.
    assert "sees nothing, calls nothing" in check("--anon-key", fresh.publishable_key)
    run(
        fresh.dsn,
        "create policy seen on parlant_store_session for select to anon using (true)",
        "grant execute on all functions in schema public to anon",
    )
    grants, anon = failed(check("--anon-key", fresh.anon_key, fails=True))
    assert re.search(r"may use parlant_store_session and call \d+ functions", grants)
    assert re.search(r"an answer from .*parlant_store_get_items\(\).*parlant_store_session,", anon)
    assert "--policy owner" in anon


def test_the_policy_open(check: Check, fresh: Stack) -> None:
    run(fresh.dsn, policies_sql(schema="public", policy="open"))
    with closing(SupabaseBackend("test", url=fresh.url, key=fresh.publishable_key)) as store:
        for user in ("ann", "ben"):
            store.add_items(user, [{"n": 1}], user_id=user)
    token = fresh.user_token(str(uuid4()))
    arguments = ("--anon-key", fresh.anon_key, "--user-token", token)
    grants, anon, user = failed(check(*arguments, fails=True))
    assert "--policy service" in grants
    assert "parlant_store_session" in anon
    assert "sees sessions of 2 owners" in user
    assert "the role is anon" in check(key=fresh.publishable_key, fails=True)


def test_the_policy_owner(check: Check, fresh: Stack) -> None:
    run(fresh.dsn, policies_sql(schema="public", policy="owner"))
    # Often enough for PostgREST to prepare its statements.
    for _ in range(3):
        check("--anon-key", fresh.anon_key, "--user-token", fresh.user_token(str(uuid4())))


def test_another_limit_of_rows(check: Check, fresh: Stack) -> None:
    with supabase(fresh.dsn, max_rows=50_000) as other:
        printed = check("--url", other.url, "--key", other.secret_key)
    assert "above 10,000 rows per answer" in printed


def exposed() -> list[str]:
    found = run_checks(databases=["default", "other"])
    return [message.msg for message in found if message.id == "parlant_store.W004"]


@pytest.mark.django_db(databases=["default", "other"])
def test_open_tables_are_warned_of(stack: Stack) -> None:
    def execute(statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    execute("alter table parlant_store_session disable row level security")
    execute(f"revoke all on parlant_store_session from {ROLES}")
    assert exposed() == []
    execute("grant select on django_session to anon")
    execute("grant select (key) on parlant_store_session to authenticated")
    (message,) = exposed()
    assert "can use django_session, parlant_store_session in the database 'default'" in message
    execute("alter table parlant_store_session enable row level security")
    execute("alter table django_session enable row level security")
    assert exposed() == []
    execute("alter table django_session disable row level security")
    execute("revoke usage on schema public from anon, public")
    assert exposed() == []
    assert run_checks(databases=None) == run_checks()
