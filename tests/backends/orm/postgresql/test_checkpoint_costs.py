"""One round trip for each operation on threads, whatever is stored."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from parlant_store.types import MessageChanges
from tests.backends.orm.postgresql.test_costs import round_trips
from tests.backends.rows_read import analyze, rows_read
from tests.contract.checkpoints import changed, checkpoint, write

NEXT = checkpoint("x", {"a": 1, "b": 2}, metadata={"run_id": "x"})

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "put_checkpoint": lambda store: store.put_checkpoint("t", NEXT, changed(a=1, b=2)),
    "put_checkpoint with a message": lambda store: store.put_checkpoint(
        "t", NEXT, changed(a=1, b=2), messages=MessageChanges(added=["Hello"])
    ),
    "put_checkpoint of a new thread": lambda store: store.put_checkpoint("new", NEXT),
    "put_writes": lambda store: store.put_writes("t", "x", [write("a", n) for n in range(3)]),
    "get_checkpoint": lambda store: store.get_checkpoint("t"),
    "get_checkpoint by its id": lambda store: store.get_checkpoint("t", "0007"),
    "list_checkpoints": lambda store: store.list_checkpoints("t", checkpoint_ns="", limit=5),
    "list_checkpoints of all": lambda store: store.list_checkpoints(limit=5),
    "get_channel_history": lambda store: store.get_channel_history("t", ["a", "b"], "0007"),
    "delete_runs": lambda store: store.delete_runs(["x"]),
    "copy_thread": lambda store: store.copy_thread("t", "copy"),
    "prune_thread": lambda store: store.prune_thread("t"),
    "prune_threads": lambda store: store.prune_threads(["t", "none", "new"]),
    "get_thread": lambda store: store.get_thread("t"),
    "set_thread_expiry": lambda store: store.set_thread_expiry("t", None),
    "list_checkpoint_infos": lambda store: store.list_checkpoint_infos("t", limit=5),
    "list_threads": lambda store: store.list_threads(),
    "search_threads": lambda store: store.search_threads("hello"),
    "delete_thread": lambda store: store.delete_thread("t"),
}


def fill(store: Any, size: int) -> None:
    """Store a thread in which each checkpoint has another value of "a", and the same of "b"."""
    store.delete_thread("t")
    for number in range(size):
        made = checkpoint(number, {"a": number, "b": 0}, parent_id=f"{number - 1:04}")
        store.put_checkpoint("t", made, changed(a=number, **({} if number else {"b": 0})))
        store.put_writes("t", f"{number:04}", [write("a", 0), write("b", 0)])


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_one_round_trip(store, name):
    for _ in range(7):  # statements are parsed once for a connection
        fill(store, 8)
        OPERATIONS[name](store)
        store.delete_thread("new")
    fill(store, 8)
    assert round_trips(lambda: OPERATIONS[name](store)) == 1


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_one_statement(store, name):
    fill(store, 8)
    with CaptureQueriesContext(connection) as queries:
        OPERATIONS[name](store)
    assert len(queries) == 1


@pytest.mark.parametrize(
    "name",
    [
        "get_checkpoint",
        "get_checkpoint by its id",
        "list_checkpoints",
        "get_channel_history",
        "put_checkpoint",
        "put_writes",
    ],
)
def test_cost_does_not_grow_with_the_thread(store, name):
    for other in range(20):
        fill(store, 50)
        store.copy_thread("t", f"other {other}")
    read = []
    for size in (30, 1_500):
        fill(store, size)
        analyze()
        for _ in range(7):  # past the first plans, which are made for the values
            OPERATIONS[name](store)
        rows = rows_read(lambda: OPERATIONS[name](store))
        # Of a small table, PostgreSQL may as well read all rows.
        del rows["parlant_store_thread"]
        read.append(rows)
    assert read[0] == read[1]


def test_a_filter_reads_the_checkpoints_that_match(store):
    fill(store, 50)
    for other in range(20):
        store.copy_thread("t", f"other {other}")
    store.put_checkpoint("t", checkpoint("x", metadata={"step": 99}))
    analyze()
    rows = rows_read(lambda: store.list_checkpoints(where={"step": 99}))
    assert sum(rows["parlant_store_checkpoint"]) < 10
