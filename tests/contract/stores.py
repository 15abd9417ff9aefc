"""The stores that the tests of a contract are given."""

from collections.abc import Callable
from typing import Any

import pytest

from parlant_store.backends.base import BaseBackend
from tests.contract.clock import Clock
from tests.contract.document_values import ids

MakeStore = Callable[..., BaseBackend]


class Timed:
    """Stores whose time passes when it is told to; a subclass gives ``make_store``."""

    @pytest.fixture
    def make_store(self) -> MakeStore:
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def store(self, make_store: MakeStore, clock: Clock) -> BaseBackend:
        return make_store(clock=clock)

    @pytest.fixture
    def ttl_store(self, make_store: MakeStore, clock: Clock) -> BaseBackend:
        """A store whose sessions live for ten seconds."""
        return make_store(clock=clock, ttl_seconds=10)


class Documents:
    """A store for documents; a subclass gives ``make_store``."""

    @pytest.fixture
    def make_store(self) -> MakeStore:
        raise NotImplementedError

    @pytest.fixture
    def store(self, make_store: MakeStore) -> BaseBackend:
        return make_store()

    def found(self, store, where, collection="c") -> list[Any]:
        return ids(store.find(collection, where).documents)
