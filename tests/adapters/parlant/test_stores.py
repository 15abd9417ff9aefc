"""Parlant's own stores on our DocumentDatabase."""

import asyncio
import logging
import os
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable
from datetime import UTC, datetime
from subprocess import PIPE
from typing import Any

import pytest
from parlant.adapters.db.transient import TransientDocumentDatabase
from parlant.core.common import ItemNotFoundError
from parlant.core.context_variables import ContextVariableDocumentStore
from parlant.core.customers import CustomerDocumentStore, CustomerStore
from parlant.core.sessions import Event, EventKind, EventSource, SessionDocumentStore

from parlant_store.adapters.parlant import DocumentDatabase
from parlant_store.backends.threads.async_calls import run
from parlant_store.exceptions import DuplicateDocument
from parlant_store.models import Document
from parlant_store.types import PROMOTED
from tests.backends.locks import interrupt_until_done
from tests.backends.orm.test_processes import database_url as database_url
from tests.conftest import OVER_HTTP
from tests.contract.parlant_stores import LIVES, Tale, open_store
from tests.contract.processes import finish
from tests.processes import Process

pytestmark = pytest.mark.usefixtures("own_indexes")

WRITER = """
import asyncio, sys
import parlant_store
url, session_id, name, count = sys.argv[1:]
parlant_store.setup(database_url=url)

from parlant.core.sessions import EventKind, EventSource, SessionDocumentStore
from parlant_store.adapters.parlant import DocumentDatabase

async def main():
    async with SessionDocumentStore(DocumentDatabase(table_prefix="s_")) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(int(count)):
            event = await store.create_event(
                session_id, EventSource.SYSTEM, EventKind.CUSTOM, name, number
            )
            print(event.id, flush=True)

asyncio.run(main())
"""


def start_writer(url: str, session_id: str, name: str, count: int) -> Process:
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    command = ["-c", WRITER, url, session_id, name, str(count)]
    return Process(*command, stdin=PIPE, stdout=PIPE, env=environment)


def let_write(*processes: Process) -> None:
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


async def open_sessions() -> SessionDocumentStore:
    return await open_store(SessionDocumentStore, DocumentDatabase(table_prefix="s_"))


async def open_variables() -> ContextVariableDocumentStore:
    return await open_store(ContextVariableDocumentStore, DocumentDatabase(table_prefix="v_"))


async def add_event(store: SessionDocumentStore, session_id: Any, data: Any = None) -> Event:
    return await store.create_event(
        session_id, EventSource.CUSTOMER, EventKind.MESSAGE, "t", data, metadata={"again": data}
    )


async def all_events(store: SessionDocumentStore, session_id: Any) -> list[Event]:
    return list(await store.list_events(session_id, exclude_deleted=False))


@pytest.mark.parametrize("kind", LIVES)
async def test_a_life_is_as_on_parlants_own_database(store, kind):
    told = []
    for database in (DocumentDatabase(table_prefix="p_"), TransientDocumentDatabase()):
        opened, tale = await open_store(kind, database), Tale()
        for part in LIVES[kind]:
            await part(opened, tale)
        told.append(tale.without_chance())
    assert len(told[0]) > 10
    for ours, theirs in zip(*told, strict=True):
        assert ours == theirs


async def test_stores_opened_again_answer_as_before(store):
    before, after = Tale(), Tale()
    opened = {kind: await opened_under_its_name(kind) for kind in LIVES}
    for kind, (live, _) in LIVES.items():
        await live(opened[kind], Tale())
    for kind, (_, look) in LIVES.items():
        await look(opened[kind], before)
        await look(await opened_under_its_name(kind), after)
    assert len(before.answers) > 100
    assert before.answers == after.answers


async def opened_under_its_name(kind: type) -> Any:
    return await open_store(kind, DocumentDatabase(table_prefix=f"{kind.__name__}_"))


async def test_a_session_of_hundreds_of_events_is_deleted(store):
    sessions = await open_sessions()
    kept, gone = [(await sessions.create_session("c", "a")).id for _ in range(2)]
    for number in range(300):
        await add_event(sessions, gone, number)
    event = await add_event(sessions, kept)
    await sessions.delete_session(gone)
    assert [session.id for session in await sessions.list_sessions()] == [kept]
    assert await all_events(sessions, kept) == [event]
    assert await run(store, documents_that_say, gone) == 0
    with pytest.raises(ItemNotFoundError):
        await sessions.list_events(gone)


def documents_that_say(text: str) -> int:
    return sum(text in str(row.data) for row in Document.objects.all())


async def test_two_servers_number_the_events_of_a_session_once(store):
    servers = [await open_sessions() for _ in range(2)]
    session = await servers[0].create_session("c", "a")
    made = await asyncio.gather(
        *(add_event(server, session.id, number) for server in servers for number in range(100))
    )
    events = await all_events(await open_sessions(), session.id)
    assert sorted(event.offset for event in events) == list(range(200))
    assert {event.id for event in events} == {event.id for event in made}
    assert Counter(event.data for event in events) == Counter([*range(100), *range(100)])


async def test_two_processes_number_the_events_of_a_session_once(store, database_url):
    sessions = await open_sessions()
    session = await sessions.create_session("c", "a")
    writers = [start_writer(database_url, session.id, name, 150) for name in ("one", "two")]
    let_write(*writers)
    said = [line for text in finish(*writers) for line in text.split()]
    events = await all_events(sessions, session.id)
    assert sorted(event.offset for event in events) == list(range(300))
    assert sorted(event.id for event in events) == sorted(said)
    for name in ("one", "two"):
        by_offset = sorted(events, key=lambda event: event.offset)
        assert [e.data for e in by_offset if e.trace_id == name] == list(range(150))


async def test_events_come_in_the_order_of_their_offsets(store):
    sessions = await open_sessions()
    session = await sessions.create_session("c", "a")
    times = [datetime(2030, 1, 1, second=second, tzinfo=UTC) for second in (5, 3, 4, 3, 1)]
    for number, time in enumerate(times):
        kind = [EventKind.MESSAGE, EventKind.STATUS][number % 2]
        await sessions.create_event(
            session.id, EventSource.CUSTOMER, kind, "t", number, creation_utc=time
        )
    for options, offsets in (
        ({}, [0, 1, 2, 3, 4]),
        ({"kinds": [EventKind.MESSAGE]}, [0, 2, 4]),
        ({"kinds": [EventKind.MESSAGE, EventKind.STATUS], "min_offset": 1}, [1, 2, 3, 4]),
        ({"source": EventSource.CUSTOMER, "exclude_deleted": False}, [0, 1, 2, 3, 4]),
    ):
        events = await sessions.list_events(session.id, **options)
        assert [event.offset for event in events] == offsets


async def test_several_servers_on_one_session_list_events_in_order(store, database_url):
    sessions = await open_sessions()
    session = await sessions.create_session("c", "a")
    writers = [start_writer(database_url, session.id, name, 40) for name in "abc"]
    let_write(*writers)
    while any(writer.poll() is None for writer in writers):
        events = await all_events(sessions, session.id)
        assert [event.offset for event in events] == list(range(len(events)))
        await asyncio.sleep(0.05)
    finish(*writers)
    events = await all_events(sessions, session.id)
    assert [event.offset for event in events] == list(range(120))


@pytest.mark.parametrize("count", [1, 60, 200])
async def test_a_killed_server_loses_nothing_that_it_acknowledged(store, database_url, count):
    session = await (await open_sessions()).create_session("c", "a")
    writer = start_writer(database_url, session.id, "killed", 100_000)
    let_write(writer)
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(count)]
    writer.kill()
    said += writer.communicate()[0].splitlines(keepends=True)
    acknowledged = {line.strip() for line in said if line.endswith("\n")}
    assert len(acknowledged) >= count

    sessions = await open_sessions()
    after = await add_event(sessions, session.id, "after")
    events = await all_events(sessions, session.id)
    assert acknowledged < {event.id for event in events}
    assert sorted(event.offset for event in events) == list(range(len(events)))
    assert await sessions.read_event(session.id, after.id) in events


class Writes:
    """What was written to each place, in the order in which it was acknowledged or cancelled."""

    def __init__(self) -> None:
        self.outcomes: dict[Any, list[tuple[Any, bool]]] = defaultdict(list)

    async def write(self, place: Any, value: Any, call: Awaitable[Any]) -> None:
        try:
            await call
        except asyncio.CancelledError:
            self.outcomes[place].append((value, False))
            raise
        self.outcomes[place].append((value, True))

    def possible(self, place: Any) -> list[Any]:
        """What may be there now: the last that was acknowledged, or what was cancelled since."""
        found = [None]
        for value, acknowledged in self.outcomes[place]:
            found = [value] if acknowledged else [*found, value]
        return found

    def count(self, acknowledged: bool) -> int:
        done = [outcome for outcomes in self.outcomes.values() for _, outcome in outcomes]
        return done.count(acknowledged)

    def fewest(self) -> int:
        return min(self.count(True), self.count(False))


class Work:
    """Operations on three sessions, each with a server of its own, chosen by chance."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.writes = Writes()
        self.number = 0
        self.servers: dict[Any, SessionDocumentStore] = {}
        self.streamed: dict[Any, list[Any]] = {}

    async def begin(self) -> None:
        for _ in range(3):
            server = await open_sessions()
            session_id = (await server.create_session("c", "a")).id
            self.servers[session_id] = server
            self.streamed[session_id] = [
                (await add_event(server, session_id, 0)).id for _ in range(5)
            ]
        self.variables = await open_variables()
        self.variable_id = (await self.variables.create_variable("v")).id

    async def one(self) -> None:
        self.number += 1
        events = (self.create_event, self.update_event, self.read)
        others = (self.update_session, self.set_metadata, self.update_value)
        operation = self.chance.choice([*events, *others])
        session_id, server = self.chance.choice([*self.servers.items()])
        await operation(self.number, session_id, server)

    async def create_event(self, n: int, session_id: Any, server: Any) -> None:
        call = add_event(server, session_id, n)
        await self.writes.write(("created", session_id, n), n, call)

    async def update_event(self, n: int, session_id: Any, server: Any) -> None:
        event_id = self.chance.choice(self.streamed[session_id])
        params = {"data": n, "metadata": {"again": n}}
        call = server.update_event(session_id, event_id, params)
        await self.writes.write(("streamed", event_id), n, call)

    async def update_session(self, n: int, session_id: Any, server: Any) -> None:
        params = {"customer_id": f"c{n}", "title": f"t{n}", "consumption_offsets": {"client": n}}
        call = server.update_session(session_id, params)
        await self.writes.write(("session", session_id), n, call)

    async def set_metadata(self, n: int, session_id: Any, server: Any) -> None:
        call = server.set_metadata(session_id, str(n), n)
        await self.writes.write(("metadata", session_id, str(n)), n, call)

    async def update_value(self, n: int, session_id: Any, server: Any) -> None:
        key = f"{session_id} {n % 5}"
        call = self.variables.update_value(self.variable_id, key, {"n": n, "again": n})
        await self.writes.write(("value", key), n, call)

    async def read(self, n: int, session_id: Any, server: Any) -> None:
        await server.list_events(session_id, min_offset=n % 50)
        await server.list_sessions(customer_id=f"c{n}", limit=2)
        await self.variables.read_value(self.variable_id, f"{session_id} {n % 5}")

    async def check(self) -> None:
        """Everything stored is whole, and what was acknowledged is stored."""
        stored: dict[Any, Any] = {}
        for session_id, server in self.servers.items():
            session = await server.read_session(session_id)
            n = session.consumption_offsets["client"] or None
            stored["session", session.id] = n
            names = (session.customer_id, session.title)
            assert names == (("c", None) if n is None else (f"c{n}", f"t{n}"))
            for key, n in session.metadata.items():
                stored["metadata", session.id, key] = n
            events = await all_events(server, session.id)
            assert sorted(event.offset for event in events) == list(range(len(events)))
            for event in events:
                assert event.metadata == {"again": event.data}
                if event.id in self.streamed[session.id]:
                    stored["streamed", event.id] = event.data or None
                else:
                    assert ("created", session.id, event.data) not in stored
                    stored["created", session.id, event.data] = event.data
        for key, value in await self.variables.list_values(self.variable_id):
            assert ("value", key) not in stored
            stored["value", key] = value.data["n"]
            assert value.data["again"] == value.data["n"]
        for place in stored.keys() | self.writes.outcomes.keys():
            assert stored.get(place) in self.writes.possible(place)


async def cancel_some(tasks: list[asyncio.Task[None]], chance: random.Random) -> None:
    while pending := [task for task in tasks if not task.done()]:
        for _ in range(chance.randint(1, 10 if OVER_HTTP else 40)):
            await asyncio.sleep(0.0001 if OVER_HTTP else 0)
        if chance.random() < 0.25:
            chance.choice(pending).cancel()


@pytest.mark.parametrize("seed", [1] if OVER_HTTP else [1, 2, 3])
async def test_cancelling_at_any_moment_leaves_everything_whole(store, seed, monkeypatch):
    interrupt_until_done(monkeypatch)
    chance = random.Random(seed)
    work = Work(chance)
    await work.begin()
    # Of the first of them, chance may have cancelled few or nearly all.
    fewest = 400 if OVER_HTTP else 1_000
    while work.number < fewest or (work.writes.fewest() <= 50 and work.number < 10_000):
        tasks = [asyncio.create_task(work.one()) for _ in range(chance.randint(1, 8))]
        await asyncio.wait_for(cancel_some(tasks, chance), 600)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    await work.check()
    assert await run(store, columns_that_differ) == []
    assert work.writes.fewest() > 50

    for _ in range(30):
        await asyncio.wait_for(work.one(), 600)
    await work.check()


def columns_that_differ() -> list[Any]:
    return [
        (row.data, field)
        for row in Document.objects.all()
        for field in PROMOTED
        if getattr(row, "document_id" if field == "id" else field) != row.data.get(field)
    ]


async def start_application(**options: Any) -> tuple[CustomerDocumentStore, Any]:
    """The stores of an application that creates what it needs at each start."""
    database = DocumentDatabase(table_prefix="c_", **options)
    customers = await open_store(CustomerDocumentStore, database)
    await customers.create_customer("Ada", {"plan": "free"}, tags=["vip", "new"])
    await customers.create_customer("Bob")
    database = DocumentDatabase(table_prefix="v_", **options)
    variables = await open_store(ContextVariableDocumentStore, database)
    for name in ("age", "city"):
        await variables.create_variable(name, description="theirs", tags=["agent:a"])
    return customers, variables


async def test_an_application_that_starts_again_finds_what_it_had(store, caplog):
    customers, variables = await start_application()
    _, ada, bob = await customers.list_customers()
    age, _ = await variables.list_variables()
    await customers.upsert_extra(ada.id, {"plan": "paid"})
    await customers.update_customer(bob.id, {"name": "Robert"})
    await customers.upsert_tag(bob.id, "late")
    await variables.update_variable(age.id, {"description": "changed"})
    await variables.update_value(age.id, ada.id, 36)
    before = [*(await customers.list_customers())][1:], await variables.list_variables()
    with caplog.at_level(logging.INFO, "parlant_store"):
        customers, variables = await start_application()
    assert ([*(await customers.list_customers())][1:], await variables.list_variables()) == before
    assert (await customers.read_customer(ada.id)).extra == {"plan": "paid"}
    assert (await variables.read_value(age.id, ada.id)).data == 36
    for name, id_ in (("customers", ada.id), ("customers", bob.id), ("variables", age.id)):
        assert f"Kept the stored document {id_!r} of {name[0]}_{name}" in caplog.messages


async def test_servers_of_an_application_that_start_at_once_share_one_copy(store):
    (customers, variables), *_ = await asyncio.gather(*(start_application() for _ in range(4)))
    _, ada, bob = await customers.list_customers()
    assert (ada.name, sorted(ada.tags), bob.name) == ("Ada", ["new", "vip"], "Bob")
    assert [variable.name for variable in await variables.list_variables()] == ["age", "city"]


async def test_an_application_that_starts_again_may_be_refused(store):
    customers, _ = await start_application(on_duplicate="error")
    with pytest.raises(DuplicateDocument):
        await start_application(on_duplicate="error")
    guest, *others = await customers.list_customers()
    assert guest.id == CustomerStore.GUEST_ID
    assert [customer.name for customer in others] == ["Ada", "Bob"]


async def test_two_servers_that_set_a_value_leave_one(store):
    servers = [await open_variables() for _ in range(2)]
    variable = await servers[0].create_variable("v")
    calls = [
        server.update_value(variable.id, f"key {number}", data)
        for number in range(50)
        for server, data in zip(servers, ("first", ("first", "second")[number % 2]), strict=True)
    ]
    await asyncio.gather(*calls)
    values = await servers[0].list_values(variable.id)
    assert sorted(key for key, _ in values) == sorted(f"key {number}" for number in range(50))
    assert {value.data for _, value in values} <= {"first", "second"}
    assert await servers[1].list_values(variable.id) == values


@pytest.mark.parametrize("there_before", [False, True])
async def test_values_of_two_keys_are_both_kept_though_parlant_gives_them_one_id(
    store, there_before
):
    first, second = [await open_variables() for _ in range(2)]
    variable = await first.create_variable("age")
    if there_before:
        await second.update_value(variable.id, "customer 12", 0)
    # The id of a value is made from the key and the value, written one after the other.
    await first.update_value(variable.id, "customer 1", 23)
    await second.update_value(variable.id, "customer 12", 3)
    found = {key: value.data for key, value in await first.list_values(variable.id)}
    assert found == {"customer 1": 23, "customer 12": 3}
