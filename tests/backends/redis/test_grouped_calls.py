"""Calls of adapters that wait are sent together, and each has its own result."""

import asyncio
import os
import signal
from contextlib import contextmanager

import pytest

from parlant_store import signals
from parlant_store.exceptions import BackendError, InvalidItem, OutcomeUnknown, StoreUnavailable
from tests.backends.redis.conftest import stores_on
from tests.contract.values import numbered
from tests.servers import redis_servers
from tests.servers.lossy_network import proxy_to

CALLS = 100
TIMEOUT_SECONDS = 60


@pytest.fixture
def server():
    """A server that a test may stop for a while."""
    with redis_servers.server(redis_servers.valkey()) as running:
        yield running


@pytest.fixture
def one_thread(server):
    """A store on which calls wait for each other."""
    with stores_on(url=server.url, threads=1) as make:
        store = make()
        store.add_items("s", numbered(0))
        yield store


@contextmanager
def stopped(server):
    process = server.process_id()
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


async def test_many_calls_at_once(one_thread, server):
    received = []

    def receive(session_id, message_count, **_):
        received.append((session_id, message_count))

    signals.session_saved.connect(receive, sender="test")
    try:
        adds = [one_thread.aadd_items(f"s{n % 10}", numbered(n)) for n in range(CALLS)]
        await asyncio.gather(*adds)
    finally:
        signals.session_saved.disconnect(receive, sender="test")
    reads = [one_thread.aget_items(f"s{n}", limit=5) for n in range(10)]
    for n, items in enumerate(await asyncio.gather(*reads)):
        assert [item["n"] for item in items] == list(range(n, CALLS, 10))[-5:]
    assert sorted(received) == sorted(
        (f"s{n}", count + 1) for n in range(10) for count in range(10)
    )


async def test_each_call_has_its_own_error(one_thread, server):
    name = b"\0bad"
    with server.client() as client:
        client.set(one_thread.keyspace.shard_of(name).keys(name).items, "a text")
    calls = [
        one_thread.aadd_items("a", numbered(1)),
        one_thread.aadd_items("bad", numbered(1)),
        one_thread.aadd_items("b", numbered(1)),
        one_thread.aadd_items("c", [{"n": {1}}]),
        one_thread.aadd_items("d", []),
        one_thread.aadd_items("e", numbered(1)),
    ]
    results = await asyncio.gather(*calls, return_exceptions=True)
    kinds = [type(None), BackendError, type(None), InvalidItem, type(None), type(None)]
    assert list(map(type, results)) == kinds
    names = [session.session_id for session in one_thread.list_sessions().sessions]
    assert names == ["a", "b", "e", "s"]


async def test_a_cancelled_call_harms_no_other(one_thread, server):
    """The others repeat their own writes, with the same ids."""
    for number in range(5):
        with stopped(server):
            tasks = [
                asyncio.create_task(one_thread.aadd_items(f"s{n}", [{"turn": number}]))
                for n in range(10)
            ]
            await asyncio.sleep(0.05)
            tasks[number].cancel()
            await asyncio.wait([tasks[number]], timeout=TIMEOUT_SECONDS)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[number], asyncio.CancelledError)
        others = [result for n, result in enumerate(results) if n != number]
        assert others == [None] * 9
    for n in range(10):
        turns = [item["turn"] for item in one_thread.get_items(f"s{n}")]
        sure = [turn for turn in range(5) if turn != n]
        assert turns in (sure, list(range(5)))


async def test_lost_answers_of_a_group(server):
    with (
        proxy_to("127.0.0.1", server.port) as proxy,
        stores_on(url=f"redis://127.0.0.1:{proxy.port}", threads=1) as make,
    ):
        store = make()
        store.add_items("s", numbered(0))
        for turn in range(5):
            proxy.lose()
            await asyncio.gather(*(store.aadd_items(f"s{n}", numbered(turn)) for n in range(20)))
        assert proxy.lost == 5
        for n in range(20):
            assert store.get_items(f"s{n}") == numbered(*range(5))


async def test_no_server_for_a_group(server):
    with stores_on(url=server.url, threads=1, timeout=0.3) as make:
        store = make()
        store.add_items("s", numbered(0))
        with stopped(server):
            calls = [store.aadd_items("s", numbered(n)) for n in range(5)]
            calls += [store.aget_items("s", limit=1) for n in range(5)]
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(result, StoreUnavailable) for result in results)
        assert not any(isinstance(result, OutcomeUnknown) for result in results[5:])
