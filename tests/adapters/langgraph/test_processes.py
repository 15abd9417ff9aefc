"""Graphs in several processes, and one that is killed in the middle."""

import json
import os
import time
from itertools import product

import pytest
from django.db import connections

from tests.adapters.langgraph.graphs import STEPS, counting, thread
from tests.conftest import OVER_HTTP
from tests.management.processes import database_url
from tests.processes import Process
from tests.servers.supabase import wait_for

LONG = 120
"""Seconds within which everything happens on any machine."""

CASES = [("async", 9)] if OVER_HTTP else [*product(["sync", "async"], [1, 9, 30])]


@pytest.mark.parametrize(("durability", "count"), CASES)
def test_a_graph_of_a_killed_process_goes_on(request, store, settings, durability, count):
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    stores = json.dumps(getattr(settings, "PARLANT_STORES", None))
    command = ["-m", "tests.adapters.langgraph.worker", database_url(), durability, stores]
    process = Process(*command, env=environment)
    deadline = time.monotonic() + LONG
    while len(store.list_checkpoints("t", limit=count)) < count:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    if OVER_HTTP:
        # The server does what it has received.
        gateway = request.getfixturevalue("project").gateway
        assert wait_for(lambda: gateway.answers == len(gateway.requests))
    connections.close_all()
    graph = counting()
    state = graph.invoke(None, thread() | {"recursion_limit": 1_000})
    assert state == {"steps": [*range(STEPS)], "last": STEPS - 1}
    history = [*graph.get_state_history(thread())]
    assert [each.metadata["step"] for each in history] == [*range(STEPS, -2, -1)]
    for each in history:
        assert each.values.get("steps", []) == [*range(max(0, each.metadata["step"]))]
