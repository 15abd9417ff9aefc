"""The search for an order of calls finds none if a call is lost, doubled or late."""

import pytest

from tests.contract.serial_orders import (
    Add,
    BranchBefore,
    Compact,
    Contents,
    Entry,
    Load,
    Search,
    TimedCall,
    Truncate,
    Use,
)

START = (Entry("start", is_opening=True),)
AT_ONCE = [
    [TimedCall(0, Add("a", 3), 9)],
    [TimedCall(1, Use(1), 8)],
    [TimedCall(2, BranchBefore(2, Contents(["start"], {})), 7)],
]
A = ["start", "a", "to a"]


def has_order(tasks, texts, tokens):
    return Search(tasks, Contents(texts, tokens)).has_order(START)


@pytest.mark.parametrize("tokens", [{"start": 1}, {"a": 1}])
def test_each_order_of_calls_at_once(tokens):
    calls = AT_ONCE if "a" in tokens else AT_ONCE[:2]
    assert has_order(calls, A, tokens)


@pytest.mark.parametrize(
    ("texts", "tokens"),
    [
        (["start"], {"start": 1}),
        ([*A, "a", "to a"], {"a": 1}),
        (["start", "to a", "a"], {"a": 1}),
        (A, {}),
        (A, {"a": 2}),
        (A, {"start": 1, "a": 1}),
        # The branch was made after the turn was added, and has no tokens.
        (A, {"start": 1}),
    ],
)
def test_no_order_gives_other_contents(texts, tokens):
    assert not has_order(AT_ONCE, texts, tokens)


def test_a_call_that_ended_before_another_comes_first():
    before = [[TimedCall(0, Use(1), 1)], [TimedCall(2, Add("a", 3), 3)]]
    assert has_order(before, A, {"start": 1})
    assert not has_order(before, A, {"a": 1})


def test_calls_of_a_task_keep_their_order():
    task = [
        TimedCall(0, Load(["start"]), 1),
        TimedCall(2, Add("a", 3), 3),
        TimedCall(4, Load(A), 5),
    ]
    assert has_order([task], A, {})
    assert not has_order([[*task, TimedCall(6, Load(["start"]), 7)]], A, {})


def test_a_changed_session_is_not_compacted():
    compaction = TimedCall(2, Compact(["start"], 1, "short", is_saved=True), 5)
    assert has_order([[compaction]], ["start", "short"], {})
    assert not has_order([[compaction], [TimedCall(0, Add("a", 3), 1)]], ["start", "short"], {})
    calls = [[compaction], [TimedCall(0, Add("a", 3), 1)], [TimedCall(3, Truncate(2, 2), 4)]]
    assert has_order(calls, ["start", "short"], {})
