"""Answers that get lost after the server has done what was sent: nothing is done twice."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection, connections, transaction

from parlant_store.adapters.openai_agents import Session
from parlant_store.exceptions import OutcomeUnknown, StoreUnavailable
from parlant_store.models import Request, SessionItem
from tests.backends.orm.test_sessions import make_store as make_store
from tests.contract.document_values import made
from tests.contract.requests import WRITES, everything
from tests.contract.values import numbered
from tests.empty_tables import django_dsn
from tests.servers.lossy_network import Proxy, proxy_to
from tests.servers.postgresql import postgresql

LONG = 120
"""Seconds within which everything happens on any machine."""


@pytest.fixture
def proxy(store) -> Iterator[Proxy]:
    """What the default database is reached through."""
    params, server = connection.get_connection_params(), django_dsn()
    connection.close()
    store.close()
    with (
        proxy_to(params["host"], int(params.get("port") or 5432)) as proxy,
        pytest.MonkeyPatch.context() as patch,
    ):
        proxy.server = server
        options = connection.settings_dict["OPTIONS"] | {"host": "127.0.0.1"}
        options["port"] = proxy.port
        patch.setitem(connection.settings_dict, "OPTIONS", options)
        yield proxy
        connection.close()
        store.close()


@pytest.fixture
def filled(store, proxy, own_indexes):
    store.add_items("s", numbered(1, 2, 3), user_id="ada")
    for number in (1, 2):
        store.insert_one("c", made(number))
    return store


@contextmanager
def other_connection(proxy: Proxy) -> Iterator[psycopg.Connection]:
    """A connection to the server itself."""
    with psycopg.connect(proxy.server, autocommit=True) as other:
        yield other


def wait_for(other: psycopg.Connection, waiting: int) -> None:
    """Until so many others wait for a lock."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    sql += " AND datname = current_database()"
    until = time.monotonic() + LONG
    while other.execute(sql).fetchone()[0] < waiting:
        assert time.monotonic() < until
        other.execute("SELECT pg_stat_clear_snapshot(), pg_sleep(0.01)")


def in_thread(call) -> threading.Thread:
    def run() -> None:
        try:
            call()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("name", WRITES)
def test_a_write_whose_answer_is_lost_is_done_once(filled, proxy, name, monkeypatch):
    now = filled.clock()
    monkeypatch.setattr(filled, "clock", lambda: now)
    given = {}
    if name == "save_snapshot of a part":
        given["since"] = filled.load_snapshot("s").revision
    if name == "replace":
        given["stored"] = filled.read_version("c", None)
    with transaction.atomic():
        expected, after = WRITES[name](filled, **given), everything(filled)
        transaction.set_rollback(True)
    proxy.lose(holding=b"COMMIT\0" if name == "ensure_index" else b"SELECT 1\0")
    assert WRITES[name](filled, **given) == expected
    assert proxy.lost == 1
    assert everything(filled) == after


def test_when_sending_it_again_fails_too_the_outcome_is_unknown(filled, proxy):
    filled.add_items("s", numbered(4))
    proxy.lose(holding=b"parlant_store_pop", stays_down=True)
    with pytest.raises(OutcomeUnknown, match="may have been done"):
        filled.pop_item("s", request_id="an id")
    with pytest.raises(StoreUnavailable) as caught:
        filled.pop_item("s", request_id="an id")
    assert caught.type is StoreUnavailable
    proxy.is_down = False
    assert filled.pop_item("s", request_id="an id") == {"n": 4}
    assert filled.get_items("s") == numbered(1, 2, 3)


def test_an_answer_that_is_lost_twice_leaves_the_outcome_unknown(filled, proxy):
    proxy.lose(2, holding=b"SELECT 1\0")
    with pytest.raises(OutcomeUnknown):
        filled.add_items("s", numbered(4))
    assert filled.get_items("s") == numbered(1, 2, 3, 4)


def test_a_read_did_nothing(filled, proxy):
    filled.list_versions("c")
    for read in (lambda: filled.get_items("s"), lambda: filled.find("c")):
        proxy.lose(stays_down=True)
        with pytest.raises(StoreUnavailable) as caught:
            read()
        assert caught.type is StoreUnavailable
        proxy.is_down = False


def test_what_cannot_be_sent_was_not_done(filled, proxy):
    connection.close()
    proxy.is_down = True
    with pytest.raises(StoreUnavailable) as caught:
        filled.add_items("s", numbered(4))
    assert caught.type is StoreUnavailable
    proxy.is_down = False
    assert filled.get_items("s") == numbered(1, 2, 3)


@pytest.mark.parametrize("id_", [None, "an id"])
def test_in_the_callers_transaction_nothing_was_done(filled, proxy, id_):
    with pytest.raises(StoreUnavailable) as caught, transaction.atomic():
        filled.add_items("s", numbered(4))
        proxy.lose()
        filled.add_items("s", numbered(5), request_id=id_)
    assert caught.type is StoreUnavailable
    assert filled.get_items("s") == numbered(1, 2, 3)


def test_a_server_that_is_still_busy_with_the_first_does_it_once(filled, proxy):
    popped = []
    with other_connection(proxy) as other:
        with other.transaction():
            other.execute("SELECT key FROM parlant_store_session FOR UPDATE")
            thread = in_thread(lambda: popped.append(filled.pop_item("s")))
            wait_for(other, 1)
            connection.close()
            proxy.cut()
            wait_for(other, 2)
        thread.join(LONG)
    assert popped == [{"n": 3}]
    assert filled.get_items("s") == numbered(1, 2)


def test_a_document_that_the_first_inserted_is_no_duplicate(filled, proxy):
    with other_connection(proxy) as other:
        with other.transaction():
            other.execute("LOCK TABLE parlant_store_request IN EXCLUSIVE MODE")
            thread = in_thread(lambda: filled.insert_one("c", made(7)))
            wait_for(other, 1)
            connection.close()
            proxy.cut()
            wait_for(other, 2)
        thread.join(LONG)
    assert filled.find_one("c", {"id": {"$eq": "d7"}}) == made(7)


def test_a_backend_that_is_terminated_in_a_write(filled, proxy):
    with other_connection(proxy) as other:
        with other.transaction():
            other.execute("SELECT key FROM parlant_store_session FOR UPDATE")
            thread = in_thread(lambda: filled.add_items("s", numbered(4)))
            wait_for(other, 1)
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            wait_for(other, 1)
        thread.join(LONG)
    assert filled.get_items("s") == numbered(1, 2, 3, 4)


def test_a_write_that_is_cancelled_was_not_done(filled, proxy):
    with other_connection(proxy) as other:
        errors = []

        def add() -> None:
            with pytest.raises(StoreUnavailable) as caught:
                filled.add_items("s", numbered(4))
            errors.append(caught.type)

        with other.transaction():
            other.execute("SELECT key FROM parlant_store_session FOR UPDATE")
            thread = in_thread(add)
            wait_for(other, 1)
            other.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            thread.join(LONG)
    assert errors == [StoreUnavailable]
    assert filled.get_items("s") == numbered(1, 2, 3)


def test_adapters_send_a_lost_write_again(filled, proxy):
    async def turns() -> None:
        session = Session("of an adapter")
        await session.add_items(numbered(0))
        for number in range(1, 6):
            proxy.lose(holding=b"parlant_store_")
            await session.add_items(numbered(number))
        proxy.lose(holding=b"parlant_store_")
        assert await session.pop_item() == {"n": 5}
        proxy.lose(holding=b"parlant_store_")
        await session.clear_session()

        # One at a time: of what is sent again nothing is lost.
        for tens in range(0, 50, 10):
            proxy.lose(holding=b"parlant_store_")
            numbers = range(tens, tens + 10)
            await asyncio.gather(*(session.add_items(numbered(number)) for number in numbers))
            proxy.lose(0)

    asyncio.run(turns())
    items = filled.get_items("of an adapter")
    assert sorted(item["n"] for item in items) == list(range(50))


def test_additions_that_are_made_together_are_made_once(filled, proxy):
    from tests.backends.orm.postgresql.test_grouped_calls import Held

    filled.close()
    with Held(filled) as held:
        done = [held.add(f"s{number % 3}", number) for number in range(20)]
        done += [held.add("s", 99, request_id="an id") for _ in range(3)]
        proxy.lose(holding=b"parlant_store_")
    for each in done:
        each.result(LONG)
    assert SessionItem.objects.count() == 3 + 20 + 1


def test_a_connection_keeps_the_answer_of_its_last_write_alone(filled):
    for number in range(5):
        filled.add_items("s", numbered(number))
        filled.insert_one("c", made(number + 3))
        filled.pop_item("s")
    assert Request.objects.count() == 1
    filled.pop_item("s", request_id="an id")
    filled.pop_item("s")
    assert Request.objects.count() == 2


RESTARTS = """
import sys
import parlant_store
parlant_store.setup(database_url=sys.argv[1])
from parlant_store import store
from parlant_store.exceptions import StoreUnavailable

def again(call, **given):
    while True:
        try:
            return call(**given)
        except StoreUnavailable:
            pass

popped = []
for number in range(int(sys.argv[2])):
    add = lambda **given: store.add_items("s", [{"n": number}, {"n": -number}], **given)
    again(add, request_id=f"add {number}")
    popped.append(again(lambda **given: store.pop_item("s", **given), request_id=f"pop {number}"))
    if number % 50 == 0:
        print(number, flush=True)
count = int(sys.argv[2])
assert popped == [{"n": -number} for number in range(count)], popped
assert again(lambda: store.get_items("s")) == [{"n": number} for number in range(count)]
"""


def test_writes_under_an_id_are_done_once_while_the_server_stops_and_starts():
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    with postgresql() as server:
        process = subprocess.Popen(
            [sys.executable, "-c", RESTARTS, server.get_uri(), "300"],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for _ in range(3):
            assert process.stdout.readline()
            server.stop()
            server.start()
        process.communicate(timeout=300)
        assert process.returncode == 0
