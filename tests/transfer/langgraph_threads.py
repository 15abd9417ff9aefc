"""Threads and memories in the savers and stores of LangGraph, and what graphs read of them."""

import operator
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

from tests.adapters.langgraph.graphs import ask, chain, fan_out, thread

ODD = {
    "none": None,
    "zero": -0.0,
    "large": 2**63 - 1,
    "infinite": float("inf"),
    "bytes": b"\0\xff",
    "text": "a \0 b \U0001f600",
    "set": {1, 2},
    "decimal": Decimal("1.50"),
    "messages": [HumanMessage("hello", id="1"), AIMessage("hi", id="2")],
    1: (2, [3]),
}
VALUES = [
    *(None, True, 1, 2.5, "text", b"\0\xff", [], {}),
    ODD,
]


class State(TypedDict, total=False):
    steps: Annotated[list[Any], operator.add]
    last: Any


class DeltaState(TypedDict):
    log: Annotated[
        list[Any],
        DeltaChannel(
            lambda state, writes: [*state, *(each for write in writes for each in write)],
            snapshot_frequency=3,
        ),
    ]


def of_values() -> StateGraph:
    """A graph that has one value after another in a channel."""
    nodes = {f"n{n}": lambda state, value=value: {"last": value} for n, value in enumerate(VALUES)}
    return chain(*nodes, **nodes)


def waiting() -> StateGraph:
    """A graph that waits inside a graph inside a graph, beside a task that is done."""
    inner = chain("ask", ask=ask).compile()
    builder = StateGraph(State)
    builder.add_node("outer", chain("inner", inner=inner).compile())
    builder.add_node("done", lambda state: {"last": "done"})
    for name in ("outer", "done"):
        builder.add_edge(START, name)
    return builder


def changing() -> StateGraph:
    """A graph that changes a value without a new version."""

    def change(state: State) -> State:
        state["last"].append("changed")
        return {"steps": ["changed"]}

    first = lambda state: {"last": ["first"]}  # noqa: E731
    return chain("first", "change", "again", first=first, change=change, again=change)


def failing() -> StateGraph:
    """A graph of which one task of a step fails after the others."""

    def work(state: State) -> State:
        if state["last"] == 2:
            raise ArithmeticError("two")
        return {"steps": [state["last"]]}

    return fan_out(work, 3)


def of_deltas() -> StateGraph:
    builder = StateGraph(DeltaState)
    builder.add_node("a", lambda state: {"log": ["a"]})
    builder.add_edge(START, "a")
    builder.add_edge("a", END)
    return builder


GRAPHS: dict[str, Callable[[], StateGraph]] = {
    "values": of_values,
    "waiting": waiting,
    "changing": changing,
    "failing": failing,
    "deltas": of_deltas,
}
"""A graph for each thread."""


def config_of(name: str) -> Any:
    return thread(name, user_id=f"user of {name}")


def run_all(saver: BaseCheckpointSaver[Any]) -> None:
    """Run all graphs, each in its thread."""
    for name, builder in GRAPHS.items():
        graph = builder().compile(checkpointer=saver)
        try:
            if name == "deltas":
                for number in range(5):
                    graph.invoke({"log": [number]}, config_of(name))
            else:
                graph.invoke({"steps": ["in"]}, config_of(name), durability="sync")
        except ArithmeticError:
            pass
    graph = of_values().compile(checkpointer=saver)
    # A branch of the thread.
    oldest = [*graph.get_state_history(config_of("values"))][-3]
    graph.update_state(oldest.config, {"last": "branch"})


def all_of(saver: BaseCheckpointSaver[Any]) -> dict[str, Any]:
    """All that the saver and graphs return of the threads."""
    return {
        name: [
            [_tuple(each) for each in saver.list(thread(name))],
            [*builder().compile(checkpointer=saver).get_state_history(thread(name))],
            builder().compile(checkpointer=saver).get_state(thread(name), subgraphs=True),
        ]
        for name, builder in GRAPHS.items()
    }


def _tuple(found: Any) -> list[Any]:
    checkpoint = dict(found.checkpoint)
    # That of a version is the value of each checkpoint with this version.
    checkpoint["channel_values"] = {
        name: value
        for name, value in checkpoint["channel_values"].items()
        if not isinstance(value, _DeltaSnapshot)
    }
    return [found.config, checkpoint, found.metadata, found.parent_config, *_writes(found)]


def _writes(found: Any) -> list[Any]:
    return sorted(found.pending_writes or [], key=repr)


def go_on(saver: BaseCheckpointSaver[Any]) -> list[Any]:
    """Resume the graphs that wait or have failed; return their last states."""
    graph = waiting().compile(checkpointer=saver)
    resumed = graph.invoke(Command(resume="yes"), thread("waiting"))
    failed = fan_out(lambda state: {"steps": [state["last"]]}, 3).compile(checkpointer=saver)
    more = of_deltas().compile(checkpointer=saver).invoke({"log": ["more"]}, thread("deltas"))
    last = changing().compile(checkpointer=saver).invoke({"steps": ["more"]}, thread("changing"))
    return [resumed, failed.invoke(None, thread("failing")), more, last]


MEMORIES = {
    ("users", "ada"): {"name": {"text": "Ada likes apples", "rank": 2}, "odd": {"v": [None, 1.5]}},
    ("users", "ada", "more"): {"x": {"rank": 10}},
    ("users", "bob"): {"name": {"text": "Bob"}, "": {"é": "\U0001f600"}},
}


def remember(store: Any) -> None:
    for namespace, values in MEMORIES.items():
        for key, value in values.items():
            store.put(namespace, key, value)
    store.put(("ttl",), "long", {"a": 1}, ttl=60)


def found_in(store: Any) -> list[Any]:
    """What searches find, in one order: times of SQLite are whole seconds."""
    searches = [
        (),
        ("users",),
        ("users", "ada"),
        ("ttl",),
    ]
    return [
        sorted(
            (item.namespace, item.key, item.value, _utc(item.created_at), _utc(item.updated_at))
            for item in store.search(prefix, limit=100, refresh_ttl=False)
        )
        for prefix in searches
    ]


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
