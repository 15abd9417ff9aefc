"""A cluster that changes while it is written to: slots are moved, masters are killed."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from uuid import uuid4

import pytest
from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import RedisError, ResponseError

from parlant_store.exceptions import StoreUnavailable
from tests.backends.redis.conftest import stores_on
from tests.contract.snapshot_values import said
from tests.contract.threads import in_threads
from tests.contract.values import numbered
from tests.servers import redis_servers
from tests.servers.redis_servers import Cluster, Server, wait_until

WRITERS = 4
KILLS = int(os.environ.get("KILLS", "2"))
"""How often a master is killed; make test-kill has more time than make test."""

WRITES = int(os.environ.get("WRITES", "100"))
"""How many writes there are at least between two of them."""


@pytest.fixture
def store(valkey_cluster):
    with stores_on(url=valkey_cluster.urls) as make:
        yield make()


def slot_of(store, session_id: str) -> int:
    with RedisCluster.from_url(store_url(store)) as client:
        return client.keyslot(store.keyspace.shard_of(b"\0" + session_id.encode()).names)


def store_url(store) -> str:
    node = store.connection.nodes.client().get_primaries()[0]
    return f"redis://{node.host}:{node.port}"


class Mover:
    """Moves a slot from its master to another one, key by key, as tools for clusters do."""

    def __init__(self, cluster: Cluster, slot: int) -> None:
        self.cluster, self.slot = cluster, slot
        self.source = cluster.master_of(slot)
        masters = [each for each in cluster.servers if is_master(each)]
        self.target = next(each for each in masters if each is not self.source)

    def begin(self) -> None:
        with self.source.client() as source, self.target.client() as target:
            own, other = my_id(source), my_id(target)
            target.execute_command("CLUSTER", "SETSLOT", self.slot, "IMPORTING", own)
            source.execute_command("CLUSTER", "SETSLOT", self.slot, "MIGRATING", other)

    def move(self, count: int) -> int:
        """Move some keys, and say how many."""
        with self.source.client() as source:
            keys = source.execute_command("CLUSTER", "GETKEYSINSLOT", self.slot, count)
            for key in keys:
                source.execute_command("MIGRATE", "127.0.0.1", self.target.port, key, 0, 60_000)
            return len(keys)

    def end(self) -> None:
        while self.move(10):
            pass
        with self.target.client() as target:
            other = my_id(target)
        for each in (self.target, self.source):
            with each.client() as client:
                client.execute_command("CLUSTER", "SETSLOT", self.slot, "NODE", other)


def is_master(server: Server) -> bool:
    with server.client() as client:
        return client.role()[0] == b"master"


def my_id(client: Redis) -> bytes:
    return client.execute_command("CLUSTER", "MYID")


def test_slots_are_moved_while_sessions_are_written(store, valkey_cluster):
    names = [f"s{number}" for number in range(WRITERS)]
    for name in names:
        store.add_items(name, [])
    is_done = threading.Event()
    moves = []

    def move() -> None:
        while not is_done.is_set():
            for name in names:
                mover = Mover(valkey_cluster, slot_of(store, name))
                mover.begin()
                for _ in range(3):
                    mover.move(1)
                    is_done.wait(0.01)
                mover.end()
                moves.append(name)

    written: dict[str, list[int]] = {name: [] for name in names}

    def write(writer: int) -> None:
        name = names[writer]
        turn = 0
        while len(moves) < 8 or turn < 30:
            store.add_items(name, said(str(turn), f"{turn} again"), user_id=name)
            assert store.pop_item(name) == said(f"{turn} again")[0]
            written[name].append(turn)
            store.set_metadata(name, {"turn": turn})
            assert len(store.get_items(name, limit=2)) == min(2, turn + 1)
            turn += 1

    with ThreadPoolExecutor(1) as pool:
        moving = pool.submit(move)
        try:
            in_threads(write, WRITERS)
        finally:
            is_done.set()
        moving.result()
    for name in names:
        assert store.get_items(name) == said(*map(str, written[name]))
        assert store.get_metadata(name) == {"turn": written[name][-1]}
        assert sorted(hit.session_id for hit in store.search("5", namespace="")) == names
        assert [each.session_id for each in store.list_sessions(user_id=name).sessions] == [name]
        for options in ({}, {"user_id": name}, {"prefix": name, "namespace": ""}):
            page = store.list_sessions(order="activity", **options)
            assert name in [each.session_id for each in page.sessions]
    assert [each.session_id for each in store.list_sessions().sessions] == names


def test_a_slot_that_is_half_moved(valkey_cluster):
    """Reads of what is on one side go on; what is on both waits, and is whole."""
    with stores_on(url=valkey_cluster.urls, timeout=0.5) as make:
        store = make()
        store.save_snapshot("s", said("hello"), state={"a": 1})
        mover = Mover(valkey_cluster, slot_of(store, "s"))
        mover.begin()
        total = 0
        while moved := mover.move(1):
            total += moved
            with suppress(StoreUnavailable):
                store.add_items("s", numbered(total), request_id=str(total))
            with suppress(StoreUnavailable):
                items = store.load_snapshot("s").items
                assert items[0] == said("hello")[0]
        mover.end()
        for number in range(1, total + 1):
            store.add_items("s", numbered(number), request_id=str(number))
        items = store.get_items("s")
        assert sorted(item["n"] for item in items[1:]) == list(range(1, total + 1))
        assert len(store.search("hello")) == len(store.list_sessions().sessions) == 1


def test_all_keys_of_a_session_have_one_slot_and_the_shards_are_spread(store, valkey_cluster):
    for number in range(200):
        store.add_items(f"s{number}", said("hello"), user_id="ada", ttl_seconds=1_000)
    prefix = store.keyspace.settings.removesuffix(b":shards")
    per_server = []
    for server in filter(is_master, valkey_cluster.servers):
        with server.client() as client:
            keys = list(client.scan_iter(prefix + b":*:session:*", count=1_000))
            per_server.append(len(keys))
            for key in keys:
                others = [key.replace(b":session:", kind) for kind in (b":items:", b":texts:")]
                assert client.exists(key, *others) == 3
    assert sum(per_server) == 200
    assert min(per_server) > 30


# A master is killed


@pytest.fixture
def breakable():
    """A cluster that replaces a master soon."""
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with redis_servers.cluster(redis_servers.valkey(), *options, node_timeout=1_500) as running:
        yield running


def test_a_master_is_killed_in_mid_write(breakable):
    """Nothing that was acknowledged is lost or doubled."""
    with stores_on(url=breakable.urls, acknowledge=1, timeout=5) as make:
        store = make()
        store.add_items("s0", numbered(-1))
        slot = slot_of(store, "s0")
        is_done = threading.Event()
        written: list[list[int]] = [[] for _ in range(WRITERS)]
        total = 0

        def write(writer: int) -> None:
            number = 0
            while not is_done.is_set():
                until_done(store, f"s{writer}", pair(number))
                written[writer].append(number)
                number += 1

        with ThreadPoolExecutor(WRITERS) as pool, ExitStack() as ends:
            ends.callback(is_done.set)
            writers = [pool.submit(write, writer) for writer in range(WRITERS)]
            for _ in range(KILLS):
                wait_until(lambda: sum(map(len, written)) >= total + WRITES, lambda: "no writes")  # noqa: B023
                killed = breakable.master_of(slot)
                killed.kill()
                wait_until(lambda: replaced(breakable, slot, killed), lambda: "no new master")  # noqa: B023
                killed.start()
                breakable.wait_until_ready()
                total = sum(map(len, written))
            is_done.set()
            for each in writers:
                each.result()
        for writer in range(WRITERS):
            items = [item["n"] for item in store.get_items(f"s{writer}") if item["n"] >= 0]
            expected = [n for number in written[writer] for n in (2 * number, 2 * number + 1)]
            assert items[: len(expected)] == expected


def until_done(store, session_id: str, items) -> None:
    """Repeat a write until it is acknowledged."""
    request_id = uuid4()
    while True:
        with suppress(StoreUnavailable):
            return store.add_items(session_id, items, request_id=request_id)


def pair(number: int) -> list[dict[str, int]]:
    return numbered(2 * number, 2 * number + 1)


def replaced(cluster: Cluster, slot: int, killed: Server) -> bool:
    with suppress(LookupError, RedisError, ResponseError):
        return cluster.master_of(slot) is not killed
    return False
