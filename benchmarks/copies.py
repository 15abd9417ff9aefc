"""store_copy from SQLite to PostgreSQL, and COPY through psycopg, side by side in one process.

    python -m benchmarks.copies [--sessions 1000 10000 100000] [--items 10] [--rounds 1]

COPY writes the rows of the same SQLite file to the same tables with their indexes, as psycopg's
documentation shows it. A copy reads the source, compares it with the target, writes, and compares
both sides. A cell is the median of the rows per second, of sessions and items together.
"""

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from benchmarks.databases import configure
from parlant_store.types import SessionRecord
from tests.servers.postgresql import postgresql

SIDES = ("COPY", "store_copy")
TABLES = {
    "parlant_store_session": "key, namespace, session_id, user_id, metadata, state, next_position,"
    " item_count, tokens, created_at, updated_at",
    "parlant_store_session_item": "session_key, position, role, text, data, terms, created_at",
}


def records(count: int, items: int) -> Iterator[list[SessionRecord]]:
    for start in range(0, count, 500):
        yield [
            SessionRecord(
                session_id=f"session-{number:07}",
                user_id=f"user-{number % 1000}",
                items=[
                    {
                        "role": ("user", "assistant")[n % 2],
                        "content": f"{number} {n}: what is the "
                        f"weather like in town {n} today, and will it rain there tomorrow?",
                    }
                    for n in range(items)
                ],
            )
            for number in range(start, min(start + 500, count))
        ]


def fill(count: int, items: int) -> None:
    from parlant_store import stores

    for batch in records(count, items):
        stores["sqlite"].write_sessions(batch)


def empty(aliases: list[str]) -> None:
    from django.db import connections

    for alias in aliases:
        with connections[alias].cursor() as cursor:
            if connections[alias].vendor == "postgresql":
                cursor.execute(f"TRUNCATE {', '.join(TABLES)}")
                cursor.execute("CHECKPOINT")
            else:
                for table in reversed(TABLES):
                    cursor.execute(f"DELETE FROM {table}")


def positions(text: str | None) -> str | None:
    """The words of an item as a tsvector."""
    if text is None:
        return None
    return " ".join(f"{word}:{place}" for place, word in enumerate(text.split(), 1))


def copy_rows(path: str, uri: str) -> None:
    with sqlite3.connect(path) as source, psycopg.connect(uri) as target:
        for table, columns in TABLES.items():
            terms = columns.split(", ").index("terms") if "terms" in columns else None
            with (
                target.cursor() as cursor,
                cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy,
            ):
                for row in source.execute(f"SELECT {columns} FROM {table}"):
                    if terms is not None:
                        row = (*row[:terms], positions(row[terms]), *row[terms + 1 :])
                    copy.write_row(row)


def store_copy() -> None:
    from django.core.management import call_command

    call_command("store_copy", "sqlite", "postgresql", stdout=StringIO())


def measure(path: str, uri: str, sizes: list[int], items: int, rounds: int) -> Any:
    table = {}
    for size in sizes:
        empty(["default", "postgresql"])
        fill(size, items)
        taken: dict[str, list[float]] = {side: [] for side in SIDES}
        for _ in range(rounds):
            for side in SIDES:
                empty(["postgresql"])
                started = time.perf_counter()
                if side == "COPY":
                    copy_rows(path, uri)
                else:
                    store_copy()
                taken[side].append(size * (1 + items) / (time.perf_counter() - started))
        table[size] = {side: median(rates) for side, rates in taken.items()}
        cells = "".join(f"{side} {rate:>9,.0f}   " for side, rate in table[size].items())
        share = table[size]["store_copy"] / table[size]["COPY"]
        print(f"{size:>9,} sessions   {cells} {share:.2f}", flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.copies", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--sessions", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--items", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, postgresql() as server:
        configure(Path(folder), {"postgresql": server.get_uri()})
        path = str(Path(folder) / "sqlite.sqlite3")
        print("rows per second")
        measure(path, server.get_uri(), options.sessions, options.items, options.rounds)


if __name__ == "__main__":
    main()
