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
from parlant_store.backends.redis.server.exchange import Lost, exchange, is_stopped
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
        self.replicas = replicas
        self._prepare = prepare
        self._process = 0

    def read(self, *commands: Command) -> list[Any]:
        """Return the answer of each command."""
        return self._run(commands)

    def write(self, *commands: Command) -> list[Any]:
        """Return the answer of each command; raise OutcomeUnknown if an answer was lost."""
        return self._run(commands, writes=True)

    def read_each(self, *commands: Command) -> list[Any]:
        """Return the answer of each command, or the server's error."""
        return self._run(commands, is_group=True)

    def write_each(self, *commands: Command) -> list[Any]:
        """``write``, with the server's errors among the answers."""
        return self._run(commands, writes=True, is_group=True)

    def _run(self, commands: Sequence[Command], **options: bool) -> list[Any]:
        if self._process != os.getpid():
            self._prepare(self)
            self._process = os.getpid()
        return Run(self, commands, **options).answers() if commands else []

    def close(self) -> None:
        self.nodes.close()


class Run:
    """One call: commands, of which some may have to be repeated."""

    def __init__(
        self,
        connection: Connection,
        commands: Sequence[Command],
        *,
        writes: bool = False,
        is_group: bool = False,
    ) -> None:
        """``is_group``: whether the server's errors are answers, as of independent calls."""
        self._nodes = connection.nodes
        self._commands = commands
        self._replicas = connection.replicas if writes else 0
        self._writes = writes
        self._is_group = is_group
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
                if isinstance(answer, driver.AskError) or is_temporary(answer):
                    repeated.append(place)
                elif not self._is_group:
                    raise answer
        return repeated

    def _pause(self, seconds: float, problem: Exception) -> None:
        """Wait before the commands are repeated; raise an error if there is no time left."""
        if time.monotonic() + seconds > self._until:
            raise self._unavailable(problem) from problem
        running = running_call()
        if is_stopped(running):
            raise self._unavailable(problem) from problem
        error = OutcomeUnknown if self._is_unknown else StoreUnavailable
        with nullcontext() if running is None else running.leaving(error):
            is_moving = isinstance(problem, (driver.AskError, driver.TryAgainError))
            if not is_moving or isinstance(problem, driver.MovedError):
                self._nodes.refresh()
            time.sleep(seconds)

    def _unavailable(self, problem: Exception) -> StoreUnavailable:
        return unavailable(str(problem), is_unknown=self._is_unknown)
