"""Whole sessions, their expiry and branches: the same from every backend."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlant_store import signals
from parlant_store.exceptions import (
    InvalidInput,
    InvalidItem,
    InvalidLimit,
    SessionNotFound,
)
from parlant_store.types import Revision
from tests.contract import turns
from tests.contract.listings import ListingContract
from tests.contract.search import SearchContract
from tests.contract.snapshot_values import said, used
from tests.contract.threads import in_threads
from tests.contract.values import (
    IDS,
    NASTY,
    numbered,
)


class SnapshotContract(ListingContract, SearchContract):
    """Tests of whole sessions; a subclass gives the fixture ``make_store``."""

    def test_what_is_saved_is_loaded(self, store):
        state = {"summary": "\0 \ud800", "max": 20, "nested": {"a": [1.0]}}
        saved = store.save_snapshot("s", NASTY, state=state, namespace="n", user_id="ada")
        loaded = store.load_snapshot("s", namespace="n")
        assert (loaded.items, loaded.state, loaded.revision) == (NASTY, state, saved)
        assert store.get_items("s", namespace="n") == NASTY
        session = store.get_session("s", namespace="n")
        assert (session.user_id, session.item_count) == ("ada", len(NASTY))
        assert store.load_snapshot("s") is None

    def test_a_session_without_items(self, store):
        store.save_snapshot("s", [], state={"a": 1})
        loaded = store.load_snapshot("s")
        assert (loaded.items, loaded.state) == ([], {"a": 1})
        store.add_items("t", numbered(1))
        assert store.load_snapshot("t").state == {}

    def test_saving_takes_the_place_of_all(self, store):
        store.add_items("s", numbered(1, 2, 3))
        store.save_snapshot("s", numbered(4), state={})
        assert store.get_items("s") == numbered(4)
        assert store.get_session("s").item_count == 1

    @pytest.mark.parametrize("drop", [0, 1, 3])
    @pytest.mark.parametrize("keep", [0, 2])
    @pytest.mark.parametrize("added", [[], [7], [7, 8]])
    def test_only_what_changed_is_given(self, store, drop, keep, added):
        store.add_items("s", numbered(*range(5)))
        store.pop_item("s")
        store.add_items("s", numbered(5))
        items = [0, 1, 2, 3, 5]
        since = store.load_snapshot("s").revision
        state = {"drop": drop}
        saved = store.save_snapshot(
            "s", numbered(*added), state=state, since=since, drop=drop, keep=keep
        )
        loaded = store.load_snapshot("s")
        assert loaded.items == numbered(*items[drop : drop + keep], *added)
        assert (loaded.state, loaded.revision) == (state, saved)
        assert store.get_session("s").item_count == len(loaded.items) == saved.item_count

    @settings(max_examples=40)
    @given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(0, 4)), max_size=6))
    def test_any_chain_of_changes(self, store, changes):
        items: list[dict[str, Any]] = []
        revision = store.save_snapshot("chain", items, state={})
        for number, (first, second, count) in enumerate(changes):
            drop = int(first * len(items))
            keep = int(second * (len(items) - drop))
            new = numbered(*range(number * 10, number * 10 + count))
            items = items[drop : drop + keep] + new
            revision = store.save_snapshot(
                "chain", new, state={"n": number}, since=revision, drop=drop, keep=keep
            )
            assert store.load_snapshot("chain").items == items
            assert revision.item_count == store.get_session("chain").item_count == len(items)

    @pytest.mark.parametrize(
        "change",
        [
            lambda store: store.add_items("s", numbered(9)),
            lambda store: store.pop_item("s"),
            lambda store: store.clear("s"),
            lambda store: store.replace_items("s", numbered(1, 2, 3)),
            lambda store: store.save_snapshot("s", numbered(1, 2, 3), state={}),
            lambda store: store.delete_session("s"),
        ],
    )
    def test_what_somebody_changed_is_left_alone(self, store, change):
        since = store.save_snapshot("s", numbered(1, 2, 3), state={"a": 1})
        change(store)
        before = store.load_snapshot("s")
        for drop, keep in ((0, 3), (1, 2), (0, 0)):
            saved = store.save_snapshot(
                "s", numbered(4), state={"b": 1}, since=since, drop=drop, keep=keep
            )
            assert saved is None
        assert store.load_snapshot("s") == before

    def test_a_new_life_is_another_revision(self, ttl_store, clock):
        since = ttl_store.save_snapshot("s", numbered(1), state={})
        clock.pass_(10)
        assert ttl_store.save_snapshot("s", [], state={}, since=since, keep=1) is None
        assert ttl_store.load_snapshot("s") is None
        ttl_store.save_snapshot("s", numbered(1), state={})
        assert ttl_store.save_snapshot("s", [], state={}, since=since, keep=1) is None

    @pytest.mark.parametrize(("drop", "keep"), [(-1, 0), (0, -1), (2, 2), (0, 4)])
    def test_parts_that_a_revision_does_not_have_are_refused(self, store, drop, keep):
        since = store.save_snapshot("s", numbered(1, 2, 3), state={})
        with pytest.raises(InvalidLimit, match="drop and keep"):
            store.save_snapshot("s", [], state={}, since=since, drop=drop, keep=keep)

    @pytest.mark.values
    def test_what_cannot_be_kept_is_refused_before_anything_is_written(self, store):
        with pytest.raises(InvalidItem, match="state"):
            store.save_snapshot("s", [], state={"a": {1}})
        with pytest.raises(InvalidItem, match=r"items\[0\]"):
            store.save_snapshot("s", [{"a": {1}}], state={})
        assert not store.exists("s")

    def test_savers_at_once_leave_one_whole_snapshot(self, store):
        def save(number: int) -> None:
            for _ in range(5):
                items = [{"by": number, "n": n} for n in range(20)]
                store.save_snapshot("s", items, state={"by": number})

        in_threads(save, 6)
        loaded = store.load_snapshot("s")
        (writer,) = {item["by"] for item in loaded.items}
        assert loaded.state == {"by": writer}
        assert len(loaded.items) == 20

    def test_of_two_who_change_one_revision_one_succeeds(self, store):
        since = store.save_snapshot("s", numbered(1), state={})
        saved: list[Revision | None] = []

        def save(number: int) -> None:
            new = numbered(number + 10)
            saved.append(store.save_snapshot("s", new, state={}, since=since, keep=1))

        in_threads(save, 6)
        assert len([revision for revision in saved if revision]) == 1
        assert len(store.get_items("s")) == 2

    # Life

    def test_a_session_may_live_as_long_as_a_call_says(self, store, clock):
        store.add_items("a", numbered(1), ttl_seconds=5)
        store.replace_items("b", numbered(1), ttl_seconds=5)
        store.save_snapshot("c", numbered(1), state={}, ttl_seconds=5)
        store.branch("a", "d", ttl_seconds=5)
        for name in "abcd":
            assert store.get_session(name).expires_at == clock() + timedelta(seconds=5)
        clock.pass_(5)
        assert store.list_sessions().sessions == ()
        assert store.search("1") == []
        with pytest.raises(SessionNotFound):
            store.branch("a", "e")

    @pytest.mark.values
    @pytest.mark.parametrize("ttl_seconds", [0, -1, True, "5", 10**30, float("nan")])
    def test_a_bad_life_is_refused(self, store, ttl_seconds):
        with pytest.raises(InvalidLimit, match="ttl_seconds"):
            store.add_items("s", numbered(1), ttl_seconds=ttl_seconds)

    def test_the_end_can_be_set(self, store, clock):
        store.add_items("s", numbered(1))
        assert store.set_expiry("s", clock() + timedelta(days=1))
        assert store.get_session("s").expires_at == clock() + timedelta(days=1)
        assert store.set_expiry("s", None)
        assert store.get_session("s").expires_at is None
        assert store.set_expiry("s", clock())
        assert not store.exists("s")
        assert not store.set_expiry("s", None)
        assert not store.set_expiry("none", None)
        with pytest.raises(InvalidInput, match="timezone"):
            store.set_expiry("s", clock().replace(tzinfo=None))

    # Branches

    @pytest.mark.values
    @pytest.mark.parametrize("name", IDS)
    def test_a_branch_is_a_copy(self, store, name):
        owner = "o" * 4_096
        store.save_snapshot("s", NASTY, state={"a": "\0"}, namespace=name, user_id=owner)
        store.set_metadata("s", {"m": 1}, namespace=name)
        store.branch("s", name, namespace=name)
        assert store.load_snapshot(name, namespace=name).items == NASTY
        assert store.load_snapshot(name, namespace=name).state == {"a": "\0"}
        copied = store.get_session(name, namespace=name)
        assert (copied.user_id, copied.metadata, copied.item_count) == (owner, {"m": 1}, len(NASTY))
        store.add_items(name, numbered(1), namespace=name)
        assert store.get_items("s", namespace=name) == NASTY

    def test_a_branch_takes_the_place_of_what_was_there(self, store, clock):
        store.add_items("s", numbered(1))
        store.add_items("t", numbered(2), user_id="bob")
        clock.pass_(1)
        store.branch("s", "t")
        assert store.get_items("t") == numbered(1)
        session = store.get_session("t")
        assert (session.user_id, session.created_at) == (None, clock())
        store.branch("s", "s")
        assert store.get_items("s") == numbered(1)

    def test_there_must_be_something_to_branch_from(self, store):
        store.add_items("t", numbered(1))
        with pytest.raises(SessionNotFound, match="'s'"):
            store.branch("s", "t")
        assert store.get_items("t") == numbered(1)

    # Tokens and turns

    def test_tokens_are_summed_of_the_items_that_are_there(self, store):
        store.add_items("s", [*used(5, 7), {"usage": {"input_tokens": 1, "output_tokens": 2}}])
        assert store.get_session("s").tokens == 15
        store.add_items(
            "s", [{"usage": {"prompt_tokens": 1, "completion_tokens": 1}}, {"usage": 3}]
        )
        assert store.get_session("s").tokens == 17
        store.pop_item("s")
        store.pop_item("s")
        assert store.get_session("s").tokens == 15
        since = store.load_snapshot("s").revision
        store.save_snapshot("s", used(100), state={}, since=since, drop=1, keep=1)
        assert store.get_session("s").tokens == 107
        store.branch("s", "t")
        assert store.get_session("t").tokens == 107
        store.replace_items("s", used(3))
        assert store.get_session("s").tokens == 3
        store.save_snapshot("s", used(4), state={})
        assert store.get_session("s").tokens == 4
        store.clear("s")
        assert store.get_session("s").tokens is None

    def test_the_usage_of_runs_is_added(self, store):
        assert store.add_usage("s", 5) is False
        store.add_items("s", [{"n": 1}, *used(7)])
        before = store.get_session("s")
        assert store.add_usage("s", 5, request_id="00000000-0000-4000-8000-000000000001")
        assert store.add_usage("s", 5, request_id="00000000-0000-4000-8000-000000000001")
        assert store.get_session("s") == replace(before, tokens=12)
        assert store.add_usage("s", {"input_tokens": 2, "output_tokens": 3})
        assert store.add_usage("s", {})
        assert store.add_usage("s", 0)
        store.pop_item("s")
        assert store.get_session("s").tokens == 10
        store.clear("s")
        assert store.get_session("s").tokens is None
        store.add_usage("s", 3)
        assert store.get_session("s").tokens == 3
        assert store.add_usage("other", 0) is False

    @pytest.mark.values
    @pytest.mark.parametrize("usage", [-1, True, 1.0, "5", None, [5], 2**60])
    def test_usage_of_a_run_that_is_no_number_is_refused(self, store, usage):
        store.add_items("s", [{"n": 1}])
        with pytest.raises(InvalidInput, match="usage"):
            store.add_usage("s", usage)

    @pytest.mark.values
    @pytest.mark.parametrize(
        "usage",
        [None, 5, [], {"total_tokens": -1}, {"total_tokens": True}, {"total_tokens": 2**70}],
    )
    def test_usage_that_says_nothing_counts_nothing(self, store, usage):
        store.add_items("s", [{"usage": usage}])
        assert store.get_session("s").tokens is None

    def test_whole_turns_begin_with_a_user(self, store):
        call = {"type": "function_call", "call_id": "c1"}
        output = {"type": "function_call_output", "call_id": "c1"}
        items = [*said("one"), call, output, *said("a", role="assistant"), *said("two"), {"n": 1}]
        store.add_items("s", items)
        assert store.get_items("s", limit=4, whole_turns=True) == items[4:]
        assert store.get_items("s", limit=6, whole_turns=True) == items
        assert store.get_items("s", limit=7, whole_turns=True) == items
        assert store.get_items("s", whole_turns=True) == items

    def test_whole_turns_never_begin_with_an_output_whose_call_was_cut_off(self, store):
        items = [
            *said("go"),
            {"type": "function_call", "call_id": "c1"},
            {"type": "function_call_output", "call_id": "c1"},
            {"role": "assistant", "tool_calls": [{"id": "c2"}]},
            {"role": "tool", "tool_call_id": "c2"},
        ]
        store.add_items("s", items)
        assert store.get_items("s", limit=1, whole_turns=True) == []
        assert store.get_items("s", limit=2, whole_turns=True) == items[3:]
        assert store.get_items("s", limit=3, whole_turns=True) == items[3:]
        assert store.get_items("s", limit=4, whole_turns=True) == items[1:]

    @pytest.mark.values
    @pytest.mark.parametrize("name", turns.NAMES)
    def test_whole_turns_part_no_pair(self, store, name):
        session = turns.joined(["a question", name, "an answer"])
        store.add_items("s", session.items)
        for limit in range(1, len(session.items) + 2):
            found = store.get_items("s", limit=limit, whole_turns=True)
            assert len(found) <= limit
            assert found == session.items[len(session.items) - len(found) :]
            assert not turns.parted(session, found)
        assert found == session.items

    def test_whole_turns_find_the_reasoning_of_a_long_response(self, store):
        calls = [turns.call(str(number)) for number in range(20)]
        outputs = [turns.output(str(number)) for number in range(20)]
        store.add_items("s", [*said("go"), turns.reasoning("1"), *calls, *outputs])
        for limit in (1, 20, 39, 40):
            assert store.get_items("s", limit=limit, whole_turns=True) == []
        assert len(store.get_items("s", limit=41, whole_turns=True)) == 41
        store.add_items("s", [turns.answer()])
        for limit in (1, 20, 40):
            assert store.get_items("s", limit=limit, whole_turns=True) == [turns.answer()]

    def test_whole_turns_drop_nothing_when_nothing_is_cut_off(self, store):
        items = [turns.output("gone"), {"role": "system", "content": "r"}, *said("a")]
        store.add_items("s", items)
        assert store.get_items("s", limit=3, whole_turns=True) == items
        store.add_items("s", [turns.answer()])
        assert store.get_items("s", limit=3, whole_turns=True) == [*items[1:], turns.answer()]

    # Listing

    def test_signals_say_what_happened(self, store, clock):
        heard: list[tuple[Any, ...]] = []

        def hear(kind: str) -> Any:
            def receiver(sender: str, signal: Any, **said: Any) -> None:
                heard.append((kind, said["namespace"], said["session_id"], said["message_count"]))

            return receiver

        kinds = ("saved", "loaded", "expired", "deleted")
        receivers = {kind: hear(kind) for kind in kinds}
        for kind, receiver in receivers.items():
            getattr(signals, f"session_{kind}").connect(receiver, sender=store.alias)
        try:
            store.add_items("s", numbered(1, 2), namespace="n")
            store.add_items("s", numbered(3), namespace="n")
            store.get_items("s", namespace="n", limit=2)
            store.save_snapshot("s", numbered(1), state={}, namespace="n")
            store.load_snapshot("s", namespace="n")
            store.branch("s", "t", namespace="n")
            store.delete_session("s", namespace="n")
            store.delete_session("s", namespace="n")
            store.set_expiry("t", clock(), namespace="n")
            assert store.load_snapshot("t", namespace="n") is None
            assert store.expire().sessions == 1
        finally:
            for kind, receiver in receivers.items():
                getattr(signals, f"session_{kind}").disconnect(receiver, sender=store.alias)
        assert heard == [
            ("saved", "n", "s", 2),
            ("saved", "n", "s", 3),
            ("loaded", "n", "s", 2),
            ("saved", "n", "s", 1),
            ("loaded", "n", "s", 1),
            ("saved", "n", "t", 1),
            ("deleted", "n", "s", 1),
            ("expired", "n", "t", 1),
        ]

    def test_a_receiver_that_fails_harms_nobody(self, store, caplog):
        def fail(**said: Any) -> None:
            raise RuntimeError("no")

        signals.session_saved.connect(fail, sender=store.alias)
        try:
            store.add_items("s", numbered(1))
        finally:
            signals.session_saved.disconnect(fail, sender=store.alias)
        assert store.get_items("s") == numbered(1)
        assert "A receiver of a signal failed" in caplog.text
