"""A cache of what sessions contained when they were last read, to find what changed."""

import threading
from array import array
from collections import OrderedDict
from dataclasses import dataclass, field
from weakref import ref

from django.db import connections

from parlant_store.backends.contract.validation import SessionName
from parlant_store.types import Revision

MAX_HASHES = 1_000_000
"""Limit on the messages in the cache, of all sessions together; eight bytes each."""

MAX_ORIGINS = 10_000
"""Limit on the texts in the cache that are keys of sessions with a namespace."""

OVERHEAD = 32
"""How many messages the name and revision of a session count as."""


@dataclass(slots=True, eq=False, kw_only=True)
class SavedState:
    """The messages of a session at a revision."""

    name: SessionName
    revision: Revision

    hashes: "array[int]"
    """A hash of each message."""

    ends: list[int] | None = None
    """The number of items up to the end of each message; None if each message is one item."""

    uncommitted: "list[ref[_Commit]]" = field(default_factory=list)
    thread: int = 0

    def items_before(self, message: int) -> int:
        """Return the number of items before the message of this index."""
        return message if self.ends is None or message == 0 else self.ends[message - 1]

    def is_valid(self) -> bool:
        """Whether it is committed, or in a transaction of the calling thread."""
        waiting = self.uncommitted
        return not waiting or (
            self.thread == threading.get_ident() and all(commit() for commit in waiting)
        )

    def await_commit(self) -> None:
        """Become invalid when one of the caller's transactions is rolled back.

        After a rollback, the same revision may occur again with other items. Django keeps the
        callbacks of a transaction until its commit and drops them at a rollback, also of a
        savepoint: weak references show which.
        """
        in_transaction = [
            each for each in connections.all(initialized_only=True) if each.in_atomic_block
        ]
        commits = [_Commit(self) for _ in in_transaction]
        self.thread = threading.get_ident()
        self.uncommitted = [ref(commit) for commit in commits]
        for connection, commit in zip(in_transaction, commits, strict=True):
            connection.on_commit(commit)


class _Commit:
    def __init__(self, state: SavedState) -> None:
        self.state = state

    def __call__(self) -> None:
        waiting = self.state.uncommitted
        self.state.uncommitted = [commit for commit in waiting if commit() is not self]


class SavedStates:
    """A cache of the states that were used last; it is thread-safe."""

    def __init__(self, size: int = MAX_HASHES) -> None:
        self.size = size
        self._lock = threading.Lock()
        self._states: OrderedDict[SessionName, SavedState] = OrderedDict()
        self._used = 0
        self._origins: OrderedDict[SessionName, SessionName] = OrderedDict()

    def get(self, name: SessionName) -> SavedState | None:
        with self._lock:
            state = self._states.get(name)
            if state is None or not state.is_valid():
                return None
            self._states.move_to_end(name)
            return state

    def put(self, state: SavedState) -> None:
        state.await_commit()
        with self._lock:
            self._drop(state.name)
            self._states[state.name] = state
            self._used += len(state.hashes) + OVERHEAD
            while self._used > self.size:
                self._drop(next(iter(self._states)))

    def forget(self, name: SessionName) -> None:
        with self._lock:
            self._drop(name)

    def origin(self, name: SessionName) -> SessionName:
        """Return the session last loaded for the bare id ``name``, or ``name`` itself."""
        with self._lock:
            return self._origins.get(name, name)

    def set_origin(self, name: SessionName, origin: SessionName | None) -> None:
        with self._lock:
            self._origins.pop(name, None)
            if origin is not None and origin != name:
                self._origins[name] = origin
            if len(self._origins) > MAX_ORIGINS:
                self._origins.popitem(last=False)

    def _drop(self, name: SessionName) -> None:
        state = self._states.pop(name, None)
        if state is not None:
            self._used -= len(state.hashes) + OVERHEAD


def overlap(old: "array[int]", new: "array[int]") -> tuple[int, int]:
    """Return the start and length of the longest part of ``old`` that is a prefix of ``new``."""
    if old == new[: len(old)]:
        return 0, len(old)
    if not new:
        return 0, 0
    try:
        first = old.index(new[0])
    except ValueError:
        return 0, 0
    if old[first:] == new[: len(old) - first]:
        return first, len(old) - first
    return _search(old, new)


def _search(old: "array[int]", new: "array[int]") -> tuple[int, int]:
    """``overlap`` by Knuth, Morris and Pratt, in one pass over each."""
    borders = [0] * len(new)
    length = 0
    for place in range(1, len(new)):
        while length and new[place] != new[length]:
            length = borders[length - 1]
        length += new[place] == new[length]
        borders[place] = length
    best = (0, 0)
    length = 0
    for place, value in enumerate(old):
        while length and (length == len(new) or value != new[length]):
            length = borders[length - 1]
        length += value == new[length]
        if length > best[1]:
            best = (place + 1 - length, length)
    return best
