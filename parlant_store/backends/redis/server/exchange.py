"""Commands and answers on one connection of redis-py."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from redis import exceptions as driver

from parlant_store.backends.redis.server.errors import is_denied, refusal
from parlant_store.backends.redis.server.nodes import Pool
from parlant_store.backends.redis.server.requests import Command
from parlant_store.backends.threads.calls import Call, running_call
from parlant_store.exceptions import StoreUnavailable


class Lost(Exception):
    """The connection broke; ``is_sent`` says whether the commands may have been run."""

    def __init__(self, reason: str, *, is_sent: bool) -> None:
        super().__init__(reason)
        self.is_sent = is_sent


def exchange(
    pool: Pool,
    commands: Sequence[Command],
    *,
    is_asking: bool = False,
    replicas: int = 0,
    wait_seconds: float = 0,
) -> list[Any]:
    """Return the answer of each command, or the server's error.

    is_asking: whether another server has redirected the commands while a slot is moved.
    replicas: how many replicas must have the writes, within ``wait_seconds``.

    Raise Lost if the connection breaks, or if fewer replicas have the writes.
    """
    with _connection(pool) as connection:
        wait = (("WAIT", replicas, int(wait_seconds * 1_000)),) if replicas else ()

        def send(parts: Sequence[tuple[Any, ...]]) -> list[Any]:
            if is_asking:
                parts = [part for command in parts for part in (("ASKING",), command)]
            answers = _send(connection, (*parts, *wait))
            if wait:
                _check_replicas(answers, replicas)
            return answers[1::2] if is_asking else answers

        answers = send([command.parts for command in commands])
        missing = [
            place
            for place, answer in enumerate(answers)
            if isinstance(answer, driver.NoScriptError)
        ]
        if missing:
            again = send([commands[place].with_text for place in missing])
            for place, answer in zip(missing, again, strict=True):
                answers[place] = answer
    return answers


def _send(connection: Any, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    if len(commands) == 1:
        packed = connection.pack_command(*commands[0])
    else:
        packed = connection.pack_commands(commands)
    connection.send_packed_command(packed, check_health=False)
    return [_read(connection) for _ in commands]


def _read(connection: Any) -> Any:
    try:
        return connection.read_response(disable_decoding=True)
    except driver.ResponseError as exc:
        return exc


def _check_replicas(answers: list[Any], replicas: int) -> None:
    """Remove the answer of WAIT; raise Lost if a write was done that too few replicas have."""
    reached = answers.pop()
    if all(isinstance(answer, Exception) for answer in answers):
        return
    if isinstance(reached, Exception) or reached < replicas:
        raise Lost(
            f"of {replicas} replicas, those that have the write: {reached}",
            is_sent=True,
        )


@contextmanager
def _connection(pool: Pool) -> Iterator[Any]:
    """Return a connection of the pool, and close it if it breaks."""
    running = running_call()
    with nullcontext() if running is None else running.leaving(StoreUnavailable):
        connection = _connect(pool)
    is_whole = False
    try:
        if running is not None:
            running.resource = connection
        yield connection
        is_whole = True
    except Lost:
        is_whole = True
        raise
    except (driver.ConnectionError, driver.TimeoutError, driver.InvalidResponse, OSError) as exc:
        raise Lost(str(exc), is_sent=True) from exc
    except (AttributeError, TypeError, ValueError) as exc:
        if not is_stopped(running):
            raise
        # ``interrupt`` has closed the connection while its parser was reading.
        raise Lost(str(exc), is_sent=True) from exc
    finally:
        if running is not None:
            running.resource = None
        pool.give_back(connection, is_whole=is_whole)


def is_stopped(running: Call[Any] | None) -> bool:
    """Whether the call, or another one of its group, is to end."""
    calls = () if running is None else (running, *running.group_calls)
    return any(call.stopped is not None for call in calls)


def _connect(pool: Pool) -> Any:
    try:
        return pool.take()
    except (driver.RedisError, OSError) as exc:
        if is_denied(exc):
            raise refusal(exc) from exc
        raise Lost(str(exc), is_sent=False) from exc
