"""Servers that all tests of this folder share, and stores of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from uuid import uuid4

import pytest

from parlant_store.backends.redis import RedisBackend
from tests.contract.stores import MakeStore
from tests.servers import redis_servers
from tests.servers.redis_servers import Cluster, Server


@pytest.fixture(scope="session")
def redis7() -> Iterator[Server]:
    with redis_servers.server(redis_servers.redis()) as running:
        yield running


@pytest.fixture(scope="session")
def valkey_cluster() -> Iterator[Cluster]:
    with redis_servers.cluster(redis_servers.valkey()) as running:
        yield running


@contextmanager
def stores_on(**where: Any) -> Iterator[MakeStore]:
    """Makes stores that share a prefix of their own, and are closed at the end."""
    with ExitStack() as ends:
        prefix = f"test-{uuid4().hex[:8]}"

        def make(**options: Any) -> RedisBackend:
            given = {"alias": "test", "prefix": prefix, "timeout": 60, **where} | options
            return ends.enter_context(closing(RedisBackend(**given)))

        yield make


@pytest.fixture
def make_store(valkey: Server) -> Iterator[MakeStore]:
    with stores_on(url=valkey.url) as make:
        yield make


@pytest.fixture
def store(make_store: Callable[..., RedisBackend]) -> RedisBackend:
    return make_store()


@pytest.fixture
def own_keys(store: RedisBackend, valkey: Server) -> Callable[[], dict[bytes, int]]:
    """Returns the keys under the store's prefix, each with its milliseconds, -1 for ever."""
    prefix = store.keyspace.settings.removesuffix(b":shards")

    def read() -> dict[bytes, int]:
        with valkey.client() as client:
            return {key: client.pttl(key) for key in client.scan_iter(prefix + b":*", count=1_000)}

    return read
