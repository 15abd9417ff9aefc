"""Runs of a graph at once, and what they have stored."""

import asyncio
import operator
from collections import defaultdict
from itertools import pairwise
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from tests.adapters.langgraph.graphs import thread

NODES = ("a", "b", "c")


class State(TypedDict, total=False):
    steps: Annotated[list[str], operator.add]
    count: Annotated[int, operator.add]
    run: int


def logging(saver: Any, started: asyncio.Barrier) -> Any:
    """Return a graph that logs its nodes, the first one when all runs have come to it."""

    def node(name: str) -> Any:
        async def work(state: State) -> State:
            if name == NODES[0]:
                await started.wait()
            return {"steps": [f"{state['run']} {name}"], "count": 1}

        return work

    builder = StateGraph(State)
    builder.add_sequence([(name, node(name)) for name in NODES])
    builder.add_edge(START, NODES[0])
    builder.add_edge(NODES[-1], END)
    return builder.compile(checkpointer=saver)


async def run_at_once(saver: Any, threads: dict[int, str]) -> dict[int, State]:
    """Run a graph on the thread of each number; return the states at their ends."""
    started = asyncio.Barrier(len(threads))

    async def run(number: int, thread_id: str) -> State:
        config = thread(thread_id) | {"metadata": {"run": number}}
        state = {"steps": [f"{number} in"], "count": 1, "run": number}
        return await logging(saver, started).ainvoke(state, config)

    states = await asyncio.gather(*(run(*each) for each in threads.items()))
    return dict(zip(threads, states, strict=True))


async def stored_runs(saver: Any) -> dict[int, list[Any]]:
    """Return the checkpoints of each run, the oldest first."""
    runs = defaultdict(list)
    async for each in saver.alist(None):
        runs[each.metadata["run"]].insert(0, each)
    return runs


def check_runs(runs: dict[int, list[Any]], states: dict[int, State]) -> None:
    """Check that each run has its steps once, after those of the checkpoint that it began at."""
    assert runs.keys() == states.keys()
    stored = {checkpoint_id(each.config): each for run in runs.values() for each in run}
    assert len(stored) == sum(map(len, runs.values()))
    for number, checkpoints in runs.items():
        began_at = checkpoints[0].parent_config
        before = [] if began_at is None else steps(stored[checkpoint_id(began_at)])
        _check_run(number, checkpoints, before)
        assert checkpoints[-1].checkpoint["channel_values"] == states[number]


def checkpoint_id(config: Any) -> str:
    return config["configurable"]["checkpoint_id"]


def steps(stored: Any) -> list[str]:
    return stored.checkpoint["channel_values"].get("steps", [])


def _check_run(number: int, checkpoints: list[Any], before: list[str]) -> None:
    log = [f"{number} {name}" for name in ("in", *NODES)]
    grown = [before + log[:count] for count in range(1, len(log) + 1)]
    assert [*map(steps, checkpoints)] == [before, *grown]
    for each in checkpoints:
        assert each.checkpoint["channel_values"].get("count", 0) == len(steps(each))
    written = [
        [value for _, channel, value in each.pending_writes if channel == "steps"]
        for each in checkpoints
    ]
    assert written == [*([[step]] for step in log), []]
    for earlier, later in pairwise(checkpoints):
        assert later.parent_config == earlier.config
