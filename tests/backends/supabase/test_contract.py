"""The contract of stores over the real PostgREST."""

import pytest

from parlant_store.models import Session, SessionItem
from tests.backends.orm.test_retention import bulk as bulk
from tests.contract.async_methods import AsyncDocumentContract, AsyncSessionContract
from tests.contract.checkpoints import CheckpointContract
from tests.contract.documents import DocumentContract
from tests.contract.history import HistoryContract
from tests.contract.long_values import LongValueContract
from tests.contract.memories import MemoryContract
from tests.contract.record_history import RecordHistoryContract
from tests.contract.records import DocumentRecordContract, SessionRecordContract
from tests.contract.refresh import RefreshContract
from tests.contract.retention import RetentionContract
from tests.contract.sessions import SessionContract
from tests.contract.snapshots import SnapshotContract
from tests.contract.thread_copies import ThreadCopyContract
from tests.contract.thread_infos import ThreadInfoContract
from tests.contract.thread_records import ThreadRecordContract
from tests.contract.thread_retention import ThreadRetentionContract
from tests.contract.thread_search import ThreadSearchContract


class TestSupabaseSessions(SessionContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestSupabaseSnapshots(SnapshotContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestSupabaseHistory(HistoryContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestSupabaseRefresh(RefreshContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestSupabaseSessionRecords(RecordHistoryContract, SessionRecordContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestSupabaseLargeSessionRecords(RecordHistoryContract, SessionRecordContract):
    """Sessions that are too large for one statement."""

    @pytest.fixture
    def make_store(self, make_store, monkeypatch):
        monkeypatch.setattr("parlant_store.backends.supabase.records.MAX_ITEMS", 1)
        return make_store

    def test_nothing_is_left_of_what_was_not_written(self, store, clock):
        assert store.write_sessions([self.record(store, clock)]) == [True]
        assert store.write_sessions([self.record(store, clock)]) == [False]
        assert store.write_sessions([self.record(store, clock)], replace=True) == [True]
        assert Session.objects.count() == 1
        assert SessionItem.objects.count() == len(self.record(store, clock).items)


class TestSupabaseDocumentRecords(DocumentRecordContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestSupabaseMemories(MemoryContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestSupabaseRetention(RetentionContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


@pytest.mark.usefixtures("own_indexes")
class TestSupabaseDocuments(DocumentContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestSupabaseAsyncSessions(AsyncSessionContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestSupabaseAsyncDocuments(AsyncDocumentContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestSupabaseCheckpoints(
    ThreadSearchContract, ThreadCopyContract, ThreadInfoContract, CheckpointContract
):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestSupabaseLongValues(LongValueContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestSupabaseThreadRetention(ThreadRetentionContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestSupabaseThreadRecords(ThreadRecordContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store

    def test_a_thread_that_is_too_large_for_a_request(self, store, clock, monkeypatch):
        for module in ("backends.supabase.thread_records", "backends.thread_record_columns"):
            monkeypatch.setattr(f"parlant_store.{module}.MAX_BYTES", 1)
        self.test_a_thread_comes_back(store, clock)
