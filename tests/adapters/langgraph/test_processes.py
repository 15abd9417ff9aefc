"""Graphs in several processes, and one that is killed in the middle."""

import os
import time

import pytest
from django.db import connections

from tests.adapters.langgraph.graphs import STEPS, counting, thread
from tests.management.processes import database_url
from tests.processes import Process

pytestmark = pytest.mark.orm

LONG = 120
"""Seconds within which everything happens on any machine."""


@pytest.mark.parametrize("durability", ["sync", "async"])
@pytest.mark.parametrize("count", [1, 9, 30])
def test_a_graph_of_a_killed_process_goes_on(store, durability, count):
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    command = ["-m", "tests.adapters.langgraph.worker", database_url(), durability]
    process = Process(*command, env=environment)
    deadline = time.monotonic() + LONG
    while len(store.list_checkpoints("t", limit=count)) < count:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    connections.close_all()
    graph = counting()
    state = graph.invoke(None, thread() | {"recursion_limit": 1_000})
    assert state == {"steps": [*range(STEPS)], "last": STEPS - 1}
    history = [*graph.get_state_history(thread())]
    assert [each.metadata["step"] for each in history] == [*range(STEPS, -2, -1)]
    for each in history:
        assert each.values.get("steps", []) == [*range(max(0, each.metadata["step"]))]
