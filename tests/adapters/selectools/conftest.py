"""Tests with the real selectools, in an environment of its own (make test)."""

import pytest

from parlant_store.adapters.selectools import SessionStore
from parlant_store.backends.base import BaseBackend
from tests.conftest import OVER_HTTP
from tests.contract.clock import Clock

# It needs what Supabase runs.
collect_ignore = [] if OVER_HTTP else ["test_adoption.py"]


@pytest.fixture
def clock(store: BaseBackend, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The store's time, which only the test moves on."""
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
