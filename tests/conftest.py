"""One run is on one database: SQLite, or the PostgreSQL that DATABASE_URL names."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from parlant_store import stores
from parlant_store.backends.base import BaseBackend
from parlant_store.models import Document

VENDOR = settings.DATABASES["default"]["ENGINE"].rpartition(".")[2]
OTHERS = {"sqlite3": ["postgresql", "supabase"], "postgresql": ["sqlite"]}[VENDOR]

# Tests of the other database's own ways belong to the other run.
collect_ignore = [str(Path(__file__).parent / other) for other in OTHERS]


def pytest_report_header() -> str:
    return f"database: {VENDOR}"


@pytest.fixture(scope="session", autouse=True)
def _threads_end_before_the_database(django_db_setup: None) -> Iterator[None]:
    yield
    stores.close_all()


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
