"""The OpenAI Agents SDK's own sessions and ours, side by side in one process.

    python benchmarks/sessions.py [--rounds 5] [--sizes 10 1000 10000]

Each round runs theirs and then ours; a cell is the median over the rounds of how many times
faster ours was, at so many items stored in each session. Every figure is taken through the
async adapter, except the last, which compares the sync store with the same statement on a
bare psycopg cursor. Both sides use the same PostgreSQL; on SQLite both write to a file in
WAL mode, theirs with its own settings (synchronous=FULL), ours with those of the row.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import django
from django.conf import settings

from parlant_store.standalone import database
from tests.servers import postgresql

ITEMS = [
    {"role": "user", "content": "What is the weather like in Lisbon today?"},
    {"role": "assistant", "content": "Sunny, with a light wind from the north."},
]
TASKS = 50
TURNS = 20
CALLS = 100

Make = Callable[[str], Any]
Measure = Callable[[Make], Awaitable[float]]


async def turns(make: Make, *, fresh: bool = False) -> float:
    """Turns per second of TASKS tasks, each reading 20 items and adding two."""
    sessions = [make(f"session-{number}") for number in range(TASKS)]

    async def work(session: Any) -> None:
        for _ in range(TURNS):
            if fresh:
                session = make(session.session_id)
            await session.get_items(20)
            await session.add_items(ITEMS)
            if fresh and hasattr(session, "close"):
                session.close()

    # Threads and connections of both are there before the clock runs.
    await asyncio.gather(*(session.get_items(1) for session in sessions))
    started = time.perf_counter()
    await asyncio.gather(*map(work, sessions))
    return TASKS * TURNS / (time.perf_counter() - started)


async def fresh_turns(make: Make) -> float:
    """``turns`` with a new Session object each time, as a web request makes one."""
    return await turns(make, fresh=True)


async def one_after_another(make: Make) -> float:
    """Calls per second of one task that adds, reads 20 and pops in turn."""
    session = make("session-0")
    started = time.perf_counter()
    for _ in range(CALLS):
        await session.add_items(ITEMS)
        await session.get_items(20)
        await session.pop_item()
    return 3 * CALLS / (time.perf_counter() - started)


def ours(alias: str) -> Make:
    from parlant_store.adapters.openai_agents import Session

    return lambda session_id: Session(session_id, store=alias)


async def fill(make: Make, size: int) -> None:
    """Make the sessions hold ``size`` items each."""
    for number in range(TASKS):
        session = make(f"session-{number}")
        await session.clear_session()
        await session.add_items(ITEMS * (size // 2))


async def compare(size: int, rounds: int, theirs: Make, mine: Make, measure: Measure) -> float:
    """How many times faster ``mine`` is, with ``size`` items in each session."""
    ratios = []
    for number in range(rounds):
        rates = []
        for make in (theirs, mine):
            # A round adds some twenty items a session: nothing beside thousands of them.
            if number == 0 or size < 1_000:
                await fill(make, size)
            rates.append(await measure(make))
        ratios.append(rates[1] / rates[0])
    return median(ratios)


async def on_sqlite(folder: Path, sizes: list[int], rounds: int) -> None:
    from agents.extensions.memory import AsyncSQLiteSession, SQLAlchemySession
    from agents.memory import SQLiteSession
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'alchemy.db'}")
    shared: dict[str, Any] = {}

    def file_session(session_id: str) -> Any:
        return SQLiteSession(session_id, folder / "sdk.db")

    def async_session(session_id: str) -> Any:
        key = f"async {session_id}"
        if key not in shared:
            shared[key] = AsyncSQLiteSession(session_id, folder / "async.db")
        return shared[key]

    def alchemy_session(session_id: str) -> Any:
        return SQLAlchemySession(session_id, engine=engine, create_tables=True)

    for store in ("sqlite", "sqlite_full"):
        label = "synchronous=FULL" if store == "sqlite_full" else "synchronous=NORMAL"
        for against, make, measure, target in (
            ("SQLiteSession, turns", file_session, turns, 1.5),
            ("SQLiteSession, turns, new objects", file_session, fresh_turns, 4),
            ("AsyncSQLiteSession, turns", async_session, turns, 4),
            ("SQLAlchemySession(aiosqlite), turns", alchemy_session, turns, 10),
        ):
            row = [await compare(size, rounds, make, ours(store), measure) for size in sizes]
            show(f"SQLite {label}", against, target, row)
    for session in shared.values():
        await session.close()
    await engine.dispose()


async def on_postgresql(uri: str, sizes: list[int], rounds: int) -> None:
    from agents.extensions.memory import SQLAlchemySession
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(uri.replace("postgresql:", "postgresql+asyncpg:"))

    def alchemy_session(session_id: str) -> Any:
        return SQLAlchemySession(session_id, engine=engine, create_tables=True)

    for against, measure, target in (
        ("SQLAlchemySession(asyncpg), one after another", one_after_another, 3),
        ("SQLAlchemySession(asyncpg), turns", turns, 8),
    ):
        row = [
            await compare(size, rounds, alchemy_session, ours("postgresql"), measure)
            for size in sizes
        ]
        show("PostgreSQL", against, target, row)
    await engine.dispose()


def against_psycopg(uri: str, rounds: int, size: int) -> dict[str, float]:
    """The sync store's time for a call, over that of its statement on a bare cursor."""
    import psycopg

    from parlant_store import stores
    from parlant_store.backends.orm.sessions import _LATEST
    from parlant_store.search import tsvector, words

    store = stores["postgresql"]
    texts = [json.dumps(item) for item in ITEMS]
    signature = ", ".join(
        f"%s::{type_}"
        for type_ in [
            *(["text"] * 4 + ["text[]"] * 4),
            *("bigint[]", "bigint", "timestamptz", "timestamptz", "bool"),
        ]
    )
    with psycopg.connect(uri, autocommit=True) as connection:

        def execute(sql: str, params: tuple[Any, ...]) -> list[Any]:
            with connection.cursor() as cursor:
                return cursor.execute(sql, params, prepare=True).fetchall()

        def get() -> Any:
            rows = execute(_LATEST, ("", "session-0", datetime.now(UTC), 20))
            return json.loads(f"[{','.join(text for (text,) in rows)}]")

        def add() -> Any:
            roles, said = ["user", "assistant"], [item["content"] for item in ITEMS]
            terms = [tsvector(words(text)) for text in said]
            params = ("", "session-0", None, None, texts, roles, said, terms, [None, None], 0)
            sql = f"SELECT parlant_store_add_items({signature})"
            return execute(sql, (*params, datetime.now(UTC), None, False))

        def pop() -> Any:
            sql = "SELECT parlant_store_pop_item(%s::text, %s::text, %s::timestamptz, %s)"
            return json.loads(execute(sql, ("", "session-0", datetime.now(UTC), None))[0][0])

        return {
            name: median(seconds(mine) / seconds(least) for _ in range(rounds))
            for name, least, mine in (
                ("get_items(20)", get, lambda: store.get_items("session-0", limit=20)),
                ("add_items(2)", add, lambda: store.add_items("session-0", ITEMS)),
                ("pop_item", pop, lambda: store.pop_item("session-0")),
            )
        }


def seconds(call: Callable[[], Any]) -> float:
    """The median time of a call."""
    times = []
    for _ in range(CALLS * 3):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return median(times)


def show(database: str, against: str, target: float, ratios: list[float]) -> None:
    cells = " | ".join(f"{ratio:.1f}" for ratio in ratios)
    print(f"| {database} | {against} | {target:g} | {cells} |", flush=True)


def configure(folder: Path, uri: str) -> None:
    full = database(f"sqlite:///{folder / 'full.db'}")
    full["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"
    databases = {
        "default": database(f"sqlite:///{folder / 'ours.db'}"),
        "full": full,
        "postgresql": database(uri),
    }
    settings.configure(
        DATABASES=databases,
        INSTALLED_APPS=["parlant_store"],
        USE_TZ=True,
        PARLANT_STORES={
            "sqlite": {"OPTIONS": {"using": "default"}},
            "sqlite_full": {"OPTIONS": {"using": "full"}},
            "postgresql": {"OPTIONS": {"using": "postgresql"}},
        },
    )
    django.setup()
    from django.core.management import call_command

    for alias in databases:
        call_command("migrate", database=alias, verbosity=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 1_000, 10_000])
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, postgresql() as server:
        configure(Path(folder), server.get_uri())
        heads = " | ".join(f"{size:,} items" for size in args.sizes)
        print(f"| on | against | target | {heads} |")
        print(f"|---|---|---|{'---|' * len(args.sizes)}")
        if args.only != "postgresql":
            asyncio.run(on_sqlite(Path(folder), args.sizes, args.rounds))
        if args.only != "sqlite":
            asyncio.run(on_postgresql(server.get_uri(), args.sizes, args.rounds))
            columns = []
            for size in args.sizes:
                asyncio.run(fill(ours("postgresql"), size))
                columns.append(against_psycopg(server.get_uri(), args.rounds, size))
            for call in columns[0]:
                show(
                    "PostgreSQL",
                    f"bare psycopg, {call}: times its time",
                    1.6,
                    [c[call] for c in columns],
                )
        from parlant_store import stores

        stores.close_all()


if __name__ == "__main__":
    main()
