"""Writes with a request id: the same id again does nothing and returns the first answer."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from parlant_store.exceptions import DuplicateDocument
from parlant_store.models import Request
from parlant_store.types import MemoryChange, Replacement
from tests.contract.document_values import made
from tests.contract.session_requests import (
    LATER,
    SESSION_WRITES,
    SessionRequestContract,
)
from tests.contract.session_requests import everything as everything
from tests.contract.values import numbered

WRITES: dict[str, Callable[..., Any]] = {
    **SESSION_WRITES,
    "insert_one": lambda store, **id_: store.insert_one("c", made(7, x=10**30), **id_),
    "insert_one without an id": lambda store, **id_: store.insert_one("c", {"x": 1}, **id_),
    "insert_numbered": lambda store, **id_: store.insert_numbered(
        "c", {"session_id": "s", "offset": 3}, number="offset", within="session_id", **id_
    ),
    "update_one": lambda store, **id_: store.update_one(
        "c", {"id": {"$eq": "d1"}}, {"text": "\0 \ud800 1", "float": 1.0}, **id_
    ),
    "update_one of none": lambda store, **id_: store.update_one(
        "c", {"id": {"$eq": "none"}}, {"a": 1}, **id_
    ),
    "upsert": lambda store, **id_: store.update_one(
        "c", {"a": {"$eq": 5}}, {"b": 1}, upsert=True, **id_
    ),
    "delete_one": lambda store, **id_: store.delete_one("c", {}, **id_),
    "delete_one of none": lambda store, **id_: store.delete_one("none", {}, **id_),
    "drop_collection": lambda store, **id_: store.drop_collection("c", **id_),
    "set_document_expiry": lambda store, **id_: store.set_document_expiry("c", "d1", LATER, **id_),
    "replace": lambda store, stored, **id_: store.replace(
        [
            Replacement(stored=each, document={**each.document, "new": 1}, collection="c")
            for each in stored
        ],
        **id_,
    ),
    "ensure_index": lambda store, **id_: store.ensure_index("c", [("field", "asc")], **id_),
    "write_memories": lambda store, **id_: store.write_memories(
        [MemoryChange(namespace=("n",), key="k", value={"x": "\0"})], **id_
    ),
}
"""Every write of the contract, some of them in several ways."""


@pytest.mark.usefixtures("own_indexes")
class RequestContract(SessionRequestContract):
    """Tests of request ids; a subclass gives the fixture ``make_store``."""

    refused = (
        *SessionRequestContract.refused,
        lambda store, **id_: store.insert_one("c", made(7), **id_),
        lambda store, **id_: store.drop_collection("c", **id_),
    )

    @pytest.fixture
    def filled(self, store):
        store.add_items("s", numbered(1, 2, 3), user_id="ada")
        store.set_metadata("s", {"k": 1})
        for number in (1, 2):
            store.insert_one("c", made(number))
        return store

    @pytest.fixture(params=WRITES)
    def write(self, request, filled):
        """A write that takes ``request_id``."""
        call = WRITES[request.param]
        given: dict[str, Any] = {}
        if request.param == "save_snapshot of a part":
            given["since"] = filled.load_snapshot("s").revision
        if request.param == "replace":
            given["stored"] = filled.read_version("c", None)
        return lambda id_: call(filled, **given, request_id=id_)

    def test_an_id_counts_for_an_hour(self, filled):
        assert filled.pop_item("s", request_id="an id") == {"n": 3}
        Request.objects.update(created_at=timezone.now() - timedelta(minutes=59))
        assert filled.pop_item("s", request_id="an id") == {"n": 3}
        Request.objects.update(created_at=timezone.now() - timedelta(minutes=61))
        assert filled.pop_item("s", request_id="an id") == {"n": 2}
        assert filled.pop_item("s", request_id="an id") == {"n": 2}

    def test_old_answers_are_removed(self, filled):
        for number in range(5):
            filled.add_items("s", numbered(number), request_id=str(number))
        Request.objects.update(created_at=timezone.now() - timedelta(minutes=61))
        filled.add_items("s", numbered(9), request_id="9")
        assert Request.objects.count() == 1
        Request.objects.update(created_at=timezone.now() - timedelta(minutes=61))
        filled.expire()
        hour_ago = timezone.now() - timedelta(hours=1)
        assert not Request.objects.filter(created_at__lt=hour_ago).exists()

    def test_a_duplicate_is_no_answer(self, filled):
        for _ in range(2):
            with pytest.raises(DuplicateDocument):
                filled.insert_one("c", made(1), request_id="an id")
        filled.delete_one("c", {"id": {"$eq": "d1"}})
        for _ in range(2):
            filled.insert_one("c", made(1, x=1), request_id="an id")
        assert filled.find_one("c", {"id": {"$eq": "d1"}}) == made(1, x=1)

    def test_a_duplicate_number_or_upsert_is_no_answer(self, filled):
        numbering = {"number": "offset", "within": "session_id", "request_id": "an id"}
        document = {**made(1), "session_id": "s", "offset": 0}
        upsert = {"upsert": True, "request_id": "an id"}
        with pytest.raises(DuplicateDocument):
            filled.insert_numbered("c", document, **numbering)
        with pytest.raises(DuplicateDocument):
            filled.update_one("c", {"a": {"$eq": 1}}, made(2, a=1), **upsert)
        filled.drop_collection("c")
        assert filled.insert_numbered("c", document, **numbering) == document
        assert filled.insert_numbered("c", document, **numbering) == document
        assert not filled.update_one("c", {"a": {"$eq": 1}}, made(2, a=1), **upsert).matched
        assert not filled.update_one("c", {"a": {"$eq": 1}}, made(2, a=1), **upsert).matched
        assert len(filled.find("c").documents) == 2
