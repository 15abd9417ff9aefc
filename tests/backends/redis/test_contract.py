"""The contract of stores on Valkey, Redis and a cluster."""

import pytest

from tests.backends.redis.conftest import stores_on
from tests.contract.async_methods import AsyncSessionContract
from tests.contract.history import HistoryContract
from tests.contract.record_history import RecordHistoryContract
from tests.contract.records import SessionRecordContract
from tests.contract.refresh import RefreshContract
from tests.contract.session_requests import SessionRequestContract
from tests.contract.session_retention import SessionRetentionContract
from tests.contract.sessions import SessionContract
from tests.contract.snapshots import SnapshotContract
from tests.contract.values import numbered

SERVERS = ["valkey", "redis7", "valkey_cluster"]


@pytest.fixture(scope="module", params=SERVERS)
def server_options(request):
    running = request.getfixturevalue(request.param)
    return {"url": running.urls if request.param.endswith("cluster") else running.url}


@pytest.fixture
def make_store(server_options):
    with stores_on(**server_options) as make:
        yield make


class TestRedisSessions(SessionContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestRedisSnapshots(SnapshotContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestRedisHistory(HistoryContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestRedisRefresh(RefreshContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestRedisRecords(RecordHistoryContract, SessionRecordContract):
    knows_item_times = True

    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestRedisRetention(SessionRetentionContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store

    @pytest.fixture
    def bulk(self, store):
        """Makes sessions s0000, s0001 and so on, of one item each."""

        def make(*, sessions, documents):
            assert documents == 0
            for number in range(sessions):
                store.add_items(f"s{number:04}", numbered(1))

        return make


class TestRedisRequests(SessionRequestContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestRedisAsyncSessions(AsyncSessionContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store
