"""Processes end soon after they are told to, whatever their store's threads wait for."""

import os
import signal
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from subprocess import PIPE

import pytest

from parlant_store.backends.threads.pool import ABANDON_SECONDS, FINISH_SECONDS
from tests.backends.locks import TIMEOUT_SECONDS, eventually, locked, waiting
from tests.conftest import VENDOR
from tests.contract.values import numbered
from tests.management.processes import database_url
from tests.processes import Process

pytestmark = pytest.mark.orm

SECONDS = 120
"""Within which a process ends; five are promised, of a machine that is not busy."""

LONG = "{'timeout': 900}"
"""For stores whose calls would go on for longer than that."""

BEGIN = """
import asyncio, signal, sys, threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import sleep
import parlant_store
configured = {name: {"OPTIONS": GIVEN} for name in ("default", "b", "c", "d", "e", "f")}
parlant_store.setup(database_url=sys.argv[1], stores=configured)
from asgiref.sync import async_to_sync
from django.db import connection
from parlant_store import stores
from parlant_store.backends.threads.async_calls import run

def statement(execute, *arguments):
    return execute(*arguments)

async def add(name="default"):
    await run(stores[name], stores[name].add_items, "s", [{"n": 1}])

def wait_for_ever(name="default"):
    asyncio.run(add(name))

def say_when(count):
    # So many threads wait; only a look at them shows that they wait for SQLite's lock.
    seen = set()
    while connection.vendor == "sqlite" and len(seen) < count:
        frames = sys._current_frames().items()
        seen |= {thread for thread, frame in frames if frame.f_code.co_name == "_run_call"}
        sleep(0.001)
    print("waits", count, flush=True)

def tell(count=1):
    try:
        say_when(count)
        sys.stdin.read()
    except KeyboardInterrupt:
        pass

# A shell's job in the background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))
"""

DAEMON = "threading.Thread(target=wait_for_ever, daemon=True).start()\ntell()\nsys.exit(3)"
WAYS = {
    "a daemon": (LONG, DAEMON),
    "a daemon, without threads": ("{'threads': 0, 'timeout': 900}", DAEMON),
    "a daemon, watched": (
        LONG,
        "def wait_for_ever():\n"
        "    with connection.execute_wrapper(statement):\n"
        "        asyncio.run(add())\n" + DAEMON,
    ),
    "a daemon, without a limit": ("{'timeout': None}", DAEMON),
    "several stores": (
        LONG,
        "for name in stores:\n"
        "    threading.Thread(target=wait_for_ever, args=(name,), daemon=True).start()\n"
        "tell(6)\nsys.exit(3)",
    ),
    "many calls": (
        LONG,
        "for _ in range(40): stores['default'].submit("
        "partial(stores['default'].add_items, 's', [{'n': 1}]))\n"
        "tell()\nsys.exit(3)",
    ),
    "a thread that is no daemon": (
        LONG,
        "threading.excepthook = lambda failed: print(failed.exc_value)\n"
        "threading.Thread(target=wait_for_ever).start()\ntell()\nsys.exit(3)",
    ),
    "a pool of threads": (
        "{'timeout': None}",
        "pool = ThreadPoolExecutor(2)\npool.submit(wait_for_ever)\ntell()\nsys.exit(3)",
    ),
}


def is_reached(count, application):
    return waiting(application) >= count


@contextmanager
def children(ways):
    """Processes that all wait for the lock of a session, in each of their threads."""
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    names = {way: f"{os.getpid()}-{number}" for number, way in enumerate(ways)}
    with ExitStack() as stack, locked():
        found = {}
        for way, (options, script) in ways.items():
            command = ["-c", BEGIN.replace("GIVEN", options) + script, database_url()]
            pipes = dict.fromkeys(("stdin", "stdout", "stderr"), PIPE)
            own = environment | {"PGAPPNAME": names[way]}
            found[way] = Process(*command, env=own, **pipes)
            stack.callback(found[way].communicate)
            stack.callback(found[way].kill)
        for way, process in found.items():
            said = process.stdout.readline().split()
            assert said[:1] == ["waits"], process.communicate()[1]
            if VENDOR == "postgresql":
                eventually(partial(is_reached, int(said[1]), names[way]))
        yield found


def ended(processes):
    """The exit status of each, after it was told to end, and what it said meanwhile."""
    before, found = time.monotonic(), {}
    for way, process in processes.items():
        error = process.communicate(timeout=TIMEOUT_SECONDS)[1]
        assert time.monotonic() - before < SECONDS, f"{way}: {error}"
        found[way] = process.returncode, error
    return found


@pytest.fixture
def session(store):
    store.add_items("s", numbered(0))
    return store


def test_the_seconds_are_within_the_promise():
    assert FINISH_SECONDS + ABANDON_SECONDS < 4


def test_exit(session):
    with children(WAYS) as processes:
        for process in processes.values():
            process.stdin.close()
            process.stdin = None
        assert ended(processes) == dict.fromkeys(WAYS, (3, ""))
        eventually(lambda: waiting() == 0)
    assert session.get_items("s") == numbered(0)


def test_an_interrupt_and_a_handler_that_exits(session):
    numbers = {"interrupted": signal.SIGINT, "terminated": signal.SIGUSR1}
    with children(dict.fromkeys(numbers, WAYS["several stores"])) as processes:
        for way, process in processes.items():
            process.send_signal(numbers[way])
        assert ended(processes) == dict.fromkeys(numbers, (3, ""))
        eventually(lambda: waiting() == 0)
    assert session.get_items("s") == numbered(0)


def test_pythons_own_way_with_sigterm(session):
    """It kills; what waits at the server is not taken back, since nothing can."""
    ways = {"several stores": WAYS["several stores"]}
    with children(ways) as processes:
        for process in processes.values():
            process.send_signal(signal.SIGTERM)
        assert ended(processes) == dict.fromkeys(ways, (-signal.SIGTERM, ""))


BESIDE = "threading.Thread(target=say_when, args=({count},), daemon=True).start()\n"
MAIN = {
    "asyncio.run": (1, "asyncio.run(add())"),
    "async_to_sync": (1, "async_to_sync(add)()"),
    "several tasks": (
        6,
        "async def main(): await asyncio.gather(*map(add, stores))\nasyncio.run(main())",
    ),
}


def test_an_interrupt_of_the_main_thread(session):
    ways = {
        (way, options): (options, BESIDE.format(count=count if options == LONG else 1) + script)
        for way, (count, script) in MAIN.items()
        for options in (LONG, "{'threads': 0, 'timeout': 900}")
    }
    with children(ways) as processes:
        for process in processes.values():
            process.send_signal(signal.SIGINT)
        for way, (status, said) in ended(processes).items():
            assert status == -signal.SIGINT, way
            assert said.strip().endswith("KeyboardInterrupt"), (way, said)
            assert "Exception ignored" not in said, (way, said)
        eventually(lambda: waiting() == 0)
    assert session.get_items("s") == numbered(0)
