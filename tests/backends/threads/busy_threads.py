"""Threads of a store that are kept busy, so that calls wait for them."""

import threading
from concurrent.futures import Future
from functools import partial
from typing import Any

from parlant_store.types import TaskWrite, TypedBytes
from tests.contract.values import numbered

TIMEOUT_SECONDS = 120


class Held:
    """Keeps each thread of a store busy until it is left; what is submitted waits."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self._go = threading.Event()

    def __enter__(self) -> "Held":
        held = threading.Barrier(self.store.executor.count + 1)

        def hold() -> None:
            held.wait(TIMEOUT_SECONDS)
            self._go.wait(TIMEOUT_SECONDS)

        for _ in range(self.store.executor.count):
            self.store.submit(hold)
        held.wait(TIMEOUT_SECONDS)
        return self

    def __exit__(self, *error: Any) -> None:
        self._go.set()

    def add(self, session_id: str, *numbers: int, **options: Any) -> "Future[None]":
        call = partial(self.store.add_items, session_id, numbered(*numbers), **options)
        return self.store.submit(call)

    def get(self, session_id: str, limit: int | None) -> "Future[list[Any]]":
        return self.store.submit(partial(self.store.get_items, session_id, limit=limit))

    def put_writes(self, thread_id: str, checkpoint_id: str, task_id: str) -> "Future[None]":
        # Calls with other arguments are no group.
        named = {"thread_id": thread_id, "checkpoint_id": checkpoint_id}
        writes = writes_of(task_id, {0: b"value"})
        return self.store.submit(partial(self.store.put_writes, **named, writes=writes))


def writes_of(task_id: str, values: dict[int, bytes]) -> list[TaskWrite]:
    """Return writes of a task with a value for each index."""
    return [
        TaskWrite(task_id=task_id, idx=idx, channel="c", value=TypedBytes("bytes", value))
        for idx, value in values.items()
    ]


def results(futures: list["Future[Any]"]) -> list[Any]:
    return [future.result(TIMEOUT_SECONDS) for future in futures]
