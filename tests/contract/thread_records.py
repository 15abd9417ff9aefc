"""Whole threads, with their times: the same from every backend."""

from dataclasses import replace
from datetime import timedelta

import pytest

from parlant_store.exceptions import InvalidInput, InvalidName
from parlant_store.types import (
    ChannelValue,
    Checkpoint,
    CheckpointRecord,
    ThreadRecord,
    TypedBytes,
    ValueRecord,
    WriteRecord,
)
from tests.contract.checkpoints import NAMES, Threads, changed, checkpoint, raw, write
from tests.contract.threads import in_threads

EVERY_BYTE = TypedBytes("any \0", bytes(range(256)) * 100)


def thread_record(now, thread_id="t", namespace="", **fields):
    """A thread with two namespaces, values of all kinds of versions, and times of its own."""
    inner = "inner:1|" * 100
    versions = {"a": 1, "b": "1", "c": 1.5, "\0": 2**40}
    checkpoints = [
        Checkpoint(
            checkpoint_id=f"{number:04}",
            checkpoint_ns=ns,
            parent_id=f"{number - 1:04}" if number else None,
            value=EVERY_BYTE,
            versions=versions,
            metadata={"step": number, "run_id": "r", "x": [None, -0.0, "\0", "\ud800"]},
        )
        for ns in ("", inner)
        for number in range(3)
    ]
    record = ThreadRecord(
        namespace=namespace,
        thread_id=thread_id,
        user_id="ada",
        checkpoints=[
            CheckpointRecord(each, now - timedelta(days=8, microseconds=n))
            for n, each in enumerate(checkpoints)
        ],
        values=[
            ValueRecord(ns, ChannelValue(channel=channel, version=version, value=value))
            for ns in ("", inner)
            for channel, version, value in (
                *((name, each, raw(name)) for name, each in versions.items()),
                ("a", "1", TypedBytes("", b"")),
            )
        ],
        writes=[
            WriteRecord("", "0002", write("task \0", -3, task_path="\0 path")),
            WriteRecord(inner, "0001", write("task", 0, channel="\ud800")),
            WriteRecord("", "of a checkpoint that is stored later", write("task", 0)),
        ],
        created_at=now - timedelta(days=9),
        updated_at=now - timedelta(days=2, microseconds=1),
        expires_at=now + timedelta(days=1),
    )
    return replace(record, **fields)


def in_order(record):
    """The record with its parts in one order."""
    return replace(
        record,
        checkpoints=sorted(record.checkpoints, key=repr),
        values=sorted(record.values, key=repr),
        writes=sorted(record.writes, key=repr),
    )


class ThreadRecordContract(Threads):
    def read(self, store, *names):
        return [in_order(found) for found in store.read_threads([("", name) for name in names])]

    def test_a_thread_comes_back(self, store, clock):
        record = thread_record(clock())
        assert store.write_threads([record]) == [True]
        assert self.read(store, "t") == [in_order(record)]
        stored = store.get_checkpoint("t")
        assert stored.checkpoint == record.checkpoints[2].checkpoint
        assert stored.values == {name: raw(name) for name in ("a", "b", "c", "\0")}
        assert [each.task_id for each in stored.writes] == ["task \0"]
        assert store.delete_runs(["r"]) == 6

    @pytest.mark.parametrize("name", NAMES)
    def test_any_name_comes_back(self, store, clock, name):
        record = thread_record(clock(), name, user_id=name.replace("\0", "")[:4096] or None)
        assert store.write_threads([record]) == [True]
        assert self.read(store, name) == [in_order(record)]
        assert store.list_threads().threads[0].thread_id == name

    def test_what_was_written_is_read(self, store, clock):
        self.put(store, 1, 2, 3)
        store.put_writes("t", "0003", [write("task", 0)])
        (record,) = store.read_threads([("", "t")])
        (info,) = store.list_threads().threads
        assert (record.created_at, record.updated_at) == (info.created_at, info.updated_at)
        copied = replace(record, thread_id="u", namespace="n")
        assert store.write_threads([copied]) == [True]
        found = store.list_checkpoints("u", namespace="n")
        key = [replace(each, key=0, thread_id="t") for each in found]
        assert key == [replace(each, key=0) for each in store.list_checkpoints("t")]

    def test_a_thread_that_exists_is_left_or_replaced(self, store, clock):
        self.put(store, 1)
        record, other = thread_record(clock()), thread_record(clock(), "u")
        assert store.write_threads([record, other]) == [False, True]
        assert [each.checkpoint.checkpoint_id for each in store.list_checkpoints("t")] == ["0001"]
        assert store.write_threads([record, other], replace=True) == [True, True]
        assert self.read(store, "t") == [in_order(record)]
        assert len(store.list_threads().threads) == 2
        assert [*store.list_expired()] == []

    def test_writers_at_once(self, store, clock):
        """One of them writes the thread, or each replaces all of it."""
        records = [thread_record(clock(), user_id=f"u{number}") for number in range(4)]
        written = []
        in_threads(lambda number: written.extend(store.write_threads([records[number]])), 4)
        assert sorted(written) == [False, False, False, True]
        (found,) = self.read(store, "t")
        assert found in map(in_order, records)
        del written[:]
        in_threads(
            lambda number: written.extend(store.write_threads([records[number]], replace=True)), 4
        )
        assert written == [True] * 4
        (found,) = self.read(store, "t")
        assert found in map(in_order, records)

    def test_a_thread_that_has_expired_makes_room(self, store, clock):
        self.put(store, 1)
        store.write_threads(
            [thread_record(clock(), expires_at=clock() + timedelta(seconds=1))], replace=True
        )
        clock.pass_(2)
        assert self.read(store, "t") == []
        record = thread_record(clock())
        assert store.write_threads([record]) == [True]
        assert self.read(store, "t") == [in_order(record)]

    def test_threads_that_do_not_exist_are_left_out(self, store, clock):
        assert store.read_threads([]) == []
        assert store.write_threads([]) == []
        store.write_threads([thread_record(clock())])
        assert self.read(store, "none") == []
        assert len(store.read_threads([("", "t"), ("n", "t"), ("", "t")])) == 1

    def test_times_that_are_unknown_are_those_of_the_write(self, store, clock):
        made = CheckpointRecord(checkpoint(1), None)
        assert store.write_threads([ThreadRecord(thread_id="t", checkpoints=[made])]) == [True]
        (record,) = store.read_threads([("", "t")])
        times = {record.created_at, record.updated_at, record.checkpoints[0].created_at}
        assert times == {clock()}
        assert record.expires_at is None

    def test_a_thread_without_checkpoints(self, store, clock):
        record = thread_record(clock(), checkpoints=[], values=[], writes=[])
        assert store.write_threads([record]) == [True]
        assert self.read(store, "t") == [in_order(record)]

    def test_graphs_go_on(self, store, clock):
        store.write_threads([thread_record(clock())])
        made = checkpoint("0003", {"a": 2, "b": "1"}, parent_id="0002")
        store.put_checkpoint("t", made, changed(a=2))
        assert store.get_checkpoint("t").values == {"a": raw("a 2"), "b": raw("b")}
        assert store.prune_thread("t") == 5

    @pytest.mark.parametrize(
        "fields",
        [
            {"checkpoints": [CheckpointRecord(checkpoint("-" * 513), None)]},
            {"checkpoints": [CheckpointRecord(checkpoint(1), None)] * 2},
            {"values": [ValueRecord("", changed(a=1)[0])] * 2},
            {"writes": [WriteRecord("", "1", write("t", 0))] * 2},
            {"writes": [WriteRecord("", "-" * 513, write("t", 0))]},
            {"user_id": ""},
            {"created_at": "today"},
        ],
        ids=["long", "checkpoints", "values", "writes", "long of a write", "owner", "time"],
    )
    def test_nothing_is_written_if_something_is_invalid(self, store, clock, fields):
        with pytest.raises(InvalidInput):
            store.write_threads([thread_record(clock(), "u"), thread_record(clock(), **fields)])
        assert store.list_threads().threads == ()

    def test_a_name_occurs_once(self, store, clock):
        with pytest.raises(InvalidName, match="twice"):
            store.write_threads([thread_record(clock())] * 2)
