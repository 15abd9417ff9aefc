"""What stands in front of Supabase's PostgREST: keys, paths, and the faults of a network."""

import json
import select
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from socket import SHUT_RDWR, socket
from typing import Any

PREFIX = "/rest/v1"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}
OWN = HOP_BY_HOP | {"content-length"}
NGINX_414 = b"<html><head><title>414 Request-URI Too Large</title></head></html>\r\n"


@dataclass(frozen=True, kw_only=True)
class Faults:
    drop: float = 0
    refuse: float = 0
    held_until: threading.Event | None = None
    url_bytes: int = 8192
    drop_next: bool = False


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @classmethod
    def of(cls, status: int, message: str, **more: str) -> "Answer":
        body = json.dumps({"message": message} | more).encode()
        return cls(status, [("Content-Type", "application/json; charset=utf-8")], body)

    def to(self, method: str) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {phrase(self.status)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if method == "HEAD" or self.status in (204, 304):
            return "\r\n".join([*lines, "", ""]).encode("latin-1")
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


def phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


class Gateway:
    """A proxy from `url` to PostgREST on a loopback port.

    `keys` holds each key that clients may send in `apikey`, with the JWT it stands for.
    Shares of faults are between 0 and 1; a fault holds until `heal()`.
    """

    def __init__(self, upstream_port: int, keys: Mapping[str, str]) -> None:
        self.upstream_port = upstream_port
        self.keys = keys
        self.faults = Faults()
        self.requests: list[tuple[str, str]] = []
        self.answers = 0
        """How many of the ``requests`` are over, whatever became of them."""
        self._random = Random(0)
        self._lock = threading.Lock()
        self._server = Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def drop_answers(self, share: float, seed: int = 0) -> None:
        """PostgREST gets and does what was asked, but that share of answers is lost."""
        self._random = Random(seed)
        self._change(drop=share)

    def drop_next_answer(self) -> None:
        """The next answer is lost, and no other."""
        self._change(drop_next=True)

    def refuse(self, share: float, seed: int = 0) -> None:
        """That share of requests never reaches PostgREST: the connection is closed."""
        self._random = Random(seed)
        self._change(refuse=share)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Requests that arrive before `heal()` are forwarded only after the block."""
        over = threading.Event()
        self._change(held_until=over)
        try:
            yield
        finally:
            over.set()

    def limit_url(self, size: int) -> None:
        """A request line of more bytes is answered with 414."""
        self._change(url_bytes=size)

    def heal(self) -> None:
        """Takes all faults back."""
        with self._lock:
            self.faults = Faults()

    def clear(self) -> None:
        """Forgets the `requests`."""
        with self._lock:
            self.requests, self.answers = [], 0

    def happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def drops_once(self) -> bool:
        with self._lock:
            drops, self.faults = self.faults.drop_next, replace(self.faults, drop_next=False)
        return drops

    def count_answer(self, requests: list[tuple[str, str]]) -> None:
        """Count an answer to one of ``requests``, unless they have been cleared since."""
        with self._lock:
            self.answers += requests is self.requests

    def _change(self, **changes: Any) -> None:
        with self._lock:
            self.faults = replace(self.faults, **changes)

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()
            self._server.close()


class Server(ThreadingHTTPServer):
    daemon_threads = False  # their end is waited for
    request_queue_size = 128

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.sockets: set[socket] = set()
        super().__init__(("127.0.0.1", 0), Handler)

    def close(self) -> None:
        """Ends the kept connections and waits for their threads."""
        for kept in list(self.sockets):
            with suppress(OSError):
                kept.shutdown(SHUT_RDWR)
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One client's connection, with a connection to PostgREST of its own."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.gateway = self.server.gateway
        self.upstream = HTTPConnection("127.0.0.1", self.gateway.upstream_port, timeout=60)
        self.server.sockets.add(self.connection)

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client's own going is no fault
            super().handle()

    def finish(self) -> None:
        self.server.sockets.discard(self.connection)
        self.upstream.close()
        super().finish()

    def log_message(self, *args: Any) -> None:
        pass

    def answer_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        requests = self.gateway.requests
        requests.append((self.command, self.path))
        faults = self.gateway.faults
        try:
            self.answer(body, faults)
        finally:
            self.gateway.count_answer(requests)

    def answer(self, body: bytes, faults: Faults) -> None:
        if faults.held_until is not None:
            faults.held_until.wait()
        if self.gateway.happens(faults.refuse):
            self.close_connection = True
            return
        answer = self.refused(faults) or self.asked_of_postgrest(body)
        if self.gateway.happens(faults.drop) or self.gateway.drops_once():
            self.close_connection = True
            return
        self.wfile.write(answer.to(self.command))

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = answer_request

    def refused(self, faults: Faults) -> Answer | None:
        if len(self.requestline) > faults.url_bytes:
            return Answer(414, [("Content-Type", "text/html")], NGINX_414)
        if not self.path.startswith((PREFIX + "/", PREFIX + "?")) and self.path != PREFIX:
            return Answer.of(404, "no Route matched with those values")
        key = self.headers.get("apikey")
        if key is None:
            hint = "No `apikey` request header or url param was found."
            return Answer.of(401, "No API key found in request", hint=hint)
        if key not in self.gateway.keys:
            hint = "Double check your Supabase `anon` or `service_role` API key."
            return Answer.of(401, "Invalid API key", hint=hint)
        return None

    def asked_of_postgrest(self, body: bytes) -> Answer:
        path = "/" + self.path[len(PREFIX) :].removeprefix("/")
        upstream = self.upstream
        try:
            if upstream.sock is not None and ended(upstream.sock):
                upstream.close()
            if upstream.sock is None:
                upstream.connect()
        except OSError:
            return Answer.of(503, "name resolution failed")
        try:
            upstream.request(self.command, path, body or None, self.headers_for_postgrest())
            response = upstream.getresponse()
            content = response.read()
            if self.command == "HEAD":
                # PostgREST closes the connection after it, without a header that says so.
                upstream.close()
        except (OSError, HTTPException):
            # Not sent again: PostgREST may have done it.
            upstream.close()
            return Answer.of(502, "An invalid response was received from the upstream server")
        headers = [(k, v) for k, v in response.getheaders() if k.lower() not in OWN]
        return Answer(response.status, headers, content)

    def headers_for_postgrest(self) -> dict[str, str]:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
        key = self.headers["apikey"]
        if self.headers.get("Authorization") in (None, f"Bearer {key}"):
            headers = {k: v for k, v in headers.items() if k.lower() != "authorization"}
            headers["Authorization"] = f"Bearer {self.gateway.keys[key]}"
        return headers


def ended(kept: socket) -> bool:
    """Whether the other side closed an idle connection."""
    poll = select.poll()
    poll.register(kept, select.POLLIN)
    return bool(poll.poll(0))
