"""Saving writes what changed, and never mixes two snapshots."""

import random
import sys
import threading
from array import array
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from selectools.types import Message, Role, ToolCall

from parlant_store.adapters.selectools import SessionStore
from parlant_store.adapters.selectools.change_tracking import OVERHEAD, overlap
from tests.adapters.selectools.messages import assistant, memory, texts, turns, user
from tests.stored_items import rows

STATEMENTS = {"postgresql": 1, "sqlite": 8}
"""How many statements a save may be; on SQLite there is no way to their server to save."""


class Written:
    """How many rows were written and removed between ``with`` and its end."""

    def __enter__(self):
        self.before = rows()
        return self

    def __exit__(self, *error):
        after = rows()
        self.new, self.gone = len(after - self.before), len(self.before - after)


def saved(sessions, kept, **options) -> tuple[int, int]:
    """Save ``kept``, check that another object loads it, and say how many rows it cost."""
    with Written() as written:
        sessions.save("s", kept, **options)
    assert SessionStore().load("s").to_dict() == kept.to_dict()
    return written.new, written.gone


@pytest.mark.tables
def test_a_turn_costs_its_own_rows(sessions, other):
    kept = memory(*turns(*range(100)))
    assert saved(sessions, kept) == (200, 0)
    kept.add_many(turns(100))
    assert saved(sessions, kept) == (2, 0)
    assert saved(sessions, kept) == (0, 0)
    loaded = other.load("s")
    loaded.add_many(turns(101))
    assert saved(other, loaded) == (2, 0)
    loaded = sessions.load("s")
    loaded.add_many(turns(102))
    assert saved(sessions, loaded) == (2, 0)


@pytest.mark.tables
def test_a_window_that_dropped_its_oldest(sessions):
    kept = memory(*turns(*range(50)), max_messages=100)
    assert saved(sessions, kept) == (100, 0)
    for number in range(50, 53):
        kept.add_many(turns(number))
        assert saved(sessions, kept) == (2, 2)


@pytest.mark.tables
def test_an_edited_message(sessions):
    kept = memory(*turns(*range(10)))
    saved(sessions, kept)
    kept.get_history()[15].content = "another answer"
    assert saved(sessions, kept) == (5, 5)
    kept._messages.pop()
    assert saved(sessions, kept) == (0, 1)
    kept._messages = kept._messages[4:] + turns(10)
    kept._messages[10].content = "changed"
    assert saved(sessions, kept) == (7, 9)


@pytest.mark.tables
@pytest.mark.parametrize(
    "change",
    [
        lambda message: setattr(message, "role", Role.SYSTEM),
        lambda message: setattr(message, "tool_name", "x"),
        lambda message: setattr(message, "tool_result", "x"),
        lambda message: setattr(message, "tool_call_id", "x"),
        lambda message: setattr(message, "image_base64", "x"),
        lambda message: setattr(message, "tool_calls", [ToolCall("f", {})]),
        lambda message: setattr(message, "content", ""),
    ],
)
def test_any_field_that_changes_is_noticed(sessions, change):
    kept = memory(*turns(1, 2))
    saved(sessions, kept)
    change(kept.get_history()[2])
    assert saved(sessions, kept) == (2, 2)


@pytest.mark.tables
def test_a_content_that_is_no_text_and_changes_is_noticed(sessions):
    kept = memory(*turns(1, 2))
    kept.get_history()[2].content = ["one"]
    sessions.save("s", kept)
    kept.get_history()[2].content.append("two")
    with Written() as written:
        sessions.save("s", kept)
    assert (written.new, written.gone) == (2, 2)


@pytest.mark.tables
def test_parameters_edited_in_place_are_noticed(sessions):
    call = ToolCall("f", {"deep": {"list": [1]}}, "c")
    kept = memory(user("go"), Message(role=Role.ASSISTANT, tool_calls=[call]), user("on"))
    saved(sessions, kept)
    assert saved(sessions, kept) == (0, 0)
    call.parameters["deep"]["list"].append(2)
    assert saved(sessions, kept) == (2, 2)
    data = {"messages": [{"role": "user", "content": [{"text": "a"}]}, {"n": 1}]}
    sessions.save("s", data)
    data["messages"][0]["content"][0]["text"] = "b"
    sessions.save("s", data)
    assert SessionStore().load("s") == data
    data["messages"][1]["n"] = 1.0
    with Written() as written:
        sessions.save("s", data)
    assert (written.new, written.gone) == (1, 1)


def test_a_summary_alone(sessions):
    kept = memory(*turns(*range(10)))
    saved(sessions, kept)
    kept.summary = "they talked"
    assert saved(sessions, kept) == (0, 0)
    kept.max_messages, kept.summary = 50, None
    assert saved(sessions, kept) == (0, 0)


@pytest.mark.tables
@pytest.mark.parametrize("text", ["!", " ", "\0", "😀", "--"])
def test_texts_without_words(sessions, text):
    assert saved(sessions, memory(user(text), assistant(text))) == (2, 0)
    assert sessions.search(text) == []


@pytest.mark.tables
def test_a_memory_that_was_cleared(sessions):
    kept = memory(*turns(1, 2))
    saved(sessions, kept)
    kept.clear()
    assert saved(sessions, kept) == (0, 4)
    kept.add_many(turns(3))
    assert saved(sessions, kept) == (2, 0)


@pytest.mark.orm
@pytest.mark.parametrize("length", [40, 1_000])
@pytest.mark.parametrize("session_id", ["s", "with:colons:too"])
def test_saving_and_loading_are_one_statement_each(sessions, other, session_id, length):
    kept = memory(*turns(*range(length // 2)), max_messages=length)
    sessions.save(session_id, kept)
    for change in (
        lambda: kept.add_many(turns(21)),
        lambda: setattr(kept, "summary", "x"),
        lambda: setattr(kept.get_history()[30], "content", "x"),
    ):
        change()
        with CaptureQueriesContext(connection) as queries:
            sessions.save(session_id, kept)
        assert len(queries) <= STATEMENTS[connection.vendor]
    with CaptureQueriesContext(connection) as queries:
        loaded = other.load(session_id)
    assert len(queries) == 1
    assert loaded.to_dict() == kept.to_dict()


@pytest.mark.tables
def test_the_last_of_two_objects_wins(sessions, other):
    sessions.save("s", memory(*turns(1)))
    one, two = sessions.load("s"), other.load("s")
    one.add_many(turns(2))
    two.add_many(turns(3))
    assert saved(sessions, one)[0] == 2
    assert saved(other, two) == (4, 4)
    one.add_many(turns(4))
    assert saved(sessions, one) == (6, 4)
    one.add_many(turns(5))
    assert saved(sessions, one) == (2, 0)


@pytest.mark.tables
@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda store: store.add_items("s", [{"role": "user", "content": "x"}]),
        lambda store: store.pop_item("s"),
        lambda store: store.clear("s"),
        lambda store: store.delete_session("s"),
        lambda store: store.replace_items("s", [{"role": "user", "content": "x"}] * 4),
        lambda store: store.branch("other", "s"),
    ],
    ids=["add", "pop", "clear", "delete", "replace", "branch"],
)
def test_what_others_write_meanwhile_is_noticed(sessions, other, store, meanwhile):
    other.save("other", memory(*turns(7, 8)))
    kept = memory(*turns(1, 2))
    saved(sessions, kept)
    meanwhile(store)
    kept.add_many(turns(3))
    assert saved(sessions, kept)[0] == 6


@pytest.mark.orm
def test_what_was_rolled_back_is_forgotten(sessions, store):
    kept = memory(*turns(1))
    saved(sessions, kept)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        kept.add_many(turns(2))
        saved(sessions, kept)
        kept.add_many(turns(3))
        assert saved(sessions, kept) == (2, 0)
        raise ZeroDivisionError
    # The same revision comes again, with other items.
    store.add_items("s", [{"role": "user", "content": "x"}] * 4)
    kept.add_many(turns(4))
    assert saved(sessions, kept) == (8, 6)


@pytest.mark.tables
def test_what_was_rolled_back_to_a_savepoint_is_forgotten(sessions, store):
    kept = memory(*turns(1))
    with transaction.atomic():
        saved(sessions, kept)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            store.add_items("s", [{"role": "user", "content": "question 2"}])
            kept = sessions.load("s")
            raise ZeroDivisionError
        store.add_items("s", [{"role": "user", "content": "x"}])
        kept.add_many(turns(3))
        assert saved(sessions, kept)[0] == 5
        kept.add_many(turns(4))
        assert saved(sessions, kept) == (2, 0)
    kept.add_many(turns(5))
    assert saved(sessions, kept) == (2, 0)


@pytest.mark.orm
def test_saving_belongs_to_the_callers_transaction(sessions):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        sessions.save("s", memory(*turns(1)))
        assert sessions.exists("s")
        raise ZeroDivisionError
    assert not sessions.exists("s")
    assert sessions.load("s") is None


def test_another_thread_does_not_use_what_is_not_committed(sessions):
    kept = memory(*turns(1))
    with transaction.atomic():
        sessions.save("s", kept)
        state = next(iter(sessions._sessions.states._states.values()))
        assert state.is_valid()
        with ThreadPoolExecutor(1) as pool:
            assert not pool.submit(state.is_valid).result()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(state.is_valid).result()


def test_the_cache_of_states_is_bounded(sessions):
    sessions._sessions.states.size = 1_000
    for number in range(20):
        sessions.save(f"s{number}", memory(*turns(*range(100))))
    states = sessions._sessions.states
    assert [name.session_id for name in states._states] == [f"s{n}" for n in range(16, 20)]
    assert states._used == 4 * (200 + OVERHEAD)
    sessions.save("s0", memory(*turns(*range(2_000))))
    assert (len(states._states), states._used) == (0, 0)
    sessions.load("s1")
    sessions.delete("s1")
    assert (len(states._states), states._used) == (0, 0)


@pytest.mark.tables
def test_50_000_messages(sessions, other):
    kept = memory(*turns(*range(25_000)), max_messages=50_000)
    sessions.save("s", kept)
    kept.add_many(turns(-1))
    with Written() as written:
        sessions.save("s", kept)
    assert (written.new, written.gone) == (2, 2)
    loaded = other.load("s")
    assert loaded.to_dict() == kept.to_dict()
    assert [found.message_count for found in sessions.list()] == [50_000]
    sessions.branch("s", "t")
    assert other.load("t").to_dict() == kept.to_dict()


def test_a_turn_of_10_000_messages_is_mostly_comparing(sessions):
    kept = memory(*turns(*range(5_000)))
    whole = calls_of(lambda: sessions.save("s", kept))
    kept.add_many(turns(5_000))
    assert calls_of(lambda: sessions.save("s", kept)) < whole / 10


def calls_of(function) -> int:
    """How many calls ``function`` makes on this thread."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def test_threads_saving_at_once(store):
    """Whole snapshots, the last one wins, nothing is mixed."""
    shared = SessionStore()
    starts = threading.Barrier(8)

    def work(number: int) -> None:
        mine = shared if number % 2 else SessionStore()
        kept = memory(max_messages=30)
        starts.wait()
        for turn in range(12):
            for part in range(3):
                kept.add(user(f"{number} {turn} {part}"))
            kept.summary = f"{number} {turn}"
            mine.save("s", kept)
            seen = mine.load("s")
            by, at = map(int, seen.summary.split())
            expected = [f"{by} {t} {part}" for t in range(at + 1) for part in range(3)]
            assert texts(seen) == expected[-30:]
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(store.get_items("s")) == 30


def plainly(old: list[int], new: list[int]) -> int:
    """The length that ``overlap`` should find."""
    best = 0
    for start in range(len(old)):
        length = 0
        while start + length < len(old) and length < len(new):
            if old[start + length] != new[length]:
                break
            length += 1
        best = max(best, length)
    return best


def test_the_longest_overlap():
    numbers = random.Random(1)
    for _ in range(5_000):
        old = [numbers.randrange(3) for _ in range(numbers.randrange(12))]
        new = [numbers.randrange(3) for _ in range(numbers.randrange(12))]
        start, length = overlap(array("q", old), array("q", new))
        assert old[start : start + length] == new[:length]
        assert length == plainly(old, new)


def test_any_changes_one_after_the_other(sessions):
    numbers = random.Random(2)
    kept = memory(*turns(1))
    for step in range(150):
        messages = kept._messages
        match numbers.randrange(6):
            case 0 | 1:
                kept.add_many([user(str(numbers.randrange(3))), assistant(str(step))])
            case 2:
                del messages[: numbers.randrange(4)]
            case 3 if messages:
                numbers.choice(messages).content = str(numbers.randrange(3))
            case 4:
                del messages[len(messages) - numbers.randrange(3) :]
            case 5:
                messages.insert(numbers.randrange(len(messages) + 1), user("in between"))
        sessions.save("s", kept)
        assert SessionStore().load("s").to_dict() == kept.to_dict()
        if numbers.randrange(5) == 0:
            kept = sessions.load("s")
