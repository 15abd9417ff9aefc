"""A process of readers, writers and agents on one store, each of whose answers is checked.

    python -m tests.matrix.load KIND NUMBER CALLS

makes about CALLS calls and prints {"calls": ..., "wrong": [...]}. What it reads is in place
already (``prepare``); what it writes, it removes.
"""

import asyncio
import json
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import django
from django.conf import settings

KEPT = 6
"""Sessions, with as many items and documents, that are only read."""

THREADS = 2
TASKS = 20
CALLS_OF_A_WRITER, CALLS_OF_A_READER, CALLS_OF_A_TASK = 10, 5, 9
"""In one round."""


def prepare() -> None:
    from parlant_store import store

    for number in range(KEPT):
        store.add_items(f"keep-{number}", [{"n": n} for n in range(5)])
        store.insert_one("keep", {"id": f"k{number}", "number": number})


def read(number: int) -> Iterator[tuple[Any, Any]]:
    """Answers and what they should be."""
    from parlant_store import store

    name = f"keep-{number}"
    yield store.get_items(name), [{"n": n} for n in range(5)]
    info = store.get_session(name)
    yield info and (info.session_id, info.item_count), (name, 5)
    page = store.list_sessions(prefix="keep-")
    yield [found.session_id for found in page.sessions], [f"keep-{n}" for n in range(KEPT)]
    where = {"number": {"$eq": number}}
    yield store.find_one("keep", where), {"id": f"k{number}", "number": number}
    yield len(store.find("keep").documents), KEPT


def write(name: str) -> Iterator[tuple[Any, Any]]:
    from parlant_store import store

    yield store.add_items(name, [{"of": name, "n": n} for n in range(3)]), None
    yield store.get_items(name, limit=2), [{"of": name, "n": n} for n in (1, 2)]
    yield store.pop_item(name), {"of": name, "n": 2}
    yield store.clear(name), None
    yield store.get_items(name), []
    yield store.delete_session(name), True
    where = {"id": {"$eq": name}}
    yield store.insert_one("written", {"id": name}), None
    yield store.update_one("written", where, {"a": name}).document, {"id": name, "a": name}
    yield store.find_one("written", where), {"id": name, "a": name}
    yield store.delete_one("written", where), {"id": name, "a": name}


class Checked:
    """Counts calls and keeps what was wrong."""

    def __init__(self) -> None:
        self.calls = 0
        self.wrong: list[str] = []

    def take(self, answers: Iterator[tuple[Any, Any]]) -> None:
        try:
            for found, expected in answers:
                self.take_one(found, expected)
        except Exception as exc:
            self.calls += 1
            self.wrong.append(repr(exc)[:300])

    def take_one(self, found: Any, expected: Any) -> None:
        self.calls += 1
        if found != expected:
            self.wrong.append(f"{found!r} instead of {expected!r}"[:300])

    async def call(self, call: Awaitable[Any], expected: Any = ...) -> None:
        try:
            found = await call
        except Exception as exc:
            found, expected = repr(exc), None
        self.take_one(found, found if expected is ... else expected)


async def run_agents(checked: Checked, process: str, rounds: int) -> None:
    from parlant.core.persistence.document_database import identity_loader

    from parlant_store.adapters.openai_agents import Session
    from parlant_store.adapters.parlant import DocumentDatabase
    from tests.matrix.agents import Note

    opened = await DocumentDatabase().get_or_create_collection("notes", Note, identity_loader)
    notes: Any = opened

    async def task(number: int) -> None:
        name = f"agent-{process}-{number}"
        where = {"id": {"$eq": name}}
        for turn in range(rounds):
            items: Any = [{"of": name, "turn": turn}, {"of": name, "answer": turn}]
            await checked.call(Session(name).add_items(items), None)
            await checked.call(Session(name).get_items(), items)
            await checked.call(Session(name).pop_item(), items[1])
            await checked.call(Session(name).clear_session(), None)
            await checked.call(notes.insert_one({"id": name, "version": "1"}))
            await checked.call(notes.find_one(where), {"id": name, "version": "1"})
            await checked.call(notes.update_one(where, {"turn": turn}))
            await checked.call(notes.find_one(where), {"id": name, "version": "1", "turn": turn})
            await checked.call(notes.delete_one(where))

    await asyncio.gather(*map(task, range(TASKS)))


def main(kind: str, process: str, calls: str) -> None:
    from tests.matrix.kinds import project

    settings.configure(**project(kind).configuration())
    django.setup()
    checked, share = Checked(), int(calls) // 3

    def reader(number: int) -> None:
        for turn in range(share // THREADS // CALLS_OF_A_READER + 1):
            checked.take(read((number + turn) % KEPT))

    def writer(number: int) -> None:
        for turn in range(share // THREADS // CALLS_OF_A_WRITER + 1):
            checked.take(write(f"writer-{process}-{number}-{turn}"))

    def agents() -> None:
        asyncio.run(run_agents(checked, process, share // TASKS // CALLS_OF_A_TASK + 1))

    work: list[Callable[[], None]] = [agents]
    for number in range(THREADS):
        work += [lambda n=number: reader(n), lambda n=number: writer(n)]  # type: ignore[misc]
    threads = [threading.Thread(target=do) for do in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"calls": checked.calls, "wrong": checked.wrong}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
