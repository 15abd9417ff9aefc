"""Writers and servers that are killed: what was acknowledged is there, and batches are whole."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest

from parlant_store.exceptions import StoreUnavailable
from tests.backends.redis.conftest import stores_on
from tests.contract.values import numbered
from tests.servers import redis_servers
from tests.servers.redis_servers import wait_until

ROOT = Path(__file__).resolve().parents[3]
KILLS = int(os.environ.get("KILLS", "3"))
"""How often something is killed; make test-kill has more time than make test."""

WRITER = """
import sys
from parlant_store.backends.redis import RedisBackend
url, prefix, start, acknowledge = sys.argv[1:]
options = {"acknowledge": int(acknowledge)} if int(acknowledge) else {}
store = RedisBackend("test", url=url.split(), prefix=prefix, **options)
number = int(start)
while True:
    items = [{"n": number, "part": part} for part in range(3)]
    store.add_items("s", items)
    print(number, flush=True)
    number += 1
"""


@pytest.fixture
def durable():
    """A server that has a write on disk before it answers."""
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with redis_servers.server(redis_servers.valkey(), *options) as running:
        yield running


@contextmanager
def writer(urls: str, prefix: str, start: int, acknowledge: int = 0):
    """A process that adds batches of three to a session, and prints what is acknowledged."""
    command = [sys.executable, "-c", WRITER, urls, prefix, str(start), str(acknowledge)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def batches(store) -> list[int]:
    """The numbers of the batches in the session, each of which is whole."""
    items = store.get_items("s")
    groups = [items[start : start + 3] for start in range(0, len(items), 3)]
    for group in groups:
        assert [item["part"] for item in group] == [0, 1, 2]
        assert len({item["n"] for item in group}) == 1
    assert store.load_snapshot("s").revision.item_count == len(items)
    assert [session.item_count for session in store.list_sessions().sessions] == [len(items)]
    return [group[0]["n"] for group in groups]


def written_until_killed(process, count: int) -> int:
    """Kill the writer after it has said ``count`` lines; the last number that it said."""
    for _ in range(count):
        last = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    return int(rest[-1]) if rest else last


def check_killed_writers(store, urls: str, prefix: str, acknowledge: int = 0) -> None:
    start = 0
    for _ in range(KILLS):
        with writer(urls, prefix, start, acknowledge) as process:
            last = written_until_killed(process, 30)
        found = batches(store)
        assert found[: last + 1] == list(range(last + 1))
        assert len(found) <= last + 2
        start = len(found)


def test_a_writer_is_killed(durable):
    with stores_on(url=durable.url) as make:
        store = make()
        prefix = store.keyspace.settings.decode().removesuffix(":shards")
        check_killed_writers(store, durable.url, prefix)


def test_a_writer_to_a_cluster_is_killed(valkey_cluster):
    urls = " ".join(valkey_cluster.urls)
    with stores_on(url=valkey_cluster.urls) as make:
        store = make()
        prefix = store.keyspace.settings.decode().removesuffix(":shards")
        check_killed_writers(store, urls, prefix, acknowledge=1)


def test_a_server_is_killed(durable):
    """It has all acknowledged writes when it is started again, and repeats are no second write."""
    with stores_on(url=durable.url, timeout=0.5) as make:
        store, number = make(), 0
        for _ in range(KILLS):
            for turn in range(30):
                request_id = uuid4()
                if turn == 20:
                    os.kill(durable.process_id(), signal.SIGKILL)
                while not is_added(store, number, request_id):
                    durable.stop()
                    durable.start()
                    wait_until(lambda: is_loaded(durable), lambda: "it loads for ever")
                number += 1
            items = store.get_items("s")
            assert items == numbered(*(n for each in range(number) for n in (each, each)))


def is_added(store, number: int, request_id) -> bool:
    with suppress(StoreUnavailable):
        store.add_items("s", numbered(number, number), request_id=request_id)
        return True
    return False


def is_loaded(server) -> bool:
    with server.client() as client:
        return client.info("persistence")["loading"] == 0
