"""One short transaction for each write to a thread, and indexes for every read."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from parlant_store.types import MessageChanges
from tests.backends.orm.sqlite.test_costs import statements_of
from tests.contract.checkpoints import changed, checkpoint, write

MESSAGE = MessageChanges(added=[{"type": "ai", "content": "Hello"}], first=2)

WRITES: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "put_checkpoint": (
        5,
        lambda store: store.put_checkpoint("t", checkpoint(1), changed(a=1, b=2)),
    ),
    "put_checkpoint with a message of an agent": (
        6,
        lambda store: store.put_checkpoint("t", checkpoint(1), changed(a=1), messages=MESSAGE),
    ),
    "put_writes": (4, lambda store: store.put_writes("t", "1", [write("a", 0), write("a", 1)])),
    "delete_thread": (8, lambda store: store.delete_thread("t")),
    "delete_runs": (6, lambda store: store.delete_runs(["r"])),
    "prune_thread": (8, lambda store: store.prune_thread("t")),
}

READS: dict[str, Callable[[Any], Any]] = {
    "get_checkpoint": lambda store: store.get_checkpoint("t"),
    "get_checkpoint by its id": lambda store: store.get_checkpoint("t", "0001"),
    "list_checkpoints": lambda store: store.list_checkpoints("t", checkpoint_ns="", limit=5),
    "get_channel_history": lambda store: store.get_channel_history("t", ["a", "b"]),
    "get_thread": lambda store: store.get_thread("t"),
    "list_threads of a user": lambda store: store.list_threads(user_id="u"),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_one_short_transaction(store, name):
    for number in range(10):
        metadata = {"run_id": "r"} if number < 2 else {}
        made = checkpoint(number, {"a": number}, metadata=metadata)
        store.put_checkpoint("t", made, changed(a=number))
    count, call = WRITES[name]
    statements = statements_of(lambda: call(store))
    assert statements[0] == "BEGIN IMMEDIATE"
    assert statements[-1] == "COMMIT"
    assert len(statements) == count


@pytest.mark.parametrize("name", READS)
def test_one_statement_through_an_index(store, name):
    store.put_checkpoint("t", checkpoint(1), changed(a=1))
    (statement,) = statements_of(lambda: READS[name](store))
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + statement.replace("%", "%%"), ())
        plan = [row[3] for row in cursor.fetchall()]
    assert [step for step in plan if step.startswith("SCAN parlant_store")] == []
    # A thread without a namespace sorts its checkpoints; all other orders are those of indexes.
    assert [step for step in plan if step == "USE TEMP B-TREE FOR ORDER BY"] == []
