"""The store in a Supabase project, or behind any PostgREST, through its REST API.

The tables are those of the Django models; manage.py supabase_sql emits them with the
functions that this calls, and the row level security that holds inside them.
"""

from importlib.util import find_spec
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.core.checks import CheckMessage, Warning
from django.core.exceptions import ImproperlyConfigured

from parlant_store.backends.supabase.connection import Connection, Token
from parlant_store.backends.supabase.documents import SupabaseDocuments
from parlant_store.backends.supabase.expiry import SupabaseExpiry
from parlant_store.backends.supabase.sessions import SupabaseSessions

if TYPE_CHECKING:
    from supabase import Client

__all__ = ["SupabaseBackend"]

TIMEOUT = 30.0
"""Seconds that a call may take, its repeats included, unless the option says otherwise."""


class SupabaseBackend(SupabaseSessions, SupabaseDocuments, SupabaseExpiry):
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
        timeout: float = TIMEOUT,
        client: "Client | None" = None,
        **options: Any,
    ) -> None:
        """
        url: the project's, as in https://name.supabase.co.
        key: an sb_secret_... or sb_publishable_... key, or a JWT of older projects.
        schema: where the tables are; "public" unless the client says otherwise.
        access_token: a user's JWT, or a function that gives it at each call.
        timeout: how many seconds a call may take, its repeats included.
        client: a client that the caller made, in place of url and key.

        Raises ImproperlyConfigured.
        """
        super().__init__(alias, **options)
        where = f"the store {alias!r}"
        if find_spec("supabase") is None:
            raise ImproperlyConfigured(
                f"{where} needs the package supabase: pip install 'django-parlant-store[supabase]'"
            )
        if client is None:
            url = _check_url(url, where)
            key = _check_key(key, where)
        elif url is not None or key is not None:
            raise ImproperlyConfigured(f"{where} has a client: leave out its url and key")
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0:
            raise ImproperlyConfigured(
                f"timeout of {where} must be a number of seconds above 0, not {timeout!r}"
            )
        if access_token is not None and not (callable(access_token) or access_token):
            raise ImproperlyConfigured(
                f"access_token of {where} must be a JWT, or a function that gives one"
            )
        self.url = url
        self._key = key
        self.schema = schema
        self._given = client
        self.connection = Connection(self._make, token=access_token, timeout=timeout)

    def close(self) -> None:
        super().close()
        if self._given is None:
            self.connection.close()

    def check(self) -> list[CheckMessage]:
        parts = urlsplit(self.url or "")
        if parts.scheme != "http" or _is_loopback(str(parts.hostname)):
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
        return create_client(str(self.url), str(self._key), options)


def _check_key(key: str | None, where: str) -> str:
    if not isinstance(key, str) or not key.strip():
        raise ImproperlyConfigured(f"{where} has no key; set it, as from SUPABASE_KEY")
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ImproperlyConfigured(
            f"the key of {where} has characters that no key has; copy it anew from the API keys "
            "of the project"
        )
    return key


def _check_url(url: str | None, where: str) -> str:
    if isinstance(url, str) and _is_http(url.strip()):
        return url.strip()
    raise ImproperlyConfigured(
        f"{where} needs a url like https://name.supabase.co, as from SUPABASE_URL; it has {url!r}"
    )


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
