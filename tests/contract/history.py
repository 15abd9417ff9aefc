"""Turns, usage and branches: the same from every backend."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from parlant_store.content.times import utc_text
from parlant_store.exceptions import InvalidInput, InvalidLimit, SessionNotFound
from tests.contract import turns as pieces
from tests.contract.branches import BranchContract, UsageContract
from tests.contract.concurrent_history import ConcurrentHistoryContract
from tests.contract.snapshot_values import said
from tests.contract.stores import Timed
from tests.contract.tails import KeepContract, TailContract
from tests.contract.turn_values import numbers, texts, turn
from tests.contract.values import numbered

TOOL_RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1"}]}
IMAGE = {"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}


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

    def test_turns_with_the_messages_that_open_them(self, store):
        special = {"role": "user", "content": "nul \0, surrogate \ud800, ä", "n": [1.0, 1e23, None]}
        store.add_items("s", [*numbered(1), *turn("one", 2), IMAGE, special])
        items = [None, *said("one"), IMAGE, special]
        turns = store.list_turns("s", with_items=True)
        assert [turn.item for turn in turns] == items
        assert [replace(turn, item=None) for turn in turns] == store.list_turns("s")
        newest = store.list_turns("s", with_items=True, newest_first=True, limit=None)
        assert newest == turns[::-1]
        assert store.list_turns("s", with_items=True, after=1, limit=1) == turns[2:3]
        assert [turn.item for turn in store.list_turns("s")] == [None] * 4

    def test_the_messages_of_users_alone(self, store):
        assert [*store.list_user_messages("s")] == []
        special = {"role": "user", "content": "nul \0, surrogate \ud800, ä", "n": [1.0, 1e23, None]}
        store.add_items("s", [*numbered(1), *turn("one", 2), TOOL_RESULT, IMAGE])
        store.add_items("s", [special, *numbered(1)], namespace="n")
        messages = [*store.list_user_messages("s")]
        assert [(turn, item) for turn, _, item in messages] == [(1, *said("one")), (2, IMAGE)]
        assert messages == [
            (turn.number, utc_text(turn.created_at), turn.item)
            for turn in store.list_turns("s", after=0, with_items=True)
        ]
        assert store.list_user_messages("s", namespace="n").items == [special]
        store.truncate("s", before_turn=2)
        assert [*store.list_user_messages("s")] == messages[:1]

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
        assert not ttl_store.list_user_messages("s")
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
    TurnContract,
    TailContract,
    KeepContract,
    BranchContract,
    UsageContract,
    WindowContract,
    ConcurrentHistoryContract,
):
    """Tests of turns, usage, branches and windows; a subclass gives the fixture ``make_store``."""
