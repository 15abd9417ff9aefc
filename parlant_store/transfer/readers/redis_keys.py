"""Keys of a Redis or Valkey server, read without changing anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from parlant_store.transfer.sources import SourceError


class RedisKeys:
    """The keys under a prefix. Names and values are bytes."""

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._prefix = prefix

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """Return a client; raise SourceError if the server fails."""
        try:
            import redis
        except ImportError as exc:
            raise SourceError("redis:// needs the package redis") from exc
        try:
            client = redis.Redis.from_url(self._url)
        except ValueError as exc:
            raise SourceError(f"SOURCE must be a URL as redis://host:6379/0: {exc}") from None
        try:
            with client:
                yield client
        except redis.RedisError as exc:
            raise SourceError(f"the server of Redis cannot be read: {exc}") from exc

    def scan(self, client: Any) -> Iterator[bytes]:
        """Return the names of the keys, each once."""
        seen: set[bytes] = set()
        for key in client.scan_iter(match=_escaped(self._prefix) + "*", count=1_000):
            if key not in seen:
                seen.add(key)
                yield key

    def expires_at(self, client: Any, key: bytes) -> datetime | None:
        """Return when the key expires; None: never."""
        from redis import ResponseError

        try:
            milliseconds = client.pexpiretime(key)
        except ResponseError:
            # Before Redis 7; the remaining time gives the same second each time, mostly.
            seconds, microseconds = client.time()
            left = client.pttl(key)
            now = 1000 * seconds + microseconds // 1000
            milliseconds = left if left < 0 else round(now + left, -3)
        return None if milliseconds < 0 else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _escaped(prefix: str) -> str:
    """Return the prefix as a pattern of Redis."""
    return "".join(f"\\{letter}" if letter in "*?[]^\\" else letter for letter in prefix)
