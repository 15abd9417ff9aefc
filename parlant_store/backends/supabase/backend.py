"""The store in a Supabase project, or behind any PostgREST, through its REST API.

The tables are those of the Django models. manage.py supabase_sql prints them, with the functions
that this backend calls, and with row level security, which also applies inside the functions.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage, Warning
from django.core.exceptions import ImproperlyConfigured

from parlant_store.backends.secrets import Secret
from parlant_store.backends.supabase.client import Connection, Token
from parlant_store.backends.supabase.documents import SupabaseDocuments
from parlant_store.backends.supabase.expiry import SupabaseExpiry
from parlant_store.backends.supabase.history import SupabaseHistory
from parlant_store.backends.supabase.memories import SupabaseMemories
from parlant_store.backends.supabase.options import (
    is_unencrypted,
    key_error,
    shown,
    token_error,
    url_error,
    without_login,
)
from parlant_store.backends.supabase.records import SupabaseRecords
from parlant_store.backends.supabase.snapshots import SupabaseSnapshots
from parlant_store.backends.supabase.thread_records import SupabaseThreadRecords

if TYPE_CHECKING:
    from supabase import Client

__all__ = ["SupabaseBackend"]

TIMEOUT = 30.0
"""The default of the option ``timeout``."""

STEP_SECONDS = 2.0
"""How long a step of expire should take: Supabase ends statements after 8 s."""


class SupabaseBackend(
    SupabaseSnapshots,
    SupabaseHistory,
    SupabaseDocuments,
    SupabaseMemories,
    SupabaseRecords,
    SupabaseExpiry,
    SupabaseThreadRecords,
):
    """Documents, sessions and threads in a Supabase project.

    Every operation is one HTTP request and one transaction of the database, with the role of the
    key or of a user's JWT. Row level security applies to it; what it forbids raises AccessDenied.
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
        url: the URL of the project, as https://name.supabase.co.
        key: an sb_secret_... or sb_publishable_... key, or a JWT of older projects.
        schema: the schema of the tables; None: that of the client, or "public".
        access_token: a user's JWT, or a function that returns one for each call.
        allow_service: whether a call is made with the role of the key if that function returns
            None or ""; otherwise it raises AccessDenied.
        timeout: how many seconds a call may take, including its repeats.
        client: a Supabase client, instead of url and key.

        Raise ImproperlyConfigured if an option is wrong.
        """
        self.alias = alias
        error = _option_error(url, key, access_token, allow_service, timeout, client)
        secrets = (
            Secret(str(url).strip()),
            Secret(str(key).strip()),
            None if access_token is None else Secret(access_token),
        )
        # Error reports show the variables of frames.
        del url, key, access_token
        if find_spec("supabase") is None:
            error = "needs the package supabase: pip install 'django-parlant-store[supabase]'"
        if error is not None:
            raise ImproperlyConfigured(f"the store {alias!r} {error}")
        super().__init__(alias, **options)
        self._url, self._key, token = secrets
        self.step_seconds = min(STEP_SECONDS, timeout / 6)
        self.url = None if client is not None else without_login(self._url.reveal())
        self.schema = schema
        self._callers_client = client
        self.connection = Connection(
            self._make, token=token, allow_service=allow_service, timeout=timeout
        )

    def close(self, **limits: Any) -> None:
        super().close(**limits)
        if self._callers_client is None:
            self.connection.close()

    def check(self) -> list[CheckMessage]:
        if self.url is None or not is_unencrypted(self.url):
            return []
        return [
            Warning(
                f"the store {self.alias!r} sends its key over http, without encryption.",
                hint="Use https:// in its url.",
                id="parlant_store.W005",
            )
        ]

    def _make(self, timeout: float) -> "Client":
        if self._callers_client is not None:
            return self._callers_client
        import httpx
        from supabase import ClientOptions, create_client

        # HTTP/1.1: gateways drop idle connections of HTTP/2, and its client is slower.
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


def _option_error(
    url: object,
    key: object,
    access_token: object,
    allow_service: object,
    timeout: object,
    client: object,
) -> str | None:
    """Return the end of an error message about the store, without secrets, or None."""
    error = None
    if client is None:
        error = url_error(url) or key_error(key)
    elif url is not None or key is not None:
        error = "has a client: leave out its url and key"
    if error is None and access_token is not None and not callable(access_token):
        error = token_error(access_token)
    if error is None and not isinstance(allow_service, bool):
        error = f"has allow_service {shown(allow_service)}; it must be True or False"
    is_time = isinstance(timeout, (int, float)) and not isinstance(timeout, bool) and timeout > 0
    if error is None and not is_time:
        error = f"has timeout {shown(timeout)}; it must be a number of seconds above 0"
    return error
