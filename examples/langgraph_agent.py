"""A LangGraph agent that waits for an approval, in another process than the one that asks for it.

    python examples/langgraph_agent.py [--database-url postgresql://user:password@host/name]

The graph answers a customer who wants money back. It stops before it pays; its process ends. A
second process finds the thread in the database, approves the payment and goes on, and the graph
remembers the customer in a long-term memory. No model is called: the nodes are plain functions.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

import parlant_store

THREAD: Any = {"configurable": {"thread_id": "refund-17", "user_id": "ada"}}
NAMESPACE = ("customers", "ada")


class Refund(MessagesState):
    order: str
    euros: int


def look_up(state: Refund) -> dict[str, Any]:
    """Find what the order has cost."""
    return {"euros": {"17": 40}.get(state["order"], 0)}


def pay(state: Refund, runtime: Runtime) -> dict[str, Any]:
    """Pay if a person approves it, and remember the customer."""
    order, euros = state["order"], state["euros"]
    if interrupt(f"Pay {euros} euros back for order {order}?") != "yes":
        return {"messages": [("ai", "I am sorry, there is no refund.")]}
    runtime.store.put(NAMESPACE, order, {"text": f"Got {euros} euros back for order {order}."})
    return {"messages": [("ai", f"You get {euros} euros back.")]}


def graph() -> Any:
    from parlant_store.adapters.langgraph import Checkpointer, Store

    builder = StateGraph(Refund).add_node(look_up).add_node(pay)
    builder.add_edge(START, "look_up").add_edge("look_up", "pay")
    return builder.compile(checkpointer=Checkpointer(), store=Store(user_label=1))


def request() -> None:
    """Ask for the money, and end when the graph waits."""
    message = ("user", "I want my money back for order 17.")
    result = graph().invoke({"messages": [message], "order": "17"}, THREAD)
    print(f"Ada: {message[1]}")
    print(f"The graph waits: {result['__interrupt__'][0].value}")


def approve() -> None:
    """Go on with the thread of the other process."""
    refund = graph()
    print(f"Another process finds it before the node {refund.get_state(THREAD).next[0]!r}.")
    result = refund.invoke(Command(resume="yes"), THREAD)
    print(f"Agent: {result['messages'][-1].content}")
    (memory,) = refund.store.search(NAMESPACE, query="order")
    print(f"Stored about Ada: {memory.value['text']}")


STEPS = {"request": request, "approve": approve}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database-url")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        parlant_store.setup(options.database_url)
        STEPS[options.step]()
        return
    with TemporaryDirectory() as folder:
        url = options.database_url or f"sqlite:///{Path(folder, 'agents.sqlite3')}"
        environment = {**os.environ}
        # The script is no Django project.
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        for step in STEPS:
            command = [sys.executable, __file__, "--database-url", url, "--step", step]
            if subprocess.run(command, env=environment).returncode:
                sys.exit(f"{step} has failed")


if __name__ == "__main__":
    main()
