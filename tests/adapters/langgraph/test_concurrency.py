"""Graphs that run at once: on one thread, and on many.

LangGraph locks no thread. A run reads the latest checkpoint when it starts, and each checkpoint
that it stores follows its last one: runs on one thread at once are branches, and the thread has
the state of one of them. InMemorySaver shows the same.
"""

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from parlant_store.adapters.langgraph import Checkpointer
from tests.adapters.langgraph.concurrent_runs import (
    check_runs,
    checkpoint_id,
    run_at_once,
    stored_runs,
)
from tests.adapters.langgraph.graphs import thread


@pytest.mark.parametrize("kind", [Checkpointer, InMemorySaver])
async def test_runs_of_one_thread(store, kind):
    saver = kind()
    states = await run_at_once(saver, {-1: "t"})
    states |= await run_at_once(saver, dict.fromkeys(range(20), "t"))
    runs = await stored_runs(saver)
    check_runs(runs, states)
    stored = [each for run in runs.values() for each in run]
    for each in stored:
        assert await saver.aget_tuple(each.config) == each
    latest = max(stored, key=lambda each: checkpoint_id(each.config))
    assert await saver.aget_tuple(thread()) == latest


async def test_many_threads(store):
    saver = Checkpointer()
    threads = {number: f"t{number}" for number in range(200)}
    states = await run_at_once(saver, threads)
    runs = await stored_runs(saver)
    check_runs(runs, states)
    for number, checkpoints in runs.items():
        assert checkpoints[0].parent_config is None
        assert await saver.aget_tuple(thread(threads[number])) == checkpoints[-1]
