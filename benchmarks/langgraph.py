"""The checkpointers of LangGraph and Checkpointer, side by side in one process.

    python -m benchmarks.langgraph [--rounds 5] [--sizes 10 1000 10000] [--only sqlite|postgresql]

A thread has 10 channels, of which one has 100 messages; each step changes five of them, this one
among them. A cell is the time of a call in milliseconds, by one task on a thread with so many
checkpoints: the median of the calls of all rounds, in which the sides take turns. On SQLite both
write to a file in WAL mode with ``synchronous=FULL``; on PostgreSQL both use one server, and
AsyncPostgresSaver one connection, as its documentation advises.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

from django.db import connections
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from benchmarks.databases import configure
from tests.servers.postgresql import postgresql

Saver = BaseCheckpointSaver[Any]
Call = Callable[["Thread", int], Awaitable[Any]]

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
    for number in range(100)
]


class Thread:
    """A thread of a saver, with its latest checkpoint."""

    def __init__(self, saver: Saver, thread_id: str) -> None:
        self.saver = saver
        self.step = 0
        self.id = thread_id
        self.config: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
        self.versions: dict[str, Any] = {}

    async def put(self) -> None:
        """Store the checkpoint of the next step."""
        names = [f"c{(self.step + place) % CHANNELS}" for place in range(1, CHANGED)]
        changed = {
            name: self.saver.get_next_version(self.versions.get(name), None)
            for name in ["messages", *names]
        }
        self.versions = {**self.versions, **changed}
        values = {f"c{number}": f"value {self.step}" for number in range(CHANNELS)}
        checkpoint: Any = {
            "v": 4,
            "id": str(uuid6(clock_seq=self.step)),
            "ts": "2030-01-01T00:00:00+00:00",
            "channel_values": values | {"messages": [*MESSAGES[1:], MESSAGES[self.step % 100]]},
            "channel_versions": dict(self.versions),
            "versions_seen": {"node": dict(self.versions)},
            "updated_channels": list(changed),
        }
        metadata: Any = {"source": "loop", "step": self.step, "parents": {}}
        self.config = await self.saver.aput(self.config, checkpoint, metadata, changed)
        self.step += 1

    async def put_writes(self, number: int) -> None:
        writes = [("messages", MESSAGES[:1]), ("c1", "a value"), ("c2", "another")]
        await self.saver.aput_writes(self.config, writes, f"task {self.step} {number}")

    async def get_tuple(self) -> None:
        found = await self.saver.aget_tuple({"configurable": {"thread_id": self.id}})
        assert found is not None
        assert len(found.checkpoint["channel_values"]["messages"]) == len(MESSAGES)

    async def filter(self) -> None:
        config: Any = {"configurable": {"thread_id": self.id}}
        found = [each async for each in self.saver.alist(config, filter={"step": 5})]
        assert len(found) == 1


OPERATIONS: dict[str, tuple[Call, int]] = {
    "put": (lambda thread, _: thread.put(), CALLS),
    "put_writes": (lambda thread, number: thread.put_writes(number), CALLS),
    "get_tuple": (lambda thread, _: thread.get_tuple(), CALLS),
    "list(filter)": (lambda thread, _: thread.filter(), 2),
}
"""Each with the number of calls in a round."""


async def milliseconds(thread: Thread, call: Call, count: int) -> list[float]:
    times = []
    for number in range(count):
        started = time.perf_counter()
        await call(thread, number)
        times.append((time.perf_counter() - started) * 1_000)
    return times


async def compare(label: str, pair: tuple[Saver, Saver], size: int, rounds: int) -> None:
    threads = [Thread(saver, f"thread-{size}") for saver in pair]
    for thread in threads:
        while thread.step < size:
            await thread.put()
    for name, (call, count) in OPERATIONS.items():
        times: dict[Thread, list[float]] = {thread: [] for thread in threads}
        for thread in threads:
            await milliseconds(thread, call, count)
            # The latest checkpoint has the writes of one task, whatever was called before.
            await thread.put()
            await thread.put_writes(0)
        for number in range(rounds):
            for thread in threads if number % 2 == 0 else threads[::-1]:
                times[thread] += await milliseconds(thread, call, count)
        show(label, name, size, *(median(times[thread]) for thread in threads))
    deleted = [
        sum(await milliseconds(thread, lambda thread, _: thread.saver.adelete_thread(thread.id), 1))
        for thread in threads
    ]
    show(label, "delete_thread", size, *deleted)


def show(label: str, name: str, size: int, theirs: float, ours: float) -> None:
    times = theirs / ours
    print(f"| {label} | {name} | {size:,} | {theirs:.2f} | {ours:.2f} | {times:.1f} |", flush=True)


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[tuple[Saver, Saver]]:
    from parlant_store.adapters.langgraph import Checkpointer

    async with AsyncSqliteSaver.from_conn_string(str(folder / "theirs.sqlite3")) as theirs:
        await theirs.setup()
        await theirs.conn.execute("PRAGMA synchronous=FULL")
        yield theirs, Checkpointer("sqlite_full")


@asynccontextmanager
async def on_postgresql(uri: str) -> AsyncIterator[tuple[Saver, Saver]]:
    from parlant_store.adapters.langgraph import Checkpointer

    async with AsyncPostgresSaver.from_conn_string(uri) as theirs:
        await theirs.setup()
        yield theirs, Checkpointer("postgresql")


async def bytes_a_step(folder: Path, pair: tuple[Saver, Saver], label: str, steps: int) -> None:
    sizes = []
    for number, saver in enumerate(pair):
        thread = Thread(saver, "size")
        before = await stored_bytes(folder, label, number)
        for step in range(steps):
            await thread.put()
            await thread.put_writes(step)
        sizes.append((await stored_bytes(folder, label, number) - before) / steps / 1_000)
    theirs, ours = sizes
    print(
        f"| {label} | kB for a step | {steps:,} | {theirs:.1f} | {ours:.1f} | {theirs / ours:.1f} |"
    )


async def stored_bytes(folder: Path, label: str, side: int) -> int:
    if label == "SQLite":
        names = ("theirs.sqlite3", "sqlite_full.sqlite3")
        return sum(file.stat().st_size for file in folder.glob(f"{names[side]}*"))
    tables = (
        "('checkpoints'), ('checkpoint_blobs'), ('checkpoint_writes')",
        "('parlant_store_thread'), ('parlant_store_checkpoint'), ('parlant_store_channel_value'),"
        " ('parlant_store_checkpoint_write')",
    )

    def query() -> int:
        with connections["postgresql"].cursor() as cursor:
            cursor.execute(
                "SELECT sum(pg_total_relation_size(name::regclass))"
                f" FROM (VALUES {tables[side]}) AS tables (name)"
            )
            return int(cursor.fetchone()[0])

    return await asyncio.to_thread(query)


async def run(folder: Path, uri: str | None, args: argparse.Namespace) -> None:
    sides = {"SQLite": sqlite(folder)} if "sqlite" in args.only else {}
    if uri is not None:
        sides["PostgreSQL"] = on_postgresql(uri)
    for label, savers in sides.items():
        async with savers as pair:
            await bytes_a_step(folder, pair, label, 500)
            for size in args.sizes:
                await compare(label, pair, size, args.rounds)


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
        configure(folder, uris)
        from parlant_store import stores

        print("| database | operation | checkpoints | theirs | Checkpointer | times |")
        print("|---|---|---|---|---|---|", flush=True)
        asyncio.run(run(folder, uris.get("postgresql"), args))
        stores.close_all()


if __name__ == "__main__":
    main()
