"""AdvancedSQLiteSession of the OpenAI Agents SDK and AdvancedSession, side by side in one process.

    python -m benchmarks.history [--rounds 5] [--sizes 1000 10000] [--tools]

Both write to a file on SQLite in WAL mode with ``synchronous=FULL``, the SDK's default. A cell is
the CPU time of a call in milliseconds, of all threads, that a tenth of the calls stay below, which
other programs disturb least. Each round calls both sides, one directly after the other, in
alternating order. A turn is a question and an answer;
with ``--tools``, it is what a run with a reasoning model and a tool adds.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from agents import RunContextWrapper, Usage
from agents.extensions.memory import AdvancedSQLiteSession

from benchmarks.databases import configure
from benchmarks.workloads import ITEMS

Items = list[Any]
Call = Callable[[Any, int, Items], Awaitable[Any]]

DAYS = [{"day": day, "high": 21, "low": 14, "wind": "north"} for day in range(1, 8)]
TOOLS: Items = [
    {"role": "user", "content": "What is the weather like in Lisbon this week?"},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAABo" * 50},
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "get_weather",
        "arguments": '{"city": "Lisbon", "days": 7}',
        "status": "completed",
    },
    {"type": "function_call_output", "call_id": "call_1", "output": json.dumps(DAYS)},
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [
            {
                "type": "output_text",
                "text": "Sunny until Sunday, with a light wind from the north.",
                "annotations": [],
                "logprobs": [],
            }
        ],
    },
]
"""The items of a run, 1.5 kB of JSON."""

BATCH = 1_000
"""How many items are added at once to fill a session."""

TARGET = 5


class Run:
    """The part of a run's result that store_run_usage reads."""

    def __init__(self, tokens: int) -> None:
        usage = Usage(requests=1, input_tokens=tokens, output_tokens=5, total_tokens=tokens + 5)
        self.context_wrapper = RunContextWrapper(context=None, usage=usage)


RUNS = map(Run, count(1_000))
"""SQLite would not write the same usage again."""


async def store_usage(session: Any, *_: Any) -> None:
    await session.store_run_usage(next(RUNS))


async def branch(session: Any, size: int, turn: Items) -> None:
    """Branch in the middle of the conversation."""
    await session.switch_to_branch("main")
    await session.create_branch_from_turn(size // len(turn) // 2)


OPERATIONS: dict[str, tuple[Call, int]] = {
    "add_items": (lambda session, _, turn: session.add_items(turn), 20),
    "get_items(20)": (lambda session, *_: session.get_items(20), 20),
    "store_run_usage": (store_usage, 20),
    "get_conversation_turns": (lambda session, *_: session.get_conversation_turns(), 3),
    "create_branch_from_turn": (branch, 3),
}
"""Each with the number of calls in a round."""


async def fill(session: Any, size: int, turn: Items) -> None:
    for start in range(0, size, BATCH):
        await session.add_items(turn * (min(BATCH, size - start) // len(turn)))


async def milliseconds(
    call: Call, session: Any, size: int, turn: Items, calls: int
) -> Iterator[float]:
    """Return the CPU time of each call."""
    await session.switch_to_branch("main")
    times = [time.process_time()]
    for _ in range(calls):
        await call(session, size, turn)
        times.append(time.process_time())
    return ((end - start) * 1_000 for start, end in pairwise(times))


def lowest(times: list[float]) -> float:
    """Return the time that a tenth of the calls stay below."""
    return sorted(times)[len(times) // 10]


async def compare(folder: Path, size: int, turn: Items, rounds: int) -> None:
    from parlant_store.adapters.openai_agents import AdvancedSession

    name = f"s-{size}"
    # One file for all sizes, as ours is.
    theirs = AdvancedSQLiteSession(
        session_id=name, db_path=folder / "theirs.sqlite3", create_tables=True
    )
    pair = (theirs, AdvancedSession(name, store="sqlite_full"))
    for session in pair:
        await fill(session, size, turn)
    for name, (call, calls) in OPERATIONS.items():
        times: dict[Any, list[float]] = {session: [] for session in pair}
        for session in pair:
            await milliseconds(call, session, size, turn, 1)
        for number in range(rounds):
            for session in pair if number % 2 == 0 else pair[::-1]:
                times[session] += await milliseconds(call, session, size, turn, calls)
        show(name, size, *(lowest(times[session]) for session in pair))
    theirs.close()


def show(name: str, size: int, theirs: float, ours: float) -> None:
    print(f"| `{name}` | {size:,} | {theirs:,.2f} | {ours:,.2f} | {theirs / ours:.1f} | {TARGET} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--tools", action="store_true", help="turns with a call of a tool")
    args = parser.parse_args()
    turn = TOOLS if args.tools else ITEMS
    with tempfile.TemporaryDirectory() as name:
        configure(Path(name), {})
        from parlant_store import stores

        print("| operation | items | AdvancedSQLiteSession | AdvancedSession | times | target |")
        print("|---|---|---|---|---|---|", flush=True)
        for size in args.sizes:
            asyncio.run(compare(Path(name), size, turn, args.rounds))
        stores.close_all()


if __name__ == "__main__":
    main()
