"""Real Parlant servers on a store: the example, and the ways to wire one."""

import os
from pathlib import Path

import pytest
from parlant.core.context_variables import ContextVariableStore
from parlant.core.customers import CustomerStore
from parlant.core.sessions import SessionStore

from parlant_store.adapters.parlant import configure_container, server_stores
from tests import processes
from tests.backends.orm.test_processes import database_url as database_url
from tests.project.test_supervisor import check_they_end, commands, programs, started, wait_for

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = [str(ROOT / "examples" / "parlant_server.py")]
CONFIGURED = [str(Path(__file__).with_name("configured_server.py"))]


def play(*command: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    paths = [str(ROOT), str(ROOT / "examples")]
    environment |= {"PYTHONPATH": os.pathsep.join(paths)} | processes.forking()
    done = processes.run(*command, env=environment, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(EXAMPLE, id="server_stores"),
        # How a server gets its stores has nothing to do with the database.
        pytest.param(CONFIGURED, id="container", marks=pytest.mark.any_database),
    ],
)
def test_a_server_remembers_over_a_restart(store, database_url, script):
    said = play(*script, "--database-url", database_url)
    assert "Clerk: Order 17 was shipped on Monday." in said
    assert "events are still there" in said
    assert said.rstrip().endswith("You are a gold member, Ada.")
    assert {
        "parlant_context_variables_values",
        "parlant_customers_customers",
        "parlant_sessions_events",
        "parlant_sessions_sessions",
    } <= set(store.list_collections())
    (ada,) = store.find("parlant_customers_customers", {"name": {"$eq": "Ada"}}).documents
    (session,) = store.find("parlant_sessions_sessions").documents
    assert session["customer_id"] == ada["id"]
    events = store.find("parlant_sessions_events").documents
    assert sorted(event["offset"] for event in events) == list(range(len(events)))
    assert "tool" in {event["kind"] for event in events}


@pytest.mark.any_database
def test_the_server_of_the_example_ends_when_the_example_is_killed():
    with started(*EXAMPLE) as process:
        wait_for(lambda: "--serve" in commands(programs(process)))
        running = programs(process)
        process.kill()
        check_they_end(running)


def test_the_arguments_of_a_server():
    arguments = server_stores()
    configure = arguments.pop("configure_container")
    assert callable(configure)
    interfaces = {
        "session_store": SessionStore,
        "customer_store": CustomerStore,
        "variable_store": ContextVariableStore,
    }
    assert arguments.keys() == interfaces.keys()
    assert all(isinstance(arguments[name], interfaces[name]) for name in arguments)
    assert server_stores("sessions").keys() == {"session_store", "configure_container"}


async def test_ones_own_configuration_comes_after_the_stores_are_open(store):
    seen = []

    async def configure(container):
        seen.append(await arguments["session_store"].list_sessions())
        return container

    arguments = server_stores("sessions", configure_container=configure)
    container = object()
    assert await arguments["configure_container"](container) is container
    assert seen[0].items == []


@pytest.mark.parametrize("wire", [server_stores, configure_container])
def test_stores_that_a_server_does_not_have_are_refused(wire):
    with pytest.raises(ValueError, match="'agents' is no store of a server"):
        wire("agents")
