"""Whole sessions and documents in a Django database: the contract, and what only tables show."""

from dataclasses import replace

import pytest

from parlant_store.backends.contract.records import RecordMethods
from parlant_store.backends.orm import OrmBackend
from parlant_store.models import SessionItem
from parlant_store.types import SessionRecord
from tests.backends.orm.test_sessions import make_store as make_store
from tests.backends.rows_read import analyze, work_of
from tests.contract.record_history import RecordHistoryContract
from tests.contract.records import DocumentRecordContract, SessionRecordContract
from tests.contract.turn_values import turn, usage
from tests.contract.values import numbered


class TestOrmSessionRecords(RecordHistoryContract, SessionRecordContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store

    def test_damaged_items_are_skipped_and_counted(self, store, caplog):
        store.add_items("s", numbered(1, 2, 3))
        SessionItem.objects.filter(position=1).update(data="{")
        (found,) = store.read_sessions([("", "s")])
        assert (found.items, found.damaged_items) == (numbered(1, 3), 1)
        assert len(found.item_times) == 2
        assert "damaged" in caplog.text

    def test_usage_of_turns_with_damaged_items(self, store):
        """The last turn keeps its number, and the session what it used."""
        store.add_items("s", [*turn("one"), *turn("two"), *turn("three")])
        for number in (1, 2, 3):
            store.add_usage("s", usage(number), turn=number)
        SessionItem.objects.filter(position=2).update(data="{")
        (found,) = store.read_sessions([("", "s")])
        by_turn = {number: one.input_tokens for number, one in found.history.turn_usage.items()}
        assert (found.history.first_turn, by_turn) == (2, {2: 1, 3: 3})
        assert found.history.usage.input_tokens == 6
        assert store.write_sessions([replace(found, session_id="t")]) == [True]
        assert store.read_sessions([("", "t")]) == [replace(found, session_id="t", damaged_items=0)]

    def test_reading_costs_what_it_returns(self, store):
        """However many other sessions and items there are."""
        names = [("", f"s{n:04}") for n in range(3)]
        costs = []
        for start, end in ((0, 50), (50, 2_000)):
            store.write_sessions(
                [
                    SessionRecord(session_id=f"s{n:04}", items=numbered(*range(5)))
                    for n in range(start, end)
                ]
            )
            analyze()
            costs.append(work_of(lambda: store.read_sessions(names)))
        assert costs[1] <= 2 * costs[0] + 10, costs


class TestOrmDocumentRecords(DocumentRecordContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class Derived(OrmBackend):
    """A backend without a faster way to read and write whole sessions."""

    keeps_times = keeps_item_times = keeps_history = False
    _read_sessions = RecordMethods._read_sessions
    _write_sessions = RecordMethods._write_sessions


class TestDerivedSessionRecords(SessionRecordContract):
    @pytest.fixture
    def make_store(self, transactional_db):
        stores = []

        def make(**options):
            stores.append(Derived("test", using="default", **options))
            return stores[-1]

        yield make
        for store in stores:
            store.close()
