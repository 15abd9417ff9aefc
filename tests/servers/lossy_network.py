"""A network between a client and PostgreSQL that loses answers."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any


class Proxy:
    """Passes on what comes on its port, until an answer is to be lost.

    Then the server gets what is sent and does it; when it answers, the connection breaks.
    """

    def __init__(self, address: str | tuple[str, int]) -> None:
        self.address = address
        self.server = ""
        """How a client reaches the server itself."""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.is_down = False
        self.stays_down = False
        self.lost = 0
        self._to_lose = 0
        self._holding = b""
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._clients: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def lose(self, answers: int = 1, *, holding: bytes = b"", stays_down: bool = False) -> None:
        """Lose that many of the next answers, those ``holding`` something.

        With ``stays_down`` nobody connects after one.
        """
        self._to_lose, self._holding, self.stays_down = answers, holding, stays_down

    def cut(self) -> None:
        """Break what is open on the client's side; the server sees it when it answers."""
        for client in list(self._clients):
            _shut(client)

    def close(self) -> None:
        _shut(self.listener)
        self._threads[0].join()
        for end in (ends := [self.listener, *self._sockets]):
            _shut(end)
        for thread in self._threads:
            thread.join()
        for end in ends:
            end.close()

    def _start(self, call: Callable[..., None], *args: Any) -> None:
        self._threads.append(threading.Thread(target=call, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.is_down:
                client.close()
                continue
            server = self._connect()
            self._sockets |= {client, server}
            self._clients.add(client)
            self._start(self._pass_on, client, server, False)
            self._start(self._pass_on, server, client, True)

    def _connect(self) -> socket.socket:
        if isinstance(self.address, tuple):
            return socket.create_connection(self.address)
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.address)
        return server

    def _pass_on(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if answers and self._is_lost(data):
                    break
                target.sendall(data)
        for end in (source, target):
            _shut(end)

    def _is_lost(self, data: bytes) -> bool:
        with self._lock:
            if not self._to_lose or self._holding not in data:
                return False
            self._to_lose -= 1
            self.lost += 1
            self.is_down = self.stays_down
            return True


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy_to(host: str, port: int) -> Iterator[Proxy]:
    """A proxy to the server at ``host``, a folder of its socket or an address."""
    address = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
    with closing(Proxy(address)) as proxy:
        yield proxy
