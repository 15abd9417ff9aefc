"""Documents: the same answers from every backend that keeps them."""

import random
from typing import Any

import pytest
from hypothesis import given, settings

from parlant_store.exceptions import (
    DuplicateDocument,
    InvalidFilter,
    InvalidInput,
    InvalidItem,
    InvalidLimit,
    InvalidName,
)
from parlant_store.types import DocumentCursor
from tests.contract.document_filters import FilterContract
from tests.contract.document_indexes import IndexContract
from tests.contract.document_values import VALUES, ids, made, numbered_event, replacement, same
from tests.contract.threads import in_threads
from tests.contract.values import IDS, NASTY, NO_ITEMS, json_objects, nested


class DocumentContract(FilterContract, IndexContract):
    """Tests of documents; a subclass gives the fixture ``make_store``."""

    def test_a_document_comes_back(self, store):
        document = made(1, session_id="s", data=1, key=2, offset=3, pk=4, collection=5)
        store.insert_one("c", document)
        assert store.find_one("c", {"id": {"$eq": "d1"}}) == document
        assert store.find("c").documents == (document,)
        assert store.find_one("other") is None
        assert store.find("other").documents == ()

    @pytest.mark.values
    @pytest.mark.parametrize("value", [*VALUES, *NASTY])
    def test_any_value_comes_back(self, store, value):
        store.insert_one("c", {"id": "d", "value": value})
        assert same(store.find_one("c")["value"], value)
        store.update_one("c", {}, {"other": value})
        assert same(store.find_one("c")["other"], value)

    @pytest.mark.values
    @settings(max_examples=50)
    @given(document=json_objects)
    def test_whatever_json_can_say_comes_back(self, store, document):
        document.pop("id", None)
        store.drop_collection("c")
        store.insert_one("c", document)
        assert same(store.find_one("c"), document)
        assert same(store.update_one("c", {}, document).document, document)

    def test_an_id_is_taken_once_in_a_collection(self, store):
        store.insert_one("c", {"id": "d", "n": 1})
        with pytest.raises(DuplicateDocument, match="'c'.*'d'"):
            store.insert_one("c", {"id": "d", "n": 2})
        store.insert_one("other", {"id": "d", "n": 3})
        assert store.find("c").documents == ({"id": "d", "n": 1},)

    def test_documents_without_id(self, store):
        store.insert_one("c", {"n": 1})
        store.insert_one("c", {"n": 2, "id": None})
        assert len(store.find("c").documents) == 2

    @pytest.mark.values
    @pytest.mark.parametrize("id_", IDS)
    def test_ids_of_any_script(self, store, id_):
        fields = ("id", "session_id", "customer_id", "agent_id", "version", "creation_utc")
        document = dict.fromkeys(fields, id_)
        store.insert_one("c", document)
        store.insert_one("c", {"id": id_[:-1] + "!", "session_id": id_[:-1] + "!"})
        for field in fields:
            assert store.find("c", {field: {"$eq": id_}}).documents == (document,)
        with pytest.raises(DuplicateDocument):
            store.insert_one("c", document)
        assert store.delete_one("c", {"id": {"$eq": id_}}) == document

    @pytest.mark.values
    @pytest.mark.parametrize("id_", ["", "a\0b", "x" * 4097, 5, [1], True])
    def test_bad_ids_are_refused(self, store, id_):
        with pytest.raises(InvalidName, match="the document's id"):
            store.insert_one("c", {"id": id_})
        store.insert_one("c", {"id": "d"})
        with pytest.raises(InvalidName):
            store.update_one("c", {}, {"id": id_})
        with pytest.raises(InvalidName):
            store.update_one("c", {"id": {"$eq": "x"}}, {"id": id_}, upsert=True)
        assert store.find("c").documents == ({"id": "d"},)

    @pytest.mark.values
    @pytest.mark.parametrize("name", ["", "a\0b", "x" * 513, "😀" * 129, None, 5])
    def test_bad_collections_are_refused(self, store, name):
        for call in (
            store.find,
            store.find_one,
            store.drop_collection,
            lambda name: store.insert_one(name, {}),
            lambda name: store.update_one(name, {}, {}),
            lambda name: store.delete_one(name, {}),
        ):
            with pytest.raises(InvalidName, match="collection"):
                call(name)

    @pytest.mark.values
    def test_names_of_collections_never_collide(self, store):
        names = ["a-b", "a_b", "a.b", "Events", "events", "x" * 512, "x" * 511, "a\x01", "\ud800"]
        for name in names:
            store.insert_one(name, {"id": "d", "name": name})
        assert store.list_collections() == sorted(names)
        for name in names:
            assert store.find(name).documents == ({"id": "d", "name": name},)
        assert store.drop_collection("a.b") == 1
        assert store.drop_collection("a.b") == 0
        assert sorted(store.list_collections()) == sorted(set(names) - {"a.b"})

    @pytest.mark.values
    @pytest.mark.parametrize("wrong", NO_ITEMS)
    def test_what_json_cannot_say_is_refused_by_name(self, store, wrong):
        value, said = NO_ITEMS[wrong]
        bad = {"id": "e", "x": [nested(600) if value == "deep" else value]}
        store.insert_one("c", {"id": "d"})
        for call in (
            lambda: store.insert_one("c", bad),
            lambda: store.update_one("c", {}, bad),
            lambda: store.update_one("c", {"id": {"$eq": "e"}}, bad, upsert=True),
        ):
            with pytest.raises(InvalidItem, match=f"document.*{said}"):
                call()
        with pytest.raises(InvalidFilter, match=said):
            store.find("c", {"x": {"$eq": bad}})
        assert store.find("c").documents == ({"id": "d"},)

    @pytest.mark.values
    @pytest.mark.parametrize("document", [None, 5, "x", [], [("id", "d")]])
    def test_only_dicts_are_documents(self, store, document):
        with pytest.raises(InvalidItem, match="document must be a dict"):
            store.insert_one("c", document)

    # Order and pages

    def test_order_is_by_creation_and_id_by_code_point(self, store):
        keys = [
            (None, None), (None, "A"), (None, "b"), ("2030", "B"), ("2030", "a"), ("2030", "é"),
            ("2030", "😀"), ("2030-01-01T00:00:00+00:00", "c"),
            ("2030-01-01T00:00:00.000001+00:00", "d"), ("é", "e"),
        ]  # fmt: skip
        keys.sort(key=lambda key: (key[0] or "", key[1] or ""))
        shuffled = random.Random(1).sample(keys, len(keys))
        for created, id_ in shuffled:
            given = {"creation_utc": created, "id": id_}
            store.insert_one("c", {field: value for field, value in given.items() if value})
        found = [(d.get("creation_utc"), d.get("id")) for d in store.find("c").documents]
        assert found == keys
        found = store.find("c", direction="desc").documents
        assert [(d.get("creation_utc"), d.get("id")) for d in found] == keys[::-1]

    @pytest.mark.parametrize("direction", ["asc", "desc"])
    @pytest.mark.parametrize("limit", [1, 2, 3, 7])
    def test_pages_cover_everything_once(self, store, direction, limit):
        for number in range(7):
            store.insert_one("c", {"id": f"d{number}", "creation_utc": str(number // 3)})
        found, cursor, left = [], None, 7
        while True:
            page = store.find("c", limit=limit, cursor=cursor, direction=direction, count=True)
            assert page.total_count == left
            found += ids(page.documents)
            left -= len(page.documents)
            assert page.has_more == (left > 0) == (page.next_cursor is not None)
            cursor = page.next_cursor
            if cursor is None:
                break
        expected = [f"d{number}" for number in range(7)]
        assert found == (expected if direction == "asc" else expected[::-1])

    def test_a_cursor_outlives_its_document(self, store):
        for number in range(4):
            store.insert_one("c", made(number))
        cursor = store.find("c", limit=2).next_cursor
        assert cursor == DocumentCursor(creation_utc="2030-01-01T00:00:01", id="d1")
        store.delete_one("c", {"id": {"$eq": "d1"}})
        assert ids(store.find("c", cursor=cursor).documents) == ["d2", "d3"]
        assert ids(store.find("c", cursor=cursor, direction="desc").documents) == ["d0"]

    def test_pages_start_among_documents_without_creation(self, store):
        store.insert_one("c", {"id": "b"})
        store.insert_one("c", {"id": "a"})
        store.insert_one("c", made(1))
        cursor = DocumentCursor(creation_utc="", id="a")
        assert ids(store.find("c", cursor=cursor).documents) == ["b", "d1"]
        cursor = DocumentCursor(creation_utc="2030", id="x")
        assert ids(store.find("c", cursor=cursor, direction="desc").documents) == ["b", "a"]

    def test_limit_zero(self, store):
        page = store.find("c", limit=0, count=True)
        assert (page.documents, page.has_more, page.total_count) == ((), False, 0)
        store.insert_one("c", made(1))
        page = store.find("c", limit=0, count=True)
        assert (page.documents, page.has_more, page.next_cursor) == ((), True, None)
        assert page.total_count == 1
        assert store.find("c", limit=0).has_more

    def test_counting_is_left_out_unless_asked_for(self, store):
        assert store.find("c").total_count is None

    @pytest.mark.values
    @pytest.mark.parametrize("limit", [-1, 1.5, "1", True])
    def test_bad_limits_are_refused(self, store, limit):
        with pytest.raises(InvalidLimit):
            store.find("c", limit=limit)

    @pytest.mark.values
    def test_bad_directions_are_refused(self, store):
        with pytest.raises(InvalidFilter):
            store.find("c", direction="up")

    # find_one

    def test_find_one_without_sort_takes_the_first(self, store):
        for number in (2, 1, 3):
            store.insert_one("c", made(number))
        assert store.find_one("c")["id"] == "d1"
        assert store.find_one("c", {"id": {"$ne": "d1"}})["id"] == "d2"

    # update_one, delete_one

    def test_update_merges_key_by_key(self, store):
        store.insert_one("c", made(1, a={"x": 1, "y": None}, b=2))
        result = store.update_one("c", {"id": {"$eq": "d1"}}, {"a": {"z": 1}, "c": None})
        assert result.matched
        assert result.document == made(1, a={"z": 1}, b=2, c=None)
        assert store.find_one("c") == result.document

    def test_update_with_nothing_to_change(self, store):
        store.insert_one("c", made(1))
        assert store.update_one("c", {}, {}).document == made(1)

    def test_update_takes_the_first_that_matches(self, store):
        for number in (2, 1):
            store.insert_one("c", made(number))
        assert store.update_one("c", {}, {"a": 1}).document["id"] == "d1"
        assert store.find_one("c", {"id": {"$eq": "d2"}}) == made(2)

    def test_update_returns_the_document_even_if_it_matches_no_more(self, store):
        store.insert_one("c", made(1, state="new"))
        result = store.update_one("c", {"state": {"$eq": "new"}}, {"state": "old"})
        assert result.document == made(1, state="old")

    def test_update_without_a_match(self, store):
        result = store.update_one("c", {"id": {"$eq": "d"}}, {"a": 1})
        assert (result.matched, result.document) == (False, None)
        assert store.find("c").documents == ()

    def test_upsert_inserts_params_alone(self, store):
        where = {"id": {"$eq": "d"}, "key": {"$eq": "k"}}
        result = store.update_one("c", where, {"id": "e", "a": 1}, upsert=True)
        assert (result.matched, result.document) == (False, {"id": "e", "a": 1})
        assert store.find("c").documents == ({"id": "e", "a": 1},)
        with pytest.raises(DuplicateDocument):
            store.update_one("c", where, {"id": "e", "a": 2}, upsert=True)
        assert store.find("c").documents == ({"id": "e", "a": 1},)

    def test_what_an_upsert_returns_is_what_was_stored(self, store):
        params = {"id": "d", "tuple": (1, 2), "part": {}}
        found = store.update_one("c", {"id": {"$eq": "d"}}, params, upsert=True).document
        assert found == {"id": "d", "tuple": [1, 2], "part": {}}
        found["part"]["mine"] = 1
        assert params["part"] == {}

    def test_upsert_updates_what_matches(self, store):
        store.insert_one("c", {"id": "d", "variable_id": "v", "key": "k", "value": 1})
        where = {"variable_id": {"$eq": "v"}, "key": {"$eq": "k"}}
        params = {"id": "new", "variable_id": "v", "key": "k", "value": 2}
        result = store.update_one("c", where, params, upsert=True)
        assert (result.matched, result.document) == (True, params)
        assert store.find("c").documents == (params,)
        assert self.found(store, {"id": {"$eq": "d"}}) == []
        assert self.found(store, {"id": {"$eq": "new"}}) == ["new"]

    def test_an_id_of_another_document_is_refused(self, store):
        store.insert_one("c", {"id": "d"})
        store.insert_one("c", {"id": "e"})
        with pytest.raises(DuplicateDocument):
            store.update_one("c", {"id": {"$eq": "d"}}, {"id": "e", "a": 1})
        assert store.find("c").documents == ({"id": "d"}, {"id": "e"})
        assert store.update_one("c", {"id": {"$eq": "d"}}, {"id": "d", "a": 1}).matched

    def test_fields_that_are_columns_follow_updates(self, store):
        store.insert_one("c", made(1, session_id="s", customer_id="x"))
        store.update_one("c", {}, {"session_id": "t", "customer_id": None, "agent_id": "a",
                                   "creation_utc": 5})  # fmt: skip
        for where in ({"session_id": {"$eq": "t"}}, {"customer_id": {"$eq": None}},
                      {"agent_id": {"$in": ["a", "b"]}}, {"creation_utc": {"$eq": 5}},
                      {"customer_id": {"$ne": "x"}}, {"session_id": {"$nin": ["s"]}}):  # fmt: skip
            assert self.found(store, where) == ["d1"], where
        assert self.found(store, {"session_id": {"$eq": "s"}}) == []

    def test_delete_returns_what_it_removed(self, store):
        for number in (2, 1):
            store.insert_one("c", made(number))
        assert store.delete_one("c", {}) == made(1)
        assert store.delete_one("c", {"id": {"$eq": "d1"}}) is None
        assert store.delete_one("c", {}) == made(2)
        assert store.list_collections() == []

    # Many at once

    def test_updates_of_different_fields_all_stay(self, store):
        store.insert_one("c", {"id": "d"})
        in_threads(lambda n: store.update_one("c", {"id": {"$eq": "d"}}, {f"f{n}": n}), 20)
        assert store.find_one("c") == {"id": "d"} | {f"f{n}": n for n in range(20)}

    def test_each_document_is_deleted_once(self, store):
        for number in range(20):
            store.insert_one("c", made(number))
        deleted: list[Any] = []
        in_threads(lambda _: deleted.append(store.delete_one("c", {})), 20)
        assert sorted(document["id"] for document in deleted) == sorted(
            f"d{number}" for number in range(20)
        )

    def test_an_update_never_brings_a_document_back(self, store):
        for round_ in range(5):
            store.insert_one("c", {"id": f"d{round_}"})
            where = {"id": {"$eq": f"d{round_}"}}

            def work(number: int, where: Any = where) -> None:
                if number % 2:
                    store.delete_one("c", where)
                else:
                    store.update_one("c", where, {"n": number})

            in_threads(work, 8)
        assert store.find("c").documents == ()

    def test_one_of_many_inserts_of_an_id_wins(self, store):
        outcomes: list[str] = []

        def insert(number: int) -> None:
            try:
                store.insert_one("c", {"id": "d", "n": number})
                outcomes.append("stored")
            except DuplicateDocument:
                outcomes.append("refused")

        in_threads(insert, 10)
        assert sorted(outcomes) == ["refused"] * 9 + ["stored"]

    def test_concurrent_upserts_of_one_thing_are_one_document(self, store):
        where = {"variable_id": {"$eq": "v"}, "key": {"$eq": "k"}}

        def upsert(number: int) -> None:
            params = {"id": f"d{number}", "variable_id": "v", "key": "k", f"n{number}": 1}
            store.update_one("c", where, params, upsert=True)

        for round_ in range(5):
            in_threads(upsert, 8)
            (document,) = store.find("c").documents
            assert sum(key.startswith("n") for key in document) == 8, round_
            store.drop_collection("c")

    def test_counting_as_far_as_asked(self, store):
        for number in range(10):
            store.insert_one("c", made(number))
        assert store.find("c", limit=2, count=True).total_count == 10
        assert store.find("c", limit=2, count=4).total_count == 4
        assert store.find("c", limit=6, count=4).total_count == 7
        assert store.find("c", limit=2, count=40).total_count == 10
        assert store.find("c", count=1).total_count == 10
        assert store.find("c", limit=0, count=True).total_count == 10
        with pytest.raises(InvalidLimit):
            store.find("c", limit=1, count=-1)
        with pytest.raises(
            InvalidInput, match="cursor must be a DocumentCursor of the page before"
        ):
            store.find("c", cursor=("", "a"))

    def test_numbers_that_are_free_stay(self, store):
        for session, offset in [("a", 0), ("a", 5), ("b", 5), ("a", -3)]:
            document = {"session_id": session, "offset": offset, "x": "\0"}
            assert numbered_event(store, **document) == document
        assert len(store.find("c").documents) == 4

    def test_numbers_that_are_taken_become_the_next(self, store):
        for offset in (0, 7, 7, 0):
            numbered_event(store, session_id="a", offset=offset)
        found = store.find("c").documents
        assert sorted(event["offset"] for event in found) == [0, 7, 8, 9]
        latest = store.find_one("c", sort=[("offset", "desc")])
        assert latest["offset"] == 9
        assert type(latest["offset"]) is int

    def test_concurrent_writers_never_get_one_number(self, store):
        def write(number: int) -> None:
            for _ in range(10):
                latest = store.find_one(
                    "c", {"session_id": {"$eq": "a"}}, sort=[("offset", "desc")]
                )
                offset = 0 if latest is None else latest["offset"] + 1
                numbered_event(store, session_id="a", offset=offset, writer=number)

        in_threads(write, 6)
        offsets = [event["offset"] for event in store.find("c").documents]
        assert sorted(offsets) == list(range(60))

    @pytest.mark.parametrize(
        "document",
        [
            {"offset": 1},
            {"session_id": "a"},
            {"session_id": "a", "offset": True},
            {"session_id": "a", "offset": 1.0},
            {"session_id": 1, "offset": 1},
        ],
    )
    def test_a_numbered_document_needs_both_fields(self, store, document):
        with pytest.raises(InvalidItem, match="'offset'"):
            numbered_event(store, **document)
        assert store.find("c").documents == ()

    def test_an_id_that_is_taken_is_refused_whatever_its_number(self, store):
        numbered_event(store, session_id="a", offset=1, id="d")
        with pytest.raises(DuplicateDocument):
            numbered_event(store, session_id="a", offset=2, id="d")

    def test_versions_and_their_documents(self, store):
        for number, version in enumerate(["1", "2", None, "1", "2", 3, "\0" * 300]):
            store.insert_one("c", made(number, version=version))
        store.insert_one("c", made(9))
        store.insert_one("other", made(1, version="7"))
        found = [stored.document for stored in store.list_versions("c")]
        assert sorted(map(str, (document.get("version") for document in found))) == sorted(
            ["1", "2", "None", "\0" * 300]
        )
        first = store.read_version("c", "1")
        assert ids([stored.document for stored in first]) == ["d0", "d3"]
        assert store.read_version("c", "1", after=first[0]) == first[1:]
        assert store.read_version("c", "1", limit=1) == first[:1]
        assert len(store.read_version("c", "\0" * 300)) == 1
        rest = store.read_version("c", None)
        assert ids([stored.document for stored in rest]) == ["d2", "d5", "d9"]
        assert store.list_versions("none") == store.read_version("none", None) == []

    def test_what_is_replaced_moves_with_its_columns(self, store):
        store.insert_one("c", made(1, version="1", session_id="s"))
        (stored,) = store.read_version("c", "1")
        new = {"id": "e", "version": "2", "customer_id": "\0", "n": [1]}
        assert store.replace([replacement(stored, new, "other")]) == [True]
        assert store.find("c").documents == ()
        for field in ("id", "version", "customer_id"):
            assert store.find("other", {field: {"$eq": new[field]}}).documents == (new,)
        assert store.find("other", {"session_id": {"$eq": "s"}}).documents == ()

    def test_what_somebody_changed_is_not_replaced(self, store):
        for number in range(3):
            store.insert_one("c", made(number, version="1"))
        stored = store.read_version("c", "1")
        store.update_one("c", {"id": {"$eq": "d0"}}, {"n": 1.0})
        store.delete_one("c", {"id": {"$eq": "d1"}})
        new = [replacement(one, {**one.document, "version": "2"}) for one in stored]
        assert store.replace(new) == [False, False, True]
        assert store.replace(new) == [False, False, False]
        assert store.replace([]) == []
        found = store.find("c").documents
        assert [document["version"] for document in found] == ["1", "2"]

    def test_replacing_is_all_or_nothing(self, store):
        for number in range(3):
            store.insert_one("c", made(number, version="1"))
        stored = store.read_version("c", "1")
        with pytest.raises(DuplicateDocument):
            store.replace([replacement(one, {"id": "d2"}) for one in stored[:2]])
        assert store.read_version("c", "1") == stored

    def test_two_who_replace_at_once_replace_each_once(self, store):
        for number in range(60):
            store.insert_one("c", made(number, version="1"))
        stored = store.read_version("c", "1")
        done: list[int] = []

        def replace(number: int) -> None:
            order = stored if number % 2 else stored[::-1]
            new = [replacement(one, {**one.document, "version": f"by {number}"}) for one in order]
            done.append(sum(store.replace(new)))

        in_threads(replace, 6)
        assert sum(done) == 60
