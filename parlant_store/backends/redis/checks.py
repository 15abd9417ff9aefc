"""What ``manage.py check`` says about the servers of a store."""

from django.core.checks import CheckMessage, Error, Warning
from redis.exceptions import RedisClusterException, RedisError

from parlant_store.backends.redis.keys import Keyspace
from parlant_store.backends.redis.server.errors import refusal
from parlant_store.backends.redis.server.exchange import Lost, exchange
from parlant_store.backends.redis.server.nodes import Nodes, Pool
from parlant_store.backends.redis.server.requests import Command
from parlant_store.exceptions import StoreError

OLDEST_VERSION = 7


def check_servers(where: str, nodes: Nodes, keyspace: Keyspace) -> list[CheckMessage]:
    """Ask each server once; ``where`` names the store."""
    try:
        messages = [
            message for pool in nodes.pools() for message in _check_server(where, _info(pool))
        ]
        command = Command(keyspace.settings, ("GET", keyspace.settings))
        error = shards_error(_ask(nodes.pool_of(command.key), command), keyspace)
    except (StoreError, RedisError, RedisClusterException, Lost, OSError) as exc:
        return [
            Warning(
                f"the servers of {where} cannot be used: {exc}",
                hint="Check that they run, and the url and the password of the store.",
                id="parlant_store.W019",
            )
        ]
    if error is not None:
        messages.append(Error(f"{where} {error}", id="parlant_store.E004"))
    return messages


def shards_error(stored: bytes | None, keyspace: Keyspace) -> str | None:
    """Return the end of an error message if the stored number of shards is another one."""
    count = len(keyspace.shards)
    if stored is None or stored == str(count).encode():
        return None
    return (
        f"has shards {count}, but what is stored has {stored.decode(errors='replace')}; "
        "set shards to this number, or use another prefix"
    )


def _check_server(where: str, info: dict[str, str]) -> list[CheckMessage]:
    version = info.get("redis_version", "")
    if int(version.partition(".")[0] or 0) < OLDEST_VERSION:
        return [
            Error(
                f"a server of {where} has version {version}; it must be Redis 7 or Valkey.",
                id="parlant_store.E005",
            )
        ]
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction" or policy.startswith("volatile-"):
        return []
    return [
        Warning(
            f"a server of {where} has the eviction policy {policy}: if its memory is full, it "
            "deletes parts of sessions.",
            hint="Set maxmemory-policy to noeviction, or use a server for the store alone.",
            id="parlant_store.W020",
        )
    ]


def _info(pool: Pool) -> dict[str, str]:
    sections = [
        _ask(pool, Command(b"", ("INFO", section))).decode(errors="replace")
        for section in ("server", "memory")
    ]
    lines = "\n".join(sections).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _ask(pool: Pool, command: Command) -> bytes:
    (answer,) = exchange(pool, [command])
    if isinstance(answer, RedisError):
        raise refusal(answer) from answer
    result: bytes = answer
    return result
