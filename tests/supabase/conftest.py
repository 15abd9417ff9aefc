"""The test database as a project of Supabase."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection
from psycopg.conninfo import make_conninfo

from parlant_store.backends.supabase import SupabaseBackend
from parlant_store.sql.supabase.policies import policies_sql
from tests.contract.sessions import MakeStore
from tests.supabase.stack import Stack, supabase


def django_dsn() -> str:
    """The test database for libpq; Django's own parameters are left out."""
    given = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port", "sslmode")
    return make_conninfo(**{name: given[name] for name in names if given.get(name)})


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
    stores: list[SupabaseBackend] = []

    def make(**options: Any) -> SupabaseBackend:
        given = {"url": project.url, "key": project.service_key, "alias": "test"} | options
        stores.append(SupabaseBackend(**given))
        return stores[-1]

    yield make
    for store in stores:
        store.close()
