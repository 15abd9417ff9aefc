"""What the benchmarks of sessions time, and how two sides of a comparison take turns."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

ITEMS = [
    {"role": "user", "content": "What is the weather like in Lisbon today?"},
    {"role": "assistant", "content": "Sunny, with a light wind from the north."},
]
TASKS = 50
TURNS = 20
CALLS = 100
WARM_UP_TURNS = 5

Make = Callable[[str], Any]
Measure = Callable[["Side", int, int], Awaitable[float]]


@dataclass(frozen=True)
class Side:
    """One of the two that are compared: ``make`` gives a session by its id."""

    name: str
    make: Make


async def turns(side: Side, size: int, count: int = TURNS) -> float:
    """Turns per second of TASKS tasks, each reading 20 items and adding two."""

    async def work(session: Any) -> None:
        for _ in range(count):
            await session.get_items(20)
            await session.add_items(ITEMS)

    sessions = [side.make(session_id) for session_id in session_ids(size)]
    return await _rate(TASKS * count, [work(session) for session in sessions])


async def fresh_turns(side: Side, size: int, count: int = TURNS) -> float:
    """``turns`` with a new Session object for each, as a web request makes one."""

    async def work(session_id: str) -> None:
        for _ in range(count):
            session = side.make(session_id)
            await session.get_items(20)
            await session.add_items(ITEMS)
            if hasattr(session, "close"):
                session.close()

    return await _rate(TASKS * count, [work(session_id) for session_id in session_ids(size)])


async def one_after_another(side: Side, size: int, count: int = CALLS) -> float:
    """Calls per second of one task that adds, reads 20 and pops in turn."""

    async def work(session: Any) -> None:
        for _ in range(count):
            await session.add_items(ITEMS)
            await session.get_items(20)
            await session.pop_item()

    return await _rate(3 * count, [work(side.make(session_ids(size)[0]))])


async def _rate(done: int, work: list[Any]) -> float:
    started = time.perf_counter()
    await asyncio.gather(*work)
    return done / (time.perf_counter() - started)


def session_ids(size: int) -> list[str]:
    """The sessions that hold ``size`` items each."""
    return [f"session-{size}-{number}" for number in range(TASKS)]


async def fill(side: Side, size: int) -> None:
    """Make the sessions hold ``size`` items each, whatever they held."""
    for session_id in session_ids(size):
        session = side.make(session_id)
        await session.clear_session()
        await session.add_items(ITEMS * (size // 2))


class Comparison:
    """Rounds in which both sides of a pair are measured, one directly after the other."""

    def __init__(self, sizes: Sequence[int], rounds: int) -> None:
        self.sizes = sizes
        self.rounds = rounds
        self._filled: set[tuple[str, int]] = set()

    async def show(
        self,
        database: str,
        against: str,
        target: float | None,
        pair: tuple[Side, Side],
        measure: Measure,
    ) -> None:
        """Print a row: how many times faster the second of ``pair`` is than the first."""
        cells = [_cell(await self._ratios(pair, measure, size)) for size in self.sizes]
        least = "" if target is None else f"{target:g}"
        print(f"| {database} | {against} | {least} | {' | '.join(cells)} |", flush=True)

    async def _ratios(self, pair: tuple[Side, Side], measure: Measure, size: int) -> list[float]:
        theirs, ours = pair
        for side in pair:
            await self._fill(side, size)
            # Threads, connections and statements of both are there before the clock runs.
            await measure(side, size, WARM_UP_TURNS)
        count = CALLS if measure is one_after_another else TURNS
        ratios = []
        for number in range(self.rounds):
            rates = {}
            # Who goes first changes, so that a machine that slows down harms neither.
            for side in pair if number % 2 == 0 else (ours, theirs):
                await self._fill(side, size)
                rates[side.name] = await measure(side, size, count)
            ratios.append(rates[ours.name] / rates[theirs.name])
        return ratios

    async def _fill(self, side: Side, size: int) -> None:
        # A round adds some forty items to a session: nothing beside thousands of them.
        if size < 1_000 or (side.name, size) not in self._filled:
            self._filled.add((side.name, size))
            await fill(side, size)


def _cell(ratios: list[float]) -> str:
    return f"{median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"


def show_heads(sizes: Sequence[int]) -> None:
    heads = " | ".join(f"{size:,} items" for size in sizes)
    print(f"| on | against | target | {heads} |")
    print(f"|---|---|---|{'---|' * len(sizes)}", flush=True)
