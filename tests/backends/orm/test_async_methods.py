"""The asynchronous variants of a store in a Django database."""

import pytest

from tests.backends.orm.test_sessions import make_store as make_store
from tests.contract.async_methods import AsyncDocumentContract, AsyncSessionContract


class TestOrmAsyncSessions(AsyncSessionContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestOrmAsyncDocuments(AsyncDocumentContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store
