"""A server that answers as proxies, gateways and sign-in pages do."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please.</body></html>"


@dataclass
class Reply:
    status: int = 200
    body: bytes = b"[]"
    kind: str | None = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    echoes: bool = False
    """Whether the keys in the request's headers are in the body, as on pages for debugging."""


def page(status: int, **headers: str) -> Reply:
    return Reply(
        status, HTML, "text/html", {name.replace("_", "-"): headers[name] for name in headers}
    )


def of_postgrest(status: int, code: str, message: str = "no") -> Reply:
    body = {"code": code, "message": message, "details": None, "hint": None}
    return Reply(status, json.dumps(body).encode())


class Proxy:
    """Answers with ``first``, one after the other, and then with ``reply``."""

    def __init__(self) -> None:
        self.reply = Reply()
        self.first: list[Reply] = []
        self.times: list[float] = []
        """When each request arrived."""
        self.headers: list[dict[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.proxy = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def requests(self) -> int:
        return len(self.times)

    def answers(self, *replies: Reply) -> None:
        """From now on; the last of them again and again."""
        *self.first, self.reply = replies
        self.times.clear()
        self.headers.clear()

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    # One request to a connection: none is left open at the end.
    protocol_version = "HTTP/1.0"

    def answer(self) -> None:
        proxy: Proxy = self.server.proxy  # type: ignore[attr-defined]
        proxy.times.append(time.monotonic())
        proxy.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reply = proxy.first.pop(0) if proxy.first else proxy.reply
        body = reply.body
        if reply.echoes:
            shown = {name: proxy.headers[-1].get(name) for name in ("authorization", "apikey")}
            body += json.dumps(shown).encode()
        with suppress(ConnectionError):
            self.send_response(reply.status)
            if reply.kind is not None:
                self.send_header("Content-Type", reply.kind)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *args: Any) -> None:
        pass
