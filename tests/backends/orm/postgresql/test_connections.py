"""Connections that break, and servers that cannot keep statements prepared."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from urllib.parse import urlsplit

import psycopg
import pytest
from django.core.checks import run_checks
from django.db import connection, transaction

from parlant_store.backends.columns import upsert_lock
from parlant_store.content import query
from parlant_store.exceptions import BackendError, StoreUnavailable
from tests.backends import locks
from tests.contract.values import numbered
from tests.servers.postgresql import postgresql

RESTART = """
import asyncio, subprocess, sys
import parlant_store
parlant_store.setup(database_url=sys.argv[1])
from parlant_store import store, stores
from parlant_store.adapters.openai_agents import Session

async def turns(session, count):
    await asyncio.gather(*(session.add_items([{"n": n}]) for n in range(count)))
    return len(await session.get_items())

def restart():
    print("restart", flush=True)
    assert sys.stdin.readline() == "done\\n"

session = Session("s")
assert asyncio.run(turns(session, 20)) == 20
store.add_items("s", [{"n": 0}])
restart()
assert asyncio.run(turns(session, 20)) == 41
restart()
store.add_items("s", [{"n": 0}])
assert asyncio.run(turns(session, 20)) == 62
"""


def test_after_a_restart_the_next_call_works():
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    with postgresql() as server:
        process = subprocess.Popen(
            [sys.executable, "-c", RESTART, server.get_uri()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for _ in range(2):
            assert process.stdout.readline() == "restart\n"
            server.stop()
            server.start()
            process.stdin.write("done\n")
            process.stdin.flush()
        process.communicate(timeout=600)
        assert process.returncode == 0


def backend_pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def terminate(pid: int) -> None:
    url = urlsplit(os.environ["DATABASE_URL"])
    with psycopg.connect(url.geturl(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
        while other.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone():
            pass


def test_a_connection_that_broke_while_idle_is_replaced(store):
    store.add_items("s", numbered(1))
    terminate(backend_pid())
    store.add_items("s", numbered(2))
    assert store.get_items("s") == numbered(1, 2)


def test_a_connection_that_breaks_in_a_call_is_an_error_and_the_next_call_works(store):
    from parlant_store.backends.orm.database.errors import errors
    from parlant_store.backends.orm.database.statements import fetch

    store.add_items("s", numbered(1))
    with pytest.raises(StoreUnavailable), errors:
        fetch(connection, "SELECT pg_terminate_backend(pg_backend_pid())")
    assert store.get_items("s") == numbered(1)


def test_inside_a_transaction_a_broken_connection_is_no_silent_retry(store):
    from django.db import transaction

    with pytest.raises(StoreUnavailable), transaction.atomic():
        store.add_items("s", numbered(1))
        terminate(backend_pid())
        store.add_items("s", numbered(2))
    assert store.get_items("s") == []


def prepared() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%parlant%'"
        )
        return int(cursor.fetchone()[0])


def checked() -> dict[str, str]:
    found = run_checks(tags=["database"], databases=["default"])
    return {message.id: message.msg for message in found}


def test_the_check_says_that_statements_stay_prepared(store):
    assert "directly" in checked()["parlant_store.I001"]
    assert "parlant_store.W016" not in checked()


def test_the_check_says_when_the_server_does_not_bear_the_threads(store):
    # In a transaction, which tests of other processes do not see.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER ROLE CURRENT_USER CONNECTION LIMIT 4")
        assert "8 threads" in checked()["parlant_store.W016"]
        transaction.set_rollback(True)


def test_statements_are_prepared_once_and_djangos_own_are_not(store):
    connection.close()
    for _ in range(10):
        store.add_items("s", numbered(1))
        store.get_items("s", limit=1)
    assert prepared() == 2
    assert connection.connection.prepare_threshold is None


def test_statements_that_the_project_deletes_are_prepared_again(store):
    store.add_items("s", numbered(1))
    for number in (2, 3):
        with transaction.atomic() if number == 3 else nullcontext():
            with connection.cursor() as cursor:
                cursor.execute("DEALLOCATE ALL")
            store.add_items("s", numbered(number))
    assert store.get_items("s") == numbered(1, 2, 3)


@pytest.mark.parametrize(
    "settings",
    [
        {"DISABLE_SERVER_SIDE_CURSORS": True},
        {"PORT": "6543"},
        {"OPTIONS": {"prepare_threshold": None}},
    ],
)
def test_behind_a_transaction_pooler_nothing_is_prepared(store, settings, monkeypatch):
    connection.close()
    store.exists("s")
    merged = connection.settings_dict["OPTIONS"] | settings.get("OPTIONS", {})
    for name, value in (settings | {"OPTIONS": merged}).items():
        monkeypatch.setitem(connection.settings_dict, name, value)
    before = prepared()
    for _ in range(10):
        store.add_items("s", numbered(1))
        store.find("c", {"id": {"$eq": "x"}})
    assert prepared() == before
    assert len(store.get_items("s")) == 10


def test_missing_tables_name_the_mend(store):
    from django.db import transaction

    with pytest.raises(BackendError, match="run manage.py migrate"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE parlant_store_session_item")
        store.get_items("s")
    with pytest.raises(BackendError, match="run manage.py migrate"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION parlant_store_clear")
        store.clear("s")


def test_a_turn_that_is_cancelled_leaves_no_statement_that_is_not_there(store):
    where = {"key": {"$eq": "k"}}
    turn = upsert_lock("c", query.parse(where))

    def cancel_who_waits(other: psycopg.Connection) -> None:
        locks.eventually(locks.waiting)
        other.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )

    # The driver prepares a statement that it has run a few times.
    for number in range(10):
        for _ in range(2):
            assert store.update_one("c", where, {"key": "k", "n": number}, upsert=True)
        with locks.connect() as other, ThreadPoolExecutor(1) as threads:
            other.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [turn])
            cancelled = threads.submit(cancel_who_waits, other)
            with pytest.raises(StoreUnavailable):
                store.update_one("c", where, {"key": "k", "n": -1}, upsert=True)
            cancelled.result()
    assert store.find_one("c", where) == {"key": "k", "n": 9}
