"""Scenarios of the frameworks' adapters: each reads what it wrote last."""

import asyncio
import threading
from importlib.util import find_spec
from typing import Any, TypedDict

from tests.matrix.projects import Project
from tests.matrix.scenarios import equal, scenario

SESSIONS = 20


@scenario(needs="agents")
def openai(project: Project) -> None:
    """Twenty sessions at once; each object of the SDK's reads what another one wrote."""
    from parlant_store.adapters.openai_agents import Session

    async def turns(session_id: str) -> None:
        for number in range(3):
            await Session(session_id).add_items([{"n": number}, {"n": -number}])  # type: ignore
            found = await Session(session_id).get_items(limit=2)
            equal(found, [{"n": number}, {"n": -number}], f"turn {number} of {session_id}")
        equal(await Session(session_id).pop_item(), {"n": -2}, session_id)
        equal(len(await Session(session_id).get_items()), 5, session_id)
        equal(await Session(session_id).metadata({"a": 1}), {"a": 1}, session_id)
        equal(await Session(session_id).metadata(), {"a": 1}, session_id)
        await Session(session_id).clear_session()
        equal(await Session(session_id).get_items(), [], session_id)

    for way, run in enumerate(project.runs()):

        async def all_turns(way: int = way) -> None:
            await asyncio.gather(*(turns(f"openai-{way}-{n}") for n in range(SESSIONS)))

        run(all_turns)


class Note(TypedDict, total=False):
    id: Any


@scenario(needs="parlant")
def documents(project: Project) -> None:
    """Parlant's DocumentDatabase: each call sees what the one before it wrote."""
    from parlant.core.persistence.document_database import identity_loader

    from parlant_store.adapters.parlant import DocumentDatabase

    async def notes(prefix: str) -> Any:
        database = DocumentDatabase(table_prefix=prefix)
        return await database.get_or_create_collection("notes", Note, identity_loader)

    async def work(prefix: str, number: int) -> None:
        where = {"id": {"$eq": f"n{number}"}}
        collection = await notes(prefix)
        await collection.insert_one({"id": f"n{number}", "version": "1"})
        equal(await collection.find_one(where), {"id": f"n{number}", "version": "1"})
        await (await notes(prefix)).update_one(where, {"text": "a"})
        equal([note["text"] for note in await (await notes(prefix)).find(where)], ["a"])
        equal((await collection.delete_one(where)).deleted_count, 1)
        equal(await (await notes(prefix)).find_one(where), None)

    for way, run in enumerate(project.runs()):

        async def all_work(way: int = way) -> None:
            await asyncio.gather(*(work(f"documents_{way}_", number) for number in range(10)))

        run(all_work)


@scenario(needs="parlant")
def parlant(project: Project) -> None:
    """Parlant's own session store: events that come at once are listed in their order."""
    from parlant.core.agents import AgentId
    from parlant.core.customers import CustomerId
    from parlant.core.sessions import EventKind, EventSource, SessionDocumentStore

    from parlant_store.adapters.parlant import DocumentDatabase

    async def converse(prefix: str) -> None:
        opened = SessionDocumentStore(DocumentDatabase(table_prefix=prefix), allow_migration=True)
        async with opened as sessions:
            made = await sessions.create_session(CustomerId("ada"), AgentId("agent"))
            for number in range(3):
                await sessions.create_event(
                    made.id, EventSource.CUSTOMER, EventKind.MESSAGE, f"t{number}", {"n": number}
                )
                events = list(await sessions.list_events(made.id))
                equal([event.data for event in events], [{"n": n} for n in range(number + 1)])
                equal([event.offset for event in events], list(range(number + 1)))
            await sessions.update_session(made.id, {"title": "a title"})
            equal((await sessions.read_session(made.id)).title, "a title")
            await sessions.delete_session(made.id)
            equal(list((await sessions.list_sessions()).items), [])

    for way, run in enumerate(project.runs()):

        async def conversation(way: int = way) -> None:
            await converse(f"parlant_{way}_sessions_")

        run(conversation)


@scenario(needs="parlant")
def upsert_race(project: Project) -> None:
    """Writers that upsert one document at once make one, and all their changes are in it."""
    from parlant.core.persistence.document_database import identity_loader

    from parlant_store import store
    from parlant_store.adapters.parlant import DocumentDatabase

    async def write_all(first: int) -> None:
        collection = await DocumentDatabase().get_or_create_collection(
            "race", Note, identity_loader
        )
        changes: list[Any] = [{"id": "one", f"f{n}": n} for n in range(first, first + 10)]
        where: Any = {"id": {"$eq": "one"}}
        await asyncio.gather(*(collection.update_one(where, c, upsert=True) for c in changes))

    expected = {"id": "one"}
    for way, run in enumerate(project.runs()):
        run(lambda first=10 * way: write_all(first))
        expected |= {f"f{n}": n for n in range(10 * way, 10 * way + 10)}
    if project.shares_tables:
        write_in_threads(project)
        expected |= {f"f{n}": n for n in range(20, 30)}
    equal(list(store.find("race", {"id": {"$eq": "one"}}).documents), [expected])


def write_in_threads(project: Project) -> None:
    from django.db import connections

    from parlant_store import store

    failed: list[BaseException] = []
    caller = project.callers()[0]

    def write(n: int) -> None:
        changes = {"id": "one", f"f{n}": n}
        try:
            with caller.enter():
                store.update_one("race", {"id": {"$eq": "one"}}, changes, upsert=True)
        except Exception as exc:
            failed.append(exc)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(20, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(failed, [], "writers raised")


@scenario(needs="selectools", shared=True)
def selectools(project: Project) -> None:
    """A memory that is loaded is the one that was saved last, by whichever object."""
    from selectools import ConversationMemory, Message, Role

    from parlant_store.adapters.selectools import SessionStore

    SessionStore().delete("selectools")
    for number in range(3):
        sessions = SessionStore()
        memory = sessions.load("selectools") or ConversationMemory()
        equal(
            [message.content for message in memory.get_history()], [f"m{n}" for n in range(number)]
        )
        memory.add(Message(role=Role.USER, content=f"m{number}"))
        sessions.save("selectools", memory)
    assert SessionStore().exists("selectools")
    assert "selectools" in [found.session_id for found in SessionStore().list()]
    SessionStore().branch("selectools", "selectools-2")
    assert SessionStore().delete("selectools-2")
    equal(SessionStore().load("selectools-2"), None)


def use_an_adapter(project: Project) -> None:
    """One that this environment has the framework of."""
    selectools(project) if find_spec("selectools") else openai(project)


@scenario(needs="langgraph", own=True)
def graphs(project: Project) -> None:
    """LangGraph's threads write checkpoints and memories in the tenant of the run's caller."""
    from langgraph.graph import START, StateGraph
    from langgraph.runtime import Runtime

    from parlant_store import store
    from parlant_store.adapters.langgraph import Checkpointer, Store

    def remember(state: Note, runtime: Runtime) -> Note:
        assert runtime.store is not None
        runtime.store.put(("graphs",), state["id"], {})
        return state

    builder = StateGraph(Note)
    for number in range(2):
        builder.add_node(f"node {number}", lambda state, runtime: remember(state, runtime) and None)
        builder.add_edge(START, f"node {number}")
    graph = builder.compile(checkpointer=Checkpointer(), store=Store())
    for caller in project.callers():
        config: Any = {"configurable": {"thread_id": "graphs"}}
        with caller.enter():
            graph.invoke({"id": caller.name}, config)
            graph.invoke({"id": f"{caller.name} again"}, config, durability="exit")
    for caller in project.callers():
        with caller.enter():
            equal(len(store.list_checkpoints("graphs")), 4, caller.name)
            found = {memory.key for memory in store.search_memories(("graphs",))}
            equal(found, {caller.name, f"{caller.name} again"}, "memories")
    with project.connect() as server:
        (count,) = server.execute("SELECT count(*) FROM public.parlant_store_thread").fetchone()
    equal(count, 0, "threads outside of tenants")
