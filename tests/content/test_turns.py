"""Windows of a session begin where a model can begin to read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlant_store.content.turns import MAX_RESPONSE, whole_turns
from tests.contract.turns import (
    NAMES,
    Piece,
    answer,
    call,
    joined,
    output,
    parted,
    reasoning,
    user,
)


def window(items, limit):
    """What get_items makes of a session."""
    return whole_turns(items[-(limit + MAX_RESPONSE) :], limit)


@given(st.lists(st.sampled_from(NAMES), max_size=12), st.integers(1, 30))
def test_no_pair_of_any_kind_is_parted(names, limit):
    session = joined(names)
    found = window(session.items, limit)
    assert len(found) <= limit
    assert found == session.items[len(session.items) - len(found) :]
    assert not parted(session, found)
    if len(session.items) <= limit:
        assert found == session.items


@given(st.lists(st.sampled_from(NAMES), max_size=8), st.integers(1, 30))
def test_nothing_is_left_out_that_needs_nothing(names, limit):
    session = joined(["an answer", *names])
    whole = Piece([*session.items, user("last"), answer("last")], session.pairs)
    found = window(whole.items, limit)
    if limit > 1:
        assert found[-2:] == whole.items[-2:]
    assert not parted(whole, found)


@pytest.mark.parametrize(
    ("items", "limit", "start"),
    [
        ([user(), answer(), {"role": "system"}, user(), answer()], 3, 2),
        ([user(), answer(), {"role": "system"}, user(), answer()], 4, 2),
        ([user(), answer(), {"role": "system"}, user(), answer()], 2, 3),
        ([{"role": "system"}, user(), answer()], 3, 0),
        ([answer(), {"role": "developer"}, {"type": "additional_tools"}, user()], 3, 1),
        ([user(), reasoning("1"), {"role": "system"}, user(), answer()], 3, 3),
        ([user(), answer(), {"type": "compaction"}, answer(), user()], 4, 2),
        ([user(), call("1"), answer(), user(), output("1"), answer()], 3, 5),
        ([user(), call("1"), answer(), user(), output("1"), answer()], 5, 1),
        ([user(), output("1"), answer()], 2, 2),
    ],
)
def test_where_a_window_begins(items, limit, start):
    assert window(items, limit) == items[start:]
