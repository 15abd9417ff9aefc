"""Several processes on one database, and one that is killed in the middle."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest
from django.db import connection

from tests.backends.orm.worker import TASKS
from tests.conftest import VENDOR
from tests.contract.values import numbered
from tests.management.processes import database_url as url_of_the_database


@pytest.fixture
def database_url(store) -> str:
    return url_of_the_database()


def start(url: str, *command: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.backends.orm.worker", url, *command],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )


def finish(*processes: subprocess.Popen[str]) -> list[str]:
    said = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return said


def test_two_processes_add_whole_batches(store, database_url):
    finish(start(database_url, "add", "one"), start(database_url, "add", "two"))
    items = store.get_items("s")
    batches = [items[place : place + 3] for place in range(0, len(items), 3)]
    assert all([item["n"] for item in batch] == [0, 1, 2] for batch in batches)
    owners = [{(item["p"], item["t"], item["b"]) for item in batch} for batch in batches]
    assert all(len(owner) == 1 for owner in owners)
    assert len(set.union(*owners)) == len(batches) == 2 * TASKS * 5
    assert store.get_session("s").item_count == 2 * TASKS * 5 * 3


def test_two_processes_pop_each_item_once(store, database_url):
    store.add_items("s", numbered(*range(100)))
    said = finish(start(database_url, "pop"), start(database_url, "pop"))
    popped = Counter(number for line in said for number in json.loads(line))
    assert popped == Counter(range(100))


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.15, 0.3, 0.5])
def test_a_killed_process_leaves_all_of_a_batch_or_none(store, database_url, delay):
    size = 40_000
    process = start(database_url, "batch", str(size))
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    time.sleep(delay)
    process.kill()
    process.communicate()
    stored = settled_count(store)
    assert stored in (0, size)
    store.add_items("s", numbered(1))
    assert store.get_items("s", limit=1) == numbered(1)


def settled_count(store: Any) -> int:
    """How many items there are, once the server has noticed that the writer is gone."""
    deadline = time.monotonic() + 120
    while VENDOR == "postgresql" and writers() > 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return len(store.get_items("s"))


def writers() -> int:
    """How many others are at work in the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND state <> 'idle'"
        )
        return int(cursor.fetchone()[0])
