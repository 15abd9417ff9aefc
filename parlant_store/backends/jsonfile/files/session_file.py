"""Reading the file of a session, from its end."""

import os
import stat
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, Self

from parlant_store.backends.jsonfile.files import lines
from parlant_store.backends.jsonfile.files.lines import Answer, Write
from parlant_store.content.usage import StoredUsage
from parlant_store.exceptions import BackendError
from parlant_store.types import JSONObject

FIRST_BLOCK, LARGEST_BLOCK = 4_096, 2**20
"""How many bytes are read at once; a longer line is read at once nevertheless."""


class Version(NamedTuple):
    """What tells one state of a file from another."""

    inode: int
    size: int
    changed: int
    """Nanoseconds of ctime, which no program can set, unlike mtime."""

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        return cls(status.st_ino, status.st_size, status.st_ctime_ns)


class SessionFile:
    """An open file of a session."""

    def __init__(self, descriptor: int) -> None:
        """Raise BackendError if it is no regular file."""
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BackendError("there is something that is no file in the place of a session")
        self.descriptor = descriptor
        self.version = Version.of(status)
        self.last: Write | None = None
        self.end = 0
        """The offset after the last write."""

    def find_last(self) -> Write | None:
        """Find the last write that was not cut off."""
        size = self.version.size
        start = max(0, size - FIRST_BLOCK)
        data = os.pread(self.descriptor, size - start, start)
        # Usually, it is the last line.
        line = data[data.rfind(b"\n", 0, -1) + 1 : -1]
        if data.endswith(b"\n") and lines.is_write(line):
            write = lines.parse_write(line)
            if write is not None:
                self.last, self.end = write, size
                return write
        return self._find_last()

    def _find_last(self) -> Write | None:
        for offset, line in self._backwards(self.version.size, FIRST_BLOCK):
            if lines.is_write(line) and (write := lines.parse_write(line)) is not None:
                self.last, self.end = write, offset + len(line) + 1
                return write
        return None

    def find_whole(self) -> Write | None:
        """``find_last``, of a write whose items are on disk too, in spite of a power failure."""
        while (write := self.find_last()) is not None:
            block = self._backwards(self.end, FIRST_BLOCK)
            next(block)
            for _, (offset, line) in zip(range(write.added), block, strict=False):
                if lines.NOT_WRITTEN in line:
                    self.version = self.version._replace(size=offset)
                    break
            else:
                return write
        return None

    def items(self, first_block: int = FIRST_BLOCK, walk: "Walk | None" = None) -> Iterator[bytes]:
        """Yield the lines of the items, the latest first; those of damaged items too.

        ``walk`` is a new Walk, which says more of each item.
        """
        if self.last is None:
            return
        left = self.last.after.items
        walk = Walk(self.last) if walk is None else walk
        for line in walk.lines(self._backwards(self.end, first_block)):
            if left == 0:
                return
            left -= 1
            yield line
        # Items that are nowhere.
        for _ in range(left):
            yield lines.MISSING

    def timed_items(self, limit: int | None = None) -> list[tuple[bytes, str]]:
        """Return the lines of the latest items with their times, the latest first."""
        if self.last is None:
            return []
        count, created_at = self.last.after.items, self.last.after.created_at
        count = count if limit is None else min(count, limit)
        walk = Walk(self.last, dates=True)
        found = []
        for line in walk.lines(self._backwards(self.end, FIRST_BLOCK)):
            if len(walk.times) >= count:
                break
            found.append(line)
        del found[count:]
        found += [lines.MISSING] * (count - len(found))
        times = walk.times + [created_at] * (count - len(walk.times))
        return [
            (line, lines.split_time(line)[1] or time)
            for line, time in zip(found, times, strict=False)
        ]

    def notes(
        self, skip: int, count: int, following: int, *, with_usage: bool = True
    ) -> list[bytes]:
        """Return the lines to put after those of ``count`` items in a file that is rewritten.

        They are the positions of items, and the usage of turns. The latest item comes first; the
        ``skip`` items after it are left out, and ``following`` is the position after it.
        """
        if self.last is None:
            return []
        found, walk = [], Walk(self.last)
        has_usage = with_usage and bool(self.last.after.usage)
        for place, line in enumerate(islice(self.items(LARGEST_BLOCK, walk), skip + count)):
            turn = walk.turn_of(line) if has_usage else None
            if place < skip:
                continue
            note = b""
            if turn is not None and turn[1]:
                note = lines.turn_line(turn[0], turn[1]) + b"\n"
            if walk.position + 1 != following:
                note += lines.position_line(walk.position) + b"\n"
            following = walk.position
            found.append(note)
        return found

    def line_at(self, offset: int) -> JSONObject:
        """Return the object of the line at ``offset``; an empty one if it is damaged."""
        if not 0 < offset < self.version.size:
            return {}
        data, size = b"", FIRST_BLOCK
        while b"\n" not in data:
            part = os.pread(self.descriptor, size, offset + len(data))
            if not part:
                return {}
            data, size = data + part, 2 * size
        return lines.parse(data[: data.index(b"\n")]) or {}

    def metadata(self) -> JSONObject:
        return self._part("metadata", 0 if self.last is None else self.last.after.metadata_at)

    def state(self) -> JSONObject:
        return self._part("state", 0 if self.last is None else self.last.after.state_at)

    def answers(self) -> Iterator[tuple[int, Answer]]:
        """Yield the stored answers with the offsets of their lines, the latest first."""
        offset = 0 if self.last is None else self.last.after.request_at
        while (answer := self.answer_at(offset)) is not None:
            yield offset, answer
            if answer.before >= offset:
                return
            offset = answer.before

    def answer_at(self, offset: int) -> Answer | None:
        """Return the answer in the line at ``offset``; None if it is damaged."""
        return Answer.of(self.line_at(offset))

    def header(self) -> JSONObject:
        """Return the first line; an empty object if it is damaged."""
        data, size = b"", FIRST_BLOCK
        while b"\n" not in data:
            part = os.pread(self.descriptor, size, len(data))
            if not part:
                return {}
            data, size = data + part, 2 * size
        line = lines.parse(data[: data.index(b"\n")]) or {}
        names = (line.get("namespace"), line.get("session_id"))
        return line if all(isinstance(name, str) for name in names) else {}

    def tail(self) -> bytes:
        """Return what is after the last write: a write that was cut off."""
        return os.pread(self.descriptor, self.size() - self.end, self.end)

    def size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def _part(self, name: str, offset: int) -> JSONObject:
        """Return the metadata or the state of the line at ``offset``."""
        if not offset:
            return {}
        line = self.line_at(offset)
        if name not in line:
            # The file was edited.
            writes = (line for _, line in self._backwards(self.end, FIRST_BLOCK))
            found = (lines.parse(line) or {} for line in writes if lines.is_write(line))
            line = next((line for line in found if name in line), {})
        part = line.get(name)
        return part if isinstance(part, dict) else {}

    def _backwards(self, end: int, block: int) -> Iterator[tuple[int, bytes]]:
        """Yield the lines before ``end`` with their offsets, the last first.

        What follows the last newline is no line.
        """
        start, rest, is_first = end, b"", True
        while start > 0:
            size = min(max(block, len(rest)), start)
            start -= size
            rest = os.pread(self.descriptor, size, start) + rest
            block = min(2 * block, LARGEST_BLOCK)
            first, *whole = rest.split(b"\n")
            if not whole:
                continue
            offset = start + len(rest)
            for number, line in enumerate(reversed(whole)):
                offset -= len(line)
                if not (is_first and number == 0):
                    yield offset, line
                offset -= 1
            rest, is_first = first, False
        if rest and not is_first:
            yield 0, rest


class Walk:
    """The way back over writes: which items the later ones have left.

    A damaged line is an item, unless all items of its write were found: then it is the line of
    a write. How many items that write deleted follows from the counts before and after it.
    """

    def __init__(self, last: Write, *, dates: bool = False, next_turn: int | None = None) -> None:
        """
        dates: whether ``times`` is wanted.
        next_turn: that of the session, unless the last write has it.
        """
        self.position = last.after.next_position
        """The position of the item that was yielded last."""

        self._next_turn = last.after.next_turn if next_turn is None else next_turn
        self._usage: dict[int, StoredUsage] = {}
        self.times: list[str] = []
        """For each line of an item that was yielded, the time of its write."""

        self._dates = dates
        self._yielded = 0
        self._write: Write | None = last
        self._line = b""
        self._counts = last[:3]
        self._left: int | None = last.added
        self._skip = 0
        self._lost: tuple[int, int] | None = None
        """The number of items and the next position after a write whose line is damaged."""

    def lines(self, backwards: Iterator[tuple[int, bytes]]) -> Iterator[bytes]:
        _, line = next(backwards)
        self._note_usage(line)
        for _, line in backwards:
            if line.startswith(lines.ITEM):
                yield from self._pass_item(line)
            elif line.startswith((lines.TURN, lines.POSITION)):
                self._note_usage(line)
                position = lines.position_of(line)
                self.position = self.position if position is None else position + 1
            elif lines.is_write(line) and (counts := lines.counts_of(line)) is not None:
                yield from self._pass_write(line, counts)
            elif line.startswith((lines.REQUEST, lines.HEADER)):
                continue
            elif self._left == 0:
                self._pass_damaged_write()
            else:
                yield from self._pass_item(line)
        self._date()

    def turn_of(self, line: bytes) -> tuple[int, StoredUsage | None] | None:
        """Return the number and the usage of the turn that an item opens; None if it opens none.

        It must be called for each line of an item, before the next one.
        """
        if not lines.is_user_message(line):
            return None
        self._next_turn -= 1
        return self._next_turn, self._usage.pop(self._next_turn, None)

    def time_of(self, line: bytes) -> str | None:
        """Return the time of the item that was yielded last; None if it is unknown."""
        write = self._write or lines.parse_write(self._line)
        _, at = lines.split_time(line)
        return at or (None if write is None or self._lost else write.after.updated_at)

    def _note_usage(self, line: bytes) -> None:
        usage = lines.usage_of_turn(line)
        # That of later turns is of earlier ones with their numbers, which were deleted.
        if usage is not None and usage[0] < self._next_turn:
            self._usage.setdefault(*usage)

    def _pass_item(self, line: bytes) -> Iterator[bytes]:
        self.position -= 1
        if self._left:
            self._left -= 1
        if self._skip:
            self._skip -= 1
        else:
            self._yielded += 1
            yield line

    def _pass_write(self, line: bytes, counts: tuple[int, int, int]) -> Iterator[bytes]:
        """Go on to an earlier write, whose line is ``line``."""
        if self._lost is None:
            for _ in range(self._left or 0):
                yield from self._pass_item(lines.MISSING)
            self._skip += self._counts[1]
        elif (write := lines.parse_write(line)) is not None:
            items, position = self._lost
            added = position - write.after.next_position
            self._skip += max(0, write.after.items + added - items)
        self._date()
        self._note_usage(line)
        next_position = lines.next_position_of(line)
        self.position = self.position if next_position is None else next_position
        self._write, self._line, self._counts = None, line, counts
        self._left, self._lost = counts[0], None

    def _date(self) -> None:
        """Note the time of the write for those of its items that were yielded."""
        if self._dates and (count := self._yielded - len(self.times)):
            write = self._write or lines.parse_write(self._line)
            # Without a line about their write, they are as old as those after them.
            last = self.times[-1:] if write is None else [write.after.updated_at]
            self.times += last * count

    def _pass_damaged_write(self) -> None:
        self._date()
        added, removed, dropped = self._counts
        self._skip += removed
        write = self._write or lines.parse_write(self._line)
        self._left = None
        if write is not None:
            items, position = write.after.items, write.after.next_position
            self._lost = items - added + removed + dropped, position - added
