"""Graphs that use the store of compile(store=...)."""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.config import get_store
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import InjectedStore, ToolNode
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph.types import Send

from parlant_store.adapters.langgraph import Store

pytestmark = pytest.mark.usefixtures("store")


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


class Visits(TypedDict):
    names: list[str]
    greetings: Annotated[list[str], operator.add]


def remember(state: State, config: RunnableConfig, *, store: BaseStore) -> dict[str, Any]:
    """Answer with what the user has said before, and store what the user says."""
    namespace = ("memories", config["configurable"]["user_id"])
    earlier = [item.value["text"] for item in store.search(namespace)]
    text = state["messages"][-1].content
    store.put(namespace, text, {"text": text})
    return {"messages": [AIMessage(" ".join(sorted(earlier)) or "nothing")]}


async def aremember(state: State, runtime: Runtime[Any], config: RunnableConfig) -> dict[str, Any]:
    namespace = ("memories", config["configurable"]["user_id"])
    earlier = [item.value["text"] for item in await runtime.store.asearch(namespace)]
    text = state["messages"][-1].content
    await runtime.store.aput(namespace, text, {"text": text})
    return {"messages": [AIMessage(" ".join(sorted(earlier)) or "nothing")]}


def graph_of(node: Any) -> Any:
    builder = StateGraph(State).add_node("remember", node)
    return builder.add_edge(START, "remember").add_edge("remember", END).compile(store=Store())


def said(result: dict[str, Any]) -> str:
    return result["messages"][-1].content


def of_user(user_id: str, thread_id: str) -> RunnableConfig:
    return {"configurable": {"user_id": user_id, "thread_id": thread_id}}


def message(text: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(text)]}


def test_a_graph_remembers_a_user_in_other_threads():
    graph = graph_of(remember)
    assert said(graph.invoke(message("apples"), of_user("1", "a"))) == "nothing"
    assert said(graph.invoke(message("pears"), of_user("1", "b"))) == "apples"
    assert said(graph_of(remember).invoke(message("plums"), of_user("1", "c"))) == "apples pears"
    assert said(graph.invoke(message("apples"), of_user("10", "d"))) == "nothing"


async def test_an_async_graph():
    graph = graph_of(aremember)
    assert said(await graph.ainvoke(message("apples"), of_user("1", "a"))) == "nothing"
    runs = [
        graph.ainvoke(message(f"pears {number}"), of_user(f"user-{number}", "b"))
        for number in range(10)
    ]
    assert {said(result) for result in await asyncio.gather(*runs)} == {"nothing"}
    assert said(await graph.ainvoke(message("plums"), of_user("1", "c"))) == "apples"
    # Sync nodes of an async graph run on threads.
    assert said(await graph_of(remember).ainvoke(message("figs"), of_user("1", "d"))) == (
        "apples plums"
    )


def test_nodes_that_run_at_once():
    def fan_out(state: Visits) -> list[Send]:
        return [Send("greet", name) for name in state["names"]]

    def greet(name: str) -> dict[str, Any]:
        store = get_store()
        item = store.get(("visits",), name)
        count = item.value["count"] + 1 if item else 1
        store.put(("visits",), name, {"count": count})
        return {"greetings": [f"{name} {count}"]}

    builder = StateGraph(Visits).add_node("greet", greet)
    builder.add_conditional_edges(START, fan_out, ["greet"]).add_edge("greet", END)
    graph = builder.compile(store=Store())
    names = [f"visitor {number}" for number in range(8)]
    for count in (1, 2):
        result = graph.invoke({"names": names, "greetings": []})
        assert sorted(result["greetings"]) == [f"{name} {count}" for name in names]
    assert len(Store().search(("visits",), filter={"count": {"$gte": 2}})) == 8


def test_a_tool_with_the_store():
    @tool
    def save_note(text: str, store: Annotated[Any, InjectedStore()]) -> str:
        """Save a note."""
        store.put(("notes",), "note", {"text": text})
        return f"{len(store.search(('notes',), query=text))} found"

    call = {"name": "save_note", "args": {"text": "buy milk"}, "id": "1", "type": "tool_call"}
    builder = StateGraph(State).add_node("tools", ToolNode([save_note]))
    graph = builder.add_edge(START, "tools").add_edge("tools", END).compile(store=Store())
    result = graph.invoke({"messages": [AIMessage("", tool_calls=[call])]})
    assert isinstance(result["messages"][-1], ToolMessage)
    assert said(result) == "1 found"
    assert Store().get(("notes",), "note").value == {"text": "buy milk"}
