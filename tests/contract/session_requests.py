"""Writes to sessions with a request id: the same from every backend."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections

from parlant_store.backends.base import BaseBackend
from parlant_store.exceptions import InvalidInput, SessionNotFound
from tests.contract.stores import Timed
from tests.contract.values import numbered

LATER = datetime(2031, 1, 1, tzinfo=UTC)
BAD_IDS = ["", "a\0b", "x" * 4097, 5, b"bytes", True, ["a"]]

SESSION_WRITES: dict[str, Callable[..., Any]] = {
    "add_items": lambda store, **id_: store.add_items("s", numbered(7, 8), **id_),
    "add_items to a new session": lambda store, **id_: store.add_items("n", numbered(7), **id_),
    "replace_items": lambda store, **id_: store.replace_items("s", numbered(7, 8), **id_),
    "pop_item": lambda store, **id_: store.pop_item("s", **id_),
    "pop_item of nothing": lambda store, **id_: store.pop_item("none", **id_),
    "clear": lambda store, **id_: store.clear("s", **id_),
    "delete_session": lambda store, **id_: store.delete_session("s", **id_),
    "delete_session of none": lambda store, **id_: store.delete_session("none", **id_),
    "set_metadata": lambda store, **id_: store.set_metadata("s", {"a": 1.0, "b": "\0"}, **id_),
    "merge metadata": lambda store, **id_: store.set_metadata("s", {"z": []}, merge=True, **id_),
    "set_expiry": lambda store, **id_: store.set_expiry("s", LATER, **id_),
    "add_usage": lambda store, **id_: store.add_usage("s", 5, **id_),
    "add_usage of none": lambda store, **id_: store.add_usage("none", 5, **id_),
    "set_expiry of none": lambda store, **id_: store.set_expiry("none", LATER, **id_),
    "save_snapshot": lambda store, **id_: store.save_snapshot(
        "s", numbered(7), state={"a": 1}, **id_
    ),
    "save_snapshot of a part": lambda store, since, **id_: store.save_snapshot(
        "s", numbered(7), state={}, since=since, drop=1, keep=1, **id_
    ),
    "branch": lambda store, **id_: store.branch("s", "branched", **id_),
    "branch of a part": lambda store, **id_: store.branch("s", "branched", at_position=0, **id_),
    "keep_latest": lambda store, **id_: store.keep_latest("s", items=0, **id_),
    "truncate": lambda store, **id_: store.truncate("s", after_position=0, **id_),
    "replace_tail": lambda store, **id_: store.replace_tail("s", 1, numbered(7, 8), **id_),
}
"""Every write to sessions, some of them in several ways."""


def everything(store: BaseBackend) -> Any:
    """All that the store has."""
    sessions = store.list_sessions().sessions
    snapshots = [store.load_snapshot(session.session_id) for session in sessions]
    collections = store.list_collections() if store.supports_documents else []
    documents = {name: store.find(name).documents for name in collections}
    return (
        sessions,
        [(snapshot.items, snapshot.state) for snapshot in snapshots if snapshot is not None],
        documents,
        [
            # When it expires, which the document does not say.
            store.get_document(name, document["id"])
            for name, found in documents.items()
            for document in found
            if "id" in document
        ],
    )


def with_revisions(store: BaseBackend) -> Any:
    """All that the store has, and the revision of each session."""
    sessions = store.list_sessions().sessions
    return everything(store), [store.load_snapshot(session.session_id) for session in sessions]


class SessionRequestContract(Timed):
    """Tests of request ids; a subclass gives the fixture ``make_store``."""

    refused: tuple[Callable[..., Any], ...] = (
        lambda store, **id_: store.add_items("s", numbered(4), **id_),
        lambda store, **id_: store.pop_item("s", **id_),
    )
    """Writes that a bad id is given to."""

    @pytest.fixture
    def filled(self, store):
        store.add_items("s", numbered(1, 2, 3), user_id="ada")
        store.set_metadata("s", {"k": 1})
        return store

    @pytest.fixture(params=SESSION_WRITES)
    def write(self, request, filled):
        """A write that takes ``request_id``."""
        call = SESSION_WRITES[request.param]
        given: dict[str, Any] = {}
        if request.param == "save_snapshot of a part":
            given["since"] = filled.load_snapshot("s").revision
        return lambda id_: call(filled, **given, request_id=id_)

    def test_the_same_id_does_nothing_and_returns_the_first_answer(self, filled, write, clock):
        answer, after = write("an id"), with_revisions(filled)
        for _ in range(2):
            clock.pass_(1)
            assert write("an id") == answer
            assert with_revisions(filled) == after

    def test_what_happened_since_stays(self, filled, write):
        answer = write("an id")
        filled.add_items("s", numbered(9))
        if filled.supports_documents:
            filled.update_one("c", {"id": {"$eq": "d9"}}, {"id": "d9"}, upsert=True)
        after = with_revisions(filled)
        assert write("an id") == answer
        assert with_revisions(filled) == after

    def test_those_who_repeat_at_once_get_one_answer(self, filled, write):
        start = Barrier(4)

        def repeat() -> Any:
            start.wait()
            try:
                return write("an id")
            finally:
                connections.close_all()

        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(repeat) for _ in range(4)]
            answers = [call.result() for call in calls]
        assert answers == [answers[0]] * 4
        after = with_revisions(filled)
        assert write("an id") == answers[0]
        assert with_revisions(filled) == after
        added = [item["n"] for item in filled.get_items("s")]
        assert len(added) == len(set(added))

    def test_another_id_is_another_request(self, filled):
        for id_ in ("one", "two", uuid4(), uuid4(), None, None, "\ud800", "One"):
            filled.add_items("s", numbered(5), request_id=id_)
        assert filled.get_items("s") == numbered(1, 2, 3, *[5] * 8)

    def test_a_uuid_is_its_text(self, filled):
        id_ = uuid4()
        for given in (id_, str(id_), str(id_).upper()):
            filled.add_items("s", numbered(4), request_id=given)
        assert filled.get_items("s") == numbered(1, 2, 3, 4)

    def test_an_id_counts_for_one_method(self, filled):
        filled.add_items("s", numbered(4), request_id="an id")
        assert filled.pop_item("s", request_id="an id") == {"n": 4}
        assert filled.pop_item("s", request_id="an id") == {"n": 4}
        filled.replace_items("s", numbered(7), request_id="an id")
        filled.add_items("s", numbered(4), request_id="an id")
        assert filled.get_items("s") == numbered(7)

    def test_no_session_to_branch_from_is_no_answer(self, filled):
        for _ in range(2):
            with pytest.raises(SessionNotFound):
                filled.branch("later", "new", request_id="an id")
        filled.add_items("later", numbered(1))
        for _ in range(2):
            filled.branch("later", "new", request_id="an id")
        filled.delete_session("later")
        filled.branch("later", "new", request_id="an id")
        assert filled.get_items("new") == numbered(1)

    @pytest.mark.parametrize("bad", BAD_IDS)
    def test_a_bad_id_is_refused_before_anything_is_written(self, filled, bad):
        before = everything(filled)
        for call in self.refused:
            with pytest.raises(InvalidInput, match="request_id"):
                call(filled, request_id=bad)
        assert everything(filled) == before
