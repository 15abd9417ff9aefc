"""One run is on one database: SQLite, or the PostgreSQL that DATABASE_URL names."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from parlant_store import stores
from parlant_store.backends.base import BaseBackend

VENDOR = settings.DATABASES["default"]["ENGINE"].rpartition(".")[2]
OTHER = {"sqlite3": "postgresql", "postgresql": "sqlite"}[VENDOR]

# Tests of the other database's own ways belong to the other run.
collect_ignore = [str(Path(__file__).parent / OTHER)]


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
