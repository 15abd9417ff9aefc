"""Single requests to the REST API behind a store, and what came back."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from httpx import Client, Response

    from parlant_store.backends.supabase.connection import Connection

PATIENCE = 10.0
"""Seconds that an answer may take."""

_DENIED = ("42501", "PGRST202", "PGRST205", "PGRST106", "42P01", "42883")
"""Codes of what is not there, or not for the role that asks."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a request got; nothing is raised for what went wrong."""

    status: int | None
    """Of HTTP; None when nobody answered."""

    said: str
    """What went wrong, in the words of the server or of the network."""

    code: str = ""
    """Of PostgREST or PostgreSQL, as PGRST202 or 42501; empty when there is none."""

    body: Any = None
    """The JSON; None where it is none."""

    unsent: bool = False
    """Whether the key or the token cannot stand in a request at all."""

    @property
    def good(self) -> bool:
        return self.status in (200, 206)

    @property
    def key_refused(self) -> bool:
        """Whether the key or the token is no good, whoever's it is."""
        if self.status != 401:
            return self.unsent
        return not self.code or self.code.startswith("PGRST3")

    @property
    def denied(self) -> bool:
        """Whether the role, which is known, may not have this."""
        return self.code in _DENIED


class Rest:
    """The REST API as one key and token see it."""

    def __init__(self, session: "Client", url: str, headers: Mapping[str, str]) -> None:
        """``headers`` are those of every request, the key among them."""
        self._session = session
        self._headers = headers
        self.url = url

    @classmethod
    def of(cls, connection: "Connection") -> Self:
        """As the store's own calls see it, through its own client."""
        postgrest = connection.client().postgrest
        token = connection.token()
        own = {} if token is None else {"authorization": f"Bearer {token}"}
        headers = {name.lower(): value for name, value in postgrest.headers.items()}
        return cls(postgrest.session, str(postgrest.base_url), headers | own)

    @property
    def project(self) -> str:
        """The project's URL, without a user or password in it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def schema(self) -> str:
        return self._headers["accept-profile"]

    @property
    def claims(self) -> dict[str, Any]:
        """What the key or token says of its role and user; nobody has looked at its signature."""
        return _claims(self._headers["authorization"].removeprefix("Bearer "))

    @property
    def has_token(self) -> bool:
        """Whether a token beside the key says who asks."""
        return self._headers["authorization"] != f"Bearer {self._headers['apikey']}"

    def seen_with(self, *, key: str | None = None, token: str | None = None) -> "Rest":
        """The same API for another key, or for the user of a token."""
        key = key or self._headers["apikey"]
        own = {"apikey": key, "authorization": f"Bearer {token or key}"}
        return Rest(self._session, self.url, {**self._headers, **own})

    def call(self, function: str, **arguments: Any) -> Answer:
        """What ``parlant_store_<function>`` answers; ``arguments`` are named without p_."""
        parameters = {f"p_{name}": value for name, value in arguments.items()}
        return self._send("POST", f"rpc/parlant_store_{function}", json=parameters)

    def rows(self, table: str, *, columns: str, limit: int) -> Answer:
        """At most ``limit`` rows of the table."""
        return self._send("GET", table, params={"select": columns, "limit": str(limit)})

    def _send(self, method: str, path: str, **options: Any) -> Answer:
        from httpx import LocalProtocolError, RequestError

        try:
            response = self._session.request(
                method,
                f"{self.url.rstrip('/')}/{path}",
                headers=dict(self._headers),
                timeout=PATIENCE,
                **options,
            )
        except (LocalProtocolError, UnicodeEncodeError):
            # Its message would show the key.
            return Answer(
                status=None, said="it holds characters that HTTP cannot send", unsent=True
            )
        except RequestError as exc:
            return Answer(status=None, said=str(exc) or type(exc).__name__)
        return _answer(response)


def _answer(response: "Response") -> Answer:
    try:
        body = response.json()
    except ValueError:
        body = None
    given = body if isinstance(body, dict) else {}
    return Answer(
        status=response.status_code,
        said=str(given.get("message") or response.reason_phrase),
        code=str(given.get("code") or ""),
        body=body,
    )


def _claims(key: str) -> dict[str, Any]:
    for prefix, role in (("sb_secret_", "service_role"), ("sb_publishable_", "anon")):
        if key.startswith(prefix):
            return {"role": role}
    try:
        payload = key.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
