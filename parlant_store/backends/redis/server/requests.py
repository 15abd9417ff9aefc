"""Commands, and the keys under which servers store the answers of writes."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from parlant_store.backends.redis.server.scripts import script

CALLERS_REQUEST_MS = 3_600_000
"""How long the answer of a write with a request_id is stored."""

OWN_REQUEST_MS = 120_000
"""How long the answer of another write is stored, unless the next one replaces it."""


class Command(NamedTuple):
    """A command or a script for the server that has ``key``."""

    key: bytes
    parts: tuple[Any, ...]
    script_text: bytes | None = None
    """The script that the parts name by its SHA-1, for a server that has not loaded it."""

    @property
    def with_text(self) -> tuple[Any, ...]:
        return ("EVAL", self.script_text, *self.parts[2:])


def call(name: str, keys: Sequence[bytes], *arguments: Any) -> Command:
    """Return the command that runs a script; the first of its keys decides on the server."""
    loaded = script(name)
    parts = ("EVALSHA", loaded.sha, len(keys), *keys, *arguments)
    return Command(keys[0], parts, loaded.text)


class RequestKey(NamedTuple):
    """Where the answer of a write is stored: the end of the key, the id, and for how long."""

    name: bytes
    id: bytes
    milliseconds: int


class RequestKeys:
    """The keys for the answers of the writes of this process.

    Keys of the store's own requests are used again by later writes, so that there are no more of
    them than writes at the same time. A key is not used again if an answer was lost.
    """

    def __init__(self) -> None:
        self._restart()

    def _restart(self) -> None:
        self._process = os.getpid()
        self._client = uuid4().hex
        self._ids, self._names = count(), count()
        self._free: deque[bytes] = deque()

    @contextmanager
    def take(self, request: UUID | None, number: int = 1) -> Iterator[list[RequestKey]]:
        """Return a key for each of a number of writes; ``request`` is the id of the caller."""
        if request is not None:
            yield [RequestKey(str(request).encode(), b"", CALLERS_REQUEST_MS)] * number
            return
        if self._process != os.getpid():
            # A child must not use the keys of its parent.
            self._restart()
        names = [self._take_name() for _ in range(number)]
        yield [RequestKey(name, b"%d:" % next(self._ids), OWN_REQUEST_MS) for name in names]
        self._free.extend(names)

    def _take_name(self) -> bytes:
        try:
            return self._free.pop()
        except IndexError:
            return f"{self._client}.{next(self._names)}".encode()
