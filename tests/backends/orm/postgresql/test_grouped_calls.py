"""Calls that wait for a thread are made by one statement, as if each were made by itself."""

import asyncio
import time

import psycopg
import pytest
from django.db import connection

from parlant_store.adapters.openai_agents import Session
from parlant_store.backends.orm import OrmBackend
from tests.backends.threads.busy_threads import TIMEOUT_SECONDS, Held, results
from tests.contract.clock import Clock
from tests.contract.values import numbered


def transactions() -> int:
    """How many transactions the items are of."""
    with psycopg.connect(_dsn()) as raw:
        sql = "SELECT count(DISTINCT xmin::text) FROM parlant_store_session_item"
        return int(raw.execute(sql).fetchone()[0])


def _dsn() -> str:
    params = connection.get_connection_params()
    keys = ("dbname", "host", "port", "user", "password")
    return psycopg.conninfo.make_conninfo(**{k: params[k] for k in keys if params.get(k)})


def test_additions_that_wait_are_one_transaction(store):
    with Held(store) as held:
        futures = [held.add(f"s{number % 5}", number, user_id="u") for number in range(20)]
    assert results(futures) == [None] * 20
    assert transactions() == 1
    for session in range(5):
        assert store.get_items(f"s{session}") == numbered(*range(session, 20, 5))
        assert store.get_session(f"s{session}").user_id == "u"
        assert store.get_session(f"s{session}").item_count == 4


def test_a_session_that_somebody_holds_does_not_hold_up_the_others(store):
    for name in ("s", "t"):
        store.add_items(name, numbered(0))
    with psycopg.connect(_dsn()) as other:
        other.execute("SELECT 1 FROM parlant_store_session WHERE session_id = 's' FOR UPDATE")
        with Held(store) as held:
            # Locked in this order, "t" would be held by a statement that waits for "s".
            futures = [held.add("t", 1), held.add("s", 1), held.add("t", 2)]
        results([futures[0], futures[2]])
        assert not futures[1].done()
        other.execute("SELECT 1 FROM parlant_store_session WHERE session_id = 't' FOR UPDATE")
    futures[1].result(TIMEOUT_SECONDS)
    assert store.get_items("s") == numbered(0, 1)
    assert sorted(item["n"] for item in store.get_items("t")) == [0, 1, 2]


def test_when_the_server_ends_the_connection_the_group_is_made_once(store):
    store.add_items("s", numbered(0))
    killed = 0
    with psycopg.connect(_dsn(), autocommit=True) as other, Held(store) as held:
        other.execute("CREATE TABLE closed AS SELECT")
        other.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " WHILE EXISTS (TABLE closed) LOOP PERFORM pg_sleep(0.1); END LOOP;"
            " RETURN NEW; END $$"
        )
        other.execute(
            "CREATE TRIGGER slow BEFORE INSERT ON parlant_store_session_item"
            " FOR EACH ROW EXECUTE FUNCTION slow()"
        )
        try:
            futures = [held.add("s", number) for number in (1, 2)]
            held.__exit__()
            until = time.monotonic() + TIMEOUT_SECONDS
            while not killed and time.monotonic() < until:
                killed = other.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE query LIKE '%add_all%' AND wait_event = 'PgSleep'"
                ).fetchone()[0]
            other.execute("DELETE FROM closed")
            for future in futures:
                future.result(TIMEOUT_SECONDS)
        finally:
            other.execute("DROP TRIGGER slow ON parlant_store_session_item; DROP FUNCTION slow")
            other.execute("DROP TABLE closed")
    assert killed == 1
    assert store.get_items("s") == numbered(0, 1, 2)


@pytest.mark.django_db(transaction=True)
def test_grouped_additions_to_new_existing_and_expired_sessions():
    clock = Clock()
    store = OrmBackend("test", using="default", clock=clock)
    try:
        store.add_items("there", numbered(0), user_id="ada")
        store.add_items("expired", numbered(0), user_id="ada", ttl_seconds=10)
        clock.pass_(10)
        with Held(store) as held:
            names = ("expired", "there", "new")
            futures = [held.add(name, 1, 2, user_id="bob") for name in names]
        results(futures)
        assert transactions() == 2
        for name, owner, items in (
            ("there", "ada", numbered(0, 1, 2)),
            ("expired", "bob", numbered(1, 2)),
            ("new", "bob", numbered(1, 2)),
        ):
            session = store.get_session(name)
            assert (session.user_id, session.item_count) == (owner, len(items))
            assert store.get_items(name) == items
    finally:
        store.close()


async def test_what_tasks_add_at_once_is_one_transaction(store):
    sessions = [Session(f"s{number}") for number in range(40)]

    async def added(*writers: Session) -> int:
        before = await asyncio.to_thread(transactions)
        await asyncio.gather(*(session.add_items(numbered(1)) for session in writers))
        return await asyncio.to_thread(transactions) - before

    assert await added(*sessions) == 1
    assert [await added(sessions[0]) for _ in range(3)] == [1, 1, 1]
    # The first of them does not wait for others, as those before had none beside them.
    assert await added(*sessions) == 2
    assert await added(*sessions) == 1
