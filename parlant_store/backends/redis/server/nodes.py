"""Which server has a key: the only one, that of a Sentinel, or a node of a cluster."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import RedisClusterException, RedisError

Pool = Any
"""A connection pool of redis-py."""


class Nodes(Protocol):
    def pool_of(self, key: bytes) -> Pool: ...

    def pool_at(self, host: str, port: int) -> Pool:
        """Return the pool of the node to which a server redirects."""

    def refresh(self) -> None:
        """Find out again which server has which keys."""

    def pools(self) -> list[Pool]:
        """Return the pool of each server that takes writes."""

    def close(self) -> None: ...


class SingleServer:
    """All keys are on one server, which a Sentinel may replace."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._pool = client.connection_pool

    def pool_of(self, key: bytes) -> Pool:
        return self._pool

    def pool_at(self, host: str, port: int) -> Pool:
        return self._pool

    def refresh(self) -> None:
        # After a failover, other connections than the refused one lead to the old server too.
        self._pool.disconnect(inuse_connections=False)

    def pools(self) -> list[Pool]:
        return [self._pool]

    def close(self) -> None:
        self._client.close()
        self._pool.disconnect()


class Cluster:
    """Each key is on the node that has its slot."""

    def __init__(self, make: Callable[[], RedisCluster]) -> None:
        """``make`` returns the client; it is called when the first key is needed."""
        self._make = make
        self._lock = threading.Lock()
        self._client: Any = None

    def client(self) -> Any:
        """Return the client, whose methods have no types."""
        if self._client is None:
            with self._lock:
                if self._client is None:
                    self._client = self._make()
        return self._client

    def pool_of(self, key: bytes) -> Pool:
        client = self.client()
        return client.get_redis_connection(client.get_node_from_key(key)).connection_pool

    def pool_at(self, host: str, port: int) -> Pool:
        client = self.client()
        node = client.get_node(host, port)
        if node is None:
            self.refresh()
            node = client.get_node(host, port)
        if node is None:
            raise RedisClusterException(f"the cluster has no node at {host}:{port}")
        return client.get_redis_connection(node).connection_pool

    def refresh(self) -> None:
        # One thread asks; the others, which wait for it, use its result.
        if not self._lock.acquire(blocking=False):
            with self._lock:
                return
        try:
            if self._client is not None:
                with suppress(RedisError, RedisClusterException, OSError):
                    self._client.nodes_manager.initialize()
        finally:
            self._lock.release()

    def pools(self) -> list[Pool]:
        client = self.client()
        return [
            client.get_redis_connection(node).connection_pool for node in client.get_primaries()
        ]

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()
