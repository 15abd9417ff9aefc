"""Which server has a key: the only one, that of a Sentinel, or a node of a cluster."""

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol

from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import RedisClusterException, RedisError

CHECK_SECONDS = 1.0
"""How long a connection may be idle before it is checked whether it is still open."""


class Pool:
    """Connections to a server, from a pool of redis-py."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def take(self) -> Any:
        """Return a connection, which is open."""
        return self._pool.get_connection()

    def give_back(self, connection: Any, *, is_whole: bool) -> None:
        """Let others use the connection; close it first unless ``is_whole``."""
        if not is_whole:
            connection.disconnect()
        self._pool.release(connection)

    def disconnect(self) -> None:
        """Close the connections that are not used now."""
        self._pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        self._pool.disconnect()


class FastPool(Pool):
    """Connections of the store's own, which the pool counts as used until they break.

    redis-py's pool takes a large part of the time of a short call, mostly to see whether a
    connection is still open. This one does it after CHECK_SECONDS only: a connection that the
    server has closed is found when it is used, and the call is repeated.
    """

    def __init__(self, pool: Any) -> None:
        super().__init__(pool)
        self._idle: deque[tuple[Any, float]] = deque()

    def take(self) -> Any:
        while self._idle:
            try:
                connection, since = self._idle.pop()
            except IndexError:
                break
            if connection.pid != os.getpid():
                # Of the parent of this process.
                continue
            if monotonic() - since < CHECK_SECONDS or _is_open(connection):
                return connection
            super().give_back(connection, is_whole=False)
        return super().take()

    def give_back(self, connection: Any, *, is_whole: bool) -> None:
        if is_whole:
            self._idle.append((connection, monotonic()))
        else:
            super().give_back(connection, is_whole=False)

    def disconnect(self) -> None:
        idle = [self._idle.popleft() for _ in range(len(self._idle))]
        for connection, _ in idle:
            super().give_back(connection, is_whole=False)
        super().disconnect()


def _is_open(connection: Any) -> bool:
    try:
        return not connection.can_read(0)
    except (RedisError, OSError):
        return False


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

    def __init__(self, client: Redis, kind: type[Pool] = Pool) -> None:
        """``kind`` is the class of the pool of connections."""
        self._client = client
        self._pool = kind(client.connection_pool)

    def pool_of(self, key: bytes) -> Pool:
        return self._pool

    def pool_at(self, host: str, port: int) -> Pool:
        return self._pool

    def refresh(self) -> None:
        # After a failover, other connections than the refused one lead to the old server too.
        self._pool.disconnect()

    def pools(self) -> list[Pool]:
        return [self._pool]

    def close(self) -> None:
        self._pool.disconnect()
        self._pool.close()
        self._client.close()


class Cluster:
    """Each key is on the node that has its slot."""

    def __init__(self, make: Callable[[], RedisCluster], kind: type[Pool] = Pool) -> None:
        """
        make: returns the client; it is called when the first key is needed.
        kind: the class of the pools of connections.
        """
        self._make = make
        self._kind = kind
        self._pools: dict[int, tuple[Any, Pool]] = {}
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
        return self._pool(client, client.get_node_from_key(key))

    def pool_at(self, host: str, port: int) -> Pool:
        client = self.client()
        node = client.get_node(host, port)
        if node is None:
            self.refresh()
            node = client.get_node(host, port)
        if node is None:
            raise RedisClusterException(f"the cluster has no node at {host}:{port}")
        return self._pool(client, node)

    def _pool(self, client: Any, node: Any) -> Pool:
        pool = client.get_redis_connection(node).connection_pool
        if id(pool) not in self._pools:
            # With the pool itself, so that its id stays its own.
            self._pools[id(pool)] = pool, self._kind(pool)
        return self._pools[id(pool)][1]

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
        return [self._pool(client, node) for node in client.get_primaries()]

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
            pools, self._pools = self._pools, {}
        for _, pool in pools.values():
            pool.disconnect()
        if client is not None:
            client.close()
