"""Whole sessions in a Django database: the contract, and what only tables can show."""

import pytest

from parlant_store.models import Session, SessionItem
from tests.backends.orm.test_sessions import make_store as make_store
from tests.contract.snapshots import SnapshotContract
from tests.contract.values import numbered


class TestOrmSnapshots(SnapshotContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store

    def test_a_turn_writes_its_own_rows(self, store):
        since = store.save_snapshot("s", numbered(*range(100)), state={})
        before = set(SessionItem.objects.values_list("key", flat=True))
        store.save_snapshot("s", numbered(100, 101), state={}, since=since, keep=100)
        after = set(SessionItem.objects.values_list("key", flat=True))
        assert before < after
        assert len(after - before) == 2

    def test_damaged_items_are_skipped_and_counted(self, store, caplog):
        store.save_snapshot("s", numbered(1, 2, 3), state={})
        SessionItem.objects.filter(position=1).update(data="{")
        loaded = store.load_snapshot("s")
        assert loaded.items == numbered(1, 3)
        assert loaded.revision.item_count == 3
        assert "damaged" in caplog.text

    def test_damaged_state_is_no_crash(self, store, caplog):
        store.save_snapshot("s", numbered(1), state={"a": 1})
        Session.objects.update(state="text")
        assert store.load_snapshot("s").items == numbered(1)
