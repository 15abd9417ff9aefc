"""Values of channels that grow, which stores may keep as differences from earlier ones."""

from dataclasses import replace
from random import Random

from parlant_store.types import ChannelValue, ThreadRecord, TypedBytes
from tests.contract.checkpoints import Threads, checkpoint

_RANDOM = Random(1)
START = _RANDOM.randbytes(20_000)
STEPS = [_RANDOM.randbytes(300) for _ in range(40)]


def grown(step: int) -> TypedBytes:
    """Return the value of a channel after so many steps: its count, all before, and more."""
    data = step.to_bytes(4) + START + b"".join(STEPS[:step]) + b"]"
    return TypedBytes("raw", data)


class LongValueContract(Threads):
    def put_steps(self, store, steps, thread_id="t", **options):
        for step in steps:
            made = checkpoint(step, {"c": step}, parent_id=f"{step - 1:04}", **options)
            value = ChannelValue(channel="c", version=step, value=grown(step))
            store.put_checkpoint(thread_id, made, [value])

    def check(self, store, steps, thread_id="t"):
        """All checkpoints of the thread, and these, have their values."""
        listed = {each.checkpoint.checkpoint_id: each for each in store.list_checkpoints(thread_id)}
        assert listed.keys() == {f"{step:04}" for step in steps}
        for step in steps:
            stored = store.get_checkpoint(thread_id, f"{step:04}")
            assert stored.values == {"c": grown(step)}
            assert stored == listed[f"{step:04}"]

    def test_each_version_comes_back(self, store, make_store):
        """Also from other stores, which go on, and on a branch from an earlier checkpoint."""
        self.put_steps(store, range(1, 10))
        self.check(make_store(), range(1, 10))
        other = make_store()
        other.get_checkpoint("t")
        self.put_steps(other, range(10, 20))
        store.get_checkpoint("t", "0003")
        self.put_steps(store, range(20, 25))
        self.check(store, range(1, 25))

    def test_another_value_of_a_version(self, store, make_store):
        self.put_steps(store, range(1, 6))
        made = checkpoint(2, {"c": 2})
        for value in (grown(30), TypedBytes("raw", b"short"), grown(31)):
            make_store().put_checkpoint(
                "t", made, [ChannelValue(channel="c", version=2, value=value)]
            )
            assert store.get_checkpoint("t", "0002").values == {"c": value}
        store.put_checkpoint("t", made, [ChannelValue(channel="c", version=2, value=grown(2))])
        self.check(store, range(1, 6))

    def test_a_thread_that_another_store_has_deleted(self, store, make_store):
        self.put_steps(store, range(1, 6))
        make_store().delete_thread("t")
        self.put_steps(store, range(6, 9))
        self.check(store, range(6, 9))
        self.put_steps(store, range(9, 11), thread_id="other")
        self.check(make_store(), range(9, 11), thread_id="other")

    def test_what_stays_has_its_values(self, store, make_store):
        """After another store has deleted checkpoints, and on a copy."""
        self.put_steps(store, range(1, 6), metadata={"run_id": "first"})
        self.put_steps(store, range(6, 9), metadata={"run_id": "second"})
        make_store().delete_runs(["second"])
        self.put_steps(store, range(9, 12))
        self.check(store, [*range(1, 6), *range(9, 12)])
        store.copy_thread("t", "copy")
        make_store().prune_thread("t", keep=2)
        self.check(store, [10, 11])
        self.put_steps(store, [12])
        make_store().prune_thread("t")
        self.put_steps(store, [13])
        self.check(store, [12, 13])
        store.delete_thread("t")
        self.check(make_store(), [*range(1, 6), *range(9, 12)], thread_id="copy")

    def test_a_thread_and_its_record(self, store):
        self.put_steps(store, range(1, 9))
        (record,) = store.read_threads([("", "t")])
        values = {each.value.version: each.value.value for each in record.values}
        assert values == {step: grown(step) for step in range(1, 9)}
        assert store.write_threads([replace(record, thread_id="copy")]) == [True]
        self.check(store, range(1, 9), thread_id="copy")
        (copied,) = store.read_threads([("", "copy")])
        assert parts(copied) == parts(record)
        self.put_steps(store, [9], thread_id="copy")
        self.check(store, range(1, 10), thread_id="copy")

    def test_the_history_of_a_channel_starts_with_its_value(self, store):
        self.put_steps(store, range(1, 5))
        store.put_checkpoint("t", checkpoint(5, {"c": 5}, parent_id="0004"))
        assert store.get_channel_history("t", ["c"], "0005")["c"].seed == grown(4)

    def test_values_that_have_nothing_in_common(self, store):
        values = [grown(1), TypedBytes("raw", _RANDOM.randbytes(9_000)), grown(2), grown(3)]
        for number, value in enumerate(values):
            changed = ChannelValue(channel="c", version=number, value=value)
            store.put_checkpoint("t", checkpoint(number, {"c": number}), [changed])
        for number, value in enumerate(values):
            assert store.get_checkpoint("t", f"{number:04}").values == {"c": value}


def parts(record: ThreadRecord) -> list[str]:
    return sorted(map(repr, (*record.checkpoints, *record.values)))
