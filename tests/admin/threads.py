"""Threads of LangGraph for the tests of the admin: real graphs, and checkpoints of any bytes."""

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from parlant_store.adapters.langgraph import Checkpointer
from parlant_store.models import Thread
from parlant_store.types import ChannelValue, Checkpoint, TaskWrite, TypedBytes

USAGE = {"input_tokens": 20, "output_tokens": 4, "total_tokens": 24}
PAY = {"name": "pay", "args": {"amount": 7}, "id": "c1", "type": "tool_call"}


class State(MessagesState):
    plan: list[str]


def agent(state):
    if state["messages"][-1].type == "tool":
        return {"messages": [AIMessage("The card was **refused**.", usage_metadata=USAGE)]}
    return {"messages": [AIMessage("", tool_calls=[PAY])], "plan": ["pay"]}


def pay(state):
    interrupt({"question": "Pay <b>7</b>?"})
    message = ToolMessage("no cover", tool_call_id="c1", name="pay", status="error")
    return {"messages": [message]}


def paying(store="default", namespace=""):
    """Return a graph whose subgraph waits for an answer, and then fails to pay."""
    tools = StateGraph(State).add_node("pay", pay).add_edge(START, "pay").compile()
    builder = StateGraph(State).add_node("agent", agent).add_node("tools", tools)
    builder.add_edge(START, "agent").add_edge("tools", "agent")
    builder.add_conditional_edges(
        "agent", lambda state: "tools" if state["messages"][-1].tool_calls else END
    )
    return builder.compile(checkpointer=Checkpointer(store, namespace=namespace))


def config(thread_id="t", user_id="ada", **metadata):
    return {
        "configurable": {"thread_id": thread_id, "user_id": user_id},
        "metadata": metadata,
    }


def ask_to_pay(graph, thread_id="t", **metadata):
    graph.invoke({"messages": [HumanMessage("Please pay")]}, config(thread_id, **metadata))


def answer(graph, thread_id="t"):
    graph.invoke(Command(resume="yes"), config(thread_id))


def serialized(value):
    return TypedBytes(*JsonPlusSerializer().dumps_typed(value))


def put(store, messages=None, thread_id="t", *, writes=(), **channels):
    """Store a checkpoint with these channels; TypedBytes are stored as they are."""
    channels |= {} if messages is None else {"messages": messages}
    values = [
        ChannelValue(
            channel=name,
            version=1,
            value=value if isinstance(value, TypedBytes) else serialized(value),
        )
        for name, value in channels.items()
    ]
    made = Checkpoint(checkpoint_id="1", value=serialized({}), versions=dict.fromkeys(channels, 1))
    store.put_checkpoint(thread_id, made, values, user_id="ada")
    store.put_writes(thread_id, "1", writes)
    return Thread.objects.filter(thread_id=thread_id).first()


def write(channel, value, idx=0, task_id="task"):
    value = value if isinstance(value, TypedBytes) else serialized(value)
    path = "~__pregel_pull, node"
    return TaskWrite(task_id=task_id, idx=idx, channel=channel, value=value, task_path=path)
