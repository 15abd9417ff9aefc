"""Indexes of collections: the same from every backend."""

import pytest

from parlant_store.content import query
from parlant_store.exceptions import (
    DuplicateDocument,
    InvalidFilter,
)
from tests.contract.document_values import BIG, VALUES, ids, made
from tests.contract.stores import Documents
from tests.contract.threads import in_threads


class IndexContract(Documents):
    """Tests of indexes; a subclass gives the fixture ``make_store``."""

    @pytest.mark.parametrize(
        "value", ["x", "x" * 10_000, "\0", 1, 1.5, BIG, True, False, [1], {"a": "x"}]
    )
    def test_a_unique_index_is_enforced(self, store, value):
        assert store.ensure_index("c", [("name", "asc"), ("n", "desc")], unique=True)
        assert not store.ensure_index("c", [("n", "asc"), ("name", "asc")], unique=True)
        store.insert_one("c", {"id": "a", "name": value, "n": 1})
        with pytest.raises(DuplicateDocument, match="unique index"):
            store.insert_one("c", {"id": "b", "name": value, "n": 1.0})
        store.insert_one("c", {"id": "b", "name": value, "n": 2})
        with pytest.raises(DuplicateDocument, match="unique index"):
            store.update_one("c", {"id": {"$eq": "b"}}, {"n": 1})
        assert len(store.find("c", {"name": {"$eq": value}}).documents) == 2
        for other in ("other", "C", "c'"):
            store.insert_one(other, {"name": value, "n": 1})
            store.insert_one(other, {"name": value, "n": 1})

    def test_a_unique_index_tells_values_apart_and_exempts_what_is_missing(self, store):
        store.ensure_index("c", [("name", "asc")], unique=True)
        for value in ("1", 1, True, "true", None, None, [1], "[1]"):
            store.insert_one("c", {"name": value})
        store.insert_one("c", {})
        store.insert_one("c", {})
        assert len(store.find("c").documents) == 10

    def test_a_unique_index_needs_documents_that_differ(self, store):
        for number in range(2):
            store.insert_one("c", made(number, name="same"))
        with pytest.raises(DuplicateDocument, match="share their name"):
            store.ensure_index("c", [("name", "asc")], unique=True)
        store.insert_one("c", made(3, name="same"))

    def test_an_index_changes_no_answer(self, store):
        documents = [made(n, name=value) for n, value in enumerate([*VALUES, "y" * 5_000])]
        for document in documents[::2]:
            store.insert_one("c", document)
        assert store.ensure_index("c", [("name", "asc")])
        assert not store.ensure_index("c", [("name", "desc")])
        assert not store.ensure_index("other", [("name", "asc")])
        for document in documents[1::2]:
            store.insert_one("c", document)
        for value in (*VALUES, "y" * 5_000):
            where = {"name": {"$eq": value}}
            filter_ = query.parse(where)
            expected = [d["id"] for d in documents if query.matches(filter_, d)]
            assert sorted(ids(store.find("c", where).documents)) == sorted(expected)

    @pytest.mark.values
    @pytest.mark.parametrize(
        "fields",
        [["id"], ["creation_utc", "id"], ["agent_id"], ["session_id", "offset"], ["variable_id"]],
    )
    def test_an_index_that_is_there_in_other_words_is_not_made_again(self, store, fields):
        assert not store.ensure_index("c", [(field, "asc") for field in fields])

    @pytest.mark.values
    @pytest.mark.parametrize("fields", [[], [("a.b", "asc")], [("a'b", "asc")], [("a", "up")]])
    def test_what_cannot_be_an_index_is_refused(self, store, fields):
        with pytest.raises(InvalidFilter):
            store.ensure_index("c", fields)

    def test_indexes_made_at_once(self, store):
        made_now: list[bool] = []

        def ensure(number: int) -> None:
            made_now.append(store.ensure_index("c", [("at_once", "asc"), ("b", "desc")]))
            store.insert_one("c", {"at_once": number})

        in_threads(ensure, 6)
        assert sorted(made_now) == [False] * 5 + [True]
