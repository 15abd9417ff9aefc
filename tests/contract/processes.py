"""Several processes on one store: what each does, and what must be left."""

import asyncio
import json
import subprocess
from collections import Counter
from typing import Any

from tests.processes import Process

TASKS = 20


async def add(store: Any, name: str) -> None:
    """Each of the TASKS adds 5 batches of 3."""

    async def work(task: int) -> None:
        for batch in range(5):
            items = [{"p": name, "t": task, "b": batch, "n": number} for number in range(3)]
            await store.aadd_items("s", items)

    await asyncio.gather(*map(work, range(TASKS)))


async def pop(store: Any) -> list[int]:
    """Each of the TASKS pops until none is left."""

    async def work() -> list[int]:
        popped = []
        while (item := await store.apop_item("s")) is not None:
            popped.append(item["n"])
        return popped

    found = await asyncio.gather(*(work() for _ in range(TASKS)))
    return [number for popped in found for number in popped]


def finish(*processes: "Process | subprocess.Popen[str]") -> list[str]:
    """What they print; all of them must succeed."""
    printed = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return printed


def check_whole_batches(store: Any) -> None:
    """After two processes that add."""
    items = store.get_items("s")
    batches = [items[place : place + 3] for place in range(0, len(items), 3)]
    assert all([item["n"] for item in batch] == [0, 1, 2] for batch in batches)
    owners = [{(item["p"], item["t"], item["b"]) for item in batch} for batch in batches]
    assert all(len(owner) == 1 for owner in owners)
    assert len(set.union(*owners)) == len(batches) == 2 * TASKS * 5
    assert store.get_session("s").item_count == 2 * TASKS * 5 * 3


def check_popped_once(printed: list[str], count: int) -> None:
    """After processes that print what they popped, of ``count`` numbered items."""
    popped = Counter(number for line in printed for number in json.loads(line))
    assert popped == Counter(range(count))
