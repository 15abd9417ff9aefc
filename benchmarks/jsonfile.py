"""The frameworks' own sessions in files and ours, side by side in one process.

    python -m benchmarks.jsonfile [--rounds 5] [--sizes 10 1000 10000] [--sessions 10000]
        [--messages 100 1000 10000]

With the OpenAI Agents SDK, it compares turns of 50 tasks with SQLiteSession in a file with
``synchronous=FULL``; with selectools, which needs an environment of its own, saving a turn and
listing with JsonFileSessionStore. All wait for the disk at each write: ``fsync`` of ours is True,
and JsonFileSessionStore knows nothing else.
"""

import argparse
import asyncio
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.databases import configure

BACKEND = "parlant_store.backends.jsonfile.JsonFileBackend"


async def on_sdk(folder: Path, sizes: list[int], rounds: int) -> None:
    from benchmarks.peers import SQLitePeers, ours
    from benchmarks.workloads import Comparison, Side, fresh_turns, show_heads, turns

    peers = SQLitePeers(folder, "FULL")
    comparison = Comparison(sizes, rounds)
    show_heads(sizes)
    for against, make, measure, target in (
        ("SQLiteSession FULL, turns", peers.file_session, turns, 1),
        ("SQLiteSession FULL, turns, new objects", peers.new_file_session, fresh_turns, None),
    ):
        pair = Side(against, make), ours("files")
        await comparison.show("files, fsync", against, target, pair, measure)
    await peers.close()


def on_selectools(folder: Path, messages: list[int], sessions: int, rounds: int) -> None:
    from selectools.sessions import JsonFileSessionStore

    from benchmarks.snapshots import memory_of, reads, save_turns
    from parlant_store.adapters.selectools import SessionStore

    stores: dict[str, Any] = {
        "theirs": JsonFileSessionStore(str(folder / "theirs")),
        "ours": SessionStore("files"),
    }
    print("| operation | size | JsonFileSessionStore, ms | ours, ms | times as fast | target |")
    print("|---|---|---|---|---|---|")
    for count in messages:
        target = "20" if count >= 10_000 else ""
        show("save a turn, messages", count, save_turns(stores, count, rounds), target)
    long = len(messages)
    memory = memory_of(50, answer="It rains in the north, and the sun shines. " * 13)
    for number in range(long, sessions):
        for store in stores.values():
            store.save(f"session-{number}", memory)
    times = reads(stores, rounds, lambda store: store.list(), sessions)
    show("list, sessions of 50 messages", sessions, times, "3")


def show(what: str, size: int, times: dict[str, float], target: str) -> None:
    theirs, ours = times["theirs"], times["ours"]
    print(
        f"| {what} | {size:,} | {theirs:,.2f} | {ours:,.2f} | {theirs / ours:.1f} | {target} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 1_000, 10_000])
    parser.add_argument("--messages", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--sessions", type=int, default=10_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = {"directory": folder / "ours"}
        configure(folder, {}, {"files": {"BACKEND": BACKEND, "OPTIONS": options}})
        from parlant_store import stores

        if find_spec("agents") is not None:
            asyncio.run(on_sdk(folder, args.sizes, args.rounds))
        if find_spec("selectools") is not None:
            on_selectools(folder, args.messages, args.sessions, args.rounds)
        stores.close_all()


if __name__ == "__main__":
    main()
