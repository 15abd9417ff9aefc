"""Single requests to the REST API of a store, and their answers."""

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
"""The default timeout of a request."""


class Rest:
    """The REST API with a key and a token."""

    def __init__(
        self,
        session: "Client",
        url: str,
        headers: Mapping[str, str],
        auth: tuple[str, str] | None = None,
        seconds: float | None = CHECK_SECONDS,
    ) -> None:
        """
        headers: the headers of every request, including the key.
        auth: a user and a password of a proxy, which replace the token.
        seconds: the timeout; None: that of the session.
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
        """Return the API of ``client``, for the user of the token or with the role of its key."""
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
        """The claims of the key or token; its signature is not checked."""
        return claims_of(self._headers["authorization"].removeprefix("Bearer "))

    @property
    def has_token(self) -> bool:
        """Whether requests have a token in addition to the key."""
        return self._headers["authorization"] != f"Bearer {self._headers['apikey']}"

    def with_key(self, *, key: str | None = None, token: str | None = None) -> "Rest":
        """Return the same API with another key, or for the user of a token."""
        key = key or self._headers["apikey"]
        own = {"apikey": key, "authorization": f"Bearer {token or key}"}
        return Rest(self._session, self.url, {**self._headers, **own}, self._auth, self._seconds)

    def call(self, function: str, shape: Shape = anything, /, **arguments: Any) -> Answer:
        """Call ``parlant_store_<function>``, whose parameters are ``arguments`` with "p_"."""
        parameters = {f"p_{name}": value for name, value in arguments.items()}
        return self.post(function, parameters, shape)

    def post(self, function: str, parameters: Mapping[str, Any], shape: Shape) -> Answer:
        """Call the function with parameters that have "p_" already."""
        body = json.dumps(parameters, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return self._send("POST", f"rpc/parlant_store_{function}", shape, content=body.encode())

    def rows(self, table: str, shape: Shape, *, columns: str, limit: int) -> Answer:
        """Read at most ``limit`` rows of the table."""
        return self._send("GET", table, shape, params={"select": columns, "limit": str(limit)})

    def _send(self, method: str, path: str, shape: Shape, **options: Any) -> Answer:
        """Send the request and return its answer; raise nothing.

        Error reports with the variables of frames, and exceptions of the client, would show the
        key.
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
        """Whether HTTP allows the characters of the key and the token."""
        return all(
            value.isascii() and value.isprintable() and value == value.strip()
            for value in self._headers.values()
        )

    def _secrets(self) -> list[str]:
        """Return the secrets, which no message may show."""
        token = self._headers.get("authorization", "").removeprefix("Bearer ")
        secrets = [self._headers.get("apikey", ""), token]
        if self._auth is not None:
            encoded = base64.b64encode(":".join(self._auth).encode()).decode()
            secrets += [self._auth[1], encoded]
        return secrets


def claims_of(key: str) -> dict[str, Any]:
    """Return the claims of a key or token, at least its role if that is known."""
    for prefix, role in (("sb_secret_", "service_role"), ("sb_publishable_", "anon")):
        if key.startswith(prefix):
            return {"role": role}
    try:
        payload = key.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
