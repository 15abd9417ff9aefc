"""Writes to threads, for tests of answers that get lost."""

from collections.abc import Callable
from typing import Any

from parlant_store.backends.base import BaseBackend
from tests.contract.checkpoints import changed, checkpoint, write

THREAD_WRITES: dict[str, Callable[..., Any]] = {
    "put_checkpoint": lambda store, **id_: store.put_checkpoint(
        "t", checkpoint(9), changed(c=9), **id_
    ),
    "put_writes": lambda store, **id_: store.put_writes(
        "t", "0001", [write("a", 0), write("a", -1)], **id_
    ),
    "delete_thread": lambda store, **id_: store.delete_thread("t", **id_),
    "delete_runs": lambda store, **id_: store.delete_runs(["r"], **id_),
    "copy_thread": lambda store, **id_: store.copy_thread("t", "u", **id_),
    "set_thread_expiry": lambda store, **id_: store.set_thread_expiry("t", None, **id_),
    "prune_thread": lambda store, **id_: store.prune_thread("t", **id_),
    "prune_threads": lambda store, **id_: store.prune_threads(["t", "none"], **id_),
}


def fill(store: BaseBackend) -> None:
    """Store three checkpoints, one of them of the run "r"."""
    for number in range(3):
        metadata = {"run_id": "r"} if number == 1 else {}
        made = checkpoint(number, {"c": number}, metadata=metadata)
        store.put_checkpoint("t", made, changed(c=number))


def all_checkpoints(store: BaseBackend) -> list[Any]:
    """Return those of all threads, sorted; two stores with the same ones have the same list."""
    stored = [
        (each.thread_id, each.checkpoint, each.values, each.writes)
        for each in store.list_checkpoints()
    ]
    return sorted(stored, key=str)
