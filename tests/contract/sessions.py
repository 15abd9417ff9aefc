"""Sessions: the same answers from every backend."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlant_store.exceptions import InvalidItem, InvalidLimit, InvalidName
from parlant_store.types import SessionCursor
from tests.contract.stores import Timed
from tests.contract.threads import in_threads
from tests.contract.values import (
    BAD_IDS,
    IDS,
    NASTY,
    NO_ITEMS,
    json_objects,
    nested,
    numbered,
)


class SessionContract(Timed):
    """Tests of sessions; a subclass gives the fixture ``make_store``."""

    def test_items_come_back_in_order(self, store):
        store.add_items("s", numbered(1, 2))
        store.add_items("s", numbered(3))
        assert store.get_items("s") == numbered(1, 2, 3)

    def test_the_latest_items_come_oldest_first(self, store):
        store.add_items("s", numbered(*range(5)))
        assert store.get_items("s", limit=2) == numbered(3, 4)
        assert store.get_items("s", limit=5) == numbered(*range(5))
        assert store.get_items("s", limit=2**31 - 1) == numbered(*range(5))
        assert store.get_items("s", limit=10**30) == numbered(*range(5))

    def test_limit_zero_is_none_of_them(self, store):
        store.add_items("s", numbered(1))
        assert store.get_items("s", limit=0) == []

    @pytest.mark.values
    @pytest.mark.parametrize("limit", [-1, -(10**30), 1.5, "2", True])
    def test_a_bad_limit_is_refused(self, store, limit):
        with pytest.raises(InvalidLimit, match="limit must"):
            store.get_items("s", limit=limit)

    def test_no_session_has_no_items(self, store):
        assert store.get_items("nobody") == []
        assert store.pop_item("nobody") is None
        assert store.get_session("nobody") is None
        assert store.get_metadata("nobody") == {}
        assert not store.exists("nobody")
        assert store.delete_session("nobody") is False
        store.clear("nobody")
        assert not store.exists("nobody")

    def test_no_items_begin_no_session(self, store):
        store.add_items("s", [])
        assert not store.exists("s")

    def test_items_may_come_from_any_iterable(self, store):
        store.add_items("s", (item for item in numbered(1, 2)))
        assert store.get_items("s") == numbered(1, 2)

    def test_sessions_and_namespaces_are_apart(self, store):
        names = [("a", "b:c"), ("a:b", "c"), ("", "a"), ("a", "a"), ("", "a:a")]
        for number, (namespace, session_id) in enumerate(names):
            store.add_items(session_id, numbered(number), namespace=namespace)
        for number, (namespace, session_id) in enumerate(names):
            assert store.get_items(session_id, namespace=namespace) == numbered(number)

    def test_pop_takes_the_latest(self, store):
        store.add_items("s", numbered(1, 2))
        assert store.pop_item("s") == {"n": 2}
        store.add_items("s", numbered(3))
        assert store.pop_item("s") == {"n": 3}
        assert store.pop_item("s") == {"n": 1}
        assert store.pop_item("s") is None
        assert store.get_session("s").item_count == 0

    def test_clear_keeps_the_session(self, store):
        store.add_items("s", numbered(1), user_id="ada")
        store.set_metadata("s", {"topic": "x"})
        store.clear("s")
        assert store.get_items("s") == []
        session = store.get_session("s")
        assert (session.user_id, session.metadata, session.item_count) == (
            "ada",
            {"topic": "x"},
            0,
        )
        store.add_items("s", numbered(2))
        assert store.get_items("s") == numbered(2)

    def test_replace_puts_items_in_place_of_all(self, store):
        store.add_items("s", numbered(1, 2, 3))
        store.replace_items("s", numbered(4, 5))
        assert store.get_items("s") == numbered(4, 5)
        assert store.get_session("s").item_count == 2
        store.add_items("s", numbered(6))
        assert store.get_items("s", limit=2) == numbered(5, 6)
        store.replace_items("s", [])
        assert store.get_items("s") == []
        assert store.get_session("s").item_count == 0

    def test_replace_begins_a_session(self, store):
        store.replace_items("s", numbered(1), user_id="ada")
        assert store.get_items("s") == numbered(1)
        assert store.get_session("s").user_id == "ada"

    def test_delete_takes_everything(self, store):
        store.add_items("s", numbered(1), user_id="ada")
        store.set_metadata("s", {"a": 1})
        assert store.delete_session("s") is True
        assert not store.exists("s")
        assert store.delete_session("s") is False
        store.add_items("s", numbered(2))
        assert store.get_items("s") == numbered(2)
        session = store.get_session("s")
        assert (session.user_id, session.metadata, session.item_count) == (None, {}, 1)

    def test_what_is_known_of_a_session(self, store, clock):
        began = clock()
        store.add_items("s", numbered(1, 2), namespace="n", user_id="ada")
        clock.pass_(5)
        store.add_items("s", numbered(3), namespace="n", user_id="bob")
        session = store.get_session("s", namespace="n")
        assert (session.namespace, session.session_id, session.user_id) == ("n", "s", "ada")
        assert session.item_count == 3
        assert session.metadata == {}
        assert session.created_at == began
        assert session.updated_at == clock()
        assert session.expires_at is None

    def test_an_owner_may_come_later(self, store):
        store.add_items("s", numbered(1))
        store.add_items("s", numbered(2), user_id="ada")
        assert store.get_session("s").user_id == "ada"

    def test_metadata(self, store):
        assert store.set_metadata("s", {"a": 1, "b": {"c": 1}}) == {"a": 1, "b": {"c": 1}}
        assert store.exists("s")
        assert store.get_items("s") == []
        assert store.set_metadata("s", {"b": None}, merge=True) == {"a": 1, "b": None}
        assert store.get_metadata("s") == {"a": 1, "b": None}
        assert store.set_metadata("s", {"z": NASTY}) == {"z": NASTY}
        assert store.get_metadata("s") == {"z": NASTY}

    def test_items_come_back_as_they_were(self, store):
        store.add_items("s", NASTY)
        found = store.get_items("s")
        assert found == NASTY
        assert list(map(list, found)) == list(map(list, NASTY))
        assert store.get_items("s", limit=3) == NASTY[-3:]
        assert [store.pop_item("s") for _ in NASTY] == NASTY[::-1]

    @pytest.mark.values
    def test_kinds_of_values_come_back(self, store):
        store.add_items("s", [{"v": [1.0, 1, True, -0.0, 1e16, "1"]}])
        values = store.get_items("s")[0]["v"]
        assert list(map(type, values)) == [float, int, bool, float, float, str]
        assert math.copysign(1, values[3]) == -1

    @pytest.mark.values
    @settings(max_examples=50)
    @given(items=st.lists(json_objects, min_size=1, max_size=4))
    def test_whatever_json_can_say_comes_back(self, store, items):
        store.replace_items("s", items)
        assert store.get_items("s") == items
        assert store.set_metadata("s", items[0]) == items[0]

    @pytest.mark.values
    @pytest.mark.parametrize("wrong", NO_ITEMS)
    def test_what_json_cannot_say_is_refused_by_name(self, store, wrong):
        value, said = NO_ITEMS[wrong]
        if value == "deep":
            value = nested(600)
        store.add_items("s", numbered(1))
        bad = [{"n": 2}, {"content": [{"score": value}]}]
        for write in (store.add_items, store.replace_items):
            with pytest.raises(InvalidItem, match=rf"items\[1\].*{said}"):
                write("s", bad)
        with pytest.raises(InvalidItem, match=f"metadata.*{said}"):
            store.set_metadata("s", bad[1])
        assert store.get_items("s") == numbered(1)
        assert store.get_metadata("s") == {}

    def test_what_holds_itself_is_refused(self, store):
        item: dict[str, Any] = {}
        item["self"] = item
        with pytest.raises(InvalidItem, match="levels"):
            store.add_items("s", [item])

    @pytest.mark.values
    def test_500_levels_are_taken(self, store):
        store.add_items("s", [{"deep": nested(498)}])
        assert store.get_items("s") == [{"deep": nested(498)}]

    @pytest.mark.values
    @pytest.mark.parametrize("items", ["text", {"role": "user"}, 5, None, [1], ["a"], [None]])
    def test_only_lists_of_dicts_are_items(self, store, items):
        with pytest.raises(InvalidItem, match=r"items(\[0\])? must be a"):
            store.add_items("s", items)
        assert not store.exists("s")

    @pytest.mark.values
    @pytest.mark.parametrize("session_id", IDS)
    def test_ids_of_any_script(self, store, session_id):
        store.add_items(session_id, numbered(1), namespace=session_id, user_id=session_id)
        store.add_items(session_id[:-1] + "!", numbered(2), namespace=session_id)
        assert store.get_items(session_id, namespace=session_id) == numbered(1)
        session = store.get_session(session_id, namespace=session_id)
        assert session.session_id == session.namespace == session.user_id == session_id
        listed = store.list_sessions(namespace=session_id, user_id=session_id).sessions
        assert [found.session_id for found in listed] == [session_id]
        store.set_metadata(session_id, {"a": 1}, namespace=session_id, merge=True)
        assert store.pop_item(session_id, namespace=session_id) == {"n": 1}
        assert store.delete_session(session_id, namespace=session_id)

    def test_an_owner_with_a_long_name_may_come_later(self, store):
        long = "😀" * 4096
        store.add_items("s", numbered(1))
        store.add_items("s", numbered(2), user_id=long)
        store.add_items("s", numbered(3), user_id="short")
        assert store.get_session("s").user_id == long

    @pytest.mark.values
    @pytest.mark.parametrize("bad", BAD_IDS)
    def test_bad_ids_are_refused(self, store, bad):
        calls = [
            lambda **names: store.add_items(items=numbered(1), **names),
            lambda **names: store.replace_items(items=numbered(1), **names),
            lambda **names: store.set_metadata(metadata={}, **names),
            store.get_items,
            store.pop_item,
            store.clear,
            store.delete_session,
            store.exists,
            store.get_session,
            store.get_metadata,
        ]
        for call in calls:
            with pytest.raises(InvalidName, match="session_id"):
                call(session_id=bad)
            if bad != "":
                with pytest.raises(InvalidName, match="namespace"):
                    call(session_id="s", namespace=bad)
        if bad is not None:
            with pytest.raises(InvalidName, match="user_id"):
                store.add_items("s", numbered(1), user_id=bad)
        assert store.list_sessions().sessions == ()

    def test_listing_in_pages(self, store):
        names = [("", "a"), ("", "b"), ("m", "B"), ("m", "a"), ("m", "é"), ("n", "a")]
        for namespace, session_id in reversed(names):
            store.add_items(session_id, numbered(1), namespace=namespace)
        found, cursor = [], None
        for _ in itertools.count():
            page = store.list_sessions(limit=2, cursor=cursor)
            found += [(session.namespace, session.session_id) for session in page.sessions]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == names
        assert len(store.list_sessions(limit=10**30).sessions) == 6
        page = store.list_sessions(namespace="m", limit=2)
        assert [session.session_id for session in page.sessions] == ["B", "a"]
        assert page.next_cursor == SessionCursor(namespace="m", session_id="a")
        assert store.list_sessions(namespace="nobody").sessions == ()

    def test_a_page_goes_on_after_its_session_is_gone(self, store):
        for session_id in "abc":
            store.add_items(session_id, numbered(1))
        page = store.list_sessions(limit=1)
        store.delete_session("a")
        page = store.list_sessions(cursor=page.next_cursor)
        assert [session.session_id for session in page.sessions] == ["b", "c"]

    def test_listing_by_owner(self, store):
        store.add_items("s", numbered(1), user_id="ada")
        store.add_items("t", numbered(1), user_id="bob")
        store.add_items("u", numbered(1))
        (session,) = store.list_sessions(user_id="bob").sessions
        assert session.session_id == "t"

    @pytest.mark.values
    @pytest.mark.parametrize("limit", [0, -1, None])
    def test_a_listing_needs_a_limit(self, store, limit):
        with pytest.raises(InvalidLimit):
            store.list_sessions(limit=limit)

    def test_what_expired_is_invisible_at_once(self, ttl_store, clock):
        ttl_store.add_items("s", numbered(1), user_id="ada")
        ttl_store.set_metadata("s", {"a": 1})
        clock.pass_(9.999)
        assert ttl_store.get_items("s", limit=5) == numbered(1)
        clock.pass_(0.001)
        assert ttl_store.get_items("s") == ttl_store.get_items("s", limit=5) == []
        assert ttl_store.pop_item("s") is None
        assert not ttl_store.exists("s")
        assert ttl_store.get_metadata("s") == {}
        assert ttl_store.list_sessions().sessions == ()
        ttl_store.clear("s")
        assert ttl_store.delete_session("s") is False

    @pytest.mark.parametrize("write", ["add_items", "replace_items", "set_metadata"])
    def test_writing_to_what_expired_begins_a_new_life(self, ttl_store, clock, write):
        ttl_store.add_items("s", numbered(1, 2), user_id="ada")
        ttl_store.set_metadata("s", {"a": 1})
        clock.pass_(10)
        began = clock()
        new: Any = {"b": 2} if write == "set_metadata" else numbered(3)
        getattr(ttl_store, write)("s", new)
        session = ttl_store.get_session("s")
        assert (session.created_at, session.user_id) == (began, None)
        if write == "set_metadata":
            assert (ttl_store.get_items("s"), session.metadata) == ([], {"b": 2})
        else:
            assert (ttl_store.get_items("s"), session.metadata) == (numbered(3), {})

    def test_merging_metadata_into_what_expired(self, ttl_store, clock):
        ttl_store.set_metadata("s", {"a": 1})
        clock.pass_(10)
        assert ttl_store.set_metadata("s", {"b": 2}, merge=True) == {"b": 2}

    @pytest.mark.parametrize(
        "write",
        [
            lambda store: store.add_items("s", numbered(2)),
            lambda store: store.replace_items("s", numbered(2)),
            lambda store: store.pop_item("s"),
            lambda store: store.clear("s"),
            lambda store: store.set_metadata("s", {}),
        ],
    )
    def test_life_counts_from_the_last_write(self, ttl_store, clock, write):
        ttl_store.add_items("s", numbered(1))
        clock.pass_(9)
        ttl_store.get_items("s")
        write(ttl_store)
        clock.pass_(9)
        assert ttl_store.exists("s")
        clock.pass_(1)
        assert not ttl_store.exists("s")

    def test_a_store_without_ttl_leaves_the_time_as_it_is(self, store, ttl_store, clock):
        ttl_store.add_items("s", numbered(1))
        ends = ttl_store.get_session("s").expires_at
        store.add_items("s", numbered(2))
        assert store.get_session("s").expires_at == ends

    def test_expire_removes_what_is_due(self, ttl_store, store, clock):
        for number in range(7):
            ttl_store.add_items(f"s{number}", numbered(1, 2))
        store.add_items("for ever", numbered(1))
        assert ttl_store.expire(batch_size=3).sessions == 0
        clock.pass_(5)
        ttl_store.add_items("s6", numbered(3))
        clock.pass_(5)
        assert ttl_store.expire(batch_size=3).sessions == 6
        assert ttl_store.get_items("s6") == numbered(1, 2, 3)
        assert [s.session_id for s in store.list_sessions().sessions] == ["for ever", "s6"]
        with pytest.raises(InvalidLimit):
            ttl_store.expire(batch_size=0)

    def test_batches_of_many_threads_stay_whole(self, store):
        def add(writer: int) -> None:
            for batch in range(5):
                store.add_items("s", [{"w": writer, "b": batch, "n": n} for n in range(3)])

        in_threads(add, 20)
        items = store.get_items("s")
        batches = [items[start : start + 3] for start in range(0, len(items), 3)]
        for batch in batches:
            assert [item["n"] for item in batch] == [0, 1, 2]
            assert len({(item["w"], item["b"]) for item in batch}) == 1
        written = [(batch[0]["w"], batch[0]["b"]) for batch in batches]
        assert sorted(written) == [(w, b) for w in range(20) for b in range(5)]
        for writer in range(20):
            assert [b for w, b in written if w == writer] == list(range(5))
        assert store.get_session("s").item_count == 300

    def test_many_poppers_get_each_item_once(self, store):
        store.add_items("s", numbered(*range(50)))
        popped: list[Any] = []
        in_threads(lambda _: popped.append(store.pop_item("s")), 50)
        assert sorted(item["n"] for item in popped) == list(range(50))
        assert store.pop_item("s") is None

    def test_clearing_and_adding_at_once(self, store):
        def work(number: int) -> None:
            if number % 3 == 0:
                store.clear("s")
            elif number % 3 == 1:
                store.delete_session("s")
            else:
                store.add_items("s", numbered(number, number))

        in_threads(work, 60)
        items = store.get_items("s")
        assert len(items) % 2 == 0
        assert [item["n"] for item in items[::2]] == [item["n"] for item in items[1::2]]
        session = store.get_session("s")
        assert (session.item_count if session else 0) == len(items)

    def test_merges_of_many_threads_all_stay(self, store):
        in_threads(lambda n: store.set_metadata("s", {str(n): n}, merge=True), 20)
        assert store.get_metadata("s") == {str(n): n for n in range(20)}

    def test_an_item_of_5_mb(self, store):
        item = {"role": "tool", "content": "é" * 2_500_000}
        store.add_items("s", [item])
        assert store.get_items("s", limit=1) == [item]
