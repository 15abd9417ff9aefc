"""Who waits for whom in a turn: nobody for a user but calls of the same role and owner."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from uuid import UUID

import pytest
from psycopg.errors import LockNotAvailable

from tests.sql.supabase.databases import Database, connected, new_database, sql_for

A, B = str(UUID(int=10)), str(UUID(int=11))
TURN = "number parlant_sessions_events s"
SERVER = {"role": "service_role"}
UPSERT = (
    'select parlant_store_update_one(\'notes\', \'{"all": [{"field": "x", "in": ["1"]}]}\','
    " json_build_object('customer_id', %(owner)s::text)::text,"
    " json_build_object('customer_id', %(owner)s::text), true, %(turn)s, now())"
)
NUMBER = (
    "select parlant_store_insert_numbered('notes',"
    " json_build_object('customer_id', %(owner)s::text, 'offset', 0)::text,"
    " json_build_object('customer_id', %(owner)s::text), 'offset', '{\"any\": []}',"
    " '{\"any\": []}', %(turn)s, now())"
)
CALLS = {"update or insert": UPSERT, "number": NUMBER}


def user(sub: str, **claims: Any) -> dict[str, Any]:
    return {"role": "authenticated", "sub": sub} | claims


@contextmanager
def calling(
    database: Database, claims: dict[str, Any], call: str, turn: str = TURN
) -> Iterator[None]:
    """A call whose transaction goes on; who would have to wait for another is refused."""
    with (
        connected(database.info.dbname) as caller,
        caller.transaction(force_rollback=True),
    ):
        caller.execute("set local lock_timeout to '1ms'")
        caller.execute(f"set local role {claims['role']}")
        caller.execute("select set_config('request.jwt.claims', %s, true)", [json.dumps(claims)])
        owner = claims.get("org") or claims.get("sub")
        caller.execute(call, {"turn": turn, "owner": owner})
        yield


@pytest.fixture(scope="module")
def owned(project: str) -> Iterator[Database]:
    """What calls write is undone."""
    with new_database(project) as name, connected(name) as database:
        database.execute(sql_for(policy="owner", user_collections="notes"))
        yield database


PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    # The claims of one call and of another meanwhile, and whether that has to wait.
    "a user and another user": (user(A), user(B), False),
    "a user and a server": (user(A), SERVER, False),
    "a server and a user": (SERVER, user(A), False),
    "a user twice": (user(A), user(A), True),
    "a server twice": (SERVER, SERVER, True),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("pair", PAIRS)
def test_calls_of_the_same_role_and_owner_wait(owned, call, pair):
    one, other, waits = PAIRS[pair]
    outcome = pytest.raises(LockNotAvailable) if waits else nullcontext()
    with calling(owned, one, call), outcome, calling(owned, other, call):
        pass


def test_servers_wait_for_those_of_django(owned):
    with owned.transaction():
        owned.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [TURN])
        with pytest.raises(LockNotAvailable), calling(owned, SERVER, UPSERT):
            pass
        with calling(owned, user(A), UPSERT):
            pass


@pytest.mark.parametrize("turn", ["parlant_store_doc", f'["authenticated", "{B}", "{TURN}"]'])
def test_no_name_of_a_turn_is_that_of_another(owned, turn):
    with calling(owned, user(A), UPSERT, turn), owned.transaction():
        owned.execute("set local lock_timeout to '1ms'")
        owned.execute("select pg_advisory_xact_lock(hashtextextended('parlant_store_doc', 0))")
        with calling(owned, user(B), UPSERT):
            pass


def test_users_of_one_owner_wait_for_each_other(database):
    for options, claims, waits in (({"owner_claim": "org"}, {"org": "o"}, True), ({}, {}, False)):
        database.execute(sql_for(policy="owner", user_collections="notes", **options))
        one, other = user(A, **claims), user(B, **claims)
        outcome = pytest.raises(LockNotAvailable) if waits else nullcontext()
        with calling(database, one, UPSERT), outcome, calling(database, other, UPSERT):
            pass


@pytest.mark.parametrize("claim", ["org", "app_metadata.it's", "app_metadata.\\ $$"])
def test_the_owner_is_the_one_of_the_claim(database, claim):
    database.execute(sql_for(policy="owner", owner_claim=claim))
    claims = {"org": "o", "sub": A, "app_metadata": {"it's": "o", "\\ $$": "o"}}
    database.execute("select set_config('request.jwt.claims', %s, false)", [json.dumps(claims)])
    assert database.execute("select parlant_store_owner()").fetchone() == ("o",)
