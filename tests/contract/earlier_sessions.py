"""Sessions that versions without turns have written: the same from every backend."""

from collections.abc import Callable
from typing import Any

import pytest

from parlant_store.types import SessionHistory
from tests.contract.snapshot_values import said, used
from tests.contract.turn_values import turn, usage

TURNS = [(0, ""), (1, "one"), (2, "two")]


def fill(store: Any) -> None:
    store.add_items("s", [*said("rules", role="system"), *turn("one"), *used(3)])
    store.add_items("s", turn("two", 2))


def numbers_and_texts(store: Any) -> list[tuple[int, str]]:
    return [(turn.number, turn.text) for turn in store.list_turns("s")]


class EarlierSessionContract:
    """Tests of a session that an earlier version has filled; ``old`` is its store."""

    @pytest.fixture
    def check(self) -> Callable[[], None]:
        """Asserts that the turns were numbered, if the backend stores more than their items."""
        return lambda: None

    @pytest.mark.parametrize(
        "use",
        [
            lambda store: store.list_turns("s"),
            lambda store: store.get_usage("s", by="turn"),
            lambda store: store.add_usage("s", usage(5), turn=2, replace=True),
            lambda store: store.truncate("s", after_position=6),
            lambda store: store.branch("s", "b", at_position=0),
        ],
    )
    def test_turns_of_earlier_sessions_are_counted_when_they_are_used(self, old, use, check):
        use(old)
        check()
        assert numbers_and_texts(old) == TURNS
        old.add_usage("s", usage(10), turn=1)
        old.add_items("s", turn("three"))
        assert numbers_and_texts(old) == [*TURNS, (3, "three")]
        assert old.truncate("s", before_turn=1) == 8
        assert old.get_usage("s") is None

    def test_earlier_sessions_can_be_written_first(self, old):
        old.add_items("s", turn("three"))
        assert old.pop_item("s") == {"n": 0}
        revision = old.load_snapshot("s").revision
        old.save_snapshot("s", turn("four"), state={}, since=revision, drop=1, keep=6)
        assert numbers_and_texts(old) == [(1, "one"), (2, "two"), (3, "four")]
        first = old.list_turns("s", limit=1)[0]
        assert old.truncate("s", after_position=first.position) == 7
        assert old.get_items("s") == said("one")

    def test_earlier_sessions_are_copied(self, old):
        (record,) = old.read_sessions([("", "s")])
        assert record.history == SessionHistory()
        assert old.write_sessions([record], replace=True) == [True]
        assert numbers_and_texts(old) == TURNS
        assert old.read_sessions([("", "s")]) == [record]

    def test_earlier_sessions_that_are_emptied(self, old):
        old.clear("s")
        old.add_items("s", turn("five"))
        assert numbers_and_texts(old) == [(1, "five")]
        old.truncate("s", before_turn=0)
        old.add_items("s", turn("six"))
        assert numbers_and_texts(old) == [(1, "six")]
