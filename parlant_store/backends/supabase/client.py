"""Calls of the SQL functions through Supabase's client."""

import os
import random
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings

from parlant_store.backends.secrets import Secret
from parlant_store.backends.supabase.rest.answers import TIMED_OUT, Answer
from parlant_store.backends.supabase.rest.requests import Rest
from parlant_store.backends.supabase.rest.shapes import Shape
from parlant_store.content.times import as_utc, without_zone
from parlant_store.exceptions import (
    AccessDenied,
    BackendError,
    OutcomeUnknown,
    ProtectedRow,
    StoreError,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from supabase import Client

Token = str | Callable[[], str | None]
"""A user's JWT, or a function that returns one for each call."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
"""Seconds between a call and its repeats; the maximum of the random pause doubles each time."""

_NO_HEADER = "the key or token has characters that HTTP headers cannot have, such as a newline"
_NO_USER = (
    "the store's access_token returned no token; set allow_service=True to make such calls with "
    "the role of the key"
)
_MISSING = ("PGRST202", "PGRST205", "42883", "42P01")


class Conflict(BackendError):
    """A unique constraint refused a row; the message names it."""


class Connection:
    """One client for all threads of a process.

    Every call is one HTTP request. If the answer is lost, the request is sent again after a pause;
    a write has an id, with which the database runs it only once.
    """

    def __init__(
        self,
        make: "Callable[[float], Client]",
        *,
        token: Secret[Token] | None,
        allow_service: bool,
        timeout: float,
    ) -> None:
        """
        make: returns a client, for a timeout in seconds of one request.
        token: a user's JWT, or a function that returns one for each call; None: calls have the
            role of the key.
        allow_service: whether calls may have the role of the key if the function returns none.
        timeout: how many seconds a call may take, including its repeats.
        """
        self._make = make
        self._token = token
        self._allow_service = allow_service
        self._request_timeout = timeout / 3
        self._last_start = timeout - self._request_timeout
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._process = 0

    def read(self, function: str, shape: Shape, /, **arguments: Any) -> Any:
        """Call ``parlant_store_<function>``, whose parameters are ``arguments`` with "p_".

        Raise BackendError if the answer does not have the shape.
        """
        return self._call(function, _parameters(arguments), shape)

    def write(
        self, function: str, shape: Shape, request: uuid.UUID | None = None, /, **arguments: Any
    ) -> Any:
        """Call a function that writes; it runs once, even if the request is sent several times.

        ``request`` is its id; None: a new one. Raise OutcomeUnknown if the answer was lost.
        """
        once = {
            "p_request": str(request or uuid.uuid4()),
            "p_function": function,
            "p_arguments": _parameters(arguments),
        }
        return self._call("once", once, shape, writes=True)

    def close(self) -> None:
        """Close the client; the next call creates another one."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.postgrest.session.close()

    def rest(self, seconds: float | None = None) -> Rest:
        """Return the REST API for the next call, with a timeout of ``seconds``, or the client's.

        Raise AccessDenied if there is no token.
        """
        return Rest.of(self.client(), self.token(), seconds)

    def _call(
        self, function: str, parameters: dict[str, Any], shape: Shape, *, writes: bool = False
    ) -> Any:
        last = time.monotonic() + self._last_start
        pause = _FIRST_PAUSE
        is_unknown = False
        while True:
            try:
                rest = self.rest()
            except AccessDenied as exc:
                if not is_unknown:
                    raise
                raise OutcomeUnknown(f"the answer was lost, and then: {exc}") from exc
            answer = rest.post(function, parameters, shape)
            if answer.good:
                return answer.body
            if not answer.is_temporary:
                raise _refusal(answer, is_unknown) from answer.cause
            is_unknown = is_unknown or (writes and not answer.undone)
            wait = max(random.uniform(pause / 2, pause), answer.retry_after)  # noqa: S311
            if time.monotonic() + wait > last:
                error = OutcomeUnknown if is_unknown else StoreUnavailable
                raise error(f"no good answer over HTTP: {_message(answer)}") from answer.cause
            time.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def token(self) -> str | None:
        """Return the user's JWT for the next call, or None to use the role of the key.

        Raise AccessDenied if access_token returns none and allow_service is False.
        """
        if self._token is None:
            return None
        try:
            token = _token_of(self._token)
        except LookupError as exc:
            # A context variable without a value.
            raise AccessDenied(_NO_USER) from exc
        if isinstance(token, str) and token.strip():
            return token
        if token is not None and not isinstance(token, str):
            kind, token = type(token).__name__, None
            raise AccessDenied(f"the store's access_token returned {kind}, which is not text")
        if not self._allow_service:
            raise AccessDenied(_NO_USER)
        return None

    def client(self) -> "Client":
        """Return the client of this process: a child must not use the sockets of its parent."""
        client, process = self._client, os.getpid()
        if client is None or self._process != process:
            with self._lock:
                if self._client is None or self._process != process:
                    self._client, self._process = self._new_client(), process
                client = self._client
        return client

    def _new_client(self) -> "Client":
        try:
            return self._make(self._request_timeout)
        except Exception as exc:
            # The variables of the inner frames have the key, and perhaps the message.
            kind = type(exc).__name__
        raise BackendError(f"supabase could not create a client with the url and the key: {kind}")


def _token_of(secret: Secret[Token]) -> str | None:
    # Not in a variable: error reports show the variables of frames.
    if callable(secret.reveal()):
        return secret.reveal()()  # type: ignore[operator]  # it is callable
    return str(secret.reveal())


def _parameters(arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        f"p_{name}": _moment(value) if isinstance(value, datetime) else value
        for name, value in arguments.items()
    }


def _moment(time: datetime) -> str:
    return (time if time.tzinfo else as_utc(time)).isoformat()


def time_of(text: str | None) -> Any:
    """Return the time in an answer as Django returns times: naive if USE_TZ is False."""
    if text is None:
        return None
    time = datetime.fromisoformat(text)
    return time if settings.USE_TZ else without_zone(time)


def is_overdue(exc: StoreUnavailable) -> bool:
    """Whether the database ended and rolled back the call because it took too long."""
    is_known = not isinstance(exc, OutcomeUnknown)
    return is_known and getattr(exc.__cause__, "code", None) in TIMED_OUT


def is_read_only(exc: StoreError) -> bool:
    """Whether the database refused to begin a transaction that may write, as a hot standby does."""
    return getattr(exc.__cause__, "code", None) == "0A000"


def _message(answer: Answer) -> str:
    reason = answer.code or answer.status
    return answer.message + (f" ({reason})" if reason else "")


def _refusal(answer: Answer, is_unknown: bool) -> StoreError:
    """Return the error for an answer after which the call is not repeated.

    is_unknown: whether an earlier answer of the same write was lost.
    """
    refusal = _error(answer)
    if is_unknown and not answer.is_verdict:
        return OutcomeUnknown(f"the answer was lost, and the repeat refused: {refusal}")
    return refusal


def _error(answer: Answer) -> StoreError:
    code, message = answer.code, _message(answer)
    if answer.unsent:
        return AccessDenied(_NO_HEADER)
    if code == "42501":
        return AccessDenied(
            f"{message}; row level security or a missing grant forbids this to the role of the "
            "key or token: see manage.py supabase_sql --policy"
        )
    if answer.status in (401, 403) or code.startswith("PGRST3"):
        return AccessDenied(f"the key or token was refused: {message}")
    if answer.timed_out:
        return StoreUnavailable(f"the database ended the call, which took too long: {message}")
    return _backend_error(answer, message)


def _backend_error(answer: Answer, message: str) -> BackendError:
    code = answer.code
    if code == "23505":
        return Conflict(message)
    if code in ("23503", "23001"):
        return ProtectedRow(message, message)
    if code in _MISSING:
        return BackendError(
            f"{message}; run what manage.py supabase_sql prints in the SQL editor of the project"
        )
    if code == "PGRST106":
        return BackendError(f"{message}; expose the schema in the API settings of the project")
    if code == "22P02" and "type uuid" in answer.message:
        return BackendError(
            f"{message}; if the ids of users are not UUIDs, name the claim that has them: "
            "manage.py supabase_rls --policy owner --owner-claim sub"
        )
    if answer.status is not None and not code:
        return BackendError(
            f"this is no answer of the store's functions: {message}; check the url of the project"
        )
    return BackendError(message)
