"""Memories to which tables of the project refer."""

from typing import Any

import pytest

from parlant_store.exceptions import ProtectedRow
from parlant_store.models import Document
from parlant_store.types import MemoryChange
from tests.contract.memories import delete, get, put
from tests.references.models import REFERENCES
from tests.references.operations import LONG_AGO


def refer(way: str) -> Any:
    return REFERENCES["Document", way].objects.create(to_id=Document.objects.get().pk)


def test_a_protected_memory_stays(store):
    put(store, ("n",), "k")
    row = refer("PROTECT")
    changes = [
        MemoryChange(namespace=("n",), key="k", value=None),
        MemoryChange(namespace=("n",), key="other", value={}),
    ]
    with pytest.raises(ProtectedRow, match=f"{type(row).__name__} {row.pk}"):
        store.write_memories(changes)
    assert get(store, ("n",), "k") is not None
    assert get(store, ("n",), "other") is None
    put(store, ("n",), "k", {"n": 2})
    assert get(store, ("n",), "k").value == {"n": 2}
    Document.objects.update(expires_at=LONG_AGO)
    with pytest.raises(ProtectedRow):
        put(store, ("n",), "k")


def test_rows_that_refer_to_a_memory_go_with_it(store):
    model = REFERENCES["Document", "CASCADE"]
    put(store, ("n",), "k")
    refer("CASCADE")
    put(store, ("n",), "k", {"n": 2})
    assert model.objects.count() == 1
    delete(store, ("n",), "k")
    assert model.objects.count() == 0
    put(store, ("n",), "k", ttl_seconds=10)
    refer("CASCADE")
    Document.objects.update(expires_at=LONG_AGO)
    put(store, ("n",), "k")
    assert model.objects.count() == 0
    assert get(store, ("n",), "k") is not None
    assert store.search_memories(("n",))
    assert store.list_memory_namespaces() == [("n",)]
