"""The OpenAI Agents SDK's own sessions and ours, side by side in one process.

    python -m benchmarks.sessions [--rounds 5] [--sizes 10 1000 10000]
        [--only sqlite|postgresql|pgbouncer|pool]

Each round runs theirs and ours, one directly after the other; a cell is how many times
faster ours was, the median over the rounds and the range of them, at so many items stored in
each session. Every figure is taken through the async adapter, except the last, which compares
the sync store with the same statement on a bare psycopg cursor.

Both sides have the same database with the same durability: on SQLite a file in WAL mode with
the row's ``synchronous``, which each side's own connection is asked for first; on PostgreSQL
the same server, reached the same way: directly, through the same PgBouncer in transaction
mode, or with a pool of as many connections.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.databases import POOL, SYNCHRONOUS, configure
from benchmarks.workloads import (
    CALLS,
    ITEMS,
    Comparison,
    Side,
    fill,
    fresh_turns,
    one_after_another,
    session_ids,
    show_heads,
    turns,
)
from tests.servers.pgbouncer import pgbouncer
from tests.servers.postgresql import postgresql

PARTS = ("sqlite", "postgresql", "pgbouncer", "pool")


async def on_sqlite(folder: Path, comparison: Comparison) -> None:
    from benchmarks.peers import SQLitePeers, ours

    for alias, synchronous in SYNCHRONOUS.items():
        peers = SQLitePeers(folder, synchronous)
        await peers.verify(alias)
        file, others = Side(f"file {alias}", peers.file_session), 4 if synchronous == "FULL" else 5
        new_file = Side(f"file {alias}", peers.new_file_session)
        async_ = Side(f"async {alias}", peers.async_session)
        alchemy = Side(f"alchemy {alias}", peers.alchemy_session)
        for against, side, measure, target in (
            ("SQLiteSession, turns", file, turns, 3),
            ("SQLiteSession, turns, new objects", new_file, fresh_turns, others),
            ("AsyncSQLiteSession, turns", async_, turns, 4),
            ("SQLAlchemySession(aiosqlite), turns", alchemy, turns, None),
        ):
            await comparison.show(
                f"SQLite, synchronous={synchronous}", against, target, (side, ours(alias)), measure
            )
        await peers.close()


async def on_postgresql(
    label: str, alias: str, engine: Any, targets: tuple[float, float], comparison: Comparison
) -> None:
    from benchmarks.peers import ours, with_engine

    async def rows(theirs: Side) -> None:
        for what, measure, target in zip(
            ("one after another", "turns"), (one_after_another, turns), targets, strict=True
        ):
            against = f"SQLAlchemySession(asyncpg), {what}"
            await comparison.show(label, against, target, (theirs, ours(alias)), measure)

    await with_engine(engine, f"alchemy {alias}", rows)


def against_psycopg(uri: str, rounds: int, size: int) -> dict[str, float]:
    """The sync store's time for a call, over that of its statement on a bare cursor."""
    import psycopg

    from parlant_store import stores
    from parlant_store.backends.orm.base.sessions import LATEST, PLAIN
    from parlant_store.content.text_search import tsvector, words

    store, session_id = stores["postgresql"], session_ids(size)[0]
    data = [json.dumps(item) for item in ITEMS]
    signature = ", ".join(
        f"%s::{type_}"
        for type_ in [
            *(["text"] * 4 + ["text[]"] * 4),
            *("bigint[]", "bigint[]", "bigint", "timestamptz", "timestamptz", "bool"),
        ]
    )
    with psycopg.connect(uri, autocommit=True) as connection:

        def execute(sql: str, params: tuple[Any, ...]) -> list[Any]:
            with connection.cursor() as cursor:
                return cursor.execute(sql, params, prepare=True).fetchall()

        def get() -> Any:
            latest = LATEST.format(key=PLAIN.sql)
            rows = execute(latest, ("", session_id, datetime.now(UTC), 20))
            return json.loads(f"[{','.join(text for (text,) in rows)}]")

        def add() -> Any:
            roles, texts = ["user", "assistant"], [item["content"] for item in ITEMS]
            terms = [tsvector(words(text)) for text in texts]
            params = ("", session_id, None, None, data, roles, texts, terms, None, None, None)
            sql = f"SELECT parlant_store_add_items({signature})"
            return execute(sql, (*params, datetime.now(UTC), None, False))

        def pop() -> Any:
            sql = "SELECT parlant_store_pop_item(%s::text, %s::text, %s::timestamptz, %s)"
            return json.loads(execute(sql, ("", session_id, datetime.now(UTC), None))[0][0])

        return {
            name: median(seconds(mine) / seconds(least) for _ in range(rounds))
            for name, least, mine in (
                ("get_items(20)", get, lambda: store.get_items(session_id, limit=20)),
                ("add_items(2)", add, lambda: store.add_items(session_id, ITEMS)),
                ("pop_item", pop, lambda: store.pop_item(session_id)),
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


async def on_psycopg(uri: str, comparison: Comparison) -> None:
    from benchmarks.peers import ours

    columns = []
    for size in comparison.sizes:
        await fill(ours("postgresql"), size)
        columns.append(await asyncio.to_thread(against_psycopg, uri, comparison.rounds, size))
    for call in columns[0]:
        cells = " | ".join(f"{column[call]:.1f}" for column in columns)
        print(f"| PostgreSQL | bare psycopg, {call}: times its time | 1.6 | {cells} |", flush=True)


async def run(folder: Path, parts: list[str], uris: dict[str, str], comparison: Comparison) -> None:
    from benchmarks.peers import direct_engine, pool_engine, pooler_engine

    if "sqlite" in parts:
        await on_sqlite(folder, comparison)
    urls = {name: uri.replace("postgresql:", "postgresql+asyncpg:") for name, uri in uris.items()}
    if "postgresql" in parts:
        engine = direct_engine(urls["postgresql"])
        await on_postgresql("PostgreSQL", "postgresql", engine, (3, 8), comparison)
    if "pgbouncer" in parts:
        engine = pooler_engine(urls["pgbouncer"])
        await on_postgresql("PostgreSQL, PgBouncer", "pgbouncer", engine, (2, 5), comparison)
    if "pool" in parts:
        engine = pool_engine(urls["pool"], POOL)
        await on_postgresql(f"PostgreSQL, pool of {POOL}", "pool", engine, (2, 5), comparison)
    if "postgresql" in parts:
        await on_psycopg(uris["postgresql"], comparison)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 1_000, 10_000])
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        uris: dict[str, str] = {}
        if args.only != ["sqlite"]:
            server = stack.enter_context(postgresql())
            uris = dict.fromkeys({"postgresql", "pool"} & set(args.only), server.get_uri())
            if "pgbouncer" in args.only:
                uris["pgbouncer"] = stack.enter_context(pgbouncer(server.get_uri(), pool_size=20))
        configure(folder, uris)
        show_heads(args.sizes)
        comparison = Comparison(args.sizes, args.rounds)
        asyncio.run(run(folder, args.only, uris, comparison))
        from parlant_store import stores

        stores.close_all()


if __name__ == "__main__":
    main()
