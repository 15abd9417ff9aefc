"""AdvancedSQLiteSession of the OpenAI Agents SDK and AdvancedSession, side by side in one process.

    python -m benchmarks.history [--rounds 5] [--sizes 1000 10000]

Both write to a file on SQLite in WAL mode with ``synchronous=FULL``, the SDK's default. A cell is
the CPU time of a call in milliseconds, of all threads: the median over the rounds. Each round calls
both sides, one directly after the other, in alternating order.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

from agents import RunContextWrapper, Usage
from agents.extensions.memory import AdvancedSQLiteSession

from benchmarks.databases import configure
from benchmarks.workloads import ITEMS

Call = Callable[[Any, int], Awaitable[Any]]

BATCH = 1_000
"""How many items are added at once to fill a session."""

TARGET = 5


class Run:
    """The part of a run's result that store_run_usage reads."""

    context_wrapper = RunContextWrapper(
        context=None, usage=Usage(requests=1, input_tokens=50, output_tokens=5, total_tokens=55)
    )


async def branch(session: Any, size: int) -> None:
    """Branch in the middle of the conversation, whose turns have two items."""
    await session.switch_to_branch("main")
    await session.create_branch_from_turn(size // 4)


OPERATIONS: dict[str, tuple[Call, int]] = {
    "add_items(2)": (lambda session, _: session.add_items(ITEMS), 20),
    "get_items(20)": (lambda session, _: session.get_items(20), 20),
    "store_run_usage": (lambda session, _: session.store_run_usage(Run), 20),
    "get_conversation_turns": (lambda session, _: session.get_conversation_turns(), 3),
    "create_branch_from_turn": (branch, 3),
}
"""Each with the number of calls in a round."""


async def fill(session: Any, size: int) -> None:
    for start in range(0, size, BATCH):
        await session.add_items(ITEMS * (min(BATCH, size - start) // 2))


async def milliseconds(call: Call, session: Any, size: int, count: int) -> float:
    await session.switch_to_branch("main")
    started = time.process_time()
    for _ in range(count):
        await call(session, size)
    return (time.process_time() - started) / count * 1_000


async def compare(folder: Path, size: int, rounds: int) -> None:
    from parlant_store.adapters.openai_agents import AdvancedSession

    theirs = AdvancedSQLiteSession(
        session_id="s", db_path=folder / f"theirs-{size}.sqlite3", create_tables=True
    )
    pair = (theirs, AdvancedSession(f"s-{size}", store="sqlite_full"))
    for session in pair:
        await fill(session, size)
    for name, (call, count) in OPERATIONS.items():
        times: dict[Any, list[float]] = {session: [] for session in pair}
        for session in pair:
            await milliseconds(call, session, size, 1)
        for number in range(rounds):
            for session in pair if number % 2 == 0 else pair[::-1]:
                times[session].append(await milliseconds(call, session, size, count))
        show(name, size, *(median(times[session]) for session in pair))
    theirs.close()


def show(name: str, size: int, theirs: float, ours: float) -> None:
    print(f"| `{name}` | {size:,} | {theirs:,.2f} | {ours:,.2f} | {theirs / ours:.1f} | {TARGET} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        configure(Path(name), {})
        from parlant_store import stores

        print("| operation | items | AdvancedSQLiteSession | AdvancedSession | times | target |")
        print("|---|---|---|---|---|---|", flush=True)
        for size in args.sizes:
            asyncio.run(compare(Path(name), size, args.rounds))
        stores.close_all()


if __name__ == "__main__":
    main()
