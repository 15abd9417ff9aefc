"""The answers to requests, without secrets, and their meaning."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from parlant_store.backends.secrets import scrub
from parlant_store.backends.supabase.rest.shapes import Shape

if TYPE_CHECKING:
    from httpx import Response

MAX_LENGTH = 200
"""Limit on the characters of a message."""

_REPEATED = (408, 425, 429, 502, 503, 504, *range(520, 531), 544)
"""Temporary statuses of proxies and gateways; a 500 without a code is another one."""

_TEMPORARY = (
    "08",  # the connection to the database
    "40",  # rolled back in favour of another transaction
    "53",  # too many connections
    "57P",  # the database stops or starts
)
"""The beginnings of temporary codes of PostgreSQL."""

_UNDONE = ("40001", "40P01", "53", "55P03", "57014", "57P03", "PGRST000", "PGRST002", "PGRST003")
"""The beginnings of codes after which nothing was written."""

_NOT_FORWARDED = (425, 429, 521, 522, 523, 525, 526)
"""Statuses of proxies that have not forwarded the request; 503 is another, with exceptions."""

_NOT_FORWARDED_TEXTS = ("name resolution failed", "failure to get a peer", "no Route matched")
"""Messages of Supabase's gateway about requests that it could not forward."""

_MAYBE_FORWARDED = "upstream connect error or disconnect/reset before headers"
"""A message of Envoy with 503, which may also follow a forwarded request."""

TIMED_OUT = ("55P03", "57014")
"""Codes of a lock or a statement that took longer than the role may wait."""

_DENIED = ("42501", "PGRST202", "PGRST205", "PGRST106", "42P01", "42883")
"""Codes of objects that do not exist, or that the role may not use."""

_NOT_FROM_THE_FUNCTION = ("42501", "42883", "42P01", *TIMED_OUT)
"""Codes of PostgreSQL that do not show that the function ran to its end."""

_CODE = re.compile(r"PGRST[0-9A-Z]{3}|(?=[A-Z]*[0-9])[0-9A-Z]{5}")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to a request, or the error of one; it contains no key and no token."""

    status: int | None
    """The HTTP status; None without a response."""

    message: str
    """The error message of the server or of the network."""

    code: str = ""
    """The code of PostgREST or PostgreSQL, such as PGRST202 or 42501; empty without one."""

    body: Any = None
    """The JSON of a good answer."""

    good: bool = False
    """Whether it has the expected status, content type and shape."""

    unsent: bool = False
    """Whether the key or the token cannot be sent in a request."""

    is_temporary: bool = False
    """Whether a repeated request may get another answer."""

    undone: bool = False
    """Whether the request has certainly written nothing."""

    retry_after: float = 0.0
    """The seconds of the header Retry-After."""

    cause: Exception | None = None
    """The error of the client, without the request."""

    @property
    def key_refused(self) -> bool:
        """Whether the key or the token was refused."""
        if self.status not in (401, 403):
            return self.unsent
        return not self.code or self.code.startswith("PGRST3")

    @property
    def denied(self) -> bool:
        """Whether the role was accepted, but is not allowed to do this."""
        return self.code in _DENIED

    @property
    def timed_out(self) -> bool:
        """Whether a lock or the statement took longer than the role may wait."""
        return self.code in TIMED_OUT

    @property
    def is_verdict(self) -> bool:
        """Whether the function ran and raised the error."""
        return (
            len(self.code) == 5
            and self.status not in (401, 403)
            and self.code not in _NOT_FROM_THE_FUNCTION
        )


def unsendable() -> Answer:
    """Return the answer for a key or token with characters that HTTP cannot send.

    The message of the client would show it.
    """
    return Answer(
        status=None, message="it has characters that HTTP cannot send", unsent=True, undone=True
    )


def no_answer(exc: Exception, secrets: Sequence[str]) -> Answer:
    """Return the answer for an exception of the client."""
    from httpx import ConnectError, ConnectTimeout, PoolTimeout, TransportError

    message = _shortened(scrub(str(exc), secrets)) or type(exc).__name__
    if isinstance(exc, TransportError):
        never_sent = isinstance(exc, (ConnectError, ConnectTimeout, PoolTimeout))
        clean: Exception = type(exc)(message)
        return Answer(
            status=None, message=message, is_temporary=True, undone=never_sent, cause=clean
        )
    return Answer(
        status=None,
        message=f"{type(exc).__name__}: {message}",
        cause=RuntimeError(f"{type(exc).__name__}: {message}"),
    )


def answer_of(response: "Response", shape: Shape, secrets: Sequence[str]) -> Answer:
    """Return the answer of a response, which should be JSON of this shape."""
    status, body = response.status_code, _json_of(response)
    if status == 200 and body is not _NO_JSON and shape(body):
        return Answer(status=status, message="", body=body, good=True)
    error = body if isinstance(body, dict) and status >= 400 else {}
    code = error.get("code")
    code = code if isinstance(code, str) and _CODE.fullmatch(code) else ""
    message = error.get("message")
    if not isinstance(message, str) or not message.strip():
        message = _beginning(response)
    message = _shortened(scrub(message, secrets))
    return Answer(
        status=status,
        message=message,
        code=code,
        is_temporary=_is_temporary(status, code),
        undone=_is_undone(status, code, response.text),
        retry_after=_retry_after(response.headers.get("retry-after", "")),
        cause=_api_error(status, code, message, error, secrets),
    )


_NO_JSON = object()


def _json_of(response: "Response") -> Any:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        return _NO_JSON
    try:
        return response.json()
    except (ValueError, RecursionError):
        return _NO_JSON


def _beginning(response: "Response") -> str:
    kind = response.headers.get("content-type", "").partition(";")[0].strip()
    text = response.text.strip()
    return f"{kind or 'something without a type'} " + (
        f"that begins {text}" if text else "with nothing in it"
    )


def _shortened(text: str) -> str:
    text = "".join(c if c.isprintable() else " " for c in text[: 10 * MAX_LENGTH])
    text = " ".join(text.split())
    return text if len(text) <= MAX_LENGTH else text[:MAX_LENGTH] + "…"


def _is_temporary(status: int, code: str) -> bool:
    if status == 500:
        return not code or code.startswith(_TEMPORARY)
    return status in _REPEATED


def _is_undone(status: int, code: str, text: str) -> bool:
    if code:
        return code.startswith(_UNDONE)
    if status == 503:
        return _MAYBE_FORWARDED not in text
    return status in _NOT_FORWARDED or any(part in text for part in _NOT_FORWARDED_TEXTS)


def _retry_after(header: str) -> float:
    """Return the seconds of Retry-After, which is a number or a date."""
    try:
        if header.strip().isdecimal():
            return float(header)
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _api_error(
    status: int, code: str, message: str, error: dict[str, Any], secrets: Sequence[str]
) -> Exception:
    from postgrest.exceptions import APIError

    def part(name: str) -> str | None:
        return None if error.get(name) is None else scrub(str(error[name]), secrets)

    return APIError(
        {
            "message": message,
            "code": code or str(status),
            "hint": part("hint"),
            "details": part("details"),
        }
    )
