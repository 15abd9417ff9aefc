"""The database of a server of Valkey, for what frameworks have stored in one."""

import pytest
from redis import Redis

from tests.servers.redis_servers import Server


@pytest.fixture
def valkey_url(valkey: Server) -> str:
    """The URL of a database without keys."""
    with valkey.client() as client:
        client.flushall()
    return valkey.url


def dumped(url: str) -> dict[bytes, bytes]:
    """All keys with their values, which an import never changes."""
    with Redis.from_url(url) as client:
        return {key: client.dump(key) for key in client.scan_iter()}
