"""Calls of scripts and commands, which are repeated if the connection breaks.

A write has an id, under which the server stores its answer, so that a repeated write returns the
first answer and does nothing else.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from redis import exceptions as driver

from parlant_store.backends.redis.server.errors import (
    is_denied,
    is_temporary,
    refusal,
    unavailable,
)
from parlant_store.backends.redis.server.nodes import Nodes, Pool
from parlant_store.backends.redis.server.scripts import script
from parlant_store.backends.threads.calls import Call, running_call
from parlant_store.exceptions import StoreError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.2
"""Seconds before a call is repeated; the pause doubles each time."""

CALLERS_REQUEST_MS = 3_600_000
"""How long the answer of a write with a request_id is stored."""

OWN_REQUEST_MS = 120_000
"""How long the answer of another write is stored, unless the next one replaces it."""


class Command(NamedTuple):
    """A command or a script for the server that has ``key``."""

    key: bytes
    parts: tuple[Any, ...]
    script_text: bytes | None = None
    """The script that the parts name by its SHA, for a server that has not loaded it."""

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


class _Lost(Exception):
    """The connection broke; ``is_sent`` says whether commands may have been run."""

    def __init__(self, reason: str, *, is_sent: bool) -> None:
        super().__init__(reason)
        self.is_sent = is_sent


class Connection:
    """The connections of a process to the servers."""

    def __init__(self, nodes: Nodes, *, timeout: float, replicas: int) -> None:
        """
        timeout: how many seconds a call may take, including its repeats.
        replicas: how many replicas must have a write before it counts.
        """
        self.nodes = nodes
        self._timeout = timeout
        self._replicas = replicas
        self._lock = threading.Lock()
        self._process = 0

    def read(self, *commands: Command) -> list[Any]:
        """Return the answer of each command."""
        return self._run(commands, writes=False)

    def write(self, *commands: Command) -> list[Any]:
        """Return the answer of each command; raise OutcomeUnknown if an answer was lost."""
        return self._run(commands, writes=True)

    @contextmanager
    def request_keys(self, request: UUID | None, number: int = 1) -> Iterator[list[RequestKey]]:
        """Return the keys for the answers of a number of writes.

        Those of the store's own ids are used again by later writes, so that there are no more of
        them than writes at the same time, unless an answer was lost.
        """
        if request is not None:
            yield [RequestKey(str(request).encode(), b"", CALLERS_REQUEST_MS)] * number
            return
        slots = self._take_slots(number)
        yield [RequestKey(slot, b"%d:" % next(self._ids), OWN_REQUEST_MS) for slot in slots]
        self._free.extend(slots)

    def _take_slots(self, number: int) -> list[bytes]:
        if self._process != os.getpid():
            # A child must not use the slots of its parent.
            with self._lock:
                if self._process != os.getpid():
                    self._ids, self._slots = count(), count()
                    self._free: deque[bytes] = deque()
                    self._client = uuid4().hex
                    self._process = os.getpid()
        slots: list[bytes] = []
        while len(slots) < number:
            try:
                slots.append(self._free.pop())
            except IndexError:
                slots.append(f"{self._client}.{next(self._slots)}".encode())
        return slots

    def _run(self, commands: Sequence[Command], *, writes: bool) -> list[Any]:
        until = time.monotonic() + self._timeout
        answers: list[Any] = [None] * len(commands)
        left = list(range(len(commands)))
        pause, is_unknown = _FIRST_PAUSE, False
        while True:
            try:
                left = self._try(commands, answers, left, until if writes else None)
                if not left:
                    return answers
                problem: Exception = next(answers[place] for place in left)
            except _Lost as exc:
                problem = exc
                is_unknown = is_unknown or (writes and exc.is_sent)
            except driver.RedisError as exc:
                if is_unknown:
                    raise unavailable(str(exc), is_unknown=True) from exc
                raise refusal(exc) from exc
            if time.monotonic() + pause > until:
                raise unavailable(str(problem), is_unknown=is_unknown) from problem
            _check_stopped(is_unknown, problem)
            if not isinstance(problem, (driver.AskError, driver.TryAgainError)) or isinstance(
                problem, driver.MovedError
            ):
                self.nodes.refresh()
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _try(
        self,
        commands: Sequence[Command],
        answers: list[Any],
        places: list[int],
        until: float | None,
    ) -> list[int]:
        """Run the commands at these places; return the places of those to repeat.

        ``until`` is given for writes.
        """
        by_pool: dict[Pool, list[int]] = {}
        redirected = []
        for place in places:
            if isinstance(answers[place], driver.AskError):
                redirected.append(place)
            else:
                by_pool.setdefault(self._pool_of(commands[place]), []).append(place)
        for pool, there in by_pool.items():
            self._exchange(pool, [commands[place] for place in there], answers, there, until)
        for place in redirected:
            asked = answers[place]
            is_asking = not isinstance(asked, driver.MovedError)
            pool = self._pool_at(asked)
            self._exchange(pool, [commands[place]], answers, [place], until, is_asking=is_asking)
        repeated = []
        for place in places:
            answer = answers[place]
            if isinstance(answer, driver.AskError) or (
                isinstance(answer, Exception) and is_temporary(answer)
            ):
                repeated.append(place)
            elif isinstance(answer, Exception):
                raise answer
        return repeated

    def _pool_of(self, command: Command) -> Pool:
        try:
            return self.nodes.pool_of(command.key)
        except (driver.RedisError, driver.RedisClusterException, OSError) as exc:
            if is_denied(exc):
                raise refusal(exc) from exc
            raise _Lost(str(exc), is_sent=False) from exc

    def _pool_at(self, redirection: driver.AskError) -> Pool:
        try:
            return self.nodes.pool_at(redirection.host, redirection.port)
        except (driver.RedisError, driver.RedisClusterException, OSError) as exc:
            raise _Lost(str(exc), is_sent=False) from exc

    def _exchange(
        self,
        pool: Pool,
        commands: Sequence[Command],
        answers: list[Any],
        places: Sequence[int],
        until: float | None,
        *,
        is_asking: bool = False,
    ) -> None:
        """Send the commands on one connection, and store their answers at these places."""
        with _connection(pool) as connection:
            parts = [command.parts for command in commands]
            results = self._send(connection, parts, is_asking, until)
            missing = [
                number
                for number, result in enumerate(results)
                if isinstance(result, driver.NoScriptError)
            ]
            if missing:
                texts = [commands[number].with_text for number in missing]
                again = self._send(connection, texts, is_asking, until)
                for number, result in zip(missing, again, strict=True):
                    results[number] = result
        for place, result in zip(places, results, strict=True):
            answers[place] = result

    def _send(
        self,
        connection: Any,
        commands: Sequence[tuple[Any, ...]],
        is_asking: bool,
        until: float | None,
    ) -> list[Any]:
        sent: list[tuple[Any, ...]] = []
        for command in commands:
            sent += [("ASKING",), command] if is_asking else [command]
        wait = self._replicas > 0 and until is not None
        if wait and until is not None:
            milliseconds = max(1, int((until - time.monotonic()) * 900))
            sent.append(("WAIT", self._replicas, milliseconds))
        connection.send_packed_command(connection.pack_commands(sent), check_health=False)
        results = [_read(connection) for _ in sent]
        if wait:
            reached = results.pop()
            is_done = not all(isinstance(result, Exception) for result in results)
            if is_done and (isinstance(reached, Exception) or reached < self._replicas):
                raise _Lost(
                    f"{reached} of {self._replicas} replicas have acknowledged the write",
                    is_sent=True,
                )
        return results[1::2] if is_asking else results

    def close(self) -> None:
        self.nodes.close()


def _read(connection: Any) -> Any:
    """Return the next answer of the server, which may be an error."""
    try:
        return connection.read_response(disable_decoding=True)
    except driver.ResponseError as exc:
        return exc


@contextmanager
def _connection(pool: Pool) -> Iterator[Any]:
    """Return a connection, and close it if it breaks."""
    try:
        connection = pool.get_connection()
    except (driver.RedisError, OSError) as exc:
        if is_denied(exc):
            raise refusal(exc) from exc
        raise _Lost(str(exc), is_sent=False) from exc
    running: Call[Any] | None = running_call()
    try:
        if running is not None:
            running.resource = connection
            running.check()
        yield connection
    except (driver.ConnectionError, driver.TimeoutError, driver.InvalidResponse, OSError) as exc:
        connection.disconnect()
        raise _Lost(str(exc), is_sent=True) from exc
    except (_Lost, StoreError, driver.RedisError):
        connection.disconnect()
        raise
    except (AttributeError, TypeError, ValueError) as exc:
        if running is None or running.stopped is None:
            connection.disconnect()
            raise
        # Interrupting has closed the connection while its parser was reading.
        connection.disconnect()
        raise _Lost(str(exc), is_sent=True) from exc
    except BaseException:
        connection.disconnect()
        raise
    finally:
        if running is not None:
            running.resource = None
        pool.release(connection)


def _check_stopped(is_unknown: bool, problem: Exception) -> None:
    running = running_call()
    if running is not None and running.stopped is not None:
        raise unavailable(f"the call was stopped: {running.stopped}", is_unknown=is_unknown)
