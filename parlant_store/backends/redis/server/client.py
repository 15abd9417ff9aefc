"""Calls of the servers, which are repeated if a connection breaks.

A write has an id, under which the server stores its answer, so that a repeated write returns the
first answer and does nothing else.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from redis import exceptions as driver

from parlant_store.backends.redis.server.errors import (
    is_denied,
    is_temporary,
    refusal,
    unavailable,
)
from parlant_store.backends.redis.server.exchange import Lost, exchange
from parlant_store.backends.redis.server.nodes import Nodes, Pool
from parlant_store.backends.redis.server.requests import Command, RequestKeys
from parlant_store.backends.threads.calls import running_call
from parlant_store.exceptions import OutcomeUnknown, StoreUnavailable

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.2
"""Seconds before a call is repeated; the pause doubles each time."""


class Connection:
    """The connections of a process to the servers."""

    def __init__(
        self,
        nodes: Nodes,
        *,
        timeout: float,
        replicas: int,
        prepare: Callable[["Connection"], None],
    ) -> None:
        """
        timeout: how many seconds a call may take, including its repeats.
        replicas: how many replicas must have a write before it counts.
        prepare: is called before the first call of a process.
        """
        self.nodes = nodes
        self.requests = RequestKeys()
        self.timeout = timeout
        self._replicas = replicas
        self._prepare = prepare
        self._process = 0

    def read(self, *commands: Command) -> list[Any]:
        """Return the answer of each command."""
        return self.run(commands, writes=False)

    def write(self, *commands: Command) -> list[Any]:
        """Return the answer of each command; raise OutcomeUnknown if an answer was lost."""
        return self.run(commands, writes=True)

    def run(self, commands: Sequence[Command], *, writes: bool) -> list[Any]:
        if self._process != os.getpid():
            self._prepare(self)
            self._process = os.getpid()
        return Run(self, commands, self._replicas if writes else 0, writes=writes).answers()

    def close(self) -> None:
        self.nodes.close()


class Run:
    """One call: commands, of which some may have to be repeated."""

    def __init__(
        self,
        connection: Connection,
        commands: Sequence[Command],
        replicas: int = 0,
        *,
        writes: bool = False,
    ) -> None:
        self._nodes = connection.nodes
        self._commands = commands
        self._replicas = replicas
        self._writes = writes
        self._until = time.monotonic() + connection.timeout
        self._answers: list[Any] = [None] * len(commands)
        self._is_unknown = False

    def answers(self) -> list[Any]:
        """Return the answer of each command."""
        left = list(range(len(self._commands)))
        pause = _FIRST_PAUSE
        while True:
            try:
                self._send(left)
                left = self._repeated(left)
                if not left:
                    return self._answers
                problem: Exception = self._answers[left[0]]
            except Lost as exc:
                problem = exc
                self._is_unknown = self._is_unknown or (self._writes and exc.is_sent)
            except driver.RedisError as exc:
                error = refusal(exc)
                raise self._unavailable(exc) if self._is_unknown else error from exc
            self._pause(pause, problem)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _send(self, places: Sequence[int]) -> None:
        """Send the commands at these places, and store their answers."""
        by_pool: dict[tuple[Pool, bool], list[int]] = {}
        for place in places:
            by_pool.setdefault(self._pool_of(place), []).append(place)
        for (pool, is_asking), there in by_pool.items():
            answers = exchange(
                pool,
                [self._commands[place] for place in there],
                is_asking=is_asking,
                replicas=self._replicas,
                wait_seconds=max(0.001, (self._until - time.monotonic()) * 0.9),
            )
            for place, answer in zip(there, answers, strict=True):
                self._answers[place] = answer

    def _pool_of(self, place: int) -> tuple[Pool, bool]:
        """Return the pool of the command's server, and whether it was redirected while moving."""
        redirection = self._answers[place]
        try:
            if not isinstance(redirection, driver.AskError):
                return self._nodes.pool_of(self._commands[place].key), False
            self._answers[place] = None
            pool = self._nodes.pool_at(redirection.host, redirection.port)
            return pool, not isinstance(redirection, driver.MovedError)
        except (driver.RedisError, driver.RedisClusterException, OSError) as exc:
            if is_denied(exc):
                raise refusal(exc) from exc
            raise Lost(str(exc), is_sent=False) from exc

    def _repeated(self, places: Sequence[int]) -> list[int]:
        """Return the places of commands to repeat; raise the error of one that was refused."""
        repeated = []
        for place in places:
            answer = self._answers[place]
            if isinstance(answer, Exception):
                if not isinstance(answer, driver.AskError) and not is_temporary(answer):
                    raise answer
                repeated.append(place)
        return repeated

    def _pause(self, seconds: float, problem: Exception) -> None:
        """Wait before the commands are repeated; raise an error if there is no time left."""
        if time.monotonic() + seconds > self._until:
            raise self._unavailable(problem) from problem
        running = running_call()
        if running is not None and running.stopped is not None:
            raise self._unavailable(problem) from problem
        error = OutcomeUnknown if self._is_unknown else StoreUnavailable
        with nullcontext() if running is None else running.leaving(error):
            is_moving = isinstance(problem, (driver.AskError, driver.TryAgainError))
            if not is_moving or isinstance(problem, driver.MovedError):
                self._nodes.refresh()
            time.sleep(seconds)

    def _unavailable(self, problem: Exception) -> StoreUnavailable:
        return unavailable(str(problem), is_unknown=self._is_unknown)
