"""selectools' own stores and ours, side by side in one process.

    python -m benchmarks.snapshots [--rounds 5] [--messages 100 1000 10000] [--sessions 1000 10000]
        [--answer 560]

Saving a turn is ``save`` of a memory that has grown by two messages since the last save. Each
round runs theirs and then ours; a cell is the median over the rounds, in milliseconds, with the
garbage collector at rest, as timeit has it: a pass of it costs as much as a list, and would fall
on either side by chance. Needs selectools, which cannot share an environment with the OpenAI
Agents SDK.
"""

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from selectools.memory import ConversationMemory
from selectools.sessions import JsonFileSessionStore, SQLiteSessionStore
from selectools.types import Message, Role

from benchmarks.databases import configure
from tests.servers.postgresql import postgresql

SIDES = ("SQLiteSessionStore", "JsonFileSessionStore", "ours, SQLite", "ours, PostgreSQL")
LENGTH = 50
"""Messages of each of the many sessions that are listed and searched."""

RARE_EVERY = 500
"""One of so many sessions holds the word that is searched for."""


def memory_of(count: int, rare: bool = False, answer: str = "Rain.") -> ConversationMemory:
    """Questions of some sixty characters, and answers that are ``answer``."""
    memory = ConversationMemory(max_messages=10**6)
    texts = [f"What is the weather like in town {n} today, and tomorrow?" for n in range(count)]
    texts[1::2] = [f"{n}: {answer}" for n, _ in enumerate(texts[1::2])]
    if rare:
        texts[0] += " Zanzibar"
    roles = (Role.USER, Role.ASSISTANT)
    memory.add_many([Message(roles[n % 2], text) for n, text in enumerate(texts)])
    return memory


def milliseconds(call: Callable[[], Any], times: int = 1) -> float:
    gc.collect()
    gc.disable()
    started = time.perf_counter()
    for _ in range(times):
        call()
    taken = (time.perf_counter() - started) / times * 1_000
    gc.enable()
    return taken


def save_turns(stores: dict[str, Any], count: int, rounds: int) -> dict[str, float]:
    """The time of a save after each turn of a memory of ``count`` messages."""
    memories = {side: memory_of(count) for side in stores}
    for side, store in stores.items():
        store.save(f"long-{count}", memories[side])
    taken: dict[str, list[float]] = {side: [] for side in stores}
    for _ in range(rounds):
        for side, store in stores.items():
            memory = memories[side]
            memory.add_many([Message(Role.USER, "And then?"), Message(Role.ASSISTANT, "Rain.")])
            save = lambda: store.save(f"long-{count}", memory)  # noqa: B023, E731
            taken[side].append(milliseconds(save))
    return {side: median(times) for side, times in taken.items()}


def reads(
    stores: dict[str, Any], rounds: int, call: Callable[[Any], Any], expected: int
) -> dict[str, float]:
    taken: dict[str, list[float]] = {side: [] for side in stores}
    for side, store in stores.items():
        assert len(call(store)) == expected, (side, len(call(store)), expected)
    for _ in range(rounds):
        for side, store in stores.items():
            taken[side].append(milliseconds(lambda: call(store), 3))  # noqa: B023
    return {side: median(times) for side, times in taken.items()}


def fill(stores: dict[str, Any], folder: Path, first: int, last: int, answer: str) -> None:
    """Give each store the sessions from ``first`` on up to ``last``, of LENGTH messages each."""
    from parlant_store import stores as ours

    plain, rare = (memory_of(LENGTH, rare=is_rare, answer=answer) for is_rare in (False, True))
    theirs = stores["SQLiteSessionStore"]
    connection = theirs._conn()
    now = time.time()
    for number in range(first, last):
        memory = plain if number % RARE_EVERY else rare
        name, kept = f"session-{number}", memory.to_dict()
        text = json.dumps(kept, ensure_ascii=False)
        # As their save leaves it, in one transaction and without looking for what was there.
        connection.execute(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", (name, text, len(memory), now, now)
        )
        connection.executemany(
            "INSERT INTO session_messages_fts (content, session_key) VALUES (?, ?)",
            [(message["content"], name) for message in kept["messages"]],
        )
        connection.execute("INSERT INTO session_search_index VALUES (?, ?)", (name, now + 1))
        file = {"session_id": name, "namespace": None, "created_at": now, "updated_at": now}
        Path(folder, f"{name}.json").write_text(json.dumps({**file, "memory": kept}))
        for alias in ("sqlite", "postgresql"):
            state = {key: value for key, value in kept.items() if key != "messages"}
            ours[alias].save_snapshot(name, kept["messages"], state=state)
    connection.commit()
    connection.close()


def analyze() -> None:
    from django.db import connections

    for alias, sql in (("default", "ANALYZE"), ("postgresql", "VACUUM ANALYZE")):
        with connections[alias].cursor() as cursor:
            cursor.execute(sql)


def show(what: str, size: int, times: dict[str, float]) -> None:
    cells = " | ".join(f"{times[side]:,.2f}" if side in times else "-" for side in SIDES)
    print(f"| {what} | {size:,} | {cells} |", flush=True)


def target(what: str, wanted: str, ratios: list[float]) -> None:
    print(f"| {what} | {wanted} | {' | '.join(f'{ratio:.1f}' for ratio in ratios)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--sessions", type=int, nargs=2, default=[1_000, 10_000])
    parser.add_argument("--answer", type=int, default=560, help="characters of each answer")
    args = parser.parse_args()
    answer = ("It rains in the north, and the sun shines. " * args.answer)[: args.answer]
    with tempfile.TemporaryDirectory() as name, postgresql() as server:
        folder = Path(name)
        configure(folder, {"postgresql": server.get_uri()})
        from parlant_store import stores as ours
        from parlant_store.adapters.selectools import SessionStore

        stores = dict(
            zip(
                SIDES,
                (
                    SQLiteSessionStore(str(folder / "theirs.db")),
                    JsonFileSessionStore(str(folder / "json")),
                    SessionStore("sqlite"),
                    SessionStore("postgresql"),
                ),
                strict=True,
            )
        )
        print(f"| operation | size | {' | '.join(SIDES)} |")
        print(f"|---|---|{'---|' * len(SIDES)}")
        done = 0
        searches, lists = {}, {}
        for count in args.sessions:
            fill(stores, folder / "json", done, count, answer)
            done = count
            analyze()
            lists[count] = reads(stores, args.rounds, lambda store: store.list(), count)
            show("list, sessions", count, lists[count])
            rare = -(-count // RARE_EVERY)
            searches[count] = reads(
                stores, args.rounds, lambda store: store.search("zanzibar", limit=100), rare
            )
            show("search for a rare word, sessions", count, searches[count])
        saves = {}
        for count in args.messages:
            saves[count] = save_turns(stores, count, args.rounds)
            show("save a turn, messages", count, saves[count])
        print("\n| ours | target | SQLite | PostgreSQL |\n|---|---|---|---|")
        most, (few, many) = args.messages[-1], args.sessions
        own = SIDES[2:]
        for what, wanted, times in (
            (f"saving a turn of {most:,} messages", "> 5", saves[most]),
            (f"list of {many:,} sessions", "> 3", lists[many]),
            (f"search in {many:,} sessions", "> 50", searches[many]),
        ):
            for theirs in SIDES[:2]:
                ratios = [times[theirs] / times[side] for side in own]
                target(f"{what}: times as fast as {theirs}", wanted, ratios)
        growth = [searches[many][side] / searches[few][side] for side in own]
        target(f"search: times the cost in {few:,} sessions", "<= 3", growth)
        ours.close_all()


if __name__ == "__main__":
    main()
