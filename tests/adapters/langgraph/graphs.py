"""Graphs for the tests."""

import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt


class State(TypedDict, total=False):
    steps: Annotated[list[Any], operator.add]
    last: Any


def chain(*names: str, **nodes: Any) -> StateGraph:
    """Return a graph whose nodes follow one another; ``nodes`` are those that do not only log."""
    builder = StateGraph(State)
    for name in names:
        builder.add_node(name, nodes.get(name, step(name)))
    for before, after in zip((START, *names), (*names, END), strict=True):
        builder.add_edge(before, after)
    return builder


def step(name: str) -> Any:
    return lambda state: {"steps": [name], "last": name}


def ask(state: State) -> State:
    return {"steps": [interrupt("really?")]}


def fan_out(work: Any, count: int) -> StateGraph:
    """Return a graph with ``count`` tasks of ``work`` at once, then one more step."""
    builder = StateGraph(State)
    builder.add_node("work", work)
    builder.add_node("join", step("join"))
    sends = [Send("work", {"last": number}) for number in range(count)]
    builder.add_conditional_edges(START, lambda state: sends, ["work"])
    builder.add_edge("work", "join")
    builder.add_edge("join", END)
    return builder


def thread(name: str = "t", **configurable: Any) -> Any:
    return {"configurable": {"thread_id": name, **configurable}}


STEPS = 60


def counting() -> Any:
    """Return a graph that logs the numbers below STEPS, two tasks at each of its steps."""
    from parlant_store.adapters.langgraph import Checkpointer

    def count(state: State) -> State:
        return {"steps": [len(state["steps"])]}

    builder = StateGraph(State)
    builder.add_node("one", count)
    builder.add_node("two", lambda state: {"last": len(state["steps"])})
    for name in ("one", "two"):
        builder.add_edge(START, name)
    builder.add_conditional_edges(
        "one", lambda state: ["one", "two"] if len(state["steps"]) < STEPS else END
    )
    return builder.compile(checkpointer=Checkpointer())
