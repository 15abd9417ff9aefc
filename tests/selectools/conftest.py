"""Tests with the real selectools, in an environment of its own (make test)."""

import pytest

from parlant_store.adapters.selectools import SessionStore
from parlant_store.backends.base import BaseBackend
from tests.contract.clock import Clock


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
