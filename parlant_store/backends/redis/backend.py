"""The store in Redis or Valkey.

Sessions are in shards. The keys of a shard share a hash tag, so that each operation on a session is
one script on one server, which changes the session and its indexes together. docs/redis.md has the
layout of the keys.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

from parlant_store.backends.redis.checks import check_servers, shards_error
from parlant_store.backends.redis.grouped_calls import RedisGroupedCalls
from parlant_store.backends.redis.history import RedisHistory
from parlant_store.backends.redis.keys import MAX_SHARDS, Keyspace
from parlant_store.backends.redis.records import RedisRecords
from parlant_store.backends.redis.server.client import Connection, Run
from parlant_store.backends.redis.server.nodes import Cluster, Nodes, SingleServer
from parlant_store.backends.redis.server.options import nodes_of, urls_error
from parlant_store.backends.redis.server.requests import Command
from parlant_store.backends.secrets import Secret
from parlant_store.exceptions import BackendError

if TYPE_CHECKING:
    from redis import Redis
    from redis.cluster import RedisCluster

__all__ = ["RedisBackend"]

PREFIX = "parlant"
SHARDS = 64
TIMEOUT = 5.0
"""The default of the option ``timeout``."""


class RedisBackend(RedisGroupedCalls, RedisHistory, RedisRecords):
    """Sessions in Redis 7 or later, or in Valkey; no documents."""

    supports_documents = False
    keeps_answers = True

    def __init__(
        self,
        alias: str,
        *,
        url: str | Sequence[str] | None = None,
        cluster: bool = False,
        sentinel: str | None = None,
        client: "Redis | RedisCluster | None" = None,
        prefix: str = PREFIX,
        shards: int = SHARDS,
        acknowledge: int | Literal["memory"] = "memory",
        timeout: float = TIMEOUT,
        **options: Any,
    ) -> None:
        """
        url: redis://, rediss:// or unix://; a list of several nodes of a cluster, or of Sentinels.
        cluster: whether ``url`` is a node of a cluster.
        sentinel: the name of the service, if ``url`` has Sentinels.
        client: a client of redis-py, instead of url, cluster and sentinel.
        prefix: the beginning of all keys.
        shards: the number of parts of the store, each on one server; it cannot be changed later.
        acknowledge: "memory": a write counts when the server has it; or the number of replicas
            that must have it.
        timeout: how many seconds a call may take, including its repeats.

        Raise ImproperlyConfigured if an option is wrong.
        """
        self.alias = alias
        urls = Secret([url] if isinstance(url, str) else list(url or ()))
        del url
        error = _servers_error(urls, cluster, sentinel, client)
        error = error or _option_error(prefix, shards, acknowledge, timeout)
        if error is not None:
            raise ImproperlyConfigured(f"the store {alias!r} {error}")
        super().__init__(alias, **options)
        self.keyspace = Keyspace(prefix, shards)
        self._callers_client = client
        nodes = (
            nodes_of(urls, cluster=cluster, sentinel=sentinel, timeout=timeout)
            if client is None
            else _nodes_of_client(client)
        )
        replicas = 0 if acknowledge == "memory" else acknowledge
        self.connection = Connection(
            nodes, timeout=timeout, replicas=replicas, prepare=self._check_shards
        )

    def check(self) -> list[CheckMessage]:
        return check_servers(f"the store {self.alias!r}", self.connection.nodes, self.keyspace)

    def _check_shards(self, connection: Connection) -> None:
        """Store the number of shards, or raise BackendError if another one is stored."""
        key, count = self.keyspace.settings, len(self.keyspace.shards)
        (stored,) = Run(connection, [Command(key, ("GET", key))]).answers()
        if stored is None:
            command = Command(key, ("SET", key, count, "NX", "GET"))
            (stored,) = Run(connection, [command]).answers()
        if error := shards_error(stored, self.keyspace):
            raise BackendError(f"the store {self.alias!r} {error}")

    def interrupt(self, resource: Any, *, force: bool) -> None:
        resource.disconnect()

    def close(self, **limits: Any) -> None:
        super().close(**limits)
        if self._callers_client is None:
            self.connection.close()


def _servers_error(
    urls: Secret[list[str]], cluster: object, sentinel: object, client: object
) -> str | None:
    """Return the end of an error message about the servers, without passwords, or None."""
    if client is not None:
        if urls.reveal() or cluster or sentinel is not None:
            return "has a client: leave out its url, cluster and sentinel"
        return None
    if not isinstance(cluster, bool):
        return "has a cluster that is neither True nor False"
    if sentinel is not None and not (isinstance(sentinel, str) and sentinel):
        return "has a sentinel that is not the name of a service"
    if sentinel is not None and cluster:
        return "has a sentinel, and is a cluster, which needs none"
    return urls_error(urls.reveal())


def _option_error(
    prefix: object, shards: object, acknowledge: object, timeout: object
) -> str | None:
    """Return the end of an error message about the other options, or None."""
    if not isinstance(prefix, str) or not prefix or set(prefix) & set("{}\0"):
        return "has a prefix that is not text without { and }"
    if not _is_number(shards, 1, MAX_SHARDS):
        return f"has shards {shards!r}; it must be a whole number from 1 to {MAX_SHARDS:,}"
    if acknowledge != "memory" and not _is_number(acknowledge, 1, 1_000):
        return (
            f'has acknowledge {acknowledge!r}; it must be "memory", or the number of replicas that '
            "must have a write"
        )
    is_time = isinstance(timeout, (int, float)) and not isinstance(timeout, bool) and timeout > 0
    return None if is_time else f"has timeout {timeout!r}; it must be a number of seconds above 0"


def _is_number(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _nodes_of_client(client: Any) -> Nodes:
    from redis.cluster import RedisCluster

    return Cluster(lambda: client) if isinstance(client, RedisCluster) else SingleServer(client)
