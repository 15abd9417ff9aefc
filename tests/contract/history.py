"""Turns, usage and branches: the same from every backend."""

from datetime import timedelta
from typing import Any

import pytest

from parlant_store import signals
from parlant_store.exceptions import InvalidInput, InvalidItem, InvalidLimit, SessionNotFound
from parlant_store.types import Retention, Usage
from tests.contract import turns as pieces
from tests.contract.snapshot_values import said, used
from tests.contract.stores import Timed
from tests.contract.threads import in_threads
from tests.contract.values import IDS, NASTY, numbered

TOOL_RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1"}]}
IMAGE = {"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}


def turn(name: str, answers: int = 1) -> list[dict[str, Any]]:
    """A user's message and ``answers`` items after it."""
    return [*said(name), *numbered(*range(answers))]


def usage(tokens: int, **more: int) -> dict[str, Any]:
    return {"requests": 1, "input_tokens": tokens, "output_tokens": 1, **more}


def numbers(turns: list[Any]) -> list[int]:
    return [turn.number for turn in turns]


def texts(turns: list[Any]) -> list[str]:
    return [turn.text for turn in turns]


class TurnContract(Timed):
    def test_a_message_of_a_user_opens_a_turn(self, store):
        store.add_items("s", [*turn("one", 2), *said("two")])
        store.add_items("s", [*numbered(1), IMAGE, *numbered(1)])
        turns = store.list_turns("s")
        assert numbers(turns) == [1, 2, 3]
        assert texts(turns) == ["one", "two", ""]
        assert [turn.item_count for turn in turns] == [3, 2, 2]
        assert [turn.usage for turn in turns] == [None] * 3
        assert sorted({turn.position for turn in turns}) == [turn.position for turn in turns]

    def test_items_before_the_first_message_are_turn_0(self, store):
        store.add_items("s", [*said("rules", role="system"), *numbered(1), *said("hi")])
        first, second = store.list_turns("s")
        assert (first.number, first.text, first.item_count) == (0, "", 2)
        assert (second.number, second.text, second.item_count) == (1, "hi", 1)
        assert store.list_turns("s", newest_first=True) == [second, first]
        assert store.list_turns("s", newest_first=True, limit=1) == [second]
        assert store.list_turns("s", after=0) == [second]
        assert store.list_turns("s", after=1, newest_first=True) == [first]

    def test_without_a_session_there_are_no_turns(self, store):
        assert store.list_turns("s") == []
        store.set_metadata("s", {})
        assert store.list_turns("s") == []

    def test_results_of_tools_open_no_turn(self, store):
        call = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1"}]}
        store.add_items("s", [*said("go"), call, TOOL_RESULT, *said("on")])
        assert texts(store.list_turns("s")) == ["go", "on"]

    def test_pages_in_both_directions(self, store):
        for number in range(7):
            store.add_items("s", turn(f"t{number + 1}"))
        for newest_first in (False, True):
            pages: list[Any] = []
            while page := store.list_turns(
                "s", limit=3, newest_first=newest_first, after=pages[-1].number if pages else None
            ):
                assert len(page) <= 3
                pages += page
            assert pages == store.list_turns("s", limit=None, newest_first=newest_first)
            expected = range(7, 0, -1) if newest_first else range(1, 8)
            assert numbers(pages) == [*expected]
        assert store.list_turns("s", limit=0) == []
        assert store.list_turns("s", after=7) == []
        assert store.list_turns("s", after=2**80) == []

    def test_turns_are_those_of_the_items_that_are_left(self, store):
        store.add_items("s", [*turn("one"), *said("two")])
        store.pop_item("s")
        assert numbers(store.list_turns("s")) == [1]
        store.add_items("s", turn("three"))
        assert [(turn.number, turn.text) for turn in store.list_turns("s")] == [
            (1, "one"),
            (2, "three"),
        ]
        store.replace_items("s", turn("four"))
        assert [(turn.number, turn.text) for turn in store.list_turns("s")] == [(1, "four")]
        store.clear("s")
        assert store.list_turns("s") == []
        store.add_items("s", turn("five"))
        assert [(turn.number, turn.text) for turn in store.list_turns("s")] == [(1, "five")]

    def test_saving_a_snapshot_keeps_the_numbers_of_turns(self, store):
        items = [item for name in "abcd" for item in turn(name)]
        since = store.save_snapshot("s", items, state={})
        assert numbers(store.list_turns("s")) == [1, 2, 3, 4]
        since = store.save_snapshot("s", turn("e"), state={}, since=since, drop=2, keep=4)
        assert [(turn.number, turn.text) for turn in store.list_turns("s")] == [
            (2, "b"),
            (3, "c"),
            (4, "e"),
        ]
        assert store.truncate("s", before_turn=3) == 4
        assert texts(store.list_turns("s")) == ["b"]

    def test_a_turn_has_the_time_of_its_message(self, store, clock):
        store.add_items("s", turn("one"))
        before = store.get_session("s").updated_at
        clock.pass_(60)
        store.add_items("s", turn("two"))
        first, second = store.list_turns("s")
        if first.created_at is not None:
            assert first.created_at == before
            assert second.created_at - first.created_at == timedelta(seconds=60)

    def test_sessions_are_apart(self, store):
        store.add_items("s", turn("one"))
        store.add_items("s", [*turn("a"), *turn("b")], namespace="n")
        store.add_items("t", turn("c"))
        assert texts(store.list_turns("s")) == ["one"]
        assert texts(store.list_turns("s", namespace="n")) == ["a", "b"]

    def test_expired_sessions_have_no_turns(self, ttl_store, clock):
        ttl_store.add_items("s", turn("one"))
        clock.pass_(11)
        assert ttl_store.list_turns("s") == []
        with pytest.raises(SessionNotFound):
            ttl_store.truncate("s", before_turn=1)
        ttl_store.add_items("s", turn("two"))
        assert texts(ttl_store.list_turns("s")) == ["two"]

    @pytest.mark.values
    @pytest.mark.parametrize("after", [-1, True, "1", 1.0])
    def test_a_bad_turn_is_refused(self, store, after):
        with pytest.raises(InvalidInput, match="after"):
            store.list_turns("s", after=after)
        with pytest.raises(InvalidLimit):
            store.list_turns("s", limit=-1)


class TailContract(Timed):
    def test_truncate_before_a_turn(self, store):
        store.add_items("s", [*said("rules", role="system"), *turn("one"), *turn("two", 3)])
        assert store.truncate("s", before_turn=2) == 4
        assert store.get_items("s") == [*said("rules", role="system"), *turn("one")]
        assert store.get_session("s").item_count == 3
        store.add_items("s", turn("again"))
        assert texts(store.list_turns("s")) == ["", "one", "again"]
        assert numbers(store.list_turns("s")) == [0, 1, 2]
        assert store.truncate("s", before_turn=1) == 4
        assert store.get_items("s") == said("rules", role="system")

    def test_turn_0_is_everything(self, store):
        store.add_items("s", [*numbered(1), *turn("one")])
        assert store.truncate("s", before_turn=0) == 3
        assert store.get_items("s") == []
        assert store.exists("s")

    def test_truncate_after_a_position(self, store):
        store.add_items("s", [*turn("one", 2), *turn("two")])
        _, second = store.list_turns("s")
        assert store.truncate("s", after_position=second.position) == 1
        assert store.get_items("s") == [*turn("one", 2), *said("two")]
        assert store.truncate("s", after_position=second.position) == 0
        assert store.truncate("s", after_position=0) == 3
        assert store.get_items("s") == said("one")

    def test_replace_tail(self, store):
        store.add_items("s", [*turn("one"), *turn("twoo"), *turn("three")])
        position = store.list_turns("s")[1].position
        assert store.replace_tail("s", position, turn("two", 2)) == 4
        assert store.get_items("s") == [*turn("one"), *turn("two", 2)]
        assert texts(store.list_turns("s")) == ["one", "two"]
        assert numbers(store.list_turns("s")) == [1, 2]
        assert store.replace_tail("s", 0, NASTY) == 5
        assert store.get_items("s") == NASTY

    def test_replace_tail_takes_items_as_add_items_does(self, store):
        store.add_items("s", numbered(1))
        assert store.replace_tail("s", 0, [], user_id="ada") == 1
        assert store.get_items("s") == []
        with pytest.raises(InvalidItem):
            store.replace_tail("s", 0, [{"a": {1}}])

    def test_counters_follow(self, store):
        store.add_items("s", [*said("one"), *used(5), *said("two"), *used(7)])
        assert store.truncate("s", before_turn=2) == 2
        session = store.get_session("s")
        assert (session.item_count, session.tokens) == (2, 5)
        store.replace_tail("s", 1, used(11))
        session = store.get_session("s")
        assert (session.item_count, session.tokens) == (2, 11)

    def test_since_a_revision(self, store):
        store.add_items("s", [*turn("one"), *turn("two")])
        since = store.load_snapshot("s").revision
        store.add_items("s", numbered(9))
        assert store.truncate("s", before_turn=2, since=since) is None
        assert store.replace_tail("s", 0, numbered(1), since=since) is None
        assert len(store.get_items("s")) == 5
        since = store.load_snapshot("s").revision
        assert store.truncate("s", before_turn=2, since=since) == 3
        assert store.truncate("s", before_turn=1, since=since) is None

    def test_any_change_of_the_tail_is_a_new_revision(self, store):
        store.add_items("s", turn("one"))
        since = store.load_snapshot("s").revision
        store.replace_tail("s", 1, numbered(5))
        assert store.save_snapshot("s", [], state={}, since=since, keep=2) is None

    def test_what_is_not_there_is_refused(self, store):
        with pytest.raises(SessionNotFound, match="'s'"):
            store.truncate("s", before_turn=1)
        with pytest.raises(SessionNotFound, match="'s'"):
            store.replace_tail("s", 0, numbered(1))
        assert not store.exists("s")
        store.add_items("s", [*turn("one"), *turn("two")])
        for at, label in [
            ({"before_turn": 3}, "turn 3"),
            ({"before_turn": 2**70}, f"turn {2**70}"),
            ({"after_position": 4}, "position 4"),
            ({"after_position": 2**70}, "position"),
        ]:
            with pytest.raises(InvalidInput, match=f"'s' has no {label}"):
                store.truncate("s", **at)
            with pytest.raises(InvalidInput, match=f"'s' has no {label}"):
                store.truncate("s", since=store.load_snapshot("s").revision, **at)
        with pytest.raises(InvalidInput, match="'s' has no position 5"):
            store.replace_tail("s", 5, numbered(1))
        assert store.replace_tail("s", 4, numbered(1)) == 0
        assert len(store.get_items("s")) == 5

    @pytest.mark.values
    @pytest.mark.parametrize("number", [-1, True, "1", 1.5])
    def test_bad_numbers_are_refused(self, store, number):
        store.add_items("s", turn("one"))
        with pytest.raises(InvalidInput, match="before_turn"):
            store.truncate("s", before_turn=number)
        with pytest.raises(InvalidInput, match="after_position"):
            store.truncate("s", after_position=number)
        with pytest.raises(InvalidInput, match="position"):
            store.replace_tail("s", number, [])
        with pytest.raises(InvalidInput, match="at_position"):
            store.branch("s", "t", at_position=number)
        with pytest.raises(InvalidInput, match="turn"):
            store.add_usage("s", 1, turn=number)

    @pytest.mark.values
    def test_exactly_one_place_is_given(self, store):
        store.add_items("s", turn("one"))
        with pytest.raises(InvalidInput, match="before_turn"):
            store.truncate("s")
        with pytest.raises(InvalidInput, match="before_turn"):
            store.truncate("s", before_turn=1, after_position=0)
        with pytest.raises(InvalidInput, match="before_turn"):
            store.branch("s", "t", before_turn=1, at_position=0)

    def test_signals(self, store):
        store.add_items("s", [*turn("one"), *turn("two")])
        sent: list[Any] = []
        signals.session_saved.connect(
            receiver := lambda message_count, **_: sent.append(message_count)
        )
        try:
            store.truncate("s", before_turn=2)
            store.replace_tail("s", 1, numbered(1, 2, 3))
        finally:
            signals.session_saved.disconnect(receiver)
        assert sent == [2, 4]

    def test_the_expiry_is_extended(self, ttl_store, clock):
        ttl_store.add_items("s", [*turn("one"), *turn("two")])
        clock.pass_(8)
        ttl_store.truncate("s", before_turn=2)
        clock.pass_(8)
        assert len(ttl_store.get_items("s")) == 2

    def test_writers_at_once(self, make_store):
        store = make_store()
        store.add_items("s", said("start"))
        deleted: list[int] = []
        added = 5 * 2

        def work(number: int) -> None:
            if number < 5:
                store.add_items("s", turn(f"t{number}"))
            else:
                deleted.append(store.truncate("s", before_turn=2 if number == 9 else 1) or 0)

        def safely(number: int) -> None:
            try:
                work(number)
            except InvalidInput:
                assert number >= 5

        in_threads(safely, 10)
        items = store.get_items("s")
        assert store.get_session("s").item_count == len(items) == added + 1 - sum(deleted)
        found = [turn.number for turn in store.list_turns("s") if turn.number]
        assert found == [*range(1, len(found) + 1)]
        contents = [item["content"] for item in items if "content" in item]
        assert len(contents) == len(set(contents))


class KeepContract(Timed):
    """Deletions of all but the latest turns."""

    def filled(self, store: Any) -> None:
        items = [*said("rules", role="system"), *turn("one", 2), *turn("two", 1), *turn("three", 3)]
        store.add_items("s", items)

    @pytest.mark.parametrize(
        ("limits", "deleted", "left"),
        [
            ({"turns": 1}, 6, ["three"]),
            ({"turns": 2}, 4, ["two", "three"]),
            ({"turns": 3}, 1, ["one", "two", "three"]),
            ({"turns": 4}, 0, ["", "one", "two", "three"]),
            ({"turns": 0}, 10, []),
            ({"items": 1}, 6, ["three"]),
            ({"items": 4}, 6, ["three"]),
            ({"items": 5}, 4, ["two", "three"]),
            ({"items": 6}, 4, ["two", "three"]),
            ({"items": 9}, 1, ["one", "two", "three"]),
            ({"items": 10}, 0, ["", "one", "two", "three"]),
            ({"items": 2**70}, 0, ["", "one", "two", "three"]),
            ({"items": 0}, 10, []),
            ({"items": 1, "turns": 2}, 4, ["two", "three"]),
            ({"items": 9, "turns": 1}, 1, ["one", "two", "three"]),
        ],
    )
    def test_whole_turns_are_kept(self, store, limits, deleted, left):
        self.filled(store)
        before = store.get_session("s")
        numbers_of = {turn.text: turn.number for turn in store.list_turns("s")}
        assert store.keep_latest("s", **limits) == deleted
        assert {turn.text: turn.number for turn in store.list_turns("s")} == {
            text: numbers_of[text] for text in left
        }
        after = store.get_session("s")
        assert after.item_count == len(store.get_items("s")) == 10 - deleted
        assert (after.updated_at, after.expires_at) == (before.updated_at, before.expires_at)
        assert store.keep_latest("s", **limits) == 0

    def test_items_before_the_first_turn_are_one(self, store):
        store.add_items("s", numbered(*range(5)))
        assert store.keep_latest("s", items=2) == 0
        assert store.keep_latest("s", turns=3) == 0

    def test_counters_follow(self, store):
        store.add_items("s", [*said("one"), *used(5), *said("two"), *used(7)])
        store.add_usage("s", usage(100), turn=1)
        store.add_usage("s", usage(200), turn=2)
        store.keep_latest("s", turns=1)
        session = store.get_session("s")
        assert (session.item_count, session.tokens) == (2, 208)
        assert store.get_usage("s").input_tokens == 200

    def test_what_is_not_there(self, store):
        assert store.keep_latest("s", turns=1) == 0
        assert not store.exists("s")
        with pytest.raises(InvalidInput, match="keep_latest"):
            store.keep_latest("s")
        with pytest.raises(InvalidLimit, match="turns"):
            store.keep_latest("s", turns=-1)

    def test_rules(self, store):
        self.filled(store)
        store.add_items("few", turn("a", 3))
        store.add_items("other", [*turn("a"), *turn("b")], namespace="n")
        rule = Retention(keep_last_turns=1)
        expired = store.list_expired(rule=rule)
        listed = {(one.namespace, one.session_id): one.item_count for one in expired}
        assert listed == {("", "s"): 6, ("n", "other"): 2}
        of_n = Retention(keep_last_items=2, namespace="n")
        assert [one.item_count for one in store.list_expired(rule=of_n)] == [2]
        batches = [*store.expire_batches(rule=of_n, batch_size=1)]
        assert sum(batch.items for batch in batches) == 2
        assert len(store.get_items("s")) == 10
        batches = [*store.expire_batches(rule=rule)]
        assert sum(batch.items for batch in batches) == 6
        assert sum(batch.sessions for batch in batches) == 0
        assert [turn.text for turn in store.list_turns("s")] == ["three"]
        assert len(store.get_items("few")) == 4
        assert [*store.list_expired(rule=rule)] == []

    @pytest.mark.values
    @pytest.mark.parametrize(
        "rule",
        [
            Retention(keep_last_items=-1),
            Retention(keep_last_turns="1"),
            Retention(keep_last_turns=1, collection="c"),
            Retention(keep_last_turns=1, idle=timedelta(days=1)),
        ],
    )
    def test_bad_rules_are_refused(self, store, rule):
        with pytest.raises(InvalidInput):
            [*store.expire_batches(rule=rule)]

    def test_any_change_is_a_new_revision(self, store):
        self.filled(store)
        since = store.load_snapshot("s").revision
        store.keep_latest("s", turns=1)
        assert store.save_snapshot("s", [], state={}, since=since, keep=10) is None


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


def one(item: dict[str, Any]) -> int:
    """A counter that gives each item one token."""
    return 1


class WindowContract(Timed):
    """Reads with a limit in tokens."""

    def within(self, store: Any, tokens: int, **options: Any) -> list[Any]:
        return store.get_items("s", max_tokens=tokens, count_tokens=one, **options)

    def test_the_latest_items_within_the_limit(self, store):
        store.add_items("s", numbered(*range(10)))
        assert self.within(store, 3) == numbered(7, 8, 9)
        assert self.within(store, 10) == self.within(store, 2**70) == numbered(*range(10))
        assert self.within(store, 0) == []
        assert self.within(store, 5, limit=2) == numbered(8, 9)
        assert store.get_items("none", max_tokens=5) == []

    def test_the_estimate(self, store):
        items = said("a" * 400, "b" * 400, "c" * 400)
        store.add_items("s", items)
        assert store.get_items("s", max_tokens=250) == items[1:]
        assert store.get_items("s", max_tokens=100) == []
        assert store.get_items("s", max_tokens=1_000) == items

    def test_a_long_session(self, store):
        store.add_items("s", numbered(*range(2_000)))
        for count in (1, 200, 256, 700, 1_999):
            assert self.within(store, count) == numbered(*range(2_000 - count, 2_000))

    @pytest.mark.values
    @pytest.mark.parametrize("name", pieces.NAMES)
    def test_no_pair_is_parted(self, store, name):
        session = pieces.joined(["a question", name, "an answer"])
        store.add_items("s", session.items)
        for tokens in range(1, len(session.items) + 1):
            found = self.within(store, tokens)
            assert len(found) <= tokens
            assert found == session.items[len(session.items) - len(found) :]
            assert not pieces.parted(session, found)
        assert found == session.items

    def test_whole_turns_begin_with_a_user(self, store):
        items = [*said("rules", role="system"), *turn("one", 3), *turn("two", 3)]
        store.add_items("s", items)
        assert self.within(store, 6) == items[3:]
        assert self.within(store, 6, whole_turns=True) == items[5:]
        assert self.within(store, 9, whole_turns=True) == items

    @pytest.mark.values
    @pytest.mark.parametrize("tokens", [-1, True, "1", 1.5])
    def test_a_bad_limit_is_refused(self, store, tokens):
        with pytest.raises(InvalidLimit, match="max_tokens"):
            store.get_items("s", max_tokens=tokens)


class HistoryContract(
    TurnContract, TailContract, KeepContract, BranchContract, UsageContract, WindowContract
):
    """Tests of turns, usage, branches and windows; a subclass gives the fixture ``make_store``."""
