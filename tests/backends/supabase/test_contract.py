"""The contract of stores over the real PostgREST."""

import pytest

from tests.backends.orm.test_retention import bulk as bulk
from tests.contract.documents import DocumentContract
from tests.contract.records import DocumentRecordContract, SessionRecordContract
from tests.contract.retention import RetentionContract
from tests.contract.sessions import SessionContract
from tests.contract.snapshots import SnapshotContract


class TestSupabaseSessions(SessionContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestSupabaseSnapshots(SnapshotContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestSupabaseSessionRecords(SessionRecordContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestSupabaseDocumentRecords(DocumentRecordContract):
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
