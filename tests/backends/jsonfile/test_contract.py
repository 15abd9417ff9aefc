"""The contract of stores on a directory."""

import pytest

from tests.contract.async_methods import AsyncSessionContract
from tests.contract.history import HistoryContract
from tests.contract.record_history import RecordHistoryContract
from tests.contract.records import SessionRecordContract
from tests.contract.refresh import RefreshContract
from tests.contract.session_requests import SessionRequestContract
from tests.contract.session_retention import SessionRetentionContract
from tests.contract.sessions import SessionContract
from tests.contract.snapshots import SnapshotContract

pytestmark = pytest.mark.any_database


class TestJsonFileSessions(SessionContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestJsonFileSnapshots(SnapshotContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestJsonFileHistory(HistoryContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestJsonFileRefresh(RefreshContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestJsonFileRetention(SessionRetentionContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestJsonFileRecords(RecordHistoryContract, SessionRecordContract):
    knows_item_times = True

    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestJsonFileRequests(SessionRequestContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestJsonFileAsyncSessions(AsyncSessionContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store
