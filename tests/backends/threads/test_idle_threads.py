"""What a store's threads hold: nothing for long, and never what the project needs."""

import asyncio
import gc
import os
import threading
from functools import partial

import psutil
import pytest
from django.db import connection, connections
from django.test import override_settings

from parlant_store import stores
from parlant_store.adapters.openai_agents import Session
from parlant_store.backends.orm import OrmBackend
from tests.backends.locks import TIMEOUT_SECONDS, connect, eventually
from tests.backends.threads.busy_threads import Held, results
from tests.conftest import VENDOR
from tests.contract.values import numbered
from tests.empty_tables import CLEANER, close_cleaner

pytestmark = pytest.mark.orm


def threads_of(name):
    return [each for each in threading.enumerate() if each.name.startswith(f"store-{name}-")]


def open_connections() -> int:
    """How many connections to the tests' database there are, those of the test's own besides."""
    if VENDOR == "sqlite3":
        # The tracebacks of cancelled calls of other tests keep cursors, and so the file.
        gc.collect()
        name = os.path.realpath(connection.settings_dict["NAME"])
        return sum(file.path == name for file in psutil.Process().open_files())
    other = connect()
    try:
        sql = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            " AND application_name <> %s"
        )
        return int(other.execute(sql, [CLEANER]).fetchone()[0])
    finally:
        other.close()


def turns(count):
    """As many turns at once, each of a session of its own."""

    async def turn(number):
        session = Session(f"s{number}")
        await session.replace_items(numbered(number))
        return await session.get_items()

    async def main():
        return await asyncio.gather(*map(turn, range(count)))

    return asyncio.run(main())


@pytest.fixture
def idle_seconds():
    return 0.2


@pytest.fixture
def restless(store, settings, idle_seconds):
    """A store whose threads rest for a short time."""
    stores.close_all()
    connections.close_all()
    # While it locks the file, SQLite keeps files that others have closed.
    close_cleaner()
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"idle_seconds": idle_seconds}}}
    yield stores["default"]
    stores.close_all()


def test_threads_that_rest_close_their_connections_and_end(restless):
    for _ in range(2):
        assert turns(40) == [numbered(n) for n in range(40)]
        connections.close_all()
        eventually(lambda: not threads_of("default"))
        eventually(lambda: open_connections() == 0)


def test_threads_that_work_stay(restless):
    with Held(restless):
        threads = threads_of("default")
        assert len(threads) == restless.executor.count
        threading.Event().wait(0.5)
        assert all(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("idle_seconds", [0.05])
def test_calls_that_come_while_threads_end(restless, idle_seconds):
    """Each is made, whether the thread had just ended or not."""
    for number in range(20):
        call = restless.submit(partial(int, number))
        assert call.result(TIMEOUT_SECONDS) == number
        threading.Event().wait(idle_seconds - 0.01 + 0.001 * number)


@pytest.mark.parametrize(("age", "seconds"), [(0, 60.0), (5, 5.0), (None, 60.0), (600, 600.0)])
def test_the_default_is_the_age_of_connections(transactional_db, monkeypatch, age, seconds):
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", age)
    assert OrmBackend("test", using="default").executor.idle_seconds == seconds
    given = OrmBackend("test", using="default", idle_seconds=7)
    assert given.executor.idle_seconds == 7


def test_debug_keeps_no_statements(store):
    def logged():
        return sum(len(each.queries_log) for each in connections.all(initialized_only=True))

    with override_settings(DEBUG=True):
        turns(40)
        with Held(store):
            found = [store.submit(logged) for _ in range(40)]
        assert set(results(found)) == {0}
    store.close()
