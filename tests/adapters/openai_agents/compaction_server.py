"""A server of OpenAI's operation that compacts a history."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from openai import AsyncOpenAI

SUMMARY = {"type": "compaction", "id": "cmp", "encrypted_content": "summary"}


class CompactionServer(ThreadingHTTPServer):
    """Answers with ``output``, and stores what was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.output: list[Any] = [SUMMARY]
        self.received: list[dict[str, Any]] = []
        self.client = AsyncOpenAI(
            api_key="none", base_url=f"http://127.0.0.1:{self.server_port}/v1", max_retries=0
        )

    def compact(self, request: dict[str, Any]) -> dict[str, Any]:
        self.received.append(request)
        return {
            "id": "resp_compacted",
            "object": "response.compaction",
            "created_at": 0,
            "output": self.output,
            "usage": {
                "input_tokens": 100,
                "output_tokens": 10,
                "total_tokens": 110,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 0},
            },
        }


class _Handler(BaseHTTPRequestHandler):
    server: CompactionServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = json.dumps(self.server.compact(json.loads(body))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def compaction_server() -> Iterator[CompactionServer]:
    with CompactionServer() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
