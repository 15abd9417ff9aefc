"""Memories in a Django database."""

from typing import Any

import pytest

from parlant_store.backends.orm import OrmBackend
from parlant_store.models import Document
from parlant_store.types import MemoryChange
from tests.backends.orm.test_sessions import make_store as make_store
from tests.backends.rows_read import analyze, work_of
from tests.contract.memories import MemoryContract, put


class TestOrmMemories(MemoryContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store

    def test_columns(self, store, clock):
        put(store, ("n",), "k", {"text": "Some words"}, user_id="ada", ttl_seconds=10)
        row = Document.objects.get()
        assert (row.collection, row.document_id) == ("langgraph_store", "n..k")
        assert (row.customer_id, row.creation_utc) == ("ada", "2030-01-01T00:00:00+00:00")
        assert row.updated_at == clock()
        assert row.terms is not None
        put(store, ("n",), "k", {})
        row.refresh_from_db()
        assert (row.customer_id, row.expires_at, row.terms) == (None, None, None)

    def test_reindexing_writes_the_words_again(self, store):
        put(store, ("n",), "k", {"text": "words"})
        Document.objects.update(terms=None)
        assert store.search_memories(search="words") == []
        assert store.reindex_documents(0, 10).changed == 1
        assert len(store.search_memories(search="words")) == 1


def fill(store: OrmBackend, count: int) -> None:
    """Write memories of many users, beside those in ("u", "5", "x") and other documents."""
    for start in range(0, count, 500):
        store.write_memories(
            [
                MemoryChange(
                    namespace=("u", str(10 + number % 10), "y"),
                    key=f"{number}",
                    value={"n": number, "text": f"word{number}"},
                )
                for number in range(start, start + 500)
            ]
        )


CALLS: dict[str, Any] = {
    "get": lambda store: store.get_memories([(("u", "5", "x"), "1")]),
    "put": lambda store: put(store, ("u", "5", "x"), "1"),
    "search": lambda store: store.search_memories(("u", "5")),
    "search by a filter": lambda store: store.search_memories(("u", "5"), {"n": {"$gt": 2}}),
    "search by words": lambda store: store.search_memories(("u", "5"), search="rare"),
    "list": lambda store: store.list_memory_namespaces(max_depth=2),
}


@pytest.mark.parametrize("name", CALLS)
def test_cost_does_not_grow_with_other_memories(make_store, name):
    store = make_store()
    for number in range(5):
        put(store, ("u", "5", "x"), str(number), {"n": number, "text": "rare"})
    work = []
    for count in (500, 5_000):
        fill(store, count)
        analyze()
        for _ in range(7):
            CALLS[name](store)
        work.append(work_of(lambda: CALLS[name](store)))
    assert work[1] <= work[0] * 1.5 + 5
