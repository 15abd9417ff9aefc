"""Reads that prolong sessions in Redis: with their commands, and with all keys of the session."""

import pytest

from tests.backends.redis.conftest import stores_on
from tests.backends.redis.test_costs import Traffic
from tests.backends.redis.test_expiry import MARGIN
from tests.contract.clock import Clock
from tests.contract.refresh import READS, TTL
from tests.contract.turn_values import turn
from tests.servers import redis_servers
from tests.servers.redis_servers import wait_until

SYNCHRONOUS = [name for name in READS if not name.startswith("a")]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server():
    with redis_servers.server(redis_servers.valkey()) as running:
        yield running


@pytest.fixture
def make_store(server, clock):
    with stores_on(
        url=server.url, prefix="same", clock=clock, ttl_seconds=TTL, ttl_refresh="read"
    ) as make:
        yield make


@pytest.fixture
def store(make_store, clock):
    """A store with a session that a read prolongs."""
    store = make_store()
    store.add_items("s", turn("hello"), user_id="ada")
    clock.pass_(TTL - 1)
    return store


def left(store, clock) -> float:
    """The seconds until the session expires."""
    return (store.get_session("s").expires_at - clock()).total_seconds()


@pytest.mark.parametrize("read", SYNCHRONOUS)
def test_every_key_of_the_session_expires_later(store, server, clock, read):
    with server.client() as client:
        kinds = ("session", "items", "texts", "turns")
        keys = [key for kind in kinds for key in client.keys(f"same:*:{kind}:*")]
        assert len(keys) == 4
        for key in keys:
            client.pexpire(key, 5_000)
        READS[read](store)
        for key in keys:
            assert TTL * 1_000 - 100_000 < client.pttl(key) - MARGIN <= TTL * 1_000
        (index,) = client.keys("same:*:expires")
        expires_at = store.get_session("s").expires_at.timestamp()
        entries = client.zrange(index, 0, -1, withscores=True)
        assert entries == [(b"\0s\0ada", expires_at * 10**6)]


@pytest.mark.parametrize("read", ["get_items", "get_items(1)", "load_snapshot", "list_turns"])
def test_a_read_is_sent_at_once(store, make_store, server, clock, read):
    plain = make_store(ttl_refresh="write")
    for each in (plain, store):  # First the scripts are loaded.
        READS[read](each)
    spent = []
    for each, seconds in ((plain, 0), (store, 1), (store, TTL - 2)):
        clock.pass_(seconds)
        with Traffic(server) as traffic:
            assert READS[read](each)
        spent.append(traffic.spent)
    assert left(store, clock) == TTL
    by_default, early, due = spent
    assert early["scripts"] == due["scripts"] == by_default["scripts"] + 1
    assert early["reads"] == due["reads"] == by_default["reads"]


def test_a_read_only_replica(store, clock, server):
    with redis_servers.server(redis_servers.valkey()) as replica, replica.client() as client:
        client.replicaof("127.0.0.1", server.port)
        wait_until(lambda: client.exists("same:shards") == 1, lambda: "not replicated")
        assert reads_prolong(replica.url, clock) == 1


def test_a_server_without_memory(store, clock, server):
    """It takes none: the keys have their expiry already."""
    with server.client() as client:
        client.config_set("maxmemory", 1)
        assert reads_prolong(server.url, clock) == TTL


def test_a_server_that_needs_replicas(store, clock, server):
    with server.client() as client:
        client.config_set("min-replicas-to-write", 1)
        assert reads_prolong(server.url, clock) == 1
        client.config_set("min-replicas-to-write", 0)
    assert reads_prolong(server.url, clock) == TTL


@pytest.mark.parametrize("denied", ["-@write", "-@scripting", "-zadd", "-hset", "-pexpire"])
def test_a_user_who_may_only_read(store, clock, server, denied):
    with server.client() as client:
        client.acl_setuser(
            "reader", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all", denied]
        )
    url = server.url.replace("redis://", "redis://reader:secret@")
    reads = ["get_items", "get_items(1)"] if denied == "-@scripting" else SYNCHRONOUS
    assert reads_prolong(url, clock, reads) == 1
    assert reads_prolong(server.url, clock) == TTL


def reads_prolong(url, clock, reads=SYNCHRONOUS) -> float:
    """The seconds until the session expires after it was read."""
    options = {"clock": clock, "ttl_seconds": TTL, "ttl_refresh": "read", "timeout": 5}
    with stores_on(url=url, prefix="same") as make:
        store = make(**options)
        for read in reads:
            assert READS[read](store)
        return left(store, clock)
