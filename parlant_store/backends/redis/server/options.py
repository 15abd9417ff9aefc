"""The options of a store that say where its servers are; messages never show them."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from parlant_store.backends.redis.server.nodes import Cluster, FastPool, Nodes, SingleServer
from parlant_store.backends.secrets import Secret

SCHEMES = ("redis", "rediss", "unix")

_FORM = "a url like redis://localhost:6379/0, rediss://... or unix://..."
_MAX_CONNECTIONS = 10_000


def urls_error(urls: Sequence[object]) -> str | None:
    """Return the end of an error message about the urls of the store, or None."""
    if not urls:
        return f"needs {_FORM}; it has none"
    for url in urls:
        if not isinstance(url, str) or not url:
            return f"needs {_FORM}; it has a value of the type {type(url).__name__}"
        if error := _url_error(url):
            return error
    return None


def _url_error(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in SCHEMES and parts.port != 0
        ConnectionPool.from_url(url)
    except (ValueError, TypeError, AttributeError):
        is_good = False
    return None if is_good else f"needs {_FORM}; its value is no such url"


def nodes_of(
    urls: Secret[list[str]], *, cluster: bool, sentinel: str | None, timeout: float
) -> Nodes:
    """Return the servers at ``urls``; nothing is sent to them yet."""
    options = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout / 2,
        # The store repeats calls itself.
        "retry": Retry(NoBackoff(), 0),
        "max_connections": _MAX_CONNECTIONS,
    }
    first, *others = urls.reveal()
    if sentinel is not None:
        return SingleServer(_by_sentinel(urls, sentinel, options), FastPool)
    if not cluster and not others:
        return SingleServer(Redis.from_url(first, protocol=2, **options), FastPool)
    return Cluster(_cluster_of(urls, options), FastPool)


def _by_sentinel(urls: Secret[list[str]], service: str, options: dict[str, Any]) -> Redis:
    arguments = _arguments(urls.reveal()[0])
    places = [_place(url) for url in urls.reveal()]
    for name in ("host", "port"):
        arguments.pop(name, None)
    limits = {name: options[name] for name in ("socket_timeout", "socket_connect_timeout", "retry")}
    sentinels: Any = Sentinel
    sentinels = sentinels(places, sentinel_kwargs=limits)
    master: Redis = sentinels.master_for(service, protocol=2, **arguments, **options)
    return master


def _cluster_of(urls: Secret[list[str]], options: dict[str, Any]) -> Callable[[], RedisCluster]:
    def make() -> RedisCluster:
        arguments = _arguments(urls.reveal()[0])
        for name in ("host", "port", "db"):
            arguments.pop(name, None)
        node: Any = ClusterNode
        nodes = [node(*_place(url)) for url in urls.reveal()]
        return RedisCluster(
            startup_nodes=nodes, protocol=2, require_full_coverage=False, **arguments, **options
        )

    return make


def _arguments(url: str) -> dict[str, Any]:
    """Return the arguments of connections in ``url``: user, password, database, certificates."""
    pool = ConnectionPool.from_url(url)
    names = ("username", "password", "db")
    arguments = {
        name: pool.connection_kwargs[name] for name in names if name in pool.connection_kwargs
    }
    if urlsplit(url).scheme == "rediss":
        arguments["ssl"] = True
        arguments |= {
            name: value for name, value in pool.connection_kwargs.items() if name.startswith("ssl_")
        }
    return arguments


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "localhost", parts.port or 6379
