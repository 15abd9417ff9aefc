"""Single requests to the REST API behind a store, and what came back."""

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from parlant_store.backends.supabase.options import login_of, without_login
from parlant_store.backends.supabase.rest.answers import (
    Answer,
    answer_of,
    no_answer,
    unsendable,
)
from parlant_store.backends.supabase.rest.shapes import Shape, anything

if TYPE_CHECKING:
    from httpx import Client
    from supabase import Client as SupabaseClient

CHECK_SECONDS = 10.0
"""Seconds that an answer may take when nothing else says so."""


class Rest:
    """The REST API as one key and token see it."""

    def __init__(
        self,
        session: "Client",
        url: str,
        headers: Mapping[str, str],
        auth: tuple[str, str] | None = None,
        seconds: float | None = CHECK_SECONDS,
    ) -> None:
        """
        headers: those of every request, the key among them.
        auth: a user and a password of a proxy; they take the place of the token.
        seconds: how long an answer may take; None: as long as the session says.
        """
        self._session = session
        self._headers = headers
        self._auth = auth
        self._seconds = seconds
        self.url = url

    @classmethod
    def of(
        cls, client: "SupabaseClient", token: str | None, seconds: float | None = CHECK_SECONDS
    ) -> Self:
        """What ``client`` reaches, as the user of the token or as its key says."""
        postgrest = client.postgrest
        url = str(postgrest.base_url)
        own = {} if token is None else {"authorization": f"Bearer {token}"}
        headers = {name.lower(): value for name, value in postgrest.headers.items()}
        return cls(postgrest.session, without_login(url), headers | own, login_of(url), seconds)

    @property
    def project(self) -> str:
        """The project's URL."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

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
        return Rest(self._session, self.url, {**self._headers, **own}, self._auth, self._seconds)

    def call(self, function: str, shape: Shape = anything, /, **arguments: Any) -> Answer:
        """What ``parlant_store_<function>`` answers; ``arguments`` are named without p_."""
        parameters = {f"p_{name}": value for name, value in arguments.items()}
        return self.post(function, parameters, shape)

    def post(self, function: str, parameters: Mapping[str, Any], shape: Shape) -> Answer:
        """``call`` with the parameters as the function names them."""
        body = json.dumps(parameters, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return self._send("POST", f"rpc/parlant_store_{function}", shape, content=body.encode())

    def rows(self, table: str, shape: Shape, *, columns: str, limit: int) -> Answer:
        """At most ``limit`` rows of the table."""
        return self._send("GET", table, shape, params={"select": columns, "limit": str(limit)})

    def _send(self, method: str, path: str, shape: Shape, **options: Any) -> Answer:
        """Send the request and return its answer; nothing is raised.

        A report that shows the frames of an error with their variables would show the key, and
        so would the client's own exceptions.
        """
        from httpx import USE_CLIENT_DEFAULT, BasicAuth, LocalProtocolError

        try:
            response = self._session.request(
                method,
                f"{self.url.rstrip('/')}/{path}",
                headers={"content-type": "application/json", **self._headers},
                auth=None if self._auth is None else BasicAuth(*self._auth),
                timeout=USE_CLIENT_DEFAULT if self._seconds is None else self._seconds,
                follow_redirects=False,
                **options,
            )
        except Exception as exc:
            is_refused = isinstance(exc, (LocalProtocolError, UnicodeEncodeError))
            if is_refused and not self._is_sendable():
                return unsendable()
            return no_answer(exc, self._secrets())
        return answer_of(response, shape, self._secrets())

    def _is_sendable(self) -> bool:
        """Whether the key and the token have the characters that HTTP takes."""
        return all(
            value.isascii() and value.isprintable() and value == value.strip()
            for value in self._headers.values()
        )

    def _secrets(self) -> list[str]:
        """What no message may show."""
        token = self._headers.get("authorization", "").removeprefix("Bearer ")
        secrets = [self._headers.get("apikey", ""), token]
        if self._auth is not None:
            encoded = base64.b64encode(":".join(self._auth).encode()).decode()
            secrets += [self._auth[1], encoded]
        return secrets


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
