"""Channels of which only the changes are stored."""

from typing import Annotated, Any, TypedDict

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph

from parlant_store.adapters.langgraph import Checkpointer
from tests.adapters.langgraph.graphs import thread


def extended(state: list[Any], writes: list[Any]) -> list[Any]:
    return [*state, *(each for write in writes for each in write)]


class State(TypedDict):
    log: Annotated[list[Any], DeltaChannel(extended, snapshot_frequency=5)]


@pytest.fixture
def graph(store):
    builder = StateGraph(State)
    builder.add_node("a", lambda state: {"log": ["a"]})
    builder.add_node("b", lambda state: {"log": ["b"]})
    builder.add_edge(START, "a")
    builder.add_edge(START, "b")
    builder.add_edge(["a", "b"], END)
    return builder.compile(checkpointer=Checkpointer())


def run(graph, *numbers, durability="async"):
    """Return the logs after each of the runs, and what they should be."""
    logs = [graph.invoke({"log": [n]}, thread(), durability=durability)["log"] for n in numbers]
    return logs[-1], [each for n in numbers for each in (n, "a", "b")]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_runs(graph, durability):
    log, expected = run(graph, *range(12), durability=durability)
    assert log == expected
    assert graph.get_state(thread()).values["log"] == expected


async def test_asynchronous_runs(graph):
    for number in range(7):
        log = (await graph.ainvoke({"log": [number]}, thread()))["log"]
    assert log == [each for n in range(7) for each in (n, "a", "b")]


def test_the_history_is_that_of_the_base_class(graph):
    run(graph, *range(12))
    saver = Checkpointer()
    lengths = set()
    for each in saver.list(thread()):
        expected = BaseCheckpointSaver.get_delta_channel_history(
            saver, config=each.config, channels=["log", "none"]
        )
        ours = saver.get_delta_channel_history(config=each.config, channels=["log", "none"])
        assert ours == expected
        lengths.add(len(ours["log"]["writes"]))
    assert len(lengths) > 5


@pytest.mark.orm
def test_a_history_is_one_statement(graph):
    run(graph, 1, 2)
    with CaptureQueriesContext(connection) as queries:
        Checkpointer().get_delta_channel_history(config=thread(), channels=["log"])
    assert len(queries) == 1


def test_pruning_keeps_what_the_value_is_made_of(graph):
    saver = Checkpointer()
    for number in range(12):
        graph.invoke({"log": [number]}, thread())
        before = graph.get_state(thread()).values["log"]
        saver.prune(["t"])
        assert graph.get_state(thread()).values["log"] == before
        assert len([*saver.list(thread())]) < 9
    assert len(before) == 36


def test_copies(graph):
    log, _ = run(graph, *range(7))
    Checkpointer().copy_thread("t", "copy")
    Checkpointer().delete_thread("t")
    assert graph.get_state(thread("copy")).values["log"] == log


def test_forks(graph):
    run(graph, *range(4))
    states = [*graph.get_state_history(thread())]
    fork = graph.update_state(states[5].config, {"log": ["fork"]}, as_node="a")
    assert graph.get_state(fork).values["log"] == [*states[5].values["log"], "fork"]
    assert graph.get_state(states[0].config).values["log"] == states[0].values["log"]
