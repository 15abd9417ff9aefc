"""Threads to copy, and all threads of a store."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from parlant_store.backends.base import BaseBackend
from tests.contract.thread_records import in_order, thread_record
from tests.transfer.contents import LATER, THEN

THREADS = [
    thread_record(THEN, "nasty", namespace="space", expires_at=LATER),
    thread_record(
        THEN,
        "\0 \ud800" + "😀" * 4096,
        namespace="漢" * 4096,
        user_id="x" * 4096,
        expires_at=LATER,
    ),
    replace(
        thread_record(THEN, "empty", user_id=None, expires_at=None),
        checkpoints=[],
        values=[],
        writes=[],
    ),
    *(
        thread_record(
            THEN,
            f"t{number}",
            user_id="bob",
            updated_at=THEN + timedelta(days=number),
            expires_at=None,
        )
        for number in range(3)
    ),
]


def fill_threads(store: BaseBackend) -> None:
    assert all(store.write_threads(THREADS))


def all_threads(store: BaseBackend) -> dict[Any, Any]:
    """All threads of a store; equal if two stores have the same."""
    names = [(info.namespace, info.thread_id) for info in store.list_threads(limit=1000).threads]
    return {
        (record.namespace, record.thread_id): in_order(record)
        for record in store.read_threads(names)
    }
