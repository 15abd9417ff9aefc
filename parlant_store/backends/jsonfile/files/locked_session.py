"""A session that is locked for a write."""

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, NamedTuple, Self
from uuid import UUID

from parlant_store.backends.jsonfile.files import lines
from parlant_store.backends.jsonfile.files.lines import Answer, State, Write
from parlant_store.backends.jsonfile.files.session_file import SessionFile
from parlant_store.backends.jsonfile.files.session_files import LockedFile
from parlant_store.content import codec
from parlant_store.content.usage import StoredUsage

ANSWERS_FOR = timedelta(hours=1)
"""How long an answer is stored."""

MAX_DEAD = 2**16
"""How many bytes of a file may be of no use, in addition to as many as are of use."""


class Change(NamedTuple):
    """A write to a session."""

    did: str
    after: State
    """The state after it; offsets and sizes need not be set."""

    items: Sequence[str] = ()
    """The new items as JSON text."""

    removed: int = 0
    """The number of items to delete at the end, before the new ones."""

    removed_bytes: int = 0
    dropped: int = 0
    """The number of items to delete at the start."""

    metadata: str | None = None
    """JSON text; None: as before."""

    state: str | None = None

    usage: tuple[int, StoredUsage] | None = None
    """The number of a turn, and its new usage."""


class Stored(NamedTuple):
    """Items for a new file, the latest first."""

    items: list[tuple[bytes, str]]
    """Their lines and times."""

    notes: list[bytes]
    """The lines after each."""

    @classmethod
    def of(
        cls, file: SessionFile, skip: int, count: int, following: int, *, with_usage: bool = True
    ) -> Self:
        """Return ``count`` items of a file, before the last ``skip``.

        ``following`` is the position of the item after them.
        """
        if count == 0:
            return cls([], [])
        notes = file.notes(skip, count, following, with_usage=with_usage)
        return cls(file.timed_items()[skip : skip + count], notes)


class LockedSession:
    """A session, or the place of one, in a file that this thread has locked."""

    def __init__(self, file: LockedFile, now: datetime, request: UUID | None) -> None:
        self.file = file
        self.now = now
        self._time = now.isoformat()
        self._request = None if request is None else str(request)
        state = None if file.last is None else file.last.after
        is_live = state is not None and state.key and not state.expires_by(now)
        self.state = state if is_live else None
        """The state of the session; None if there is none, or an expired one."""

    def stored_answer(self) -> Answer | None:
        """Return the answer to the same request, if it was made before."""
        file = self.file.file
        if self._request is None or file is None:
            return None
        if self.file.answers is None:
            self.file.answers = {answer.id: offset for offset, answer in reversed(self._answers())}
        answer = file.answer_at(self.file.answers.get(self._request, 0))
        is_same = answer is not None and answer.id == self._request and self._is_recent(answer)
        return answer if is_same else None

    def begin(self, expires_at: datetime | None, user_id: str | None = None) -> State:
        """Return the state for a write: a new one if there is no session."""
        state = self.state or State(key=new_key(), created_at=self._time)
        return self.touched(state, expires_at)._replace(user_id=state.user_id or user_id)

    def touched(self, state: State, expires_at: datetime | None) -> State:
        """Return the state with the times of a write; None leaves ``expires_at`` as it is."""
        expiry = state.expires_at if expires_at is None else expires_at.isoformat()
        return state._replace(updated_at=self._time, expires_at=expiry)

    def save(self, change: Change, answer: Any = None) -> None:
        """Make the change, and store the answer if the write has a request id."""
        before, file = self.state, self.file.file
        if before is None or file is None:
            self._rewrite(change, Stored([], []), answer)
            return
        data = lines.items(change.items)
        size = before.bytes - change.removed_bytes + len(data)
        if change.dropped:
            size -= change.dropped * (before.bytes // before.items)
        after = change.after._replace(bytes=max(size, 0))
        after, line = self._line(change, after, file.end + len(data), before.request_at, answer)
        is_replaced = 0 < before.items == change.removed + change.dropped
        if is_replaced or is_wasteful(after, file.end + len(data) + len(line)):
            stored = before.items - change.removed - change.dropped
            following = change.after.next_position - len(change.items)
            items = Stored.of(file, change.removed, stored, following)
            # If there is no room for another file, there may be for a line.
            with suppress(OSError):
                self._rewrite(change, items, answer)
                if is_replaced:
                    self.file.forget_damaged()
                return
        counts = len(change.items), change.removed, change.dropped
        if self._request is not None and self.file.answers is not None:
            self.file.answers[self._request] = after.request_at
        self.file.append(data + line, Write(*counts, after))

    def delete_old_answers(self) -> None:
        """Delete the file, which has no session, if its answers are old."""
        if not self._answers():
            self.file.delete()

    def put(self, stored: Stored, change: Change, answer: Any = None) -> None:
        """Replace the session by one with stored items, after a change without others."""
        self._rewrite(change, stored, answer)

    def delete(self, answer: Any = None) -> None:
        """Delete the session; answers of the last hour stay in its file."""
        if self._request is None and not self._answers():
            self.file.delete()
            return
        self.file.forget_damaged()
        self.state = None
        self._rewrite(Change("delete", State()), Stored([], []), answer)

    def answer(self, answer: Any) -> None:
        """Store the answer of a write that changes nothing, if it has a request id."""
        if self._request is None:
            return
        if self.state is None:
            self._rewrite(Change("nothing", State()), Stored([], []), answer)
        else:
            self.save(Change("nothing", self.state), answer)

    def _answers(self) -> list[tuple[int, Answer]]:
        """Return the answers of the last hour with their offsets, the latest first."""
        file = self.file.file
        answers = iter(()) if file is None else file.answers()
        return list(takewhile(lambda found: self._is_recent(found[1]), answers))

    def _is_recent(self, answer: Answer) -> bool:
        return datetime.fromisoformat(answer.at) > self.now - ANSWERS_FOR

    def _rewrite(self, change: Change, stored: Stored, answer: Any) -> None:
        """Write a new file with ``stored`` and the items of the change."""
        parts = [lines.header(self.file.name)]
        place, request_at = len(parts[0]), 0
        answers: dict[str, int] = {}
        for _, old in reversed(self._answers()):
            line = lines.request_line(old._replace(before=request_at))
            answers[old.id] = request_at = place
            place += len(line)
            parts.append(line)
        data = _stored_items(stored, change.after.updated_at) + lines.items(change.items)
        parts.append(data)
        complete = self._with_parts(change)._replace(removed=0, dropped=0)
        after, line = self._line(
            complete,
            change.after._replace(bytes=len(data), rewritten_bytes=place + len(data)),
            place + len(data),
            request_at,
            answer,
            added=len(stored.items) + len(change.items),
        )
        parts.append(line)
        if self._request is not None:
            answers[self._request] = after.request_at
        self.file.replace(parts, Write(len(stored.items) + len(change.items), 0, 0, after), answers)

    def _with_parts(self, change: Change) -> Change:
        """Return the change with the metadata and the state of the session."""
        file, before = self.file.file, self.state
        if file is None or before is None or change.after.key != before.key:
            return change
        metadata, state = change.metadata, change.state
        if metadata is None and before.metadata_at:
            metadata = codec.encode(file.metadata(), "metadata")
        if state is None and before.state_at:
            state = codec.encode(file.state(), "state")
        return change._replace(metadata=metadata, state=state)

    def _line(
        self,
        change: Change,
        after: State,
        offset: int,
        request_at: int,
        answer: Any,
        *,
        added: int | None = None,
    ) -> tuple[State, bytes]:
        """Return the line of the change at ``offset``, and the state in it."""
        if change.metadata is not None:
            after = after._replace(metadata_at=offset, metadata_bytes=len(change.metadata.encode()))
        if change.state is not None:
            after = after._replace(state_at=offset, state_bytes=len(change.state.encode()))
        after = after._replace(request_at=request_at)
        stored = None
        if self._request is not None:
            stored = Answer(self._request, self._time, answer, request_at)
            after = after._replace(request_at=offset)
        counts = len(change.items) if added is None else added, change.removed, change.dropped
        line = lines.write_line(
            change.did,
            counts,
            after,
            metadata=change.metadata,
            state=change.state,
            answer=stored,
            usage=change.usage,
        )
        return after, line


def _stored_items(stored: Stored, default: str) -> bytes:
    return b"".join(
        [
            b"%b\n%b" % (lines.with_time(line, at, default), note)
            for (line, at), note in zip(reversed(stored.items), reversed(stored.notes), strict=True)
        ]
    )


def is_wasteful(state: State, size: int) -> bool:
    """Whether a file of this size is rewritten: most of it is of no use, and it has grown.

    Answers of the last hour are of use too, but their size is not known.
    """
    live = state.bytes + state.metadata_bytes + state.state_bytes
    return size > 2 * live + MAX_DEAD and 2 * size > 3 * state.rewritten_bytes


class _Keys:
    """Gives keys that grow."""

    def __init__(self) -> None:
        self._last = 0
        self.restart()

    def restart(self) -> None:
        self._lock = threading.Lock()

    def next(self) -> int:
        with self._lock:
            self._last = max(self._last + 1, time.time_ns())
            return self._last


_keys = _Keys()
if hasattr(os, "register_at_fork"):
    # A thread of the parent process may have the lock during the fork.
    os.register_at_fork(after_in_child=_keys.restart)


def new_key() -> int:
    """Return a key that is greater than those before."""
    return _keys.next()
