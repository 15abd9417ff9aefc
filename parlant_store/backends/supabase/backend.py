"""The store in a Supabase project, or behind any PostgREST, through its REST API.

The tables are those of the Django models; manage.py supabase_sql emits them with the
functions that this calls, and the row level security that holds inside them.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage, Warning
from django.core.exceptions import ImproperlyConfigured

from parlant_store.backends.supabase.client import Connection, Token
from parlant_store.backends.supabase.documents import SupabaseDocuments
from parlant_store.backends.supabase.expiry import SupabaseExpiry
from parlant_store.backends.supabase.options import (
    is_readable_on_the_way,
    key_error,
    shown,
    token_error,
    url_error,
    without_login,
)
from parlant_store.backends.supabase.secrets import Secret
from parlant_store.backends.supabase.snapshots import SupabaseSnapshots

if TYPE_CHECKING:
    from supabase import Client

__all__ = ["SupabaseBackend"]

TIMEOUT = 30.0
"""Seconds that a call may take, its repeats included, unless the option says otherwise."""

STEP_SECONDS = 2.0
"""Seconds that a step of expire should take: Supabase ends statements after 8 s."""


class SupabaseBackend(SupabaseSnapshots, SupabaseDocuments, SupabaseExpiry):
    """Documents and sessions in a Supabase project.

    Every operation is one HTTP request and one transaction of the database, as the role of
    the key or of the user whose JWT is given: row level security decides what it may do, and
    AccessDenied is raised for what it may not.
    """

    keeps_answers = True

    def __init__(
        self,
        alias: str,
        *,
        url: str | None = None,
        key: str | None = None,
        schema: str | None = None,
        access_token: Token | None = None,
        allow_service: bool = False,
        timeout: float = TIMEOUT,
        client: "Client | None" = None,
        **options: Any,
    ) -> None:
        """
        url: the project's, as in https://name.supabase.co.
        key: an sb_secret_... or sb_publishable_... key, or a JWT of older projects.
        schema: where the tables are; "public" unless the client says otherwise.
        access_token: a user's JWT, or a function that gives it at each call.
        allow_service: whether a call is made as the key's role when that function gives None
        or ""; otherwise it is refused with AccessDenied.
        timeout: how many seconds a call may take, its repeats included.
        client: a client that the caller made, in place of url and key.

        Raises ImproperlyConfigured.
        """
        self.alias = alias
        wrong = _what_is_wrong(url, key, access_token, allow_service, timeout, client)
        given = (
            Secret(str(url).strip()),
            Secret(str(key).strip()),
            None if access_token is None else Secret(access_token),
        )
        # Whoever shows the frames of an error with their variables must not show these.
        del url, key, access_token
        if find_spec("supabase") is None:
            wrong = "needs the package supabase: pip install 'django-parlant-store[supabase]'"
        if wrong is not None:
            raise ImproperlyConfigured(f"the store {alias!r} {wrong}")
        super().__init__(alias, **options)
        self._url, self._key, token = given
        self.step_seconds = min(STEP_SECONDS, timeout / 6)
        self.url = None if client is not None else without_login(self._url.reveal())
        self.schema = schema
        self._given = client
        self.connection = Connection(
            self._make, token=token, allow_service=allow_service, timeout=timeout
        )

    def close(self, **limits: Any) -> None:
        super().close(**limits)
        if self._given is None:
            self.connection.close()

    def check(self) -> list[CheckMessage]:
        if self.url is None or not is_readable_on_the_way(self.url):
            return []
        return [
            Warning(
                f"the store {self.alias!r} sends its key over plain http, for all to read.",
                hint="Give its url as https://...",
                id="parlant_store.W005",
            )
        ]

    def _make(self, timeout: float) -> "Client":
        if self._given is not None:
            return self._given
        import httpx
        from supabase import ClientOptions, create_client

        # HTTP/1.1: gateways drop idle connections of HTTP/2, and its client is the slower one.
        http = httpx.Client(
            timeout=timeout, limits=httpx.Limits(max_connections=100, max_keepalive_connections=20)
        )
        options = ClientOptions(
            schema=self.schema or "public",
            httpx_client=http,
            auto_refresh_token=False,
            persist_session=False,
            postgrest_client_retry=False,
        )
        return create_client(self._url.reveal(), self._key.reveal(), options)


def _what_is_wrong(
    url: object,
    key: object,
    access_token: object,
    allow_service: object,
    timeout: object,
    client: object,
) -> str | None:
    """The end of a sentence about the store, which shows none of these; None: nothing."""
    wrong = None
    if client is None:
        wrong = url_error(url) or key_error(key)
    elif url is not None or key is not None:
        wrong = "has a client: leave out its url and key"
    if wrong is None and access_token is not None and not callable(access_token):
        wrong = token_error(access_token)
    if wrong is None and not isinstance(allow_service, bool):
        wrong = f"has allow_service {shown(allow_service)}; it must be True or False"
    is_time = isinstance(timeout, (int, float)) and not isinstance(timeout, bool) and timeout > 0
    if wrong is None and not is_time:
        wrong = f"has timeout {shown(timeout)}; it must be a number of seconds above 0"
    return wrong
