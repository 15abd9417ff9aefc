"""The test database as a project of Supabase."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import httpx
import psycopg
import pytest
from supabase import Client, ClientOptions, create_client

from parlant_store.backends.supabase import SupabaseBackend
from parlant_store.sql.supabase.policies import policies_sql
from tests.contract.stores import MakeStore
from tests.empty_tables import django_dsn
from tests.servers.supabase import Stack, supabase


@pytest.fixture(scope="session", autouse=True)
def _without_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Reading those of all authorities takes longer than a test; here nobody needs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        patch.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("certificates")))
        yield


@pytest.fixture(scope="session")
def session_end(django_db_setup: None) -> Iterator[ExitStack]:
    """Leaves at the end of all tests what entered it."""
    with ExitStack() as ends:
        yield ends


@pytest.fixture(scope="session")
def stack(django_db_setup: None) -> Iterator[Stack]:
    with supabase(django_dsn()) as running:
        yield running


@pytest.fixture(scope="session")
def project(stack: Stack) -> Stack:
    """The stack with what manage.py supabase_rls emits, for the service role alone."""
    with psycopg.connect(stack.dsn, autocommit=True) as session:
        session.execute(policies_sql(schema="public", policy="service"))
    stack.reload()
    return stack


@pytest.fixture
def make_store(transactional_db: None, project: Stack) -> Iterator[MakeStore]:
    with stores_on(project) as make:
        yield make


@contextmanager
def stores_on(stack: Stack) -> Iterator[MakeStore]:
    """Makes stores of the service's, which are closed at the end."""
    with ExitStack() as ends:

        def make(**options: Any) -> SupabaseBackend:
            given = {"url": stack.url, "key": stack.service_key, "alias": "test"} | options
            return ends.enter_context(closing(SupabaseBackend(**given)))

        yield make


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client() as client:
        yield client


def client_of(stack: Stack, http: httpx.Client, key: str, token: str | None = None) -> Client:
    """Supabase's own client, with a key and maybe a user's token."""
    options = ClientOptions(httpx_client=http, postgrest_client_retry=False)
    if token is not None:
        options.headers["Authorization"] = f"Bearer {token}"
    return create_client(stack.url, key, options)


@pytest.fixture
def client(stack: Stack, http: httpx.Client) -> Callable[..., Client]:
    """Makes clients of Supabase's own, for a key or a user."""

    def make(key: str = stack.service_key, user: str | None = None) -> Client:
        return client_of(stack, http, key, None if user is None else stack.user_token(user))

    return make
