"""The frameworks' own sessions in Valkey and ours, side by side in one process.

    python -m benchmarks.redis [--rounds 5] [--sizes 10 1000 10000] [--sessions 10000]

With the OpenAI Agents SDK: turns against its RedisSession, as in benchmarks.sessions, and the bytes
of an item. With selectools, which has an environment of its own: saving a turn, listing and
searching against its RedisSessionStore, as in benchmarks.snapshots. Both sides use one server.
"""

import argparse
import asyncio
from importlib.util import find_spec
from typing import Any

import django
from django.conf import settings

from benchmarks.workloads import ITEMS, Comparison, Side, fill, show_heads, turns
from tests.servers import redis_servers
from tests.servers.redis_servers import Server

MEMORY_SESSIONS, MEMORY_ITEMS = 200, 100
RARE_EVERY = 500
LENGTH = 10
"""Messages of each of the many sessions that are listed and searched."""


def configure(url: str) -> None:
    settings.configure(
        INSTALLED_APPS=["parlant_store"],
        USE_TZ=True,
        PARLANT_STORES={
            "redis": {
                "BACKEND": "parlant_store.backends.redis.RedisBackend",
                "OPTIONS": {"url": url, "timeout": 60},
            }
        },
    )
    django.setup()


# The OpenAI Agents SDK


async def against_sdk(server: Server, args: argparse.Namespace) -> None:
    from agents.extensions.memory import RedisSession
    from redis.asyncio import Redis

    from parlant_store.adapters.openai_agents import Session

    async with Redis.from_url(server.url) as client:
        shared: dict[str, Any] = {}

        def theirs(session_id: str) -> Any:
            if session_id not in shared:
                shared[session_id] = RedisSession(session_id, redis_client=client)
            return shared[session_id]

        ours = Side("ours", lambda session_id: Session(session_id, store="redis"))
        pair = (Side("RedisSession", theirs), ours)
        show_heads(args.sizes)
        comparison = Comparison(args.sizes, args.rounds)
        await comparison.show("Valkey", "RedisSession, turns", 1.5, pair, turns)
        for side in pair:
            rates = []
            for size in args.sizes:
                await fill(side, size)
                rates.append(await turns(side, size))
            print(f"| Valkey | {side.name}, turns per second | | {cells(rates)} |")
        for side in pair:
            print(f"bytes of an item, {side.name}: {await bytes_of_an_item(server, side):.0f}")


async def bytes_of_an_item(server: Server, side: Side) -> float:
    """What the server's memory grows by, in sessions of MEMORY_ITEMS items."""
    with server.client() as client:
        client.execute_command("FLUSHALL", "SYNC")
        await side.make("first").add_items(ITEMS)
        before = used(client)
        for number in range(MEMORY_SESSIONS):
            session = side.make(f"memory-{number}")
            for turn in range(MEMORY_ITEMS // 2):
                await session.add_items(messages(number, turn))
        return (used(client) - before) / (MEMORY_SESSIONS * MEMORY_ITEMS)


def messages(number: int, turn: int) -> list[dict[str, str]]:
    place = (number * 7919 + turn * 104729) % 99991
    return [
        {"role": "user", "content": f"What is the weather like in town {place}, today at noon?"},
        {"role": "assistant", "content": f"{place}: it rains in the north, and the sun shines."},
    ]


def used(client: Any) -> int:
    return int(client.info("memory")["used_memory"])


def cells(numbers: list[float]) -> str:
    return " | ".join(f"{number:,.0f}" for number in numbers)


# selectools


def against_selectools(server: Server, args: argparse.Namespace) -> None:
    from selectools.sessions import RedisSessionStore

    from benchmarks.snapshots import memory_of, reads, save_turns
    from parlant_store.adapters.selectools import SessionStore

    stores: dict[str, Any] = {
        "RedisSessionStore": RedisSessionStore(server.url),
        "ours": SessionStore("redis"),
    }
    print("| operation | size | target | RedisSessionStore, ms | ours, ms | times as fast |")
    print("|---|---|---|---|---|---|")
    for number in range(args.sessions):
        memory = memory_of(LENGTH, rare=number % RARE_EVERY == 0)
        for store in stores.values():
            store.save(f"session-{number}", memory)
    show("list", args.sessions, 5, reads(stores, args.rounds, lambda s: s.list(), args.sessions))
    rare = -(-args.sessions // RARE_EVERY)
    found = reads(stores, args.rounds, lambda s: s.search("zanzibar", limit=100), rare)
    show("search for a rare word", args.sessions, 50, found)
    found = reads(stores, args.rounds, lambda s: s.search("weather", limit=10), 10)
    show("search for a word of all", args.sessions, None, found)
    for size in args.sizes:
        target = 20 if size == 10_000 else None
        show("save a turn", size, target, save_turns(stores, size, args.rounds))
    for name, store in stores.items():
        with server.client() as client:
            client.execute_command("FLUSHALL", "SYNC")
            store.save("first", memory_of(2))
            before = used(client)
            for number in range(MEMORY_SESSIONS):
                store.save(f"memory-{number}", memory_of(MEMORY_ITEMS))
            size = (used(client) - before) / (MEMORY_SESSIONS * MEMORY_ITEMS)
            print(f"bytes of a message, {name}: {size:.0f}")


def show(what: str, size: int, target: float | None, times: dict[str, float]) -> None:
    theirs, ours = times.values()
    numbers = f"{theirs:,.2f} | {ours:,.2f} | {theirs / ours:.1f}"
    print(f"| {what} | {size:,} | {target or ''} | {numbers} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 1_000, 10_000])
    parser.add_argument("--sessions", type=int, default=10_000)
    args = parser.parse_args()
    with redis_servers.server(redis_servers.valkey()) as server:
        configure(server.url)
        from parlant_store import stores

        if find_spec("agents") is not None:
            asyncio.run(against_sdk(server, args))
        if find_spec("selectools") is not None:
            against_selectools(server, args)
        stores.close_all()


if __name__ == "__main__":
    main()
