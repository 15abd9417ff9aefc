"""Stores in directories of the test."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from parlant_store.backends.jsonfile import JsonFileBackend
from parlant_store.signals import session_saved
from tests.contract.clock import Clock
from tests.contract.stores import MakeStore
from tests.contract.values import numbered


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture
def make_store(directory: Path) -> Iterator[MakeStore]:
    """Makes stores in the same directory."""
    stores: list[JsonFileBackend] = []

    def make(**options):
        stores.append(JsonFileBackend("test", **{"directory": directory, **options}))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(make_store):
    return make_store()


@pytest.fixture
def path(directory) -> Path:
    """The file of the session "s"."""
    return directory / "=default" / "s.jsonl"


@pytest.fixture
def bulk(make_store: MakeStore, clock) -> Callable[..., None]:
    """Makes many sessions, s0000 and so on."""

    def make(*, sessions: int, documents: int, expires_at: datetime | None = None) -> None:
        assert documents == 0
        store = make_store(clock=clock, fsync=False)
        assert not session_saved.receivers
        for number in range(sessions):
            store.add_items(f"s{number:04}", numbered(1))
            if expires_at is not None:
                store.set_expiry(f"s{number:04}", expires_at)

    return make
