"""Filters and sorting of documents: the same answers from every backend."""

import random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from parlant_store.content import query
from parlant_store.exceptions import (
    InvalidFilter,
)
from tests.contract.document_values import (
    BIG,
    COMPARABLE,
    FIELDS,
    LARGE_NUMBERS,
    VALUES,
    filters,
    ids,
    made,
)
from tests.contract.stores import Documents


class FilterContract(Documents):
    """Tests of filters and sorting; a subclass gives the fixture ``make_store``."""

    @pytest.mark.values
    @pytest.mark.parametrize("field", FIELDS)
    def test_every_value_against_every_value(self, store, field):
        documents = [{"n": number, field: value} for number, value in enumerate(VALUES)]
        if field == "id":
            documents = [d for d in documents if isinstance(d["id"], str) and d["id"] not in
                         {"", "a\0"}]  # fmt: skip
        documents.append({"n": -1})
        for document in documents:
            store.insert_one("c", document)
        conditions = [(sign, value) for sign in ("$eq", "$ne") for value in VALUES]
        conditions += [(s, value) for s in ("$gt", "$gte", "$lt", "$lte") for value in COMPARABLE]
        for operator, operand in conditions:
            where = {field: {operator: operand}}
            parsed = query.parse(where)
            expected = {d["n"] for d in documents if query.matches(parsed, d)}
            assert {d["n"] for d in store.find("c", where).documents} == expected, where

    @pytest.mark.values
    @settings(max_examples=200)
    @given(where=filters)
    def test_filters_answer_as_the_grammar_says(self, store, where):
        documents = self._documents_of_all_kinds(store)
        parsed = query.parse(where)
        expected = {d["n"] for d in documents if query.matches(parsed, d)}
        page = store.find("all", where, count=True)
        assert {d["n"] for d in page.documents} == expected
        assert page.total_count == len(expected)

    def _documents_of_all_kinds(self, store) -> list[dict[str, Any]]:
        chance = random.Random(7)
        documents = []
        for number in range(60):
            fields = chance.sample([f for f in FIELDS if f != "id"], chance.randint(0, 4))
            document = {field: chance.choice(VALUES) for field in fields}
            documents.append({"n": number, "id": f"d{number}", **document})
        if store.find_one("all") is None:
            for document in documents:
                store.insert_one("all", document)
        return documents

    @pytest.mark.values
    def test_what_is_true_and_what_is_false(self, store):
        store.insert_one("c", {"id": "d", "a": 1, "b": "x"})
        for where in ({}, None, {"$and": []}, {"a": {}}, {"a": {"$nin": []}}, {"q": {"$ne": 1}},
                      {"q": {"$eq": None}}, {"a": {"$gt": 0, "$lt": 2}}, {"a": {"$eq": 1.0}},
                      {"$and": [{"a": {"$eq": 1}}], "b": {"$eq": "x"}}):  # fmt: skip
            assert self.found(store, where) == ["d"], where
        for where in ({"$or": []}, {"a": {"$in": []}}, {"a": {"$eq": True}}, {"a": {"$eq": "1"}},
                      {"a": {"$ne": 1}}, {"a": {"$gt": "0"}}, {"b": {"$gt": 0}},
                      {"q": {"$lt": 5}}, {"q": {"$in": [1]}}, {"a": {"$eq": None}},
                      {"$and": [{"a": {"$eq": 1}}], "b": {"$eq": "y"}}):  # fmt: skip
            assert self.found(store, where) == [], where

    @pytest.mark.values
    @pytest.mark.parametrize(
        ("where", "said"),
        [
            ({"a": {"$like": 1}}, r"'\$like' on 'a' is no operator"),
            ({"a": {"eq": 1}}, "'eq' on 'a' is no operator"),
            ({"a": 1}, r"condition on 'a' must be a mapping.*\$eq"),
            ({"$not": {}}, r"'\$not' is no operator and no field"),
            ({5: {"$eq": 1}}, "5 is no operator and no field"),
            ({"$and": {"a": {"$eq": 1}}}, r"\$and takes a list"),
            ({"$or": "x"}, r"\$or takes a list"),
            ({"$or": [1]}, "a filter must be a mapping"),
            ({"a": {"$in": "x"}}, r"\$in on 'a' takes a list"),
            ({"a": {"$nin": 5}}, r"\$nin on 'a' takes a list"),
            ({"a": {"$gt": None}}, r"\$gt on 'a' compares text"),
            ({"a": {"$lt": [1]}}, r"\$lt on 'a' compares text"),
            ({"a": {"$eq": float("nan")}}, "nan"),
            ([], "a filter must be a mapping"),
            ("x", "a filter must be a mapping"),
        ],
    )
    def test_what_is_no_filter_is_refused(self, store, where, said):
        for call in (store.find, store.find_one, store.delete_one):
            with pytest.raises(InvalidFilter, match=said):
                call("c", where)
        with pytest.raises(InvalidFilter, match=said):
            store.update_one("c", where, {})

    @pytest.mark.values
    def test_nesting_without_end_is_refused(self, store):
        where: dict[str, Any] = {}
        for _ in range(60):
            where = {"$and": [where]}
        with pytest.raises(InvalidFilter, match="levels"):
            store.find("c", where)

    @pytest.mark.values
    def test_filters_of_thousands_of_terms(self, store):
        for number in range(20):
            store.insert_one("c", made(number, tag=f"t{number}"))
        terms = [{"id": {"$eq": f"d{number}"}} for number in range(10, 10_000)]
        assert len(self.found(store, {"$or": terms})) == 10
        terms = [{"id": {"$eq": f"d{n}"}, "tag": {"$eq": f"t{n}"}} for n in range(15, 3_000)]
        assert len(self.found(store, {"$or": terms})) == 5
        terms = [{"id": {"$ne": f"d{number}"}} for number in range(18, 3_000)]
        assert len(self.found(store, {"$and": terms})) == 18
        assert len(self.found(store, {"id": {"$in": {f"d{n}" for n in range(20_000)}}})) == 20

    @pytest.mark.values
    @pytest.mark.parametrize("field", ["offset", "n", "a.b", 'q"'])
    def test_sorting_goes_by_kind_and_value(self, store, field):
        ascending = [None, False, True, "", "B", "a", "é", -BIG, -1.5, 0, 2, 10, BIG]
        for number, value in enumerate(random.Random(3).sample(ascending, len(ascending))):
            store.insert_one("c", made(number, **{field: value}))
        left = list(ascending)
        while left:
            low = store.find_one("c", sort=[(field, "asc")])[field]
            high = store.find_one("c", sort=[(field, "desc")])[field]
            assert (low, high) == (left[0], left[-1])
            store.delete_one("c", {field: {"$eq": left.pop(0)}})

    def test_sorting_by_several_fields(self, store):
        for number, (a, b) in enumerate([(1, 1), (1, 2), (2, 1), (2, 2)]):
            store.insert_one("c", made(number, a=a, b=b))
        assert store.find_one("c", sort=[("a", "asc"), ("b", "desc")])["id"] == "d1"
        assert store.find_one("c", sort=[("a", "desc"), ("b", "asc")])["id"] == "d2"
        assert store.find_one("c", sort=[("q", "desc")])["id"] == "d0"

    @pytest.mark.values
    @pytest.mark.parametrize("sort", [[("a", "up")], ["a"], [("a",)], [(1, "asc")]])
    def test_bad_sorts_are_refused(self, store, sort):
        with pytest.raises(InvalidFilter):
            store.find_one("c", sort=sort)

    @pytest.mark.values
    @given(st.lists(LARGE_NUMBERS, min_size=2, max_size=8), LARGE_NUMBERS, st.booleans())
    @example([float(2**63), 2**63, 2**63 + 1, 2**63 - 1], 2**63, True)
    @example([1e23, 10**23, -1e23, -(10**23), 10**23 - 1], 1e23, False)
    @settings(max_examples=80)
    def test_large_numbers_compare_exactly(self, store, values, operand, indexed):
        field = "offset" if indexed else "n"
        store.drop_collection("c")
        for number, value in enumerate(values):
            store.insert_one("c", made(number, **{field: value}))
        documents = store.find("c").documents
        assert [repr(document[field]) for document in documents] == list(map(repr, values))
        for operator in ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin"):
            several = [operand, values[0]] if operator in ("$in", "$nin") else operand
            where = {field: {operator: several}}
            expected = [d["id"] for d in documents if query.matches(query.parse(where), d)]
            assert ids(store.find("c", where).documents) == expected, operator
        for way, best in (("asc", min(values)), ("desc", max(values))):
            assert store.find_one("c", sort=[(field, way)])[field] == best
