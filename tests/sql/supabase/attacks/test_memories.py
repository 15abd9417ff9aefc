"""Memories in a collection that is open to users: each reaches those of the own alone."""

from collections.abc import Iterator
from typing import Any

import pytest

from parlant_store.exceptions import AccessDenied, BackendError
from parlant_store.types import MEMORIES, MemoryChange
from tests.sql.supabase.attacks.attackers import USER_COLLECTIONS, A, B, Target, attacked


@pytest.fixture(scope="module")
def project(django_db_setup: None) -> Iterator[Target]:
    with attacked(user_collections=(*USER_COLLECTIONS, MEMORIES)) as target:
        yield target


@pytest.fixture
def target(project: Target) -> Target:
    project.reset()
    return project


@pytest.fixture
def user(target: Target) -> Any:
    """The store as user A has it; B has a memory."""
    b = target.store(target.stack.user_token(B))
    b.write_memories([change(B, user_id=B)])
    return target.store(target.stack.user_token(A))


def change(user: str, **fields: Any) -> MemoryChange:
    given = {"namespace": ("memories", user), "key": "k", "value": {"text": f"apples of {user}"}}
    return MemoryChange(**given | fields)


def test_a_user_has_own_memories(target, user):
    user.write_memories([change(A, user_id=A, ttl_seconds=60)])
    user.write_memories([change(A, user_id=A, ttl_seconds=60, value={"text": "pears"})])
    (memory,) = user.get_memories([(("memories", A), "k")])
    assert memory.value == {"text": "pears"}
    assert user.search_memories(("memories",)) == [memory]
    assert [found.key for found in user.search_memories(search="pears apples")] == ["k"]
    assert user.list_memory_namespaces() == [("memories", A)]
    assert len(target.store().search_memories()) == 2
    user.write_memories([change(A, value=None)])
    assert user.search_memories() == []
    assert len(target.store().search_memories()) == 1


def test_memories_of_another_are_out_of_reach(target, user):
    assert user.get_memories([(("memories", B), "k")]) == [None]
    assert user.search_memories() == user.search_memories(search="apples") == []
    assert user.list_memory_namespaces() == []
    user.write_memories([change(B, value=None)])
    for owner in (A, B, None):
        with pytest.raises(AccessDenied):
            user.write_memories([change(B, user_id=owner)])
    for owner in (B, None):
        with pytest.raises(AccessDenied):
            user.write_memories([change(A, user_id=owner)])
    (memory,) = target.store().search_memories()
    assert memory.value == {"text": f"apples of {B}"}


@pytest.mark.parametrize(
    "fields",
    [
        {"namespace": 5, "key": [], "value": "x", "ttl": "x"},
        {"namespace": ["n"], "key": "k", "value": {}, "ttl": "infinity", "creation_utc": "x"},
        {"namespace": ["n"], "key": "k", "value": {}, "ttl": -1, "creation_utc": "2030-01-01"},
    ],
    ids=str,
)
def test_what_a_user_writes_breaks_no_reads(target, user, fields):
    for id_ in ("n..k", "odd", "memories..x", "..", "n...", "./"):
        user.insert_one(MEMORIES, {"id": id_, "customer_id": A, **fields})
    service = target.store()
    assert len(service.search_memories()) in (1, 7)
    assert len(service.get_memories([(("n",), "k"), (("memories", B), "k")])) == 2
    assert ("memories", B) in service.list_memory_namespaces()
    assert len(service.list_memory_namespaces(max_depth=1)) < 7


def test_calls_of_a_user_are_bounded(user):
    with pytest.raises(BackendError, match="at most"):
        user.get_memories([(("n",), str(number)) for number in range(10_001)])
    with pytest.raises(BackendError, match="at most"):
        user.list_memory_namespaces(limit=10_001)
