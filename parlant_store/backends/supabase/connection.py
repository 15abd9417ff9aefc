"""Calls of the store's SQL functions through the client of Supabase."""

import os
import random
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.timezone import make_naive

from parlant_store.exceptions import AccessDenied, BackendError, StoreUnavailable

if TYPE_CHECKING:
    from postgrest.exceptions import APIError
    from supabase import Client

Token = str | Callable[[], str]
"""A user's JWT, or what gives one at each call."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
"""Seconds between a call and its repeats; each is a random part of twice the one before."""

_PASSING = (
    "08",  # the connection to the database
    "40",  # undone in favour of another transaction
    "53",  # too many connections
    "57P",  # the database stops or starts
    "PGRST00",  # PostgREST has no connection, or does not know the schema yet
    "502",
    "503",
    "504",
    "520",
)
"""What the codes of errors begin with that may be gone at the next try."""

_NO_HEADER = "the key or token has characters that no HTTP header may have, as a line's end"

_MISSING = ("PGRST202", "PGRST205", "42883", "42P01")


class Conflict(BackendError):
    """A unique constraint refused a row; the message names it."""


class Connection:
    """One client for all threads of a process.

    Every call is one HTTP request. What gets no answer is sent again, after a pause: a read
    does no harm, and a write carries an id under which the database does it once.
    """

    def __init__(
        self, make: "Callable[[float], Client]", *, token: Token | None, timeout: float
    ) -> None:
        """
        make: makes the client, with how many seconds it waits for one answer.
        timeout: how many seconds a call may take, its repeats included.
        """
        self._make = make
        self._token = token
        self._patience = timeout / 3
        self._last_start = timeout - self._patience
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._process = 0

    def read(self, function: str, **arguments: Any) -> Any:
        """What ``parlant_store_<function>`` returns; ``arguments`` are named without p_."""
        return self._call(function, _parameters(arguments))

    def write(self, function: str, **arguments: Any) -> Any:
        """``read`` of a function that writes, done once however often it is sent."""
        once = {
            "p_request": str(uuid.uuid4()),
            "p_function": function,
            "p_arguments": _parameters(arguments),
        }
        return self._call("once", once)

    def close(self) -> None:
        """Let the client go; the next call makes another."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.postgrest.session.close()

    def _call(self, function: str, parameters: dict[str, Any]) -> Any:
        from httpx import LocalProtocolError, TransportError
        from postgrest.exceptions import APIError

        last = time.monotonic() + self._last_start
        pause = _FIRST_PAUSE
        while True:
            try:
                return self._send(function, parameters)
            except LocalProtocolError:
                # What it says holds the header, and who knows where that ends up.
                raise AccessDenied(_NO_HEADER) from None
            except TransportError as exc:
                error: Exception = exc
            except APIError as exc:
                if not _is_passing(exc):
                    raise _refused(exc) from exc
                error = exc
            wait = random.uniform(pause / 2, pause)  # noqa: S311
            if time.monotonic() + wait > last:
                raise StoreUnavailable(f"no good answer over HTTP: {_said(error)}") from error
            time.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _send(self, function: str, parameters: dict[str, Any]) -> Any:
        call = self.client().postgrest.rpc(f"parlant_store_{function}", parameters)
        token = self.token()
        if token is not None:
            call.request.headers["Authorization"] = f"Bearer {token}"
        return call.execute().data

    def token(self) -> str | None:
        """The user's JWT for the next call; None: the key speaks for itself."""
        return self._token() if callable(self._token) else self._token

    def client(self) -> "Client":
        """The client of this process: a child must not speak on its parent's sockets."""
        client, process = self._client, os.getpid()
        if client is None or self._process != process:
            with self._lock:
                if self._client is None or self._process != process:
                    self._client, self._process = self._make(self._patience), process
                client = self._client
        return client


def _parameters(arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        f"p_{name}": _moment(value) if isinstance(value, datetime) else value
        for name, value in arguments.items()
    }


def _moment(time: datetime) -> str:
    # With USE_TZ = False Django's times are those of this process, and say nothing of a zone.
    return (time if time.tzinfo else time.astimezone()).isoformat()


def _said(error: Exception) -> str:
    message, code = getattr(error, "message", None) or str(error), getattr(error, "code", None)
    return f"{message or type(error).__name__}" + (f" ({code})" if code else "")


def time_of(text: str | None) -> Any:
    """A time that was answered, as Django's databases give it: naive if USE_TZ is off."""
    if text is None:
        return None
    time = datetime.fromisoformat(text)
    return time if settings.USE_TZ else make_naive(time)


def _code(error: "APIError") -> str:
    return str(error.code or "")


def _is_passing(error: "APIError") -> bool:
    # A gateway's own errors have no code.
    return _code(error).startswith(_PASSING) or not (error.code or _is_about_keys(error))


def _is_about_keys(error: "APIError") -> bool:
    said = str(error.message)
    return "API key" in said or "JWT" in said or "nauthorized" in said


def _refused(error: "APIError") -> Exception:
    code, said = _code(error), _said(error)
    if code == "23505":
        return Conflict(said)
    if code in _MISSING:
        return BackendError(f"{said}; run what manage.py supabase_sql emits in the project")
    if code == "PGRST106":
        return BackendError(f"{said}; expose the schema in the API settings of the project")
    if code.startswith("PGRST3") or code == "401" or _is_about_keys(error):
        return AccessDenied(f"the key or token was refused: {said}")
    if code in ("42501", "403"):
        return AccessDenied(
            f"{said}; row level security or a missing grant refuses this to the role of the "
            "key or token: manage.py supabase_sql emits both"
        )
    return BackendError(said)
