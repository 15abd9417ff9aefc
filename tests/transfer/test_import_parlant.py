"""store_import of the files of a Parlant server, and what Parlant finds in the store."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest
from django.core.management import CommandError
from parlant.adapters.db.json_file import JSONFileDocumentDatabase
from parlant.core.agents import AgentId
from parlant.core.common import IdGenerator
from parlant.core.customers import CustomerDocumentStore
from parlant.core.loggers import StdoutLogger
from parlant.core.sessions import EventKind, EventSource, SessionDocumentStore
from parlant.core.tracer import LocalTracer

from parlant_store.adapters.parlant import DocumentDatabase
from tests.transfer.imports import as_json, contents, run

pytestmark = [pytest.mark.orm, pytest.mark.any_database]


async def served(sessions_db, customers_db, use):
    async with AsyncExitStack() as stack:
        if isinstance(sessions_db, JSONFileDocumentDatabase):
            for database in (sessions_db, customers_db):
                await stack.enter_async_context(database)
        sessions = await stack.enter_async_context(SessionDocumentStore(sessions_db, True))
        customers = await stack.enter_async_context(
            CustomerDocumentStore(IdGenerator(), customers_db, True)
        )
        return await use(sessions, customers)


async def talk(sessions, customers):
    customer = await customers.create_customer(name="Ada", extra={"plan": "漢字"})
    session = await sessions.create_session(customer.id, AgentId("agent"), title="Rain")
    for text in ("Hello", "NUL \0 and 漢字"):
        await sessions.create_event(
            session.id,
            EventSource.CUSTOMER,
            EventKind.MESSAGE,
            "trace",
            {"message": text, "participant": {"display_name": "Ada"}},
        )
    return await listed(sessions, customers)


async def listed(sessions, customers):
    found = (await sessions.list_sessions()).items
    events = [await sessions.list_events(session.id) for session in found]
    # The guest is in no file, and made anew by each store.
    known = [each for each in (await customers.list_customers()).items if each.id != "guest"]
    return found, events, known


@pytest.fixture
def parlant_data(tmp_path):
    """A folder that Parlant has written, and what its stores list."""
    folder = tmp_path / "parlant-data"
    folder.mkdir()
    logger = StdoutLogger(LocalTracer())
    databases = [
        JSONFileDocumentDatabase(logger, folder / f"{name}.json")
        for name in ("sessions", "customers")
    ]
    return folder, asyncio.run(served(*databases, talk))


def test_parlant_finds_all_in_the_store(target, parlant_data):
    folder, expected = parlant_data
    before = contents(folder)
    found = as_json("parlant-json", folder)
    assert found["notes"] == []
    assert contents(folder) == before
    assert "parlant_sessions_events" in target.list_collections()
    databases = [
        DocumentDatabase(None, f"parlant_{name}_", "target") for name in ("sessions", "customers")
    ]
    assert asyncio.run(served(*databases, listed)) == expected
    again = as_json("parlant-json", folder)
    assert (again["written"], again["same"]) == (0, found["written"])


def test_another_prefix_and_other_files(target, parlant_data):
    folder, _ = parlant_data
    (folder / "agents.json").write_text(json.dumps({"agents": [{"id": "a", "name": "x"}]}))
    assert "not copied: agents.json: no store of" in run("parlant-json", folder)
    run("parlant-json", folder, "--all-files", "--table-prefix", "shop_")
    assert target.find("shop_agents_agents").documents == ({"id": "a", "name": "x"},)
    assert "shop_sessions_sessions" in target.list_collections()
    run("parlant-json", folder / "agents.json", "--table-prefix", "one_")
    assert target.find("one_agents_agents").documents == ({"id": "a", "name": "x"},)


def test_what_cannot_be_read_is_named_and_left(target, parlant_data):
    folder, _ = parlant_data
    path = folder / "sessions.json"
    content = json.loads(path.read_text())
    count = len(content["events"])
    content["events"] += [5, {"id": 7}, {"id": "nan", "x": float("nan")}, content["events"][0]]
    content["more"] = "text"
    path.write_text(json.dumps(content))
    (folder / "customers.json").write_text("{")
    said = run("parlant-json", folder)
    for what in (
        f"document {count + 1} of sessions.json, events: it is no JSON object",
        "document 7 of 'parlant_sessions_events': the document's id must be text",
        "document 'nan' of 'parlant_sessions_events'",
        "another document before it has the same id",
        "sessions.json, more: it is no list",
        "customers.json: it is no JSON",
    ):
        assert what in said
    assert len(target.find("parlant_sessions_events").documents) == count


def test_a_source_that_is_none(target, tmp_path, monkeypatch):
    with pytest.raises(CommandError, match="there is no folder"):
        run("parlant-json", tmp_path / "nowhere")
    (tmp_path / "sessions.json").write_text('{"sessions": [{"id": "a"}]}')
    monkeypatch.setattr(target, "supports_documents", False)
    with pytest.raises(CommandError, match="'target' stores sessions only: choose a store that"):
        run("parlant-json", tmp_path)


def test_the_documents_of_a_user(target, parlant_data):
    folder, (sessions, events, (customer,)) = parlant_data
    path = folder / "sessions.json"
    stored = json.loads(path.read_text())
    stored["sessions"].append(stored["sessions"][0] | {"id": "other", "customer_id": "bob"})
    stored["events"].append(stored["events"][0] | {"id": "e", "session_id": "other"})
    path.write_text(json.dumps(stored))
    found = as_json("parlant-json", folder, "--user", customer.id)
    ids = {document["id"] for document in target.find("parlant_sessions_sessions").documents}
    assert ids == {session.id for session in sessions}
    assert len(target.find("parlant_sessions_events").documents) == len(events[0])
    assert [one["id"] for one in target.find("parlant_customers_customers").documents] == [
        customer.id
    ]
    assert found["differences"] == []
    assert as_json("parlant-json", folder, "--user", "nobody")["written"] == 0
    with pytest.raises(CommandError, match="has no --since"):
        run("parlant-json", folder, "--since", "1d")
