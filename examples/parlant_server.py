"""A Parlant server that remembers: it is stopped, started again, and goes on.

    python examples/parlant_server.py [--database-url postgresql://user:password@host/name]

``serve`` is the application: an agent with a tool, a customer and a variable, and a server
whose stores are those of parlant_store. The rest of the script is its customer Ada, who
talks to it over HTTP before and after a restart, and ends with an error if anything that
the first server knew is lost. The model alone is scripted: see scripted_nlp.py.
"""

import argparse
import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from parlant.client import Event, ParlantClient
from parlant.client.core import ApiError

import parlant_store

HOST = "127.0.0.1"
TIMEOUT_SECONDS = 300  # generous: a server starts slowly on a busy machine
ORDERS = {"17": "was shipped on Monday"}


async def serve(port: int, tool_port: int) -> None:
    """Run the application; it creates the same things at every start."""
    # Here because Parlant makes its home folder when it is imported.
    import parlant.sdk as p
    from scripted_nlp import ScriptedNLP

    from parlant_store.adapters.parlant import server_stores

    @p.tool
    async def order_status(context: p.ToolContext, order: str) -> p.ToolResult:
        """What became of an order."""
        await context.emit_status("processing", {"stage": f"Looking for order {order}"})
        return p.ToolResult(ORDERS.get(order, "is unknown"))

    async with p.Server(
        host=HOST,
        port=port,
        tool_service_port=tool_port,
        nlp_service=lambda _: ScriptedNLP(),
        **server_stores(),
    ) as server:
        agent = await server.create_agent(
            name="Clerk",
            description="Answers the customers of a shop.",
            perceived_performance_policy=p.NullPerceivedPerformancePolicy(),
        )
        await server.create_customer("Ada", metadata={"city": "Lisbon"})
        await agent.create_variable("membership", description="What the customer pays for.")
        await agent.create_guideline(
            condition="the customer asks where an order is",
            action="tell what became of it",
            tools=[order_status],
        )


class Failed(Exception):
    """The server did not do, or did not keep, what it should."""


@contextmanager
def server(environment: dict[str, str], log: Path) -> Iterator[ParlantClient]:
    """A client of the application, which runs in a process of its own until the end."""
    port, tool_port = _free_ports(2)
    command = [sys.executable, __file__, "--serve", str(port), str(tool_port)]
    with (
        log.open("a") as out,
        httpx.Client(trust_env=False, timeout=2 * TIMEOUT_SECONDS) as http,
        subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=out
        ) as process,
    ):
        client = ParlantClient(base_url=f"http://{HOST}:{port}", httpx_client=http)
        try:
            _wait_until_ready(client, process)
            yield client
        finally:
            _stop(process)


def _free_ports(count: int) -> list[int]:
    """Ports that are free, and that no system gives to an outgoing connection meanwhile."""
    ports: set[int] = set()
    while len(ports) < count:
        port = random.randrange(10_000, 32_000)
        with suppress(OSError), socket.create_server((HOST, port)):
            ports.add(port)
    return list(ports)


def _wait_until_ready(client: ParlantClient, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            client.health_check_healthz_get()
            return
        except httpx.TransportError:
            time.sleep(0.1)
    if process.poll() is None:
        raise Failed(f"The server did not answer within {TIMEOUT_SECONDS} seconds.")
    raise Failed(f"The server ended with exit status {process.returncode}.")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def open_session(client: ParlantClient) -> str:
    """The id of a new session of Ada, who becomes a gold member first."""
    ada = _only("Ada", client.customers.list())
    membership = _only("membership", client.context_variables.list())
    client.context_variables.set_value(membership.id, ada.id, data="gold")
    agent = _only("Clerk", client.agents.list())
    return client.sessions.create(agent_id=agent.id, customer_id=ada.id).id


def _only(name: str, found: Any) -> Any:
    named = [each for each in found if each.name == name]
    if len(named) != 1:
        raise Failed(f"The server should know one {name!r} and knows {len(named)}: {named}")
    return named[0]


def ask(client: ParlantClient, session_id: str, message: str, expected: str) -> None:
    """Say ``message`` and wait for the agent's answer, which must be ``expected``."""
    asked = client.sessions.create_event(
        session_id, kind="message", source="customer", message=message
    )
    events: list[Event] = []
    while not any(_stage(event) == "completed" for event in events):
        events += client.sessions.list_events(
            session_id, min_offset=asked.offset + len(events) + 1, wait_for_data=TIMEOUT_SECONDS
        )
    answers = [_line(event) for event in events if event.kind == "message"]
    if answers != [f"Clerk: {expected}"]:
        raise Failed(f"The agent answered {answers} to {message!r} instead of {expected!r}.")


def memory(client: ParlantClient, session_id: str) -> dict[str, Any]:
    """What the server knows of Ada and of her session."""
    ada = _only("Ada", client.customers.list())
    membership = _only("membership", client.context_variables.list())
    return {
        "session": client.sessions.retrieve(session_id),
        "events": client.sessions.list_events(session_id, wait_for_data=0),
        "customer": (ada.id, ada.metadata),
        "variable": (membership.id, membership.description),
        "value": client.context_variables.get_value(membership.id, ada.id),
    }


def check_tool(events: list[Event]) -> None:
    kinds, stages = [event.kind for event in events], [_stage(event) for event in events]
    if "tool" not in kinds or "Looking for order 17" not in stages:
        raise Failed(f"The tool left no call or no status in the session: {kinds}, {stages}")


def check_nothing_lost(before: dict[str, Any], after: dict[str, Any]) -> None:
    for name, value in before.items():
        if after[name] != value:
            raise Failed(f"After the restart the {name} is {after[name]} and was {value}")


def _stage(event: Event) -> str:
    data: Any = event.data
    return str(data["data"].get("stage", "")) if event.kind == "status" else ""


def _line(event: Event) -> str:
    """The event in the transcript; empty when it has no place there."""
    data: Any = event.data
    if event.kind == "message":
        return f"{data['participant']['display_name']}: {data['message']}"
    if event.kind == "tool":
        call = data["tool_calls"][0]
        return f"  [{call['tool_id']} {call['arguments']} -> {call['result']['data']}]"
    return f"  [{_stage(event)}]" if _stage(event).startswith("Looking") else ""


def play(environment: dict[str, str], log: Path) -> list[str]:
    """Talk to the server, restart it and talk on; the lines of the transcript."""
    with server(environment, log) as client:
        session_id = open_session(client)
        ask(client, session_id, "Where is my order 17?", "Order 17 was shipped on Monday.")
        ask(client, session_id, "Thank you!", "You are welcome, Ada.")
        before = memory(client, session_id)
        check_tool(before["events"])
    with server(environment, log) as client:
        check_nothing_lost(before, memory(client, session_id))
        answer = (
            "You asked about order 17, which was shipped on Monday. You are a gold member, Ada."
        )
        ask(client, session_id, "Which order was that?", answer)
        events = client.sessions.list_events(session_id, wait_for_data=0)
    kept = len(before["events"])
    restart = f"  [restart: session {session_id} and its {kept} events are still there]"
    return [*map(_line, events[:kept]), restart, *map(_line, events[kept:])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--database-url", help="default: an SQLite file, removed at the end")
    ports = ("PORT", "TOOL_PORT")
    parser.add_argument(
        "--serve",
        nargs=2,
        type=int,
        metavar=ports,
        help="run the server alone, until standard input closes",
    )
    options = parser.parse_args()
    if options.serve:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        parlant_store.setup(options.database_url)
        asyncio.run(serve(*options.serve))
    else:
        demonstrate(options.database_url)


def _end_with_parent() -> None:
    """Stop this server when the script that has started it is gone, even if it was killed."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def demonstrate(database_url: str | None) -> None:
    with TemporaryDirectory() as folder:
        log = Path(folder, "server.log")
        environment = _environment() | {
            "DATABASE_URL": database_url or f"sqlite:///{folder}/agents.sqlite3",
            "PARLANT_HOME": folder,
        }
        try:
            transcript = play(environment, log)
        except (Failed, ApiError, httpx.HTTPError) as exc:
            lines = log.read_text().splitlines()[-30:]
            sys.exit("\n".join([*lines, f"{type(exc).__name__}: {exc}"]))
    print("\n".join(filter(None, transcript)))


def _environment() -> dict[str, str]:
    """This process's environment without what would keep the server from starting."""
    return {
        name: value
        for name, value in os.environ.items()
        # Parlant calls itself over HTTP; the application is no Django project.
        if not name.lower().endswith("_proxy") and name != "DJANGO_SETTINGS_MODULE"
    }


if __name__ == "__main__":
    main()
