"""Branches and usage: the same from every backend."""

import pytest

from parlant_store.exceptions import InvalidInput, SessionExists, SessionNotFound
from parlant_store.types import Usage
from tests.contract.snapshot_values import said, used
from tests.contract.stores import Timed
from tests.contract.threads import in_threads
from tests.contract.turn_values import numbers, turn, usage
from tests.contract.values import IDS, numbered


class BranchContract(Timed):
    def test_a_branch_before_a_turn(self, store):
        store.add_items("s", [*turn("one"), *turn("two"), *turn("three")], user_id="ada")
        store.set_metadata("s", {"a": 1})
        store.branch("s", "b", before_turn=3)
        assert store.get_items("b") == [*turn("one"), *turn("two")]
        session = store.get_session("b")
        assert (session.item_count, session.user_id, session.metadata) == (4, "ada", {"a": 1})
        assert len(store.get_items("s")) == 6
        store.add_items("b", turn("other"))
        assert numbers(store.list_turns("b")) == [1, 2, 3]
        store.branch("s", "empty", before_turn=1)
        assert store.get_items("empty") == []
        assert store.list_turns("empty") == []

    def test_a_branch_at_a_position(self, store):
        store.add_items("s", [*turn("one", 2), *turn("two")])
        store.branch("s", "b", at_position=1)
        assert store.get_items("b") == turn("one")
        last = store.list_turns("s")[-1].position + 1
        store.branch("s", "c", at_position=last)
        assert store.get_items("c") == store.get_items("s")

    def test_counters_of_a_part(self, store):
        store.add_items("s", [*said("one"), *used(5), *said("two"), *used(7)])
        store.add_usage("s", usage(100), turn=1)
        store.add_usage("s", usage(200), turn=2)
        store.branch("s", "b", before_turn=2)
        session = store.get_session("b")
        assert (session.item_count, session.tokens) == (2, 106)
        by_turn = store.get_usage("b", by="turn")
        assert {number: used.input_tokens for number, used in by_turn.items()} == {1: 100}
        assert store.get_usage("b").input_tokens == 100

    def test_a_branch_knows_its_parent(self, store):
        store.add_items("s", [*turn("one"), *turn("two")])
        assert store.get_session("s").parent_id is None
        assert store.get_session("s").parent_position is None
        store.branch("s", "b", before_turn=2)
        branch = store.get_session("b")
        assert (branch.parent_id, branch.parent_position) == ("s", 1)
        store.branch("s", "whole")
        assert store.get_session("whole").parent_position == 3
        store.branch("s", "empty", before_turn=1)
        assert store.get_session("empty").parent_position is None
        store.branch("b", "c")
        assert store.list_branches("s") == [
            store.get_session(name) for name in ("b", "whole", "empty")
        ]
        assert store.list_branches("b") == [store.get_session("c")]
        assert store.list_branches("c") == store.list_branches("none") == []
        store.add_items("b", numbered(1), user_id="ada")
        store.clear("b")
        assert store.get_session("b").parent_id == "s"
        listed = store.list_sessions(prefix="b").sessions
        assert [session.parent_id for session in listed] == ["s"]

    def test_deleted_and_expired_branches_are_not_listed(self, ttl_store, clock):
        ttl_store.add_items("s", turn("one"))
        ttl_store.branch("s", "b")
        ttl_store.branch("s", "c", ttl_seconds=5)
        clock.pass_(6)
        assert [branch.session_id for branch in ttl_store.list_branches("s")] == ["b"]
        ttl_store.delete_session("b")
        assert ttl_store.list_branches("s") == []

    def test_branches_of_a_deleted_session_are_not_those_of_its_successor(self, store, clock):
        store.add_items("s", turn("one"))
        store.branch("s", "b")
        store.delete_session("s")
        assert store.get_session("b").parent_id == "s"
        assert store.list_branches("s") == []
        clock.pass_(1)
        store.add_items("s", turn("two"))
        assert store.list_branches("s") == []

    def test_a_branch_that_replaces_nothing(self, ttl_store, clock):
        ttl_store.add_items("s", turn("one"))
        ttl_store.add_items("t", turn("two"))
        ttl_store.branch("s", "b", replace=False)
        with pytest.raises(SessionExists, match="'b'"):
            ttl_store.branch("t", "b", replace=False)
        assert ttl_store.get_items("b") == turn("one")
        clock.pass_(11)
        ttl_store.add_items("t", turn("two"))
        ttl_store.branch("t", "b", replace=False)
        assert ttl_store.get_items("b") == turn("two")

    def test_a_branch_that_was_not_made_is_no_answer(self, store):
        store.add_items("s", turn("one"))
        store.add_items("b", turn("two"))
        for _ in range(2):
            with pytest.raises(SessionExists):
                store.branch("s", "b", replace=False, request_id="an id")
        store.delete_session("b")
        for _ in range(2):
            store.branch("s", "b", replace=False, request_id="an id")
        assert store.get_items("b") == turn("one")

    def test_one_of_many_branches_to_an_id_is_made(self, make_store):
        store = make_store()
        for name in "abcd":
            store.add_items(name, turn(name))
        for new in map(str, range(20)):
            made = self.branch_at_once(store, new)
            assert len(made) == 1
            assert store.get_items(new) == turn(made[0])
            assert store.get_session(new).parent_id == made[0]

    def branch_at_once(self, store, new):
        """Return the names of the sessions of which a branch was made."""
        made: list[str] = []

        def branch(number: int) -> None:
            name = "abcd"[number % 4]
            try:
                store.branch(name, new, replace=False)
            except SessionExists:
                return
            made.append(name)

        in_threads(branch, 8)
        return made

    def test_a_branch_without_usage(self, store):
        store.add_items("s", [*said("one"), *used(5), *said("two"), *used(7)])
        store.add_usage("s", usage(100), turn=1)
        store.add_usage("s", usage(200), turn=2)
        store.branch("s", "part", before_turn=2, with_usage=False)
        store.branch("s", "whole", with_usage=False)
        for name, tokens in {"part": 5, "whole": 12}.items():
            assert store.get_usage(name, by="turn") == {}
            assert store.get_usage(name) == Usage(total_tokens=tokens)
            assert store.get_session(name).tokens == tokens
        assert store.get_session("s").tokens == 12 + 101 + 201

    def test_a_replaced_branch_has_its_new_parent(self, store):
        store.add_items("s", turn("one"))
        store.add_items("t", turn("two"))
        store.branch("s", "b")
        store.branch("t", "b")
        assert store.list_branches("s") == []
        assert [branch.session_id for branch in store.list_branches("t")] == ["b"]

    def test_namespaces_are_apart(self, store):
        store.add_items("s", turn("one"))
        store.add_items("s", turn("one"), namespace="n")
        store.branch("s", "b", namespace="n")
        assert store.list_branches("s") == []
        assert [branch.session_id for branch in store.list_branches("s", namespace="n")] == ["b"]

    @pytest.mark.values
    @pytest.mark.parametrize("session_id", IDS)
    def test_any_id(self, store, session_id):
        store.add_items(session_id, [*turn("one"), *turn("two")])
        store.branch(session_id, "b", before_turn=2)
        assert store.get_session("b").parent_id == session_id
        assert [branch.session_id for branch in store.list_branches(session_id)] == ["b"]
        store.branch("b", "x" + session_id[1:])
        (branch,) = store.list_branches("b")
        assert (branch.session_id, branch.parent_id) == ("x" + session_id[1:], "b")

    def test_what_is_not_there_is_refused(self, store):
        store.add_items("s", turn("one"))
        store.add_items("t", turn("old"))
        with pytest.raises(SessionNotFound, match="'none'"):
            store.branch("none", "t", before_turn=1)
        with pytest.raises(InvalidInput, match="'s' has no turn 2"):
            store.branch("s", "t", before_turn=2)
        with pytest.raises(InvalidInput, match="'s' has no position 2"):
            store.branch("s", "t", at_position=2)
        with pytest.raises(InvalidInput, match="itself"):
            store.branch("s", "s", before_turn=1)
        assert store.get_items("t") == turn("old")


class UsageContract(Timed):
    def test_usage_of_turns(self, store):
        store.add_items("s", [*turn("one"), *turn("two")])
        assert store.get_usage("s") is None
        assert store.get_usage("s", by="turn") == {}
        assert store.add_usage("s", usage(10), turn=1)
        details = {
            "input_tokens_details": {"cached_tokens": 3},
            "output_tokens_details": {"reasoning_tokens": 0},
        }
        assert store.add_usage("s", usage(20) | details)
        one = Usage(requests=1, input_tokens=10, output_tokens=1, total_tokens=11)
        two = Usage(requests=1, input_tokens=20, output_tokens=1, total_tokens=21, **details)
        assert store.get_usage("s", by="turn") == {1: one, 2: two}
        assert [turn.usage for turn in store.list_turns("s")] == [one, two]
        assert store.get_usage("s") == Usage(
            requests=2, input_tokens=30, output_tokens=2, total_tokens=32, **details
        )
        assert store.get_session("s").tokens == 32

    def test_usage_is_added_or_replaced(self, store):
        store.add_items("s", [*turn("one"), *turn("two")])
        store.add_usage("s", usage(10), turn=1)
        store.add_usage("s", usage(5), turn=1)
        assert store.get_usage("s", by="turn")[1].input_tokens == 15
        store.add_usage("s", usage(7), turn=2)
        store.add_usage("s", usage(100), turn=1, replace=True)
        assert store.get_usage("s", by="turn")[1] == Usage(
            requests=1, input_tokens=100, output_tokens=1, total_tokens=101
        )
        assert store.get_usage("s") == Usage(
            requests=2, input_tokens=107, output_tokens=2, total_tokens=109
        )
        store.add_usage("s", 0, turn=1, replace=True)
        assert store.get_usage("s").total_tokens == store.get_session("s").tokens == 8

    def test_tokens_that_items_report_are_in_the_total(self, store):
        store.add_items("s", [*said("one"), *used(7)])
        assert store.get_usage("s") == Usage(total_tokens=7)
        store.add_usage("s", usage(10))
        assert store.get_usage("s") == Usage(
            requests=1, input_tokens=10, output_tokens=1, total_tokens=18
        )

    def test_usage_of_turn_0(self, store):
        store.add_items("s", numbered(1, 2))
        assert store.add_usage("s", usage(10))
        assert [*store.get_usage("s", by="turn")] == [0]
        assert store.list_turns("s")[0].usage.input_tokens == 10
        store.add_items("s", turn("one"))
        store.add_usage("s", usage(20))
        store.add_usage("s", usage(1), turn=0)
        by_turn = store.get_usage("s", by="turn")
        assert {number: used.input_tokens for number, used in by_turn.items()} == {0: 11, 1: 20}

    def test_usage_goes_with_its_turn(self, store):
        store.add_items("s", [*turn("one"), *turn("two"), *said("three")])
        for number in (1, 2, 3):
            store.add_usage("s", usage(number), turn=number)
        store.pop_item("s")
        assert [*store.get_usage("s", by="turn")] == [1, 2]
        assert store.get_usage("s").input_tokens == 3
        store.truncate("s", before_turn=2)
        assert store.get_usage("s").input_tokens == 1
        assert store.get_session("s").tokens == 2
        revision = store.load_snapshot("s").revision
        store.save_snapshot("s", numbered(1), state={}, since=revision, drop=1, keep=1)
        assert store.get_usage("s") is None
        assert store.get_session("s").tokens is None

    def test_a_copy_and_a_clear(self, store):
        store.add_items("s", turn("one"))
        store.add_usage("s", usage(10))
        store.branch("s", "b")
        assert store.get_usage("b", by="turn") == store.get_usage("s", by="turn")
        assert store.get_usage("b") == store.get_usage("s")
        store.clear("s")
        assert store.get_usage("s") is None
        store.replace_items("b", turn("other"))
        assert store.get_usage("b") is None
        assert store.get_usage("b", by="turn") == {}
        assert store.get_session("b").tokens is None

    def test_a_session_without_items(self, store):
        assert store.add_usage("s", usage(10)) is False
        store.set_metadata("s", {})
        assert store.add_usage("s", usage(10)) is True
        assert store.get_usage("s").input_tokens == 10
        assert store.get_usage("s", by="turn") == {}

    def test_names_of_chat_completions(self, store):
        store.add_items("s", turn("one"))
        store.add_usage("s", {"prompt_tokens": 3, "completion_tokens": 4})
        assert store.get_usage("s") == Usage(input_tokens=3, output_tokens=4, total_tokens=7)

    def test_without_a_session(self, store):
        assert store.get_usage("s") is None
        assert store.get_usage("s", by="turn") == {}
        assert store.add_usage("s", usage(1), turn=5) is False

    def test_what_is_not_there_is_refused(self, store):
        store.add_items("s", turn("one"))
        with pytest.raises(InvalidInput, match="'s' has no turn 2"):
            store.add_usage("s", usage(1), turn=2)
        assert store.get_usage("s") is None
        with pytest.raises(InvalidInput, match="by must be"):
            store.get_usage("s", by="month")

    @pytest.mark.values
    @pytest.mark.parametrize("tokens", [-1, True, 1.0, "5", [5], 2**60])
    def test_usage_that_is_no_number_is_refused(self, store, tokens):
        store.add_items("s", turn("one"))
        with pytest.raises(InvalidInput, match="usage"):
            store.add_usage("s", {"input_tokens": tokens})

    def test_runs_at_once(self, make_store):
        store = make_store()
        store.add_items("s", [*turn("one"), *turn("two")])
        in_threads(lambda number: store.add_usage("s", usage(number), turn=1 + number % 2), 8)
        by_turn = store.get_usage("s", by="turn")
        assert {number: used.requests for number, used in by_turn.items()} == {1: 4, 2: 4}
        assert store.get_usage("s").input_tokens == sum(range(8))
        assert store.get_session("s").tokens == sum(range(8)) + 8
