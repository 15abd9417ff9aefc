"""Tests with the real selectools, in an environment of its own (make test).

tests/conftest.py is not read there: what it imports may need what only the other has.
"""

from collections.abc import Iterator

import pytest
from django.conf import settings

from parlant_store import stores
from parlant_store.adapters.selectools import SessionStore
from parlant_store.backends.base import BaseBackend
from tests.contract.clock import Clock

VENDOR = settings.DATABASES["default"]["ENGINE"].rpartition(".")[2]


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
def clock(store: BaseBackend, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The store's time, which passes when it is told to."""
    clock = Clock()
    monkeypatch.setattr(store, "clock", clock)
    return clock


@pytest.fixture
def sessions(store: BaseBackend) -> SessionStore:
    return SessionStore()


@pytest.fixture
def other(store: BaseBackend) -> SessionStore:
    """Another object on the same store, as another process has one."""
    return SessionStore()
