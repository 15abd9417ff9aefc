"""Turns, usage and branches in a Django database."""

import pytest

from tests.backends.orm.test_sessions import make_store as make_store
from tests.contract.history import HistoryContract


class TestOrmHistory(HistoryContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store
