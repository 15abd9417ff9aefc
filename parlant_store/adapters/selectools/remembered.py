"""What a session had when it was last seen, so that saving it again writes what changed."""

import threading
from array import array
from collections import OrderedDict
from dataclasses import dataclass, field
from weakref import ref

from django.db import connections

from parlant_store.backends.arguments import SessionName
from parlant_store.types import Revision

MAX_REMEMBERED = 1_000_000
"""How many messages are remembered of all sessions together; eight bytes each."""

MAX_ORIGINS = 10_000
"""How many texts are remembered that turned out to be keys of sessions with a namespace."""

OVERHEAD = 32
"""What a session counts besides its messages."""


@dataclass(slots=True, eq=False, kw_only=True)
class Known:
    """A session's messages as they were at a revision."""

    name: SessionName
    revision: Revision

    marks: "array[int]"
    """A number for each message, another one as soon as the message is another one."""

    ends: list[int] | None = None
    """How many items there are up to the end of each message; None: one each."""

    uncommitted: "list[ref[_Commit]]" = field(default_factory=list)
    thread: int = 0

    def items_before(self, message: int) -> int:
        """How many items come before the message of this number."""
        return message if self.ends is None or message == 0 else self.ends[message - 1]

    def is_good(self) -> bool:
        """Whether this was committed, or the calling thread is still about to do so."""
        waiting = self.uncommitted
        return not waiting or (
            self.thread == threading.get_ident() and all(commit() for commit in waiting)
        )

    def await_commit(self) -> None:
        """Hold only as long as no transaction that the caller has begun is rolled back.

        A revision that is rolled back may come again, with other items. Django keeps what
        waits for a commit, and lets go of it at a rollback, of a savepoint too.
        """
        open_ = [each for each in connections.all(initialized_only=True) if each.in_atomic_block]
        commits = [_Commit(self) for _ in open_]
        self.thread = threading.get_ident()
        self.uncommitted = [ref(commit) for commit in commits]
        for connection, commit in zip(open_, commits, strict=True):
            connection.on_commit(commit)


class _Commit:
    def __init__(self, known: Known) -> None:
        self.known = known

    def __call__(self) -> None:
        waiting = self.known.uncommitted
        self.known.uncommitted = [commit for commit in waiting if commit() is not self]


class Remembered:
    """The sessions that were seen last; any thread may use it."""

    def __init__(self, size: int = MAX_REMEMBERED) -> None:
        self.size = size
        self._lock = threading.Lock()
        self._known: OrderedDict[SessionName, Known] = OrderedDict()
        self._used = 0
        self._origins: OrderedDict[SessionName, SessionName] = OrderedDict()

    def get(self, name: SessionName) -> Known | None:
        with self._lock:
            known = self._known.get(name)
            if known is None or not known.is_good():
                return None
            self._known.move_to_end(name)
            return known

    def put(self, known: Known) -> None:
        known.await_commit()
        with self._lock:
            self._drop(known.name)
            self._known[known.name] = known
            self._used += len(known.marks) + OVERHEAD
            while self._used > self.size:
                self._drop(next(iter(self._known)))

    def forget(self, name: SessionName) -> None:
        with self._lock:
            self._drop(name)

    def origin(self, name: SessionName) -> SessionName:
        """The session that was loaded last for the bare id ``name``; else, ``name``."""
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
        known = self._known.pop(name, None)
        if known is not None:
            self._used -= len(known.marks) + OVERHEAD


def overlap(old: "array[int]", new: "array[int]") -> tuple[int, int]:
    """The longest part of ``old`` that ``new`` begins with: where it is, and its length."""
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
    for place, mark in enumerate(old):
        while length and (length == len(new) or mark != new[length]):
            length = borders[length - 1]
        length += mark == new[length]
        if length > best[1]:
            best = (place + 1 - length, length)
    return best
