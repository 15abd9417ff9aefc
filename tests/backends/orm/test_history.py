"""Turns, usage and branches in a Django database."""

import pytest
from django.core.management import call_command
from django.db import connection

from parlant_store.models import Session, SessionItem
from parlant_store.sql.turns import NUMBER_TURNS
from tests.backends.orm.test_sessions import make_store as make_store
from tests.backends.rows_read import analyze, work_of
from tests.contract.history import TOOL_RESULT, HistoryContract
from tests.contract.snapshot_values import said
from tests.contract.values import numbered


class TestOrmHistory(HistoryContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


OPERATIONS = {
    "list_turns": lambda store: store.list_turns("s", limit=5),
    "list_turns with items": lambda store: store.list_turns("s", limit=5, with_items=True),
    "list_turns from the end": lambda store: store.list_turns("s", limit=5, newest_first=True),
    "get_usage": lambda store: store.get_usage("s"),
    "add_usage": lambda store: store.add_usage("s", 5),
    "truncate": lambda store: store.truncate("s", after_position=last_position(store)),
    "truncate before the last turn": lambda store: store.truncate(
        "s", before_turn=store.list_turns("s", limit=1, newest_first=True)[0].number
    ),
    "branch before a turn": lambda store: store.branch("s", "b", before_turn=3),
    "get_items within tokens": lambda store: store.get_items("s", max_tokens=50),
}


def last_position(store):
    return store.list_turns("s", limit=1, newest_first=True)[0].position


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_work_does_not_grow_with_the_session(store, name):
    for other in range(10):
        store.add_items(f"other {other}", [*said("q"), *numbered(*range(100))])
    analyze()
    work = []
    for turns in (300, 5_000):
        store.replace_items("s", [item for _ in range(turns) for item in [*said("q"), {"n": 1}]])
        for _ in range(7):  # past the first plans, which are made for the values
            OPERATIONS[name](store)
        work.append(work_of(lambda: OPERATIONS[name](store)))
    assert work[1] <= 1.2 * work[0] + 10


def test_turns_of_rows_of_older_versions_are_numbered(store):
    store.add_items("s", [*numbered(1), *said("one"), *numbered(2), *said("two")])
    store.add_items("t", said("other"))
    before = store.list_turns("s")
    SessionItem.objects.update(turn=None)
    Session.objects.update(next_turn=0)
    with connection.cursor() as cursor:
        for statement in NUMBER_TURNS:
            cursor.execute(statement)
    assert store.list_turns("s") == before
    assert set(Session.objects.values_list("session_id", "next_turn")) == {("s", 2), ("t", 1)}


def test_results_of_tools_of_older_versions_open_no_turn(store):
    store.add_items("s", [*said("go"), TOOL_RESULT, *said("on")])
    SessionItem.objects.filter(position=1).update(role="user")
    SessionItem.objects.update(turn=None)
    Session.objects.update(next_turn=0)
    call_command("store_reindex", store=["default"], verbosity=0)
    assert [turn.text for turn in store.list_turns("s")] == ["go", "on"]


def test_damaged_messages_are_left_out(store, caplog):
    store.add_items("s", [*numbered(1), *said("one"), *said("two"), *said("three")])
    SessionItem.objects.filter(position=2).update(data="[1]")
    SessionItem.objects.filter(position=3).update(data='{"role": "us')
    turns = store.list_turns("s", with_items=True)
    assert [turn.item for turn in turns] == [None, *said("one"), None, None]
    assert [turn.text for turn in turns] == ["", "one", "two", "three"]
    assert caplog.text.count("Skipped a damaged item") == 2
    messages = [(turn.number, turn.item) for turn in turns[1:]]
    assert [(turn, item) for turn, _, item in store.list_user_messages("s")] == messages


def test_damaged_usage_is_unknown(store):
    store.add_items("s", said("go"))
    store.add_usage("s", 5)
    Session.objects.update(usage="text", tokens=None)
    SessionItem.objects.update(usage=["x"])
    assert store.get_usage("s") is None
    assert store.get_usage("s", by="turn") == {}
    assert store.list_turns("s")[0].usage is None
    store.add_usage("s", 7)
    assert store.get_usage("s").total_tokens == 7
