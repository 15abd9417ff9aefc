"""What writes to a session in a file do to its counters, its turns and their usage."""

from itertools import islice
from typing import NamedTuple

from parlant_store.backends.contract.operations import ItemPlace
from parlant_store.backends.jsonfile.files import lines
from parlant_store.backends.jsonfile.files.lines import State
from parlant_store.backends.jsonfile.files.session_file import (
    FIRST_BLOCK,
    LARGEST_BLOCK,
    SessionFile,
    Walk,
)
from parlant_store.content.items import Batch, tokens_of
from parlant_store.content.usage import TOTAL, StoredUsage, sum_usage


class Deletion(NamedTuple):
    """What is deleted with items: the last ``removed`` ones and the first ``dropped`` ones."""

    removed: int = 0
    dropped: int = 0
    removed_bytes: int = 0
    tokens: int = 0

    first_turn: int | None = None
    """The number of the first turn that the removed items open."""

    usages: tuple[StoredUsage, ...] = ()


def added(state: State, batch: Batch) -> State:
    """Return the state after items are added."""
    count, next_turn = len(batch.data), state.next_turn or int(not state.items)
    return state._replace(
        items=state.items + count,
        next_position=state.next_position + count,
        tokens=state.tokens + batch.total,
        next_turn=next_turn and next_turn + batch.turns,
    )


def emptied(state: State) -> State:
    """Return the state after all items are replaced."""
    return state._replace(items=0, tokens=0, next_turn=1, usage=None, usage_0=None)


def deleted(state: State, deletion: Deletion) -> State:
    """Return the state after items are deleted."""
    tokens = deletion.tokens + sum(usage.get(TOTAL, 0) for usage in deletion.usages)
    items = state.items - deletion.removed - deletion.dropped
    next_turn = state.next_turn and (deletion.first_turn or state.next_turn)
    deletes_first = _deletes_first(state, deletion.removed, deletion.dropped)
    return state._replace(
        items=items,
        tokens=max(0, state.tokens - tokens),
        next_turn=next_turn or int(not items),
        usage=sum_usage([state.usage], deletion.usages) or None,
        usage_0=None if deletes_first else state.usage_0,
    )


def without_usage(state: State) -> State:
    """Return the state of a copy without the usage of turns."""
    tokens = (state.usage or {}).get(TOTAL, 0)
    return state._replace(tokens=max(0, state.tokens - tokens), usage=None, usage_0=None)


def deletion(file: SessionFile, state: State, removed: int, dropped: int = 0) -> Deletion:
    """Return what is deleted with the last ``removed`` and the first ``dropped`` items."""
    if file.last is None or removed + dropped == 0:
        return Deletion()
    # The first items are known only after all others.
    is_whole = bool(dropped and (state.tokens or state.usage))
    count = state.items if is_whole else removed
    walk = Walk(file.last, next_turn=state.next_turn)
    item_lines = file.items(LARGEST_BLOCK if is_whole else removed * 256 + FIRST_BLOCK, walk)
    found, usages, size, first_turn = [], [], 0, None
    for place, line in enumerate(islice(item_lines, count)):
        turn = walk.turn_of(line)
        if removed <= place < state.items - dropped:
            continue
        found.append(line)
        if place < removed:
            size += len(line) + 1
            first_turn = first_turn if turn is None else turn[0]
        usages += [] if turn is None or turn[1] is None else [turn[1]]
    if _deletes_first(state, removed, dropped) and state.usage_0:
        usages.append(state.usage_0)
    items = lines.parse_items(found) if state.tokens else []
    tokens = sum(tokens_of(item) or 0 for item in items if item is not None)
    return Deletion(removed, dropped, size, tokens, first_turn, tuple(usages))


def numbered(file: SessionFile, state: State) -> State:
    """Return the state with the number of the next turn, also of an earlier version's session."""
    if state.next_turn:
        return state
    count = sum(map(lines.is_user_message, file.items(LARGEST_BLOCK)))
    return state._replace(next_turn=count + 1)


def tail_length(file: SessionFile, state: State, place: ItemPlace) -> int | None:
    """Return the number of items from ``place`` on; None if there is no such place."""
    if place.is_end or file.last is None:
        return 0
    if place.position is not None:
        return _tail_after(file, state, place.position)
    if place.turn == 0:
        return state.items
    walk = Walk(file.last, next_turn=state.next_turn)
    for count, line in enumerate(file.items(walk=walk), 1):
        turn = walk.turn_of(line)
        if turn is not None and turn[0] <= (place.turn or 0):
            return count if turn[0] == place.turn else None
    return None


def _tail_after(file: SessionFile, state: State, position: int) -> int | None:
    if position > state.next_position or file.last is None:
        return None
    walk = Walk(file.last)
    for count, _ in enumerate(file.items(walk=walk)):
        if walk.position < position:
            return count
    return state.items


def _deletes_first(state: State, removed: int, dropped: int) -> bool:
    return dropped > 0 or removed == state.items
