"""What a request got, as far as it may be shown, and what that means."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from parlant_store.backends.supabase.rest.shapes import Shape
from parlant_store.backends.supabase.secrets import scrub

if TYPE_CHECKING:
    from httpx import Response

MAX_WORDS = 200
"""Characters that are shown of what is no answer."""

_REPEATED = (408, 425, 429, 502, 503, 504, *range(520, 531), 544)
"""Statuses of proxies and gateways that may be gone at the next try, as a 500 that is theirs."""

_PASSING = (
    "08",  # the connection to the database
    "40",  # undone in favour of another transaction
    "53",  # too many connections
    "57P",  # the database stops or starts
)
"""What the codes of PostgreSQL begin with that may be gone at the next try."""

_UNDONE = ("40001", "40P01", "53", "55P03", "57014", "57P03", "PGRST000", "PGRST002", "PGRST003")
"""What the codes begin with that say that nothing was done."""

_NOT_FORWARDED = (425, 429, 521, 522, 523, 525, 526)
"""Statuses of proxies that have not passed the request on; 503 is another, with exceptions."""

_NOT_FORWARDED_WORDS = ("name resolution failed", "failure to get a peer", "no Route matched")
"""What Supabase's gateway says of requests that it could not pass on."""

_MAYBE_FORWARDED = "upstream connect error or disconnect/reset before headers"
"""What Envoy says with 503, also when the request was under way."""

TIMED_OUT = ("55P03", "57014")
"""Codes of a lock or a statement that took longer than the role may wait."""

_DENIED = ("42501", "PGRST202", "PGRST205", "PGRST106", "42P01", "42883")
"""Codes of what is not there, or not for the role that asks."""

_NOT_FROM_THE_FUNCTION = ("42501", "42883", "42P01", *TIMED_OUT)
"""Codes of PostgreSQL that do not say that the function was run to its end."""

_CODE = re.compile(r"PGRST[0-9A-Z]{3}|(?=[A-Z]*[0-9])[0-9A-Z]{5}")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a request got; nothing is raised for what went wrong. It holds no key and no token."""

    status: int | None
    """Of HTTP; None when nobody answered."""

    message: str
    """What went wrong, in the words of the server or of the network."""

    code: str = ""
    """Of PostgREST or PostgreSQL, as PGRST202 or 42501; empty when there is none."""

    body: Any = None
    """The JSON of a good answer."""

    good: bool = False
    """Whether it has the status, the content type and the shape of what was asked for."""

    unsent: bool = False
    """Whether the key or the token cannot stand in a request at all."""

    passing: bool = False
    """Whether the next try may get another answer."""

    undone: bool = False
    """Whether what was sent was surely not done."""

    retry_after: float = 0.0
    """For how many seconds the server wants to be left alone."""

    cause: Exception | None = None
    """The client's own error, without what it knows of the request."""

    @property
    def key_refused(self) -> bool:
        """Whether the key or the token is refused."""
        if self.status not in (401, 403):
            return self.unsent
        return not self.code or self.code.startswith("PGRST3")

    @property
    def denied(self) -> bool:
        """Whether the role, which is known, may not have this."""
        return self.code in _DENIED

    @property
    def timed_out(self) -> bool:
        """Whether a lock or the statement took longer than the database lets the role wait."""
        return self.code in TIMED_OUT

    @property
    def is_verdict(self) -> bool:
        """Whether a function was run and refused what was asked."""
        return (
            len(self.code) == 5
            and self.status not in (401, 403)
            and self.code not in _NOT_FROM_THE_FUNCTION
        )


def unsendable() -> Answer:
    """The answer to a key or token with characters that HTTP cannot send.

    What the client says of it would show it.
    """
    return Answer(
        status=None, message="it holds characters that HTTP cannot send", unsent=True, undone=True
    )


def no_answer(exc: Exception, secrets: Sequence[str]) -> Answer:
    """The answer when the client raised ``exc``."""
    from httpx import ConnectError, ConnectTimeout, PoolTimeout, TransportError

    message = _first_words(scrub(str(exc), secrets)) or type(exc).__name__
    if isinstance(exc, TransportError):
        never_sent = isinstance(exc, (ConnectError, ConnectTimeout, PoolTimeout))
        clean: Exception = type(exc)(message)
        return Answer(status=None, message=message, passing=True, undone=never_sent, cause=clean)
    return Answer(
        status=None,
        message=f"{type(exc).__name__}: {message}",
        cause=RuntimeError(f"{type(exc).__name__}: {message}"),
    )


def answer_of(response: "Response", shape: Shape, secrets: Sequence[str]) -> Answer:
    """The answer that is promised to be JSON of this shape."""
    status, body = response.status_code, _json_of(response)
    if status == 200 and body is not _NO_JSON and shape(body):
        return Answer(status=status, message="", body=body, good=True)
    given = body if isinstance(body, dict) and status >= 400 else {}
    code = given.get("code")
    code = code if isinstance(code, str) and _CODE.fullmatch(code) else ""
    message = given.get("message")
    if not isinstance(message, str) or not message.strip():
        message = _beginning(response)
    message = _first_words(scrub(message, secrets))
    return Answer(
        status=status,
        message=message,
        code=code,
        passing=_is_passing(status, code),
        undone=_is_undone(status, code, response.text),
        retry_after=_retry_after(response.headers.get("retry-after", "")),
        cause=_api_error(status, code, message, given, secrets),
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


def _first_words(text: str) -> str:
    words = " ".join("".join(c if c.isprintable() else " " for c in text[: 10 * MAX_WORDS]).split())
    return words if len(words) <= MAX_WORDS else words[:MAX_WORDS] + "…"


def _is_passing(status: int, code: str) -> bool:
    if status == 500:
        return not code or code.startswith(_PASSING)
    return status in _REPEATED


def _is_undone(status: int, code: str, text: str) -> bool:
    if code:
        return code.startswith(_UNDONE)
    if status == 503:
        return _MAYBE_FORWARDED not in text
    return status in _NOT_FORWARDED or any(words in text for words in _NOT_FORWARDED_WORDS)


def _retry_after(header: str) -> float:
    """The seconds of Retry-After, which is a number or a date."""
    try:
        if header.strip().isdecimal():
            return float(header)
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _api_error(
    status: int, code: str, message: str, given: dict[str, Any], secrets: Sequence[str]
) -> Exception:
    from postgrest.exceptions import APIError

    def part(name: str) -> str | None:
        return None if given.get(name) is None else scrub(str(given[name]), secrets)

    return APIError(
        {
            "message": message,
            "code": code or str(status),
            "hint": part("hint"),
            "details": part("details"),
        }
    )
