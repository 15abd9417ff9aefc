"""What OpenAIResponsesCompactionSession reads and replaces, in one step."""

from collections.abc import Awaitable, Callable
from typing import Any

from agents import TResponseInputItem
from agents.memory.session import _CompactionSnapshot

from parlant_store.types import Snapshot

Items = list[TResponseInputItem]
IsPruned = Callable[[TResponseInputItem], bool]

Splice = Callable[[Snapshot, int, int, Items], Awaitable[bool]]
"""Deletes the first items of a snapshot, keeps so many after them, and appends items."""


def compaction_snapshot(
    snapshot: Snapshot | None, limit: int, is_pruned: IsPruned | None, splice: Splice
) -> _CompactionSnapshot | None:
    """Return the latest ``limit`` items; None if items are damaged.

    When they are replaced, items at the start for which ``is_pruned`` is true are deleted too.
    """
    if snapshot is None:
        return _CompactionSnapshot([], True, _replace_nothing)
    items: list[Any] = snapshot.items
    if len(items) != snapshot.revision.item_count:
        return None
    first = max(len(items) - limit, 0)

    async def replace_suffix(start: int, output: Items) -> bool:
        end = first + start
        if end >= len(items):
            return False
        drop = 0
        while is_pruned is not None and drop < end and is_pruned(items[drop]):
            drop += 1
        return await splice(snapshot, drop, end - drop, output)

    return _CompactionSnapshot(items[first:], first == 0, replace_suffix)


async def _replace_nothing(_start: int, _output: Items) -> bool:
    return False
