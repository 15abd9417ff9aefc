"""Scenario of places: what each caller writes is in the caller's place, and nothing elsewhere."""

import asyncio
import threading
from functools import partial
from typing import Any

from django.db import connections

from tests.matrix.projects import Caller, Project
from tests.matrix.scenarios import equal, scenario
from tests.matrix.stores import QUESTION

CALLS = 10


def write(caller: Caller, way: str) -> None:
    from parlant_store import store

    with caller.enter():
        for number in range(CALLS):
            name = f"places-{caller.name}-{way}-{number}"
            store.add_items(name, [QUESTION])
            equal(store.get_items(name), [QUESTION], name)
        store.insert_one(f"places-{caller.name}-{way}", {"id": "a"})


async def write_async(caller: Caller, way: int) -> None:
    from parlant_store.adapters.openai_agents import Session

    async def one(number: int) -> None:
        name = f"places-{caller.name}-{way}-{number}"
        await Session(name).add_items([QUESTION])  # type: ignore[list-item]
        equal(await Session(name).get_items(), [QUESTION], name)

    await asyncio.gather(*map(one, range(CALLS)))


@scenario(shared=True)
def places(project: Project) -> None:
    """Each caller's rows are where they belong, however and beside whom they were written."""
    callers = project.callers()
    for caller in callers:
        write(caller, "sync")
    if project.shares_tables:
        write_in_threads(callers)
    check(project)


@scenario(needs="agents")
def async_places(project: Project) -> None:
    """As ``places``, by an adapter."""
    for way, run in enumerate(project.runs()):
        for caller in project.callers():
            with caller.enter():
                run(partial(write_async, caller, way))
        if project.enters_tasks:
            run(partial(all_in_tasks, project, way + 10))
    check(project)


async def all_in_tasks(project: Project, way: int) -> None:
    """Every caller in a task of its own, in one event loop."""

    async def task(caller: Caller) -> None:
        with caller.enter():
            await write_async(caller, way)

    await asyncio.gather(*map(task, project.callers()))


def write_in_threads(callers: list[Caller]) -> None:
    """The callers one beside the other, each in a thread, as requests are served."""
    failed: list[BaseException] = []

    def serve(caller: Caller) -> None:
        try:
            write(caller, "thread")
        except Exception as exc:
            failed.append(exc)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=serve, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(failed, [], "threads raised")


def check(project: Project) -> None:
    found = project.texts()
    owners = {caller.place: caller.name for caller in project.callers()}
    wrong: dict[Any, Any] = {}
    for place, names in found.items():
        if place not in owners:
            strange = names if place not in project.copies else []
        else:
            strange = [
                n for n in names if n.startswith("places-") and f"-{owners[place]}-" not in n
            ]
            assert [n for n in names if f"places-{owners[place]}-" in n], f"nothing in {place}"
        if strange:
            wrong[place] = sorted(set(strange))[:5]
    equal(wrong, {}, "in the wrong place:")
