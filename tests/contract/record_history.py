"""Turns, usage and parents of whole sessions: the same from every backend that keeps them."""

from dataclasses import replace

import pytest

from parlant_store.exceptions import InvalidInput
from parlant_store.types import SessionHistory, SessionRecord, Usage
from tests.contract.snapshot_values import said, used
from tests.contract.stores import Timed
from tests.contract.turn_values import numbers, turn, usage
from tests.contract.values import BAD_IDS, IDS, numbered

DETAILS = {
    "input_tokens_details": {"cached_tokens": 3, 'of "other" kinds': 1},
    "output_tokens_details": {"reasoning_tokens": 0},
}
COPY = {"namespace": "copy"}
LARGE = 2**53
ONE = Usage(requests=1)


class RecordHistoryContract(Timed):
    """A subclass gives the fixture ``make_store``."""

    def copy(self, store, *names, **options):
        """Write sessions to the namespace ``copy``, and return what was read of them."""
        found = store.read_sessions([("", name) for name in names])
        copies = [replace(record, **COPY) for record in found]
        assert store.write_sessions(copies, **options) == [True] * len(names)
        written = store.read_sessions([("copy", name) for name in names])
        assert {one.session_id: one for one in written} == {one.session_id: one for one in copies}
        return {record.session_id: record.history for record in found}

    def same(self, store, name):
        """Whether both sessions of this name have the same turns and usage."""
        for by in ("session", "turn"):
            assert store.get_usage(name, by=by, **COPY) == store.get_usage(name, by=by)
        one, other = (
            [(turn.number, turn.text, turn.item_count, turn.usage) for turn in turns]
            for turns in (store.list_turns(name), store.list_turns(name, **COPY))
        )
        tokens = store.get_session(name).tokens, store.get_session(name, **COPY).tokens
        return one == other and tokens[0] == tokens[1]

    def test_turns_and_usage(self, store):
        store.add_items("s", [*turn("one"), *turn("two"), *used(5), *said("three"), *turn("four")])
        for number in (1, 2, 4):
            store.add_usage("s", usage(10 * number) | DETAILS, turn=number)
        store.keep_latest("s", turns=3)
        history = self.copy(store, "s")["s"]
        assert (history.first_turn, history.parent_id) == (2, None)
        assert [*history.turn_usage] == [2, 4]
        assert history.turn_usage[2] == Usage(
            requests=1, input_tokens=20, output_tokens=1, total_tokens=21, **DETAILS
        )
        assert (history.usage.requests, history.usage.total_tokens) == (2, 62)
        assert self.same(store, "s")
        assert store.get_session("s", **COPY).tokens == 67

    def test_turns_and_usage_change_after_they_were_written(self, store):
        store.add_items("s", [*turn("one"), *turn("two"), *used(5), *turn("three")])
        for number in (1, 2, 3):
            store.add_usage("s", usage(10 * number), turn=number)
        store.keep_latest("s", turns=2)
        self.copy(store, "s")
        store.add_items("s", turn("four"), **COPY)
        store.add_usage("s", usage(40), **COPY)
        assert numbers(store.list_turns("s", **COPY)) == [2, 3, 4]
        by_turn = store.get_usage("s", by="turn", **COPY)
        assert {number: one.input_tokens for number, one in by_turn.items()} == {
            2: 20,
            3: 30,
            4: 40,
        }
        store.add_usage("s", usage(7), turn=2, replace=True, **COPY)
        store.truncate("s", before_turn=3, **COPY)
        assert store.get_usage("s", **COPY) == Usage(
            requests=1, input_tokens=7, output_tokens=1, total_tokens=13
        )
        store.clear("s", **COPY)
        assert store.get_usage("s", **COPY) is None

    def test_usage_of_turn_0(self, store):
        store.add_items("s", [*said("rules", role="system"), *turn("one")])
        store.add_usage("s", usage(1), turn=0)
        store.add_usage("s", usage(10), turn=1)
        assert [*self.copy(store, "s")["s"].turn_usage] == [0, 1]
        assert self.same(store, "s")
        store.truncate("s", before_turn=1, **COPY)
        assert store.get_usage("s", **COPY).input_tokens == 1
        store.keep_latest("s", items=0, **COPY)
        assert store.get_usage("s", **COPY) is None

    def test_sessions_without_items(self, store):
        store.set_metadata("empty", {"a": 1})
        store.add_usage("empty", usage(10))
        store.add_items("s", [*turn("one"), *turn("two")])
        store.keep_latest("s", items=0)
        histories = self.copy(store, "empty", "s")
        assert histories["empty"].usage.input_tokens == 10
        assert self.same(store, "empty")
        for names in ({}, COPY):
            store.add_items("s", turn("three"), **names)
        assert numbers(store.list_turns("s", **COPY)) == numbers(store.list_turns("s")) == [3]

    def test_usage_without_tokens(self, store):
        store.add_items("s", turn("one"))
        store.add_usage("s", {"requests": 1})
        assert self.copy(store, "s")["s"].usage == Usage(requests=1)
        assert self.same(store, "s")

    def test_branches(self, store, clock):
        store.add_items("s", [*turn("one"), *turn("two")])
        store.add_usage("s", usage(10), turn=1)
        clock.pass_(1)
        store.branch("s", "part", before_turn=2)
        clock.pass_(1)
        store.branch("s", "none", before_turn=1)
        store.branch("part", "deep")
        histories = self.copy(store, "s", "part", "none", "deep")
        assert {name: one.parent_id for name, one in histories.items()} == {
            "s": None,
            "part": "s",
            "none": "s",
            "deep": "part",
        }
        assert (histories["part"].parent_position, histories["none"].parent_position) == (1, None)
        for name in histories:
            assert self.same(store, name)
            assert store.list_branches(name, **COPY) == [
                replace(branch, **COPY) for branch in store.list_branches(name)
            ]
        store.delete_session("part", **COPY)
        assert [one.session_id for one in store.list_branches("s", **COPY)] == ["none"]

    def test_a_replaced_session_has_its_new_parent(self, store, clock):
        for name in "ab":
            store.add_items(name, turn(name))
            store.add_usage(name, usage(5))
        store.branch("a", "c")
        (record,) = store.read_sessions([("", "c")])
        for parent in ("b", "a", None):
            history = replace(record.history, parent_id=parent, usage=None, turn_usage={})
            store.write_sessions([replace(record, history=history)], replace=True)
            assert store.get_session("c").parent_id == parent
            for name in "ab":
                branches = [one.session_id for one in store.list_branches(name)]
                assert branches == (["c"] if name == parent else [])
            assert store.get_usage("c") is None
            assert store.get_usage("c", by="turn") == {}

    def test_a_session_whose_history_is_unknown(self, store):
        store.add_items("s", [*turn("one"), *turn("two")])
        store.add_usage("s", usage(5))
        store.branch("s", "b")
        store.keep_latest("b", turns=1)
        (record,) = store.read_sessions([("", "b")])
        assert store.write_sessions([replace(record, history=None)], replace=True) == [True]
        (found,) = store.read_sessions([("", "b")])
        assert found == replace(record, history=SessionHistory())
        assert numbers(store.list_turns("b")) == [1]

    def test_many_histories_in_one_call(self, store):
        records = [
            SessionRecord(
                session_id=f"s{number:02}",
                items=[item for n in range(number % 4) for item in turn(str(n))],
                history=SessionHistory(
                    first_turn=number + 1,
                    usage=Usage(total_tokens=number) if number % 4 else None,
                    turn_usage={
                        number + n: Usage(requests=number + n) for n in range(1, number % 4)
                    },
                    parent_id=f"s{number // 2:02}" if number % 3 else None,
                    parent_position=number if number % 3 == 1 else None,
                ),
            )
            for number in range(40)
        ]
        assert all(store.write_sessions(records))
        found = store.read_sessions([("", record.session_id) for record in records])
        histories = {record.session_id: record.history for record in found}
        assert histories == {record.session_id: record.history for record in records}
        branches = [info.session_id for info in store.list_branches("s10")]
        assert branches == ["s20"]

    @pytest.mark.values
    @pytest.mark.parametrize("name", IDS)
    def test_parents_of_any_script(self, store, name):
        store.add_items(name, turn("one"))
        store.branch(name, "b")
        assert self.copy(store, name, "b")["b"].parent_id == name
        assert store.list_branches(name, **COPY) == [store.get_session("b", **COPY)]

    @pytest.mark.values
    @pytest.mark.parametrize(
        "history",
        [
            *(SessionHistory(first_turn=first) for first in (0, -1, True, "1", 1.0, LARGE + 1)),
            *(SessionHistory(usage=ONE, turn_usage={turn: ONE}) for turn in (0, 3, -1, "1")),
            SessionHistory(usage=ONE, first_turn=2, turn_usage={1: ONE}),
            SessionHistory(turn_usage={1: ONE}),
            *(SessionHistory(usage=Usage(requests=count)) for count in (-1, 1.0, "1", LARGE + 1)),
            SessionHistory(usage=Usage(input_tokens_details={"a": -1})),
            *(SessionHistory(parent_id=id_) for id_ in BAD_IDS if id_ is not None),
            *(SessionHistory(parent_id="a", parent_position=place) for place in (-1, "1", 1.0)),
        ],
    )
    def test_an_invalid_history_writes_nothing(self, store, history):
        items = [*turn("one"), *turn("two")]
        good = SessionRecord(session_id="good", items=numbered(1))
        with pytest.raises(InvalidInput):
            store.write_sessions(
                [good, SessionRecord(session_id="s", items=items, history=history)]
            )
        assert not store.exists("good")
