"""A store beside a project that uses the same pool of connections."""

import asyncio
import threading
import time
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.db import connections

from parlant_store import stores
from parlant_store.adapters.openai_agents import Session
from parlant_store.exceptions import StoreUnavailable
from tests.backends.locks import PATIENCE, TIMEOUT_SECONDS, eventually, interrupt_until_done
from tests.backends.threads.busy_threads import Held, results
from tests.contract.values import numbered

SIZE = 4


@pytest.fixture
def pool(store, monkeypatch, settings):
    """The pool of an alias whose connections are those of the tests' database."""
    entry = dict(connections.settings["default"])
    options = {"min_size": 1, "max_size": SIZE, "timeout": PATIENCE}
    entry["OPTIONS"] = entry["OPTIONS"] | {"pool": options}
    monkeypatch.setitem(connections.settings, "pooled", entry)
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"using": "pooled"}}}
    connections["pooled"].ensure_connection()
    connections["pooled"].close()
    # It may be opening a second connection still.
    eventually(lambda: taken(connections["pooled"].pool) == 0)
    yield connections["pooled"].pool
    stores.close_all()
    connections["pooled"].close()
    connections["pooled"].close_pool()
    del connections["pooled"]


def taken(pool) -> int:
    stats = pool.get_stats()
    return int(stats["pool_size"] - stats["pool_available"])


def test_each_connection_is_given_back_after_its_call(pool):
    store = stores["default"]
    for number in range(5):
        store.submit(partial(store.add_items, "s", numbered(number))).result(TIMEOUT_SECONDS)
        # Before the result is known.
        assert taken(pool) == 0
    with pytest.raises(ValueError, match="limit"):
        store.submit(partial(store.get_items, "s", limit=-1)).result(TIMEOUT_SECONDS)
    assert taken(pool) == 0
    assert store.submit(partial(store.get_items, "s")).result() == numbered(*range(5))


def test_a_group_gives_its_connection_back(pool):
    store = stores["default"]
    with Held(store) as held:
        futures = [held.add("s", number) for number in range(20)]
    results(futures)
    eventually(lambda: taken(pool) == 0)
    assert len(store.submit(partial(store.get_items, "s")).result()) == 20


def test_never_more_than_half_is_taken(pool):
    store = stores["default"]
    assert store.executor.count == SIZE // 2
    most = 0

    async def turn(number):
        nonlocal most
        await Session(f"s{number}").add_items(numbered(number))
        most = max(most, taken(pool))
        assert await Session(f"s{number}").get_items() == numbered(number)

    async def main():
        await asyncio.gather(*map(turn, range(40)))

    asyncio.run(main())
    assert most <= SIZE // 2
    eventually(lambda: taken(pool) == 0)


def test_many_calls_while_the_project_uses_the_pool(pool):
    errors, go = [], threading.Event()

    def use():
        try:
            while not go.is_set():
                User.objects.using("pooled").count()
                connections["pooled"].close()
        except Exception as exc:
            errors.append(exc)

    users = [threading.Thread(target=use) for _ in range(3)]
    for user in users:
        user.start()
    try:

        async def main():
            await asyncio.gather(*(Session("s").add_items(numbered(n)) for n in range(40)))
            return await asyncio.gather(*(Session("s").get_items() for _ in range(40)))

        found = asyncio.run(main())
    finally:
        go.set()
        for user in users:
            user.join()
    assert errors == []
    assert {len(items) for items in found} == {40}
    eventually(lambda: taken(pool) == 0)


@pytest.mark.parametrize("way", ["timeout", "cancel"])
def test_a_call_that_waits_for_a_connection(pool, settings, monkeypatch, way):
    """It ends in time, and never happens when there is a connection at last."""
    interrupt_until_done(monkeypatch)
    options = {"using": "pooled", "timeout": 0.5 if way == "timeout" else PATIENCE}
    settings.PARLANT_STORES = {"default": {"OPTIONS": options}}
    taken_by_others = [pool.getconn() for _ in range(SIZE)]

    async def add():
        call = Session("s").add_items(numbered(1))
        if way == "cancel":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(call, 0.5)
            return
        with pytest.raises(StoreUnavailable, match=r"'default'.* 0.5 s") as failed:
            await call
        assert type(failed.value) is StoreUnavailable

    try:
        before = time.monotonic()
        asyncio.run(add())
        assert time.monotonic() - before < TIMEOUT_SECONDS
    finally:
        for each in taken_by_others:
            pool.putconn(each)
    store = stores["default"]
    store.call_timeout = PATIENCE
    eventually(lambda: taken(pool) == 0)
    with Held(store):
        assert store.get_items("s") == []
    asyncio.run(Session("s").add_items(numbered(2)))
    assert store.get_items("s") == numbered(2)
    connections["pooled"].close()
