"""The stack is what it claims to be, asked with Supabase's own client."""

import signal
import uuid
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from postgrest import APIError, CountMethod

from tests.project.test_supervisor import (
    TIMEOUT_SECONDS,
    check_they_end,
    commands,
    programs,
    started,
    wait_for,
)
from tests.servers.supabase import Stack, executable
from tests.servers.supabase_fixtures import client_of


@pytest.fixture
def table(stack: Stack) -> Iterator[str]:
    """A table that everyone's role was granted when it was made, without row level security."""
    with psycopg.connect(stack.dsn, autocommit=True) as connection:
        connection.execute("create table notes (id int primary key, owner uuid default auth.uid())")
        stack.reload()
        yield "notes"
        connection.execute("drop table notes")


@pytest.fixture(autouse=True)
def _healed(stack: Stack) -> Iterator[None]:
    stack.gateway.clear()
    yield
    stack.gateway.heal()


def count(stack: Stack) -> int:
    with psycopg.connect(stack.dsn) as connection:
        (found,) = connection.execute("select count(*) from notes").fetchone() or (0,)
        return int(found)


@pytest.mark.parametrize("name", ["service_key", "secret_key"])
def test_both_kinds_of_secret_keys_are_the_service(
    stack: Stack, http: httpx.Client, table: str, name: str
) -> None:
    service = client_of(stack, http, getattr(stack, name))
    assert service.table(table).insert({"id": 1}).execute().data == [{"id": 1, "owner": None}]
    assert service.table(table).select("id").execute().data == [{"id": 1}]
    assert stack.gateway.requests[-1] == ("GET", "/rest/v1/notes?select=id")


@pytest.mark.parametrize("name", ["anon_key", "publishable_key"])
def test_both_kinds_of_public_keys_are_anon(
    stack: Stack, http: httpx.Client, table: str, name: str
) -> None:
    anon = client_of(stack, http, getattr(stack, name))
    assert anon.table(table).select("id").execute().data == []  # open, as in old projects
    with psycopg.connect(stack.dsn, autocommit=True) as connection:
        connection.execute("revoke all on notes from anon")
    with pytest.raises(APIError, match="permission denied") as error:
        anon.table(table).select("id").execute()
    assert error.value.code == "42501"


def test_a_user_is_known_to_the_database(stack: Stack, http: httpx.Client, table: str) -> None:
    sub = str(uuid.uuid4())
    for key in (stack.anon_key, stack.publishable_key):
        user = client_of(stack, http, key, stack.user_token(sub))
        row = {"id": len(stack.gateway.requests)}
        assert user.table(table).insert(row).execute().data == [row | {"owner": sub}]


def test_expired_and_forged_tokens_are_refused(
    stack: Stack, http: httpx.Client, table: str
) -> None:
    expired = stack.user_token(str(uuid.uuid4()), expires_in=-120)
    forged = stack.sign({"role": "service_role"}, secret="another secret of enough characters")
    for token, said in ((expired, "JWT expired"), (forged, "JWSError")):
        with pytest.raises(APIError, match=said):
            client_of(stack, http, stack.anon_key, token).table(table).select("id").execute()


@pytest.mark.parametrize("key", ["sb_secret_of_nobody", "eyJhbGciOiJIUzI1NiJ9.e30.x"])
def test_unknown_keys_are_refused(stack: Stack, http: httpx.Client, key: str) -> None:
    with pytest.raises(APIError, match="Invalid API key"):
        client_of(stack, http, key).table("notes").select("id").execute()


def test_a_key_is_needed_and_other_paths_are_not_there(stack: Stack, http: httpx.Client) -> None:
    missing = http.get(f"{stack.url}/rest/v1/notes")
    assert (missing.status_code, missing.json()["message"]) == (
        401,
        "No API key found in request",
    )
    assert http.get(f"{stack.url}/auth/v1/user").status_code == 404


def test_long_answers_are_cut(stack: Stack, http: httpx.Client, table: str) -> None:
    service = client_of(stack, http, stack.service_key)
    service.table(table).insert([{"id": n} for n in range(1100)]).execute()
    assert len(service.table(table).select("id").execute().data) == 1000
    head = service.table(table).select("id", count=CountMethod.exact, head=True).execute()
    assert (head.count, head.data) == (1100, [])


def test_a_dropped_answer_was_done(stack: Stack, http: httpx.Client, table: str) -> None:
    service = client_of(stack, http, stack.service_key)
    stack.gateway.drop_answers(1)
    with pytest.raises(httpx.RemoteProtocolError):
        service.table(table).insert({"id": 1}).execute()
    assert count(stack) == 1
    stack.gateway.heal()
    assert service.table(table).select("id").execute().data == [{"id": 1}]


def test_a_refused_request_was_not_done(stack: Stack, http: httpx.Client, table: str) -> None:
    service = client_of(stack, http, stack.service_key)
    stack.gateway.refuse(1)
    with pytest.raises(httpx.RemoteProtocolError):
        service.table(table).insert({"id": 1}).execute()
    assert count(stack) == 0


def test_shares_of_faults_are_the_same_each_time(
    stack: Stack, http: httpx.Client, table: str
) -> None:
    def outcomes() -> list[bool]:
        stack.gateway.drop_answers(0.5, seed=1)
        return [answered(stack, http, table) for _ in range(20)]

    first = outcomes()
    assert {True, False} == set(first)
    assert outcomes() == first


def answered(stack: Stack, http: httpx.Client, table: str) -> bool:
    try:
        http.get(f"{stack.url}/rest/v1/{table}", headers={"apikey": stack.secret_key})
    except httpx.RemoteProtocolError:
        return False
    return True


def test_long_urls_are_refused(stack: Stack, http: httpx.Client, table: str) -> None:
    service = client_of(stack, http, stack.service_key)
    with pytest.raises(APIError, match="Request-URI Too Large") as error:
        service.table(table).select("id").eq("id", "1" * 9000).execute()
    assert error.value.code == "414"
    stack.gateway.limit_url(20)
    with pytest.raises(APIError, match="Request-URI Too Large"):
        service.table(table).select("id").execute()


def test_a_late_request(stack: Stack, http: httpx.Client, table: str) -> None:
    timeout = httpx.Timeout(60, read=0.1)
    with stack.gateway.held(), pytest.raises(httpx.ReadTimeout):
        http.get(
            f"{stack.url}/rest/v1/{table}", headers={"apikey": stack.secret_key}, timeout=timeout
        )


def test_postgrest_may_go_and_come_back(stack: Stack, http: httpx.Client, table: str) -> None:
    service = client_of(stack, http, stack.secret_key)
    service.table(table).insert({"id": 1}).execute()
    stack.stop_postgrest()
    with pytest.raises(APIError, match="name resolution failed"):
        service.table(table).select("id").execute()
    stack.start_postgrest()
    assert service.table(table).select("id").execute().data == [{"id": 1}]


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGREST", "/nowhere/postgrest")
    with pytest.raises(FileNotFoundError, match="Node.js and npm are needed"):
        executable()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_postgrest_ends_with_the_process_that_started_it(stack: Stack, number: int) -> None:
    code = (
        "import sys; from tests.servers.supabase import Stack;"
        "Stack(sys.argv[1], schemas=('public',), max_rows=9).start_postgrest();"
        "print('begun', flush=True); input()"
    )
    with started("-c", code, stack.dsn) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        wait_for(lambda: "postgrest" in commands(programs(process)))
        running = programs(process)
        process.send_signal(number)
        process.wait(TIMEOUT_SECONDS)
        check_they_end(running)
