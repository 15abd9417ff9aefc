"""The checkpointers of LangGraph and Checkpointer, side by side in one process.

    python -m benchmarks.langgraph [--rounds 5] [--sizes 10 1000 10000] [--only sqlite|postgresql]

A thread has 10 channels, of which one has 100 messages on average; each step changes five of them,
this one among them: it adds a message, and of 125 messages, the oldest go, as after a summary. A
call is made by one task on a thread with so many checkpoints. Its time and its CPU time, that of
PostgreSQL's processes included, are those that a tenth of the calls stay below, which other
programs disturb least; the sides take turns in each round. On SQLite both write to a file in WAL
mode with ``synchronous=FULL``; on PostgreSQL all use one server, and AsyncPostgresSaver one
connection, as its documentation advises.

If langgraph-checkpoint-django is installed, it runs on PostgreSQL too. It calls methods of the
serializer that LangGraph has removed, and gets them from this program.
"""

import argparse
import asyncio
import json
import random
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, closing
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from django.db import connections
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from benchmarks.databases import configure
from tests.servers.postgresql import postgresql

Saver = BaseCheckpointSaver[Any]
Call = Callable[["Thread"], Awaitable[Any]]

OURS = "Checkpointer"
DJANGO_SAVER = "langgraph.checkpoint.django.checkpoint"
HAS_DJANGO_SAVER = find_spec("langgraph.checkpoint.django") is not None
CHANNELS = 10
CHANGED = 5
CALLS = 20
_RANDOM = random.Random(1)
_WORDS = ["".join(_RANDOM.choices("etaoinshrdlu", k=_RANDOM.randint(2, 9))) for _ in range(2_000)]
MESSAGES = [
    {
        "type": "human" if number % 2 else "ai",
        "id": str(uuid6(clock_seq=number)),
        "content": " ".join(_RANDOM.choices(_WORDS, k=45)),
    }
    for number in range(125)
]
SUMMARIZED = 75
"""How many of 125 messages stay, the latest."""


class Thread:
    """A thread of a saver, with its latest checkpoint."""

    def __init__(self, saver: Saver, thread_id: str) -> None:
        self.saver = saver
        self.step = 0
        self.tasks = 0
        self.id = thread_id
        self.config: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
        self.versions: dict[str, Any] = {}
        self.messages = MESSAGES[:SUMMARIZED]

    async def put(self) -> None:
        """Store the checkpoint of the next step."""
        names = [f"c{(self.step + place) % CHANNELS}" for place in range(1, CHANGED)]
        changed = {
            name: self.saver.get_next_version(self.versions.get(name), None)
            for name in ["messages", *names]
        }
        self.versions = {**self.versions, **changed}
        if len(self.messages) == len(MESSAGES):
            self.messages = self.messages[-SUMMARIZED:]
        self.messages = [*self.messages, MESSAGES[self.step % len(MESSAGES)]]
        values = {f"c{number}": f"value {self.step}" for number in range(CHANNELS)}
        checkpoint: Any = {
            "v": 4,
            "id": str(uuid6(clock_seq=self.step)),
            "ts": "2030-01-01T00:00:00+00:00",
            "channel_values": values | {"messages": self.messages},
            "channel_versions": dict(self.versions),
            "versions_seen": {"node": dict(self.versions)},
            "updated_channels": list(changed),
        }
        metadata: Any = {"source": "loop", "step": self.step, "parents": {}}
        self.config = await self.saver.aput(self.config, checkpoint, metadata, changed)
        self.step += 1

    async def put_writes(self) -> None:
        """Store the writes of another task: the same ones again would write nothing."""
        self.tasks += 1
        writes = [("messages", MESSAGES[:1]), ("c1", "a value"), ("c2", "another")]
        await self.saver.aput_writes(self.config, writes, f"task {self.tasks}")

    async def put_writes_of_ten(self) -> None:
        await asyncio.gather(*(self.put_writes() for _ in range(10)))

    async def get_tuple(self) -> None:
        found = await self.saver.aget_tuple({"configurable": {"thread_id": self.id}})
        assert found is not None
        assert len(found.checkpoint["channel_values"]["messages"]) == len(self.messages)

    async def delete(self) -> None:
        await self.saver.adelete_thread(self.id)

    async def list_filtered(self) -> None:
        config: Any = {"configurable": {"thread_id": self.id}}
        found = [each async for each in self.saver.alist(config, filter={"step": 5})]
        assert len(found) == 1


OPERATIONS: dict[str, tuple[Call, int]] = {
    "put": (Thread.put, CALLS),
    "put_writes": (Thread.put_writes, CALLS),
    "put_writes of ten tasks": (Thread.put_writes_of_ten, 5),
    "get_tuple": (Thread.get_tuple, CALLS),
    "list(filter)": (Thread.list_filtered, 5),
}
"""Each with the number of calls in a round."""


class Times(NamedTuple):
    """Milliseconds."""

    wall: float
    cpu: float


def lowest(times: list[Times]) -> Times:
    """Return what a tenth of the times stay below."""
    walls, cpus = (sorted(column) for column in zip(*times, strict=True))
    return Times(walls[len(times) // 10], cpus[len(times) // 10])


class Servers:
    """The processes of PostgreSQL that serve the connections of this process."""

    def __init__(self) -> None:
        self._files: list[Path] = []

    def find(self) -> None:
        with connections["postgresql"].cursor() as cursor:
            cursor.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
            self._files = [Path(f"/proc/{pid}/schedstat") for (pid,) in cursor.fetchall()]

    def cpu_seconds(self) -> float:
        """Their CPU time, which Linux counts."""
        return sum(int(file.read_text().split()[0]) for file in self._files if file.exists()) / 1e9


SERVERS = Servers()


async def measured(thread: Thread, call: Call, count: int) -> list[Times]:
    times = []
    for _ in range(count):
        # Reading the time of the servers is no part of the call.
        cpu = SERVERS.cpu_seconds() + time.process_time()
        started = time.perf_counter()
        await call(thread)
        wall = time.perf_counter() - started
        cpu = time.process_time() + SERVERS.cpu_seconds() - cpu
        times.append(Times(wall * 1_000, cpu * 1_000))
    return times


async def compare(label: str, savers: dict[str, Saver], size: int, rounds: int) -> None:
    threads = {name: Thread(saver, f"thread-{size}") for name, saver in savers.items()}
    for thread in threads.values():
        while thread.step < size:
            await thread.put()
    for operation, (call, count) in OPERATIONS.items():
        times: dict[str, list[Times]] = {name: [] for name in threads}
        for thread in threads.values():
            await measured(thread, call, count)
            # The latest checkpoint has the writes of one task, whatever was called before.
            await thread.put()
            await thread.put_writes()
        if label == "PostgreSQL":
            await asyncio.to_thread(SERVERS.find)
        for number in range(rounds):
            for name, thread in [*threads.items()][:: 1 if number % 2 == 0 else -1]:
                times[name] += await measured(thread, call, count)
        show(label, operation, size, {name: lowest(each) for name, each in times.items()})
    deleted = {}
    for name, thread in threads.items():
        small = Thread(thread.saver, "small")
        await small.put()
        await small.delete()
        (deleted[name],) = await measured(thread, Thread.delete, 1)
    show(label, "delete_thread", size, deleted)


def show(label: str, operation: str, size: int, times: dict[str, Times]) -> None:
    ours = times.pop(OURS)
    for name, theirs in times.items():
        print(
            f"| {label} | {operation} | {size:,} | {name} | {theirs.wall:.2f} | {ours.wall:.2f}"
            f" | {theirs.wall / ours.wall:.1f} | {theirs.cpu:.2f} | {ours.cpu:.2f}"
            f" | {theirs.cpu / ours.cpu:.1f} |",
            flush=True,
        )


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[dict[str, Saver]]:
    from parlant_store.adapters.langgraph import Checkpointer

    async with AsyncSqliteSaver.from_conn_string(str(folder / "theirs.sqlite3")) as theirs:
        await theirs.setup()
        await theirs.conn.execute("PRAGMA synchronous=FULL")
        yield {"AsyncSqliteSaver": theirs, OURS: Checkpointer("sqlite_full")}


@asynccontextmanager
async def on_postgresql(uri: str) -> AsyncIterator[dict[str, Saver]]:
    from parlant_store.adapters.langgraph import Checkpointer

    async with AsyncPostgresSaver.from_conn_string(uri) as theirs:
        await theirs.setup()
        savers = {"AsyncPostgresSaver": theirs, OURS: Checkpointer("postgresql")}
        if HAS_DJANGO_SAVER:
            savers["AsyncDjangoSaver"] = django_saver()
        yield savers


def django_saver() -> Saver:
    """Return the saver of langgraph-checkpoint-django, with the methods that it calls."""
    from langgraph.checkpoint.django.aio import AsyncDjangoSaver

    saver = AsyncDjangoSaver()
    saver.jsonplus_serde = SimpleNamespace(
        dumps=lambda value: json.dumps(value).encode(), loads=json.loads
    )
    return saver  # type: ignore[no-any-return]


class DjangoSaverRouter:
    """Has the tables of langgraph-checkpoint-django in PostgreSQL."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "postgresql" if model._meta.app_label == "checkpoint" else None

    db_for_write = db_for_read


async def bytes_a_step(folder: Path, savers: dict[str, Saver], label: str, steps: int) -> None:
    sizes = {}
    for name, saver in savers.items():
        thread = Thread(saver, "size")
        before = await asyncio.to_thread(stored_bytes, folder, label, name)
        for _ in range(steps):
            await thread.put()
            await thread.put_writes()
        after = await asyncio.to_thread(stored_bytes, folder, label, name)
        sizes[name] = (after - before) / steps / 1_000
    ours = sizes.pop(OURS)
    for name, theirs in sizes.items():
        print(
            f"| {label} | kB for a step | {steps:,} | {name} | {theirs:.1f} | {ours:.1f}"
            f" | {theirs / ours:.1f} | | | |",
            flush=True,
        )


FILES = {"AsyncSqliteSaver": "theirs.sqlite3", OURS: "sqlite_full.sqlite3"}
TABLES = {
    "AsyncPostgresSaver": ("checkpoints", "checkpoint_blobs", "checkpoint_writes"),
    "AsyncDjangoSaver": ("checkpoint", "write"),
    OURS: (
        "parlant_store_thread",
        "parlant_store_checkpoint",
        "parlant_store_channel_value",
        "parlant_store_checkpoint_write",
        "parlant_store_thread_message",
    ),
}


def stored_bytes(folder: Path, label: str, name: str) -> int:
    if label == "SQLite":
        path = folder / FILES[name]
        # The log is no part of what is stored.
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.stat().st_size
    with connections["postgresql"].cursor() as cursor:
        tables = list(TABLES[name])
        cursor.execute(
            "SELECT sum(pg_total_relation_size(quote_ident(name)::regclass))"
            " FROM unnest(%s::text[]) AS name",
            [tables],
        )
        return int(cursor.fetchone()[0])


async def run(folder: Path, uri: str | None, args: argparse.Namespace) -> None:
    sides = {"SQLite": sqlite(folder)} if "sqlite" in args.only else {}
    if uri is not None:
        sides["PostgreSQL"] = on_postgresql(uri)
    for label, context in sides.items():
        async with context as savers:
            await bytes_a_step(folder, savers, label, 500)
            for size in args.sizes:
                await compare(label, savers, size, args.rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 1_000, 10_000])
    parts = ("sqlite", "postgresql")
    parser.add_argument("--only", choices=parts, nargs="+", default=list(parts))
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        uris = {}
        if "postgresql" in args.only:
            uris["postgresql"] = stack.enter_context(postgresql()).get_uri()
        has_peer = HAS_DJANGO_SAVER and "postgresql" in uris
        configure(
            folder,
            uris,
            INSTALLED_APPS=["parlant_store", *([DJANGO_SAVER] if has_peer else [])],
            DATABASE_ROUTERS=["benchmarks.langgraph.DjangoSaverRouter"],
        )
        from parlant_store import stores

        print(
            "| database | operation | checkpoints | with | theirs | ours | times"
            " | CPU of theirs | of ours | times |"
        )
        print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
        asyncio.run(run(folder, uris.get("postgresql"), args))
        stores.close_all()


if __name__ == "__main__":
    main()
