"""manage.py supabase_check, and what manage.py check says of Supabase's roles."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from psycopg.conninfo import make_conninfo
from supabase import ClientOptions, create_client

from parlant_store import stores
from parlant_store.backends.supabase import SupabaseBackend
from parlant_store.exceptions import BackendError
from parlant_store.sql.functions import version
from parlant_store.sql.supabase.django_tables import lock_django_sql
from parlant_store.sql.supabase.policies import policies_sql
from parlant_store.sql.supabase.script import supabase_sql
from tests.servers.http_proxy import Proxy, Reply, page
from tests.servers.supabase import ROLES, Stack, free_ports, supabase
from tests.servers.supabase_fixtures import django_dsn
from tests.sql.supabase.catalogs import catalog, everything

ROOT = Path(__file__).resolve().parents[3]
BACKEND = "parlant_store.backends.supabase.SupabaseBackend"
ODD = "Ten'ant {x} -"
NAME = f"parlant_store_check_{os.getpid()}"

Check = Callable[..., str]


def run(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as session:
        for statement in statements:
            session.execute(statement)


@pytest.fixture(scope="module")
def database(django_db_setup: None) -> Iterator[str]:
    """A database of its own, in which tests may break what they like."""
    run(django_dsn(), f"create database {NAME} template template0")
    try:
        yield make_conninfo(django_dsn(), dbname=NAME)
    finally:
        run(django_dsn(), f"drop database {NAME} with (force)")


@pytest.fixture(scope="module")
def running(database: str) -> Iterator[Stack]:
    with supabase(database, schemas=("public", "empty", "agents", ODD)) as stack:
        run(database, f"create schema empty; grant usage on schema empty to {ROLES}")
        run(database, supabase_sql(schema=ODD), supabase_sql(schema="agents"))
        yield stack


def contents(dsn: str) -> dict[str, list[str]]:
    """All that a test may have changed."""
    queries = {
        "settings": "select * from pg_db_role_setting",
        "roles": "select oid, rolname, rolbypassrls, rolsuper, rolinherit from pg_roles",
        "memberships": "select roleid, member from pg_auth_members",
    }
    tables = ("document", "request", "session", "session_item")
    with psycopg.connect(dsn, autocommit=True) as session:
        found = everything(session) | catalog(session, queries=queries)
        if session.execute("select to_regclass('parlant_store_request')").fetchone() != (None,):
            rows = {name: f"select count(*) from public.parlant_store_{name}" for name in tables}
            found |= catalog(session, queries=rows)
    return found


@pytest.fixture(scope="module")
def clean() -> list[dict[str, list[str]]]:
    """The contents of a project that no test has changed, once there was one."""
    return []


@pytest.fixture
def fresh(running: Stack, clean: list[dict[str, list[str]]]) -> Stack:
    """A project in which only what supabase_sql prints was run."""
    if [contents(running.dsn)] != clean:
        anew = "drop schema public cascade; create schema public"
        run(running.dsn, f"{anew}; grant usage on schema public to {ROLES}", supabase_sql())
        clean[:] = [contents(running.dsn)]
    running.reload()
    return running


@pytest.fixture
def check(fresh: Stack, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Runs the command and returns its lines; it must fail when ``fails``, and show no key."""
    for name in ("URL", "KEY", "SCHEMA", "ANON_KEY", "USER_TOKEN"):
        monkeypatch.delenv(f"SUPABASE_{name}", raising=False)

    def command(*arguments: str, fails: bool = False, key: str = fresh.secret_key) -> str:
        out = StringIO()
        given = ["--url", fresh.url, "--key", key, *arguments]
        if "--store" in arguments or "--url" in arguments:
            given = list(arguments)
        end = pytest.raises(CommandError, match="checks failed") if fails else nullcontext()
        with end as error:
            call_command("supabase_check", *given, stdout=out, no_color=True)
        if error is not None:
            assert error.value.returncode == 1
            out.write(f"CommandError: {error.value}")
        printed = out.getvalue()
        secrets = {fresh.secret_key, fresh.publishable_key, fresh.service_key, fresh.anon_key}
        secrets |= {argument for argument in given if argument.startswith(("ey", "sb_"))}
        assert not [secret for secret in secrets if secret in printed]
        return printed

    return command


def failed(printed: str) -> list[str]:
    """The failures, each with its mend on one line."""
    return re.findall(r"^FAIL  (.*\n      .*)$", printed, re.MULTILINE)


def the_failure(printed: str) -> str:
    (failure,) = failed(printed)
    return failure


@contextmanager
def configured(settings: Any, **options: Any) -> Iterator[None]:
    settings.PARLANT_STORES = {"mine": {"BACKEND": BACKEND, "OPTIONS": options}}
    yield
    stores.forget()


def test_all_is_well(check: Check, fresh: Stack) -> None:
    user = str(uuid4())
    printed = check("--anon-key", fresh.publishable_key, "--user-token", fresh.user_token(user))
    tables, clock = r"4 there; PostgreSQL \d+\.\d+.*", r"\d\.\d s from the server's"
    expected = [
        rf"Store 'command line' at {fresh.url}, schema public",
        r"OK    URL           reached",
        r"OK    key           accepted; the role is service_role",
        rf"OK    version       {version()}, as this package's",
        r"OK    functions     \d+ there",
        rf"OK    tables        {tables}",
        r"OK    row security  on for all of them; policies: service",
        r"OK    grants        none for anon",
        r"OK    other tables  none that anon or every user may read",
        rf"OK    clock         {clock}",
        r"OK    row limit     1,000 rows per answer; the store does not depend on it",
        r"OK    writing       a session was written, read back and deleted",
        r"OK    anon          sees nothing, calls nothing",
        rf"OK    user          {user} sees nothing: users have no access",
    ]
    assert re.fullmatch("\n".join(expected) + "\n", printed), printed


def test_nothing_is_left_behind(check: Check, fresh: Stack) -> None:
    check()
    with psycopg.connect(fresh.dsn) as session:
        assert session.execute("select count(*) from parlant_store_session").fetchone() == (0,)


@pytest.mark.parametrize("name", ["secret_key", "service_key"])
def test_both_kinds_of_keys(check: Check, fresh: Stack, name: str) -> None:
    assert "accepted; the role is service_role" in check(key=getattr(fresh, name))


def test_a_schema_with_an_odd_name(check: Check) -> None:
    assert f", schema {ODD}\n" in check("--schema", ODD)


def test_without_keys_and_without_writing(check: Check) -> None:
    printed = check("--no-write")
    assert (
        "\nSKIP  anon          needs the public key: --anon-key or SUPABASE_ANON_KEY\n" in printed
    )
    assert "\nSKIP  user          needs a user's JWT: --user-token or SUPABASE_USER" in printed
    assert "writing" not in printed


def test_keys_from_the_environment(
    check: Check, fresh: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPABASE_KEY", fresh.secret_key)
    monkeypatch.setenv("SUPABASE_SCHEMA", "agents")
    monkeypatch.setenv("SUPABASE_ANON_KEY", fresh.anon_key)
    monkeypatch.setenv("SUPABASE_USER_TOKEN", fresh.user_token(str(uuid4())))
    printed = check("--url", fresh.url)
    assert "schema agents" in printed
    assert "SKIP" not in printed
    assert "the key was refused" in check("--url", fresh.url, "--anon-key", "wrong", fails=True)


@pytest.mark.parametrize(
    ("path", "said"),
    [("", "no answer: .*refused"), ("/nowhere", "not the REST API of Supabase: 404")],
)
def test_a_wrong_url(check: Check, fresh: Stack, path: str, said: str) -> None:
    url = fresh.url + path if path else f"http://127.0.0.1:{free_ports()[0]}"
    printed = check("--url", url, "--key", fresh.secret_key, fails=True)
    assert re.search(rf"URL           .*{said}", the_failure(printed))
    assert "Project Settings > Data API" in printed or "without a path" in printed
    assert "OK  " not in printed
    assert printed.endswith("1 of 1 checks failed")


def test_a_password_in_the_url_is_not_shown(check: Check, fresh: Stack) -> None:
    url = fresh.url.replace("//", "//ann:hidden@")
    printed = check("--url", url, "--key", fresh.secret_key, "--json", fails=True)
    assert "hidden" not in printed
    assert f'"{fresh.url}"' in printed


def test_a_project_that_is_down(check: Check, fresh: Stack) -> None:
    fresh.stop_postgrest()
    try:
        printed = check(fails=True)
    finally:
        fresh.start_postgrest()
    assert "URL           answers 503" in the_failure(printed)
    assert "paused" in printed


@pytest.mark.parametrize("key", ["sb_secret_wrong", "nokey", "eyJ.eyJ.x"])
def test_a_wrong_key(check: Check, key: str) -> None:
    printed = check(key=key, fails=True)
    assert the_failure(printed).startswith("key           refused: ")
    assert "Project Settings > API Keys" in printed
    assert key not in printed


def test_the_public_key_in_place_of_the_secret_one(check: Check, fresh: Stack) -> None:
    printed = check(key=fresh.publishable_key, fails=True)
    assert "OK    key           accepted; the role is anon" in printed
    assert the_failure(printed).startswith("role          anon may not use the store")
    assert "Use the secret key" in printed


def test_a_store_whose_token_is_not_there(check: Check, fresh: Stack, settings: Any) -> None:
    given = {"url": fresh.url, "key": fresh.secret_key, "access_token": lambda: None}
    fresh.gateway.clear()
    with configured(settings, **given):
        printed = check("--store", "mine")
    skipped = "access_token returns none outside of a request; not checked"
    assert f"SKIP  access token  {skipped}" in printed
    assert fresh.gateway.requests == []
    with configured(settings, **given, allow_service=True):
        assert "the role is service_role" in check("--store", "mine")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (200, r"URL           something answers, but not the REST API of Supabase: 200 .*Sign in"),
        (302, r"URL           something answers, but not the REST API of Supabase: 302 .*Sign in"),
        (401, r"key           refused: .*Sign in"),
        (403, r"key           refused: .*Sign in"),
        (502, r"URL           answers 502: .*Sign in"),
    ],
)
def test_a_page_in_place_of_the_project(check: Check, status: int, said: str) -> None:
    with Proxy().running() as proxy:
        proxy.answers(page(status))
        printed = check("--url", proxy.url, "--key", "sb_secret_x", fails=True)
    assert re.match(said, the_failure(printed))


def test_a_page_in_place_of_later_answers(check: Check, fresh: Stack) -> None:
    """A proxy that wants a sign-in for all but the first request."""
    found = httpx.post(
        f"{fresh.url}/rest/v1/rpc/parlant_store_status", headers={"apikey": fresh.secret_key}
    )
    with Proxy().running() as proxy:
        proxy.answers(Reply(200, found.content), page(200))
        printed = check(
            *("--url", proxy.url, "--key", "sb_secret_x", "--anon-key", "sb_publishable_x"),
            *("--user-token", fresh.user_token(str(uuid4()))),
            fails=True,
        )
    assert [failure.split()[0] for failure in failed(printed)] == ["row", "writing", "anon", "user"]
    assert printed.count("Sign in") == 4


def test_a_users_store(check: Check, fresh: Stack, settings: Any) -> None:
    run(fresh.dsn, policies_sql(schema="public", policy="owner"))
    token = fresh.user_token(str(uuid4()))
    with configured(settings, url=fresh.url, key=fresh.publishable_key, access_token=lambda: token):
        printed = check("--store", "mine", "--user-token", token)
        stores["mine"].add_items("s", [{"n": 1}])
        assert "sees 1 session and 0 documents" in check("--store", "mine", "--user-token", token)
    assert "Store 'mine' at" in printed
    assert "accepted; the role is authenticated" in printed
    assert re.search("policies: .*owner", printed)
    assert "sees 0 sessions and 0 documents" in printed
    late = fresh.user_token(str(uuid4()), expires_in=-60)
    with configured(settings, url=fresh.url, key=fresh.publishable_key, access_token=late):
        printed = check("--store", "mine", fails=True)
    assert the_failure(printed).startswith("access token  refused: JWT expired")


def test_a_user_under_the_policy_service(check: Check, fresh: Stack, settings: Any) -> None:
    token = fresh.user_token(str(uuid4()))
    with configured(settings, url=fresh.url, key=fresh.publishable_key, access_token=token):
        printed = check("--store", "mine", fails=True)
    assert the_failure(printed).startswith("role          authenticated may not use the store")
    assert "--policy owner" in printed


def test_users_whose_ids_are_no_uuids(check: Check, fresh: Stack, settings: Any) -> None:
    token = fresh.user_token("user_2abc")
    with configured(settings, url=fresh.url, key=fresh.publishable_key, access_token=token):
        run(fresh.dsn, policies_sql(schema="public", policy="owner"))
        for call in (
            lambda: stores["mine"].get_items("s"),
            lambda: stores["mine"].add_items("s", [{"n": 1}]),
        ):
            with pytest.raises(BackendError, match="--owner-claim sub"):
                call()
        run(fresh.dsn, policies_sql(schema="public", policy="owner", owner_claim="sub"))
        stores["mine"].add_items("s", [{"n": 1}])
        assert stores["mine"].get_session("s").user_id == "user_2abc"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"expires_in": -60}, "the token was refused: JWT expired"),
        ({"role": "service_role"}, "not a user's: its role is service_role"),
    ],
)
def test_a_wrong_token(check: Check, fresh: Stack, claims: dict[str, Any], said: str) -> None:
    printed = check("--user-token", fresh.user_token(str(uuid4()), **claims), fails=True)
    assert said in the_failure(printed)


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


@pytest.mark.parametrize("role", ["secret_key", "service_key"])
def test_a_key_that_is_not_for_anon(check: Check, fresh: Stack, role: str) -> None:
    printed = check("--anon-key", getattr(fresh, role), fails=True)
    assert "the key for anon has the role service_role" in the_failure(printed)


def test_another_limit_of_rows(check: Check, fresh: Stack) -> None:
    with supabase(fresh.dsn, max_rows=50_000) as other:
        printed = check("--url", other.url, "--key", other.secret_key)
    assert "above 10,000 rows per answer" in printed


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (60, "the store's is 60 s ahead of the server's: sessions expire too early"),
        (-60, "the store's is 60 s behind the server's: sessions expire too late"),
        (3, None),
    ],
)
def test_the_clock(
    check: Check, fresh: Stack, settings: Any, seconds: int, said: str | None
) -> None:
    def clock() -> Any:
        return timezone.now() + timedelta(seconds=seconds)

    with configured(settings, url=fresh.url, key=fresh.secret_key, clock=clock):
        printed = check("--store", "mine", fails=said is not None)
    if said is None:
        assert "3.0 s from the server's" in printed
    else:
        assert said in the_failure(printed)
        assert "NTP" in printed


def test_a_client_that_the_project_made(check: Check, fresh: Stack, settings: Any) -> None:
    with httpx.Client() as http:
        client = create_client(fresh.url, fresh.secret_key, ClientOptions(httpx_client=http))
        with configured(settings, client=client):
            printed = check("--store", "mine")
    assert f"Store 'mine' at {fresh.url}, schema public" in printed


def test_json(check: Check, fresh: Stack) -> None:
    (report,) = json.loads(check("--json", "--no-write"))
    assert {key: report[key] for key in ("store", "url", "schema")} == {
        "store": "command line",
        "url": fresh.url,
        "schema": "public",
    }
    first, *others = report["findings"]
    assert first == {"outcome": "OK", "about": "URL", "message": "reached", "mend": ""}
    assert [finding["outcome"] for finding in others].count("SKIP") == 2
    printed = check("--json", key="wrong", fails=True)
    (report,) = json.loads(printed.partition("CommandError")[0])
    assert [finding["outcome"] for finding in report["findings"]] == ["OK", "FAIL"]
    assert report["findings"][1]["mend"]


def test_each_store_is_asked(fresh: Stack, settings: Any) -> None:
    options = {"url": fresh.url, "key": fresh.secret_key}
    settings.PARLANT_STORES = settings.PARLANT_STORES | {
        name: {"BACKEND": BACKEND, "OPTIONS": options} for name in ("one", "two")
    }
    out = StringIO()
    call_command("supabase_check", stdout=out)
    stores.forget()
    assert re.findall(r"Store '(\w+)'", out.getvalue()) == ["one", "two"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "PARLANT_STORES has no store in Supabase. Add .*or give --url"),
        (["--store", "default"], "the store 'default' is not in Supabase"),
        (["--store", "none"], "there is no store 'none'"),
        (["--store", "default", "--url", "https://x.y"], "--store and --url exclude each other"),
        (["--key", "x"], "--key and --schema go with --url"),
        (["--url", "https://x.y"], "has no key; set it, as from SUPABASE_KEY"),
        (["--url", "x.y", "--key", "z"], "needs a url like https://name.supabase.co"),
    ],
)
def test_mistakes(arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPABASE_KEY", raising=False)
    with pytest.raises(CommandError, match=said):
        call_command("supabase_check", *arguments)


def test_exit_codes_and_the_environment(fresh: Stack) -> None:
    """With the settings of the demo project, as in CI."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SUPABASE_")
    } | {"DATABASE_URL": "sqlite://:memory:", "DJANGO_SETTINGS_MODULE": "project.settings"}
    good = {
        "SUPABASE_URL": fresh.url,
        "SUPABASE_KEY": fresh.secret_key,
        "SUPABASE_SCHEMA": "agents",
    }
    for own, code in ((good, 0), (good | {"SUPABASE_KEY": "wrong"}, 1), ({}, 1)):
        done = subprocess.run(
            [sys.executable, "manage.py", "supabase_check"],
            cwd=ROOT,
            env=environment | own,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert f"Store 'supabase' at {fresh.url}, schema agents" in done.stdout or not own


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
