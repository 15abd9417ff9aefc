"""Reads that prolong sessions, in a Django database."""

import pytest

from tests.backends.orm.test_sessions import make_store as make_store
from tests.contract.refresh import RefreshContract


class TestOrmRefresh(RefreshContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store
