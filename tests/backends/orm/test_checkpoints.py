"""Threads of graphs in a Django database: the contract, and what only tables can show."""

import pytest

from parlant_store.models import ChannelValue, Checkpoint, CheckpointWrite, Thread, ThreadMessage
from tests.backends.orm.test_sessions import make_store as make_store
from tests.contract.checkpoints import CheckpointContract, changed, checkpoint, write
from tests.contract.long_values import LongValueContract, grown
from tests.contract.thread_copies import ThreadCopyContract
from tests.contract.thread_infos import ThreadInfoContract
from tests.contract.thread_records import ThreadRecordContract, thread_record
from tests.contract.thread_retention import ThreadRetentionContract
from tests.contract.thread_search import ThreadSearchContract, found, message, put


class TestOrmCheckpoints(
    ThreadSearchContract, ThreadCopyContract, ThreadInfoContract, CheckpointContract
):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store

    def test_a_value_that_did_not_change_is_one_row(self, store):
        for number in range(5):
            versions = {"a": 1, "b": number}
            store.put_checkpoint("t", checkpoint(number, versions), changed(**versions))
        assert ChannelValue.objects.count() == 6

    def test_nothing_is_left_of_a_deleted_thread(self, store):
        self.put(store, 1, 2)
        store.put_writes("t", "0001", [write("a", 0)])
        put(store, 3, [message("hello")])
        store.delete_thread("t")
        for model in (Thread, Checkpoint, ChannelValue, CheckpointWrite, ThreadMessage):
            assert model.objects.count() == 0

    def test_names_of_rows(self, store):
        self.put(store, 1, thread_id="a\0b", checkpoint_ns="")
        store.put_writes("a\0b", "0001", [write("a", 0)])
        assert str(Thread.objects.get()) == "a\ufffdb"
        assert str(Checkpoint.objects.get()) == "0001"
        assert str(ChannelValue.objects.get()) == str(CheckpointWrite.objects.get()) == "c"

    def test_threads_of_an_earlier_version_are_found(self, store):
        for number, type_ in enumerate(("json", "json", "pickle", "json")):
            put(store, 1, [message("hello")], f"t{number}", type_)
        self.put(store, 1)
        ThreadMessage.objects.exclude(thread__thread_id="t3").delete()
        Thread.objects.update(title=None)
        assert found(store, "hello") == ["t3"]
        step = store.reindex_threads(0, 2)
        assert (step.rows, step.changed) == (2, 2)
        step = store.reindex_threads(step.after, 10)
        assert (step.after, step.rows, step.changed) == (None, 3, 0)
        assert found(store, "hello") == ["t0", "t1", "t3"]
        assert store.get_thread("t1").title == "hello"

    def test_many_values_and_writes_at_once(self, store):
        versions = {f"c{number}": 1 for number in range(1_200)}
        store.put_checkpoint("t", checkpoint(1, versions), changed(**versions))
        store.put_writes("t", "0001", [write("a", number) for number in range(1_200)])
        stored = store.get_checkpoint("t")
        assert len(stored.values) == len(stored.writes) == 1_200


class TestOrmLongValues(LongValueContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store

    def test_a_step_takes_a_small_part_of_its_value(self, store):
        self.put_steps(store, range(1, 5))
        short = [len(row.value) < 2_000 for row in ChannelValue.objects.order_by("key")]
        # The first value, the base of the others, and these.
        assert short == [False, False, True, True, True]
        (record,) = store.read_threads([("", "t")])
        store.delete_thread("t")
        store.write_threads([record])
        assert sum(len(row.value) for row in ChannelValue.objects.all()) < 2.5 * len(grown(4).data)

    def test_pruning_leaves_one_base(self, store):
        self.put_steps(store, range(1, 30))
        store.prune_thread("t")
        assert ChannelValue.objects.count() == 2
        store.prune_thread("t")
        self.check(store, [29])


class TestOrmThreadRetention(ThreadRetentionContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestOrmThreadRecords(ThreadRecordContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store

    def test_nothing_is_left_of_what_was_replaced_or_not_written(self, store, clock, monkeypatch):
        """With one row in a statement."""
        monkeypatch.setattr("parlant_store.backends.thread_record_columns.MAX_BYTES", 1)
        record = thread_record(clock())
        for options in ({}, {}, {"replace": True}):
            store.write_threads([record], **options)
        counts = [
            model.objects.count() for model in (Thread, Checkpoint, ChannelValue, CheckpointWrite)
        ]
        assert counts == [1, 6, 10, 3]
