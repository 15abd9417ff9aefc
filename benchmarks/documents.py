"""Parlant's own session store over our database and over the two that Parlant brings.

    python -m benchmarks.documents [--rounds 5] [--events 100 1000 10000]
        [--sessions 10000 100000] [--only sqlite|postgresql]

The store is Parlant's SessionDocumentStore in every column. Each round makes one measurement
in every cell, the databases of a row one after another; a cell is the median over the rounds,
in milliseconds for a call that nobody else's calls compete with. PostgreSQL and Python share
the machine. The events stand in one session, the sessions have no events, and each number of
them has collections of its own.
"""

import argparse
import asyncio
import gc
import json
import logging
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Protocol, cast

from parlant.adapters.db.json_file import JSONFileDocumentDatabase
from parlant.adapters.db.transient import TransientDocumentDatabase
from parlant.core.agents import AgentId
from parlant.core.common import generate_id
from parlant.core.customers import CustomerId
from parlant.core.loggers import Logger
from parlant.core.persistence.common import Cursor, ObjectId
from parlant.core.sessions import (
    AgentState,
    Event,
    EventId,
    EventKind,
    EventSource,
    Session,
    SessionDocumentStore,
    SessionId,
)

from benchmarks.databases import configure
from parlant_store.types import JSONObject
from tests.servers.postgresql import postgresql

CALLS = 40
SECONDS = 0.3
"""A measurement ends after so many calls, or after the first one past so much time."""

PAGE = 20
START = datetime(2026, 1, 1, tzinfo=UTC)

QUESTION = {
    "message": "What is the weather like in Lisbon today?",
    "participant": {"id": "customer-1", "display_name": "Ana"},
    "flagged": False,
    "tags": [],
}
ANSWER = {
    "message": "Sunny, with a light wind from the north.",
    "participant": {"id": "agent-1", "display_name": "Otto"},
    "draft": "It is sunny, with wind from the north.",
    "canned_responses": [],
}
CALL = {
    "tool_id": "weather:today",
    "arguments": {"city": "Lisbon"},
    "result": {
        "data": {"sky": "clear", "wind": "N"},
        "metadata": {},
        "control": {},
        "canned_responses": [],
        "canned_response_fields": {},
    },
}
TURN: list[tuple[EventSource, EventKind, Any]] = [
    (EventSource.CUSTOMER, EventKind.MESSAGE, QUESTION),
    (EventSource.AI_AGENT, EventKind.STATUS, {"status": "acknowledged", "data": {}}),
    (EventSource.AI_AGENT, EventKind.STATUS, {"status": "processing", "data": {"stage": "Tools"}}),
    (EventSource.AI_AGENT, EventKind.TOOL, {"tool_calls": [CALL]}),
    (EventSource.AI_AGENT, EventKind.MESSAGE, ANSWER),
    (EventSource.AI_AGENT, EventKind.STATUS, {"status": "ready", "data": {}}),
]
"""What a customer's question leaves in a session."""

Store = SessionDocumentStore
Data = dict[str, list[JSONObject]]


def the_session(size: int) -> SessionId:
    """The one that is asked for: it has all the events, or half of the sessions before it."""
    return SessionId(f"session-{size}")


def documents(unit: str, size: int) -> Data:
    """What a store writes for one session with ``size`` events, or for ``size`` sessions."""
    one = the_session(size)
    sessions, events = (1, size) if unit == "events" else (size, 0)
    store = Store(TransientDocumentDatabase())
    session = Session(
        id=one,
        creation_utc=START,
        customer_id=CustomerId("customer-1"),
        agent_id=AgentId("agent-1"),
        mode="auto",
        title="The weather",
        consumption_offsets={"client": 0},
        agent_states=[AgentState("trace-1", [], {})],
        metadata={},
        labels=set(),
    )
    turn = [
        store._serialize_event(
            Event(EventId(""), source, kind, START, 0, "trace-1", data, {}, deleted=False), one
        )
        for source, kind, data in TURN
    ]
    made = [{**store._serialize_session(session), **place(number)} for number in range(sessions)]
    made[sessions // 2]["id"] = one
    return {
        "sessions": made,
        "events": [
            {**turn[number % len(turn)], **place(number), "offset": number}
            for number in range(events)
        ],
    }


def place(number: int) -> JSONObject:
    """An id, and a time that comes after those of smaller numbers."""
    return {"id": generate_id(), "creation_utc": created(number)}


def created(number: int) -> str:
    return (START + timedelta(seconds=number)).isoformat()


class Side(Protocol):
    """A database under Parlant's store; ``name`` stands for the collections of one size."""

    title: str

    async def fill(self, name: str, data: Data) -> Store:
        """Put ``data`` there and open a store on it."""

    async def open(self, name: str) -> Store:
        """Open what is there, as a server that starts does."""


class Ours:
    def __init__(self, title: str, alias: str) -> None:
        self.title = title
        self._alias = alias

    async def fill(self, name: str, data: Data) -> Store:
        store = await self.open(name)
        await asyncio.to_thread(self._write, name, data)
        return store

    async def open(self, name: str) -> Store:
        from parlant_store.adapters.parlant import DocumentDatabase

        return await Store(DocumentDatabase(None, name, self._alias)).__aenter__()

    def _write(self, name: str, data: Data) -> None:
        from django.db import connections

        from parlant_store import stores
        from parlant_store.backends.orm import OrmBackend
        from parlant_store.models import Document

        using = cast(OrmBackend, stores[self._alias]).using
        assert using is not None
        connection = connections[using]
        for collection, made in data.items():
            rows = (_row(name + collection, document) for document in made)
            Document.objects.using(using).bulk_create(rows, batch_size=1_000)
        if connection.vendor == "postgresql":
            # What autovacuum does within a minute of so many new rows.
            with connection.cursor() as cursor:
                cursor.execute("VACUUM ANALYZE parlant_store_document")
        connection.close()


def _row(collection: str, document: JSONObject) -> Any:
    from parlant_store.backends.columns import promoted
    from parlant_store.models import Document

    columns = promoted(document)
    return Document(collection=collection, data=document, document_id=columns.pop("id"), **columns)


class Transient:
    title = "Transient"

    def __init__(self) -> None:
        self._databases: dict[str, TransientDocumentDatabase] = {}

    async def fill(self, name: str, data: Data) -> Store:
        database = self._databases[name] = TransientDocumentDatabase()
        store = await self.open(name)
        for collection, made in data.items():
            cast(Any, database._collections[collection])._documents.extend(made)
        return store

    async def open(self, name: str) -> Store:
        return await Store(self._databases[name]).__aenter__()


class JSONFile:
    title = "JSON file"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def fill(self, name: str, data: Data) -> Store:
        (self._folder / name).write_text(json.dumps(data))
        return await self.open(name)

    async def open(self, name: str) -> Store:
        # It logs what it cannot load, and there is no such thing here.
        logger = cast(Logger, logging.getLogger("benchmarks"))
        database = JSONFileDocumentDatabase(logger, self._folder / name)
        return await Store(await database.__aenter__()).__aenter__()


Operation = Callable[[Store, int], Awaitable[object]]

CREATE = "create_event"
LATEST = "list_events(min_offset=), the last 20"
PAGING = "list_sessions(limit=20, cursor=), in the middle"
OPENING = "opening the store"

ON_EVENTS: dict[str, Operation] = {
    CREATE: lambda store, size: store.create_event(
        the_session(size), EventSource.CUSTOMER, EventKind.MESSAGE, "trace-2", cast(Any, QUESTION)
    ),
    "list_events": lambda store, size: store.list_events(the_session(size)),
    LATEST: lambda store, size: store.list_events(the_session(size), min_offset=size - PAGE),
    "list_events(kinds=), half of them": lambda store, size: store.list_events(
        the_session(size), kinds=[EventKind.MESSAGE, EventKind.TOOL]
    ),
    "read_session": lambda store, size: store.read_session(the_session(size)),
    "update_session": lambda store, size: store.update_session(
        the_session(size), {"consumption_offsets": {"client": size}}
    ),
}


def page(store: Store, size: int) -> Awaitable[object]:
    cursor = Cursor(created(size // 2), ObjectId(the_session(size)))
    return store.list_sessions(limit=PAGE, cursor=cursor)


OPERATIONS = ON_EVENTS | {PAGING: page}


class Row(NamedTuple):
    operation: str
    size: int
    unit: str

    @property
    def collections(self) -> str:
        return f"{self.unit}_{self.size}_"


Times = dict[tuple[str, int, str], list[float]]
"""Milliseconds in each round, by operation, size and the title of the side."""


async def measure(sides: list[Side], rows: list[Row], rounds: int) -> Times:
    opened: dict[tuple[str, str], Store] = {}
    # The largest first: others then begin far behind it in the table, as in one that is old.
    for unit, size in dict.fromkeys((row.unit, row.size) for row in reversed(rows)):
        data = documents(unit, size)
        for side in sides:
            name = Row("", size, unit).collections
            opened[name, side.title] = await side.fill(name, data)
    # What collects garbage on the clock need not walk through all this.
    gc.collect()
    gc.freeze()
    times: Times = defaultdict(list)
    for _ in range(rounds):
        for row in rows:
            for side in sides:
                store = opened[row.collections, side.title]
                call: Callable[[], Awaitable[object]] = partial(side.open, row.collections)
                if row.operation != OPENING:
                    call = partial(OPERATIONS[row.operation], store, row.size)
                taken = await milliseconds(store, call)
                times[row.operation, row.size, side.title].append(taken)
    return times


async def milliseconds(store: Store, call: Callable[[], Awaitable[object]]) -> float:
    """The median time of a call."""
    # What one side leaves behind is not collected on the other's time.
    gc.collect()
    times: list[float] = []
    while len(times) < CALLS and sum(times) < SECONDS:
        started = time.perf_counter()
        result = await call()
        times.append(time.perf_counter() - started)
        if isinstance(result, Event):
            # The next one is created among as many as this one.
            await store._event_collection.delete_one({"id": {"$eq": result.id}})
    return median(times) * 1_000


def show(times: Times, rows: list[Row], sides: list[Side]) -> None:
    print(f"| operation | with | {' | '.join(side.title for side in sides)} |")
    print(f"|---|---|{'---|' * len(sides)}")
    for operation, size, unit in rows:
        cells = [f"{median(times[operation, size, side.title]):,.2f}" for side in sides]
        print(f"| {operation} | {size:,} {unit} | {' | '.join(cells)} |")


def show_targets(
    times: Times, mine: list[Side], theirs: Side, events: list[int], sessions: list[int]
) -> None:
    """What ours is to reach; ratios are medians of those in each round."""

    def ratio(one: tuple[str, int, str], other: tuple[str, int, str]) -> float:
        return median(a / b for a, b in zip(times[one], times[other], strict=True))

    titles = [side.title for side in mine]
    few, many, most = events[0], events[-1], sessions[-1]
    targets = {
        f"create_event with {many:,} events: times as fast as on a {theirs.title} | > 50": [
            ratio((CREATE, many, theirs.title), (CREATE, many, title)) for title in titles
        ],
        f"a page of {most:,} sessions: times the cost with {sessions[0]:,} | <= 1.2": [
            ratio((PAGING, most, title), (PAGING, sessions[0], title)) for title in titles
        ],
        f"the last 20 of {many:,} events: times the cost with {few:,} | <= 1.5": [
            ratio((LATEST, many, title), (LATEST, few, title)) for title in titles
        ],
        f"{OPENING}, up to {most:,} sessions: milliseconds at most | < 50": [
            max(median(times[OPENING, size, title]) for size in sessions) for title in titles
        ],
    }
    print(f"\n| ours | target | {' | '.join(titles)} |\n|---|---|{'---|' * len(titles)}")
    for target, figures in targets.items():
        print(f"| {target} | {' | '.join(f'{figure:,.2f}' for figure in figures)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--sessions", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    args = parser.parse_args()
    rows = [
        *(Row(operation, size, "events") for operation in ON_EVENTS for size in args.events),
        *(Row(name, size, "sessions") for name in (PAGING, OPENING) for size in args.sessions),
    ]
    with tempfile.TemporaryDirectory() as folder, postgresql() as server:
        configure(Path(folder), {"postgresql": server.get_uri()})
        titles = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
        mine: list[Side] = [
            Ours(title, alias) for alias, title in titles.items() if args.only in (None, alias)
        ]
        file = JSONFile(Path(folder))
        sides = [*mine, Transient(), file]
        times = asyncio.run(measure(sides, rows, args.rounds))
        show(times, rows, sides)
        show_targets(times, mine, file, args.events, args.sessions)
        from parlant_store import stores

        stores.close_all()


if __name__ == "__main__":
    main()
