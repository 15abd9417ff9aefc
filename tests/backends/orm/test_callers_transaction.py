"""Errors that a caller catches within a transaction of its own leave the rest of it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from parlant_store.exceptions import DuplicateDocument, InvalidInput, SessionNotFound, StoreError
from tests.contract.document_values import replacement
from tests.contract.values import numbered

pytestmark = [pytest.mark.orm, pytest.mark.usefixtures("own_indexes")]

ID = {"id": {"$eq": "a"}}


def replace(store: Any) -> Any:
    """The first of two replacements is good."""
    versions = {each.document["id"]: each for each in store.read_version("c", "1")}
    new = [
        replacement(versions["a"], {"id": "a", "n": 5}),
        replacement(versions["b"], {"id": "a", "n": 6}),
    ]
    return store.replace(new)


def branch_from_nowhere(store: Any) -> Any:
    return store.branch("nowhere", "s")


REFUSED: dict[str, tuple[type[StoreError], Callable[[Any], Any]]] = {
    "insert_one": (DuplicateDocument, lambda s: s.insert_one("c", {"id": "a"})),
    "insert_one, unique field": (DuplicateDocument, lambda s: s.insert_one("u", {"name": "x"})),
    "update_one": (DuplicateDocument, lambda s: s.update_one("c", ID, {"id": "b"})),
    "update_one, unique field": (
        DuplicateDocument,
        lambda s: s.update_one("u", {"id": {"$eq": "y"}}, {"name": "x"}),
    ),
    "update_one, upsert": (
        DuplicateDocument,
        lambda s: s.update_one("c", {"id": {"$eq": "z"}}, {"id": "b"}, upsert=True),
    ),
    "insert_numbered": (
        DuplicateDocument,
        lambda s: s.insert_numbered(
            "c", {"id": "a", "o": 1, "session_id": "s"}, number="o", within="session_id"
        ),
    ),
    "replace": (DuplicateDocument, replace),
    "ensure_index": (
        DuplicateDocument,
        lambda s: s.ensure_index("c", [("same", "asc")], unique=True),
    ),
    "branch": (SessionNotFound, branch_from_nowhere),
    "add_items": (InvalidInput, lambda s: s.add_items("s", [*numbered(7), {"n": float("nan")}])),
}


@pytest.fixture
def filled(store: Any) -> Any:
    for name in ("a", "b"):
        store.insert_one("c", {"id": name, "version": "1", "same": 1})
    store.ensure_index("u", [("name", "asc")], unique=True)
    for document in ({"id": "x", "name": "x"}, {"id": "y", "name": "y"}):
        store.insert_one("u", document)
    store.add_items("s", numbered(1))
    return store


def contents(store: Any) -> Any:
    return [store.find("c").documents, store.find("u").documents, store.get_items("s")]


@pytest.fixture(params=["plain", "with a request id", "through Django's cursor"])
def way(request: pytest.FixtureRequest) -> Any:
    if request.param != "through Django's cursor":
        yield request.param
        return
    with connection.execute_wrapper(lambda execute, *arguments: execute(*arguments)):
        yield request.param


def call(refused: Callable[[Any], Any], store: Any, way: str) -> None:
    if way == "with a request id":
        store = WithRequestId(store)
    refused(store)


class WithRequestId:
    """A store whose writes have an id."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name.startswith(("find", "read")):
            return method
        return lambda *args, **kwargs: method(*args, request_id="an id", **kwargs)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_leaves_the_block(filled: Any, name: str, way: str) -> None:
    kind, refused = REFUSED[name]
    before = contents(filled)
    with transaction.atomic():
        User.objects.create(username="before")
        filled.add_items("t", numbered(1))
        with pytest.raises(kind):
            call(refused, filled, way)
        assert contents(filled) == before
        User.objects.create(username="after")
        filled.add_items("t", numbered(2))
    assert User.objects.filter(username__in=["before", "after"]).count() == 2
    assert contents(filled) == before
    assert filled.get_items("t") == numbered(1, 2)


@pytest.mark.parametrize("name", REFUSED)
def test_the_caller_may_still_undo_it(filled: Any, name: str) -> None:
    kind, refused = REFUSED[name]
    before = contents(filled)
    with pytest.raises(kind), transaction.atomic():
        filled.add_items("s", numbered(2))
        refused(filled)
    assert contents(filled) == before
    with transaction.atomic():
        with pytest.raises(kind), transaction.atomic():
            filled.add_items("s", numbered(2))
            refused(filled)
        filled.add_items("t", numbered(3))
    assert contents(filled) == before
    assert filled.get_items("t") == numbered(3)
