"""Keys of a Redis or Valkey server, read without changing anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from parlant_store.transfer.sources import SourceError

TOLERANCE = timedelta(seconds=2)
"""How far the time of expiry of a key may be from the last one that was computed."""


class RedisKeys:
    """The keys under a prefix. Names and values are bytes."""

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._prefix = prefix
        self._expiry: dict[bytes, datetime] = {}

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
        """Return when the key expires; the same time as long as nobody changes it."""
        milliseconds = client.pttl(key)
        if milliseconds < 0:
            return None
        now = datetime.now(UTC) + timedelta(milliseconds=milliseconds)
        known = self._expiry.get(key)
        if known is None or abs(known - now) > TOLERANCE:
            known = self._expiry[key] = now
        return known


def _escaped(prefix: str) -> str:
    """Return the prefix as a pattern of Redis."""
    return "".join(f"\\{letter}" if letter in "*?[]^\\" else letter for letter in prefix)
