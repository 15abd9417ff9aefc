"""Deletions of the last or the first turns: the same from every backend."""

from datetime import timedelta
from typing import Any

import pytest

from parlant_store import signals
from parlant_store.exceptions import InvalidInput, InvalidItem, InvalidLimit, SessionNotFound
from parlant_store.types import Retention
from tests.contract.snapshot_values import said, used
from tests.contract.stores import Timed
from tests.contract.threads import in_threads
from tests.contract.turn_values import numbers, texts, turn, usage
from tests.contract.values import NASTY, numbered


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
