"""One run is on one database: SQLite, or the PostgreSQL that DATABASE_URL names.

With STORE=supabase the default store of a run on PostgreSQL is reached over HTTP.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management.color import no_style
from django.db import connection, connections
from pytest_django.plugin import DjangoDbBlocker

from parlant_store import stores
from parlant_store.backends.base import BaseBackend
from parlant_store.models import Document

OVER_HTTP = os.environ.get("STORE") == "supabase"

if OVER_HTTP:
    from tests.supabase.conftest import project as project
    from tests.supabase.conftest import stack as stack

VENDOR = settings.DATABASES["default"]["ENGINE"].rpartition(".")[2]
OTHERS = {"sqlite3": ["postgresql", "supabase"], "postgresql": ["sqlite", "browser"]}[VENDOR]

# Tests of the other database's own ways belong to the other run. Pages are looked at in one of
# them: they are the same on both.
collect_ignore = [str(Path(__file__).parent / other) for other in OTHERS]


KEPT = {"django_content_type", "auth_permission"}
"""Tables that tests leave as migrations left them."""


def pytest_report_header() -> str:
    return f"database: {VENDOR}, over {'HTTP' if OVER_HTTP else 'its driver'}"


@pytest.fixture(scope="session", autouse=True)
def _threads_end_before_the_database(
    django_db_setup: None, request: pytest.FixtureRequest
) -> Iterator[None]:
    if OVER_HTTP:
        stack = request.getfixturevalue("project")
        settings.PARLANT_STORES = {
            "default": {
                "BACKEND": "parlant_store.backends.supabase.SupabaseBackend",
                "OPTIONS": {"url": stack.url, "key": stack.service_key},
            }
        }
        stores.forget()
    yield
    stores.close_all()


@pytest.fixture
def transactional_db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Tables that every thread sees, empty again afterwards, and connections of the test's own.

    Django's own flush makes content types and permissions anew after each test, which takes most
    of its time; here they stay.
    """
    with django_db_blocker.unblock():
        yield
        ops = connection.ops
        tables = set(connection.introspection.django_table_names(only_existing=True)) - KEPT
        ops.execute_sql_flush(ops.sql_flush(no_style(), sorted(tables)))
        connections.close_all()


@pytest.fixture
def store(transactional_db: None) -> BaseBackend:
    """The default store, on empty tables that every thread sees."""
    return stores["default"]


@pytest.fixture
def own_indexes(transactional_db: None) -> Iterator[None]:
    """Takes away the indexes that the test makes; emptying the tables leaves them."""
    yield
    table = Document._meta.db_table
    with connection.cursor() as cursor:
        for name in connection.introspection.get_constraints(cursor, table):
            if name.startswith(("parlant_store_doc_u_", "parlant_store_doc_x_")):
                cursor.execute(f"DROP INDEX {name}")
