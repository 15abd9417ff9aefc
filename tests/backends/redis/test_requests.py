"""Writes with a request id in Redis: the same id again does nothing."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest

from parlant_store.exceptions import InvalidInput, SessionNotFound
from tests.contract.requests import BAD_IDS, WRITES
from tests.contract.values import numbered

DOCUMENTS = (
    "insert",
    "update",
    "upsert",
    "delete_one",
    "drop",
    "set_document",
    "replace",
    "ensure",
)


def is_of_sessions(name: str) -> bool:
    return name == "replace_items" or not name.startswith(DOCUMENTS)


def everything(store) -> Any:
    sessions = store.list_sessions().sessions
    return (
        sessions,
        [store.get_items(session.session_id) for session in sessions],
        [store.load_snapshot(session.session_id) for session in sessions],
    )


@pytest.fixture
def filled(store):
    store.add_items("s", numbered(1, 2, 3), user_id="ada")
    store.set_metadata("s", {"k": 1})
    return store


@pytest.fixture(params=filter(is_of_sessions, WRITES))
def write(request, filled):
    """A write that takes ``request_id``."""
    call, given = WRITES[request.param], {}
    if request.param == "save_snapshot of a part":
        given["since"] = filled.load_snapshot("s").revision
    return lambda id_: call(filled, **given, request_id=id_)


def test_the_same_id_does_nothing_and_returns_the_first_answer(filled, write):
    answer, after = write("an id"), everything(filled)
    for _ in range(2):
        assert write("an id") == answer
        assert everything(filled) == after


def test_what_happened_since_stays(filled, write):
    answer = write("an id")
    filled.add_items("s", numbered(9))
    after = everything(filled)
    assert write("an id") == answer
    assert everything(filled) == after


def test_those_who_repeat_at_once_get_one_answer(filled, write):
    start = Barrier(4)

    def repeat(_: int) -> Any:
        start.wait()
        return write("an id")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(repeat, range(4)))
    assert answers == [answers[0]] * 4
    after = everything(filled)
    assert write("an id") == answers[0]
    assert everything(filled) == after


def test_another_id_is_another_request(filled):
    for id_ in ("one", "two", uuid4(), None, None, "\ud800", "One"):
        filled.add_items("s", numbered(5), request_id=id_)
    assert filled.get_items("s") == numbered(1, 2, 3, *[5] * 7)


def test_an_id_counts_for_one_method(filled):
    filled.add_items("s", numbered(4), request_id="an id")
    assert filled.pop_item("s", request_id="an id") == {"n": 4}
    assert filled.pop_item("s", request_id="an id") == {"n": 4}
    filled.add_items("s", numbered(4), request_id="an id")
    assert filled.get_items("s") == numbered(1, 2, 3)


def test_no_session_to_branch_from_is_no_answer(filled):
    for _ in range(2):
        with pytest.raises(SessionNotFound):
            filled.branch("later", "new", request_id="an id")
    filled.add_items("later", numbered(1))
    filled.branch("later", "new", request_id="an id")
    filled.delete_session("later")
    filled.branch("later", "new", request_id="an id")
    assert filled.get_items("new") == numbered(1)


@pytest.mark.parametrize("bad", BAD_IDS)
def test_a_bad_id_is_refused_before_anything_is_written(filled, bad):
    before = everything(filled)
    for call in (
        lambda: filled.add_items("s", numbered(4), request_id=bad),
        lambda: filled.pop_item("s", request_id=bad),
    ):
        with pytest.raises(InvalidInput, match="request_id"):
            call()
    assert everything(filled) == before


def test_answers_are_stored_for_an_hour_and_those_of_other_writes_are_few(filled, own_keys):
    filled.pop_item("s", request_id="an id")
    for number in range(50):
        filled.add_items("s", numbered(number))
    requests = {key: ttl for key, ttl in own_keys().items() if b":request:" in key}
    assert len(requests) == 2
    low, high = sorted(requests.values())
    assert 60_000 < low <= 120_000
    assert 3_500_000 < high <= 3_600_000
