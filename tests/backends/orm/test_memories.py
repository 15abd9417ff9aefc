"""Memories in a Django database."""

import pytest

from tests.backends.orm.test_sessions import make_store as make_store
from tests.contract.memories import MemoryContract


class TestOrmMemories(MemoryContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store
