"""What another process does with a directory of sessions.

python -m tests.backends.jsonfile.worker DIRECTORY COMMAND

add NAME    20 tasks, each adding 5 batches of 3
pop         20 tasks, popping until none is left
hold        locks the session "s", says "held", and waits
fork        writes in a child process whose parent has locked the session, and has not any more
kill        1,000 writes by processes that are killed in the middle; says what was found
small       writes until no file may be larger
full        writes until a small file system has no room
read-only   writes to folders and files that may only be read
"""

import asyncio
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from typing import Any

from django.conf import settings

from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.jsonfile import JsonFileBackend
from parlant_store.exceptions import StoreUnavailable
from tests.contract import processes
from tests.contract.values import numbered

WRITES = 1_000


def hold(store) -> None:
    with store.files.locked(SessionName("", "s")):
        say("held")
        signal.pause()


def fork(store) -> None:
    store.add_items("s", numbered(1))
    impatient = JsonFileBackend("default", directory=store.directory, timeout=0.1)
    with impatient.files.locked(SessionName("", "s")):
        error = in_child(lambda: impatient.add_items("s", numbered(3)))
    in_child(lambda: store.add_items("s", numbered(2)))
    say({"while locked": error, "items": store.get_items("s")})


def in_child(call) -> str:
    """The name of the error that ``call`` raises in a child process, or ""."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            call()
        except BaseException as exc:
            os.write(writing, type(exc).__name__.encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading) as pipe:
        return pipe.read()


def write(store, number: int) -> None:
    """The write of this number; each kind now and then."""
    items = [{"write": number, "n": n, "text": "x" * (number % 50)} for n in range(3)]
    if number % 41 == 40:
        store.replace_items("s", items)
    elif number % 7 == 6:
        store.pop_item("s")
    elif number % 11 == 10:
        since = store.load_snapshot("s").revision
        keep = max(0, since.item_count - 3)
        store.save_snapshot("s", items, state={"n": number}, since=since, drop=1, keep=keep)
    else:
        store.add_items("s", items)


def after(items: list[Any], number: int) -> list[Any]:
    """What the items are after that write."""
    new = [{"write": number, "n": n, "text": "x" * (number % 50)} for n in range(3)]
    if number % 41 == 40:
        return new
    if number % 7 == 6:
        return items[:-1]
    if number % 11 == 10:
        return [*items[1 : 1 + max(0, len(items) - 3)], *new]
    return items + new


def write_until_killed(store, number: int, acknowledged: int) -> None:
    while True:
        write(store, number)
        os.write(acknowledged, b".")
        number += 1


def kill(store) -> None:
    store.add_items("s", numbered(0))
    items: list[Any] = numbered(0)
    chance = random.Random(7)
    number = kills = unacknowledged = 0
    while number < WRITES:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            write_until_killed(store, number, writing)
        os.close(writing)
        # Some are killed at once, others after a write or many, each at another place of it.
        acknowledged = 0
        for _ in range(chance.choice((1, 2, 5, 40, 80))):
            acknowledged += len(os.read(reading, 1))
        time.sleep(chance.random() * 0.001)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
        while rest := os.read(reading, 1_000):
            acknowledged += len(rest)
        os.close(reading)
        for _ in range(acknowledged):
            items = after(items, number)
            number += 1
        found = store.get_items("s")
        if found != items:
            # The write that was killed may have been done.
            items = after(items, number)
            number += 1
            unacknowledged += 1
            assert found == items, (number, found[-5:], items[-5:])
        assert store.get_session("s").item_count == len(items)
    say({"writes": number, "kills": kills, "unacknowledged": unacknowledged})


def small(store) -> None:
    store.add_items("s", numbered(1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    say(write_until_full(store))


def full(store) -> None:
    store.directory.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", store.directory]
    subprocess.run(mount, check=True)
    found = write_until_full(store)
    subprocess.run(["mount", "-o", "remount,ro", store.directory], check=True)
    say(found | {"files": left_over(store), "read_only": refused(store, *WAYS)})


def write_until_full(store) -> dict[str, Any]:
    """Add items until there is no room; then take some away, and add again."""
    written = 0
    refused = 0
    while refused < 3:
        try:
            store.add_items("s", [{"n": written, "text": "x" * 5_000}, {"n": written}])
        except StoreUnavailable as exc:
            refused += 1
            error = f"{type(exc).__name__}: {exc}"
            refuse(lambda: store.save_snapshot("s", [{"t": "x" * 300_000}], state={"a": 1}))
            refuse(lambda: store.add_items("new", [{"t": "x" * 300_000}]))
        else:
            written += 1
    items = store.get_items("s")
    numbers = [item["n"] for item in items if "text" in item]
    whole = numbers == list(range(written)) and len(items) - 2 * written in (0, 1)
    count = store.get_session("s").item_count == len(items)
    store.delete_session("s")
    store.add_items("s", numbered(1, 2))
    store.add_items("s", numbered(3))
    goes_on = store.get_items("s") == numbered(1, 2, 3)
    return {
        "written": written,
        "error": error,
        "whole": whole and count and not store.exists("new"),
        "goes_on": goes_on,
    }


def refuse(call) -> None:
    try:
        call()
    except StoreUnavailable:
        return
    raise AssertionError("it was written")


WAYS: dict[str, Any] = {
    "add": lambda store: store.add_items("s", numbered(4)),
    "pop": lambda store: store.pop_item("s"),
    "new": lambda store: store.add_items("new", numbered(4)),
    "replace": lambda store: store.replace_items("s", numbered(4)),
    "delete": lambda store: store.delete_session("s"),
}


def refused(store, *ways: str) -> dict[str, str]:
    """The errors of writes, none of which changes anything."""
    before, errors = store.get_items("s"), {}
    for way in ways:
        try:
            WAYS[way](store)
        except StoreUnavailable as exc:
            errors[way] = str(exc)
    assert store.get_items("s") == before
    assert not store.exists("new")
    return errors


def read_only(store) -> None:
    store.add_items("s", numbered(1, 2))
    paths = [store.directory, *store.directory.rglob("*")]
    if os.getuid() == 0:
        # No permission stops root.
        for path in paths:
            os.chown(path, 65_534, 65_534)
        os.setgroups([])
        os.setgid(65_534)
        os.setuid(65_534)
    folders = [path for path in paths if path.is_dir()]
    files = [path for path in paths if path.is_file()]
    found = {}
    for path in folders:
        path.chmod(0o500)
    found["folders"] = refused(store, "new", "delete")
    for path in files:
        path.chmod(0o400)
    found["files"] = refused(store, *WAYS)
    say(found)
    for path in folders:
        path.chmod(0o700)


def left_over(store) -> list[str]:
    paths = [path for path in store.directory.rglob("*") if path.is_file()]
    return sorted(path.name for path in paths if path.parent.name != ".locks")


def say(what: Any) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201


def main(directory: str, command: str, *args: str) -> None:
    settings.configure(USE_TZ=True)
    store = JsonFileBackend("default", directory=directory)
    if command == "add":
        asyncio.run(processes.add(store, *args))
    elif command == "pop":
        say(asyncio.run(processes.pop(store)))
    else:
        commands = (hold, fork, kill, small, full, read_only)
        {call.__name__.replace("_", "-"): call for call in commands}[command](store)


if __name__ == "__main__":
    main(*sys.argv[1:])
