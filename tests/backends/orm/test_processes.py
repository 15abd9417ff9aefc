"""Several processes on one database, and one that is killed in the middle."""

import os
import time
from subprocess import PIPE
from typing import Any

import pytest
from django.db import connection

from tests.conftest import VENDOR
from tests.contract.processes import check_popped_once, check_whole_batches, finish
from tests.contract.values import numbered
from tests.management.processes import database_url as url_of_the_database
from tests.processes import Process


@pytest.fixture
def database_url(store) -> str:
    return url_of_the_database()


def start(url: str, *command: str) -> Process:
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    worker = ["-m", "tests.backends.orm.worker", url, *command]
    return Process(*worker, stdout=PIPE, env=environment)


def test_two_processes_add_whole_batches(store, database_url):
    finish(start(database_url, "add", "one"), start(database_url, "add", "two"))
    check_whole_batches(store)


def test_two_processes_pop_each_item_once(store, database_url):
    store.add_items("s", numbered(*range(100)))
    check_popped_once(finish(start(database_url, "pop"), start(database_url, "pop")), 100)


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
