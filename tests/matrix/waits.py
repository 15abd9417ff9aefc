"""Scenarios of waiting: cancelled, bounded, at the end of a process, and what is held."""

import asyncio
import gc
import signal
import sys
import threading
import time
from contextlib import suppress
from subprocess import PIPE, TimeoutExpired
from typing import Any
from unittest.mock import patch

import psutil
from django.db import connections

from tests.matrix.projects import Project
from tests.matrix.scenarios import equal, eventually, scenario
from tests.matrix.stores import QUESTION
from tests.processes import Process

SECONDS = 120
"""Within which a process ends that is told to.

Five are promised; on a busy machine it takes longer, but never as long as its call may take.
"""
PATIENCE = 900


async def add(session_id: str, store: str = "default") -> None:
    from parlant_store.adapters.openai_agents import Session

    await Session(session_id, store=store).add_items([QUESTION])  # type: ignore[list-item]


@scenario(needs="agents")
def cancel(project: Project) -> None:
    """A call that waits for a lock is given up when it is cancelled, at the server too."""
    from parlant_store import store

    store.add_items("cancel", [QUESTION])
    took: list[float] = []

    async def give_up() -> None:
        task = asyncio.ensure_future(add("cancel"))
        await asyncio.sleep(0.5)
        before = time.monotonic()
        task.cancel()
        outcome = await asyncio.gather(task, return_exceptions=True)
        took.append(time.monotonic() - before)
        equal(type(outcome[0]), asyncio.CancelledError)

    for number, run in enumerate(project.runs()):
        with project.locked("cancel"):
            run(give_up)
            assert took[-1] < 20, f"way {number}: {took[-1]:.1f} s until it was cancelled"
            eventually(lambda: project.waiting() == 0, "the server no longer runs it")
        equal(len(store.get_items("cancel")), 1, f"way {number}: after the cancelled call")
    project.runs()[0](lambda: add("cancel"))
    equal(len(store.get_items("cancel")), 2)


@scenario(needs="agents")
def timeout(project: Project) -> None:
    """A call that waits for a lock fails when the store's time is over."""
    from parlant_store import store
    from parlant_store.backends.threads import calls
    from parlant_store.exceptions import StoreUnavailable

    store.add_items("timeout", [QUESTION])
    # However long the thread takes to see that the call is late.
    unhurried = patch.multiple(calls, FORCE_AFTER=100_000, LEAVE_AFTER=100_000)
    with project.locked("timeout"), unhurried:
        before = time.monotonic()
        try:
            project.runs()[0](lambda: add("timeout", "hasty"))
        except StoreUnavailable as exc:
            assert type(exc) is StoreUnavailable, repr(exc)
        else:
            raise AssertionError("it was written while somebody else had the lock")
        took = time.monotonic() - before
    assert took < 25, f"{took:.1f} s"
    equal(len(store.get_items("timeout")), 1)


WAYS = {"exit": None, "terminate": signal.SIGTERM, "interrupt": signal.SIGINT}


def wait_and_end(project: Project) -> None:
    """The child of ``exit``: a thread waits for a lock, and the process is told to end."""
    from parlant_store import store

    store.call_timeout = PATIENCE

    async def add() -> None:
        await store.aadd_items("exit", [QUESTION])

    # A shell's job in the background ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    def call() -> None:
        with project.callers()[0].enter():
            project.runs()[0](add)

    threading.excepthook = lambda failed: None
    threading.Thread(target=call, daemon=True).start()
    print("waits", flush=True)  # noqa: T201
    with suppress(KeyboardInterrupt):
        sys.stdin.read()
    sys.exit(0)


@scenario(needs="agents")
def exit(project: Project) -> None:
    """A process ends within seconds of being told to, whatever its threads wait for."""
    from parlant_store import store

    store.add_items("exit", [QUESTION])
    command = ["-m", "tests.matrix.runner", project.name, "--wait"]
    with project.locked("exit"):
        children = {way: Process(*command, stdin=PIPE, stdout=PIPE) for way in WAYS}
        try:
            late = end_all(project, children)
        finally:
            for child in children.values():
                child.kill()
                child.communicate()
        equal(late, [], f"not ended within {SECONDS} s:")
    equal(len(store.get_items("exit")), 1)


def end_all(project: Project, children: dict[str, Any]) -> list[str]:
    for child in children.values():
        equal(child.stdout.readline(), "waits\n")
    if project.is_postgresql:
        eventually(lambda: project.waiting() == len(WAYS), "they wait for the lock")
    else:
        time.sleep(1)  # nobody can be asked
    late = []
    for way, child in children.items():
        before = time.monotonic()
        if (number := WAYS[way]) is None:
            child.stdin.close()
        else:
            child.send_signal(number)
        try:
            child.wait(SECONDS + 30)
        except TimeoutExpired:
            late.append(f"{way}: not at all")
        else:
            if (took := time.monotonic() - before) > SECONDS:
                late.append(f"{way}: {took:.1f} s")
    return late


@scenario(needs="agents")
def held(project: Project) -> None:
    """After a burst the store holds no connection: given back to the pool, or closed."""
    from parlant_store.adapters.openai_agents import Session

    async def burst() -> None:
        await asyncio.gather(*(Session(f"held-{n}").get_items() for n in range(40)))

    project.runs()[0](burst)
    connection = connections[project.alias]
    pool = getattr(connection, "pool", None)
    connections.close_all()
    if pool is not None:
        eventually(lambda: is_whole(pool), f"all free: {pool.get_stats()}")
    else:
        names = [thread.name for thread in threading.enumerate()]
        eventually(lambda: open_connections(project) == 0, f"connections close; threads: {names}")
    project.runs()[0](burst)


def is_whole(pool: Any) -> bool:
    found = pool.get_stats()
    return bool(found["pool_available"] == found["pool_size"])


def open_connections(project: Project) -> int:
    """How many connections to its databases the process has."""
    process = psutil.Process()
    if not project.is_postgresql:
        # The cursor of a statement that failed keeps the file open as long as its traceback.
        gc.collect()
        names = {str(entry["NAME"]) for entry in project.databases().values()}
        return len({file.path for file in process.open_files()} & names)
    if project.port:
        peers = [found.raddr for found in process.net_connections("tcp") if found.raddr]
        return sum(peer.port == project.port for peer in peers)
    with project.connect() as server:
        statement = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return int(server.execute(statement).fetchone()[0])  # type: ignore[index]
