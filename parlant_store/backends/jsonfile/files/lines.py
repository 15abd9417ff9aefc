"""The lines of a session's file, each a JSON object.

The first line has the names of the session. Then come items, one in each line, and after the items
of a write a line about it, which has the state of the session after it. A write without this line
was cut off, and does not count. Items are JSON text as the caller's values give it, unchanged.

    {"format":1,"namespace":"","session_id":"s"}
    {"item":{"role":"user","content":"Hello"}}
    {"did":"add","added":1,"removed":0,"dropped":0,"after":{"key":7,"items":1,...}}

An item that was written at another time than the line about its write says, such as that of a
copied session, has its own: ``{"item":{...},"at":"2026-01-01T12:00:00+00:00"}``.

``added`` are the items before the line. ``removed`` and ``dropped`` are the numbers of older items
that the write has deleted, the last ones and the first ones. The items have the positions before
``next_position`` of the state. When a file is rewritten, there are lines between them: the position
of the item before the line, if the next one has not the next position; and the usage of the turn
that the item before it opens.

    {"position":7}
    {"turn":3,"usage":{"total_tokens":5}}
"""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Self

from parlant_store.backends.contract.validation import SessionName
from parlant_store.content import codec
from parlant_store.content.items import USER, role_of
from parlant_store.content.usage import StoredUsage, decode_usage
from parlant_store.types import JSONObject

FORMAT = 1
"""The version of the format, in the first line."""

ITEM = b'{"item":'
WRITE = b'{"did":'
REQUEST = b'{"request":'
HEADER = b'{"format":'
TURN = b'{"turn":'
POSITION = b'{"position":'

MISSING = b'{"damaged":null}'
"""The line of an item that was lost."""

NOT_WRITTEN = b"\0"
"""What a file system returns for blocks that were not on disk before a power failure."""

_AFTER = b',"after":'
_AT = b',"at":"'
_COUNTS = re.compile(rb'\{"did":"[a-z_]+","added":(\d+),"removed":(\d+),"dropped":(\d+)[,}]')
_NEXT_POSITION = re.compile(rb'"next_position":(\d+)')


class State(NamedTuple):
    """The state of a session after a write. In its line, fields without a value are left out."""

    key: int = 0
    """What tells this session from others that had its id before; 0: there is no session."""

    items: int = 0
    next_position: int = 0
    tokens: int = 0
    bytes: int = 0
    """The size of the lines of its items, more or less."""

    user_id: str | None = None
    created_at: str = ""
    updated_at: str = ""
    expires_at: str | None = None

    metadata_at: int = 0
    """The offset of the line with the metadata; 0: there is none."""

    metadata_bytes: int = 0
    state_at: int = 0
    state_bytes: int = 0
    request_at: int = 0
    """The offset of the line with the answer to the latest write that had a request id."""

    rewritten_bytes: int = 0
    """The size of the file when it was last rewritten, without its last line."""

    next_turn: int = 0
    """The number of the next turn; 0: unknown, for items of an earlier version."""

    usage: StoredUsage | None = None
    usage_0: StoredUsage | None = None
    """The usage of turn 0."""

    parent_id: str | None = None
    parent_position: int | None = None

    @property
    def time(self) -> datetime | None:
        """When the session was last written; None if there is none."""
        return datetime.fromisoformat(self.updated_at) if self.key else None

    def expires_by(self, time: datetime) -> bool:
        return self.expires_at is not None and datetime.fromisoformat(self.expires_at) <= time

    def is_valid(self) -> bool:
        """Whether the fields have values of their types, for a line that may be damaged."""
        return (
            all(map(_is_count, (*self[:5], *self[9:16], self.parent_position or 0)))
            and all(usage is None or type(usage) is dict for usage in (self.usage, self.usage_0))
            and all(name is None or type(name) is str for name in (self.user_id, self.parent_id))
            and (not self.key or (_is_time(self.created_at) and _is_time(self.updated_at)))
            and (self.expires_at is None or _is_time(self.expires_at))
        )

    def as_json(self) -> JSONObject:
        defaults = self._field_defaults
        return {name: value for name, value in self._asdict().items() if value != defaults[name]}


class Write(NamedTuple):
    """The line of a write."""

    added: int
    removed: int
    dropped: int
    after: State


class Answer(NamedTuple):
    """The answer to a write with a request id."""

    id: str
    at: str
    """The time of the write."""

    answer: Any
    before: int = 0
    """The offset of the line with the answer before; 0: there is none."""

    @classmethod
    def of(cls, line: JSONObject) -> Self | None:
        """Return the answer in the line; None if it is damaged."""
        try:
            answer = cls(**line["request"])
        except (KeyError, TypeError):
            return None
        return answer if _is_time(answer.at) and type(answer.before) is int else None


def header(name: SessionName) -> bytes:
    return encoded({"format": FORMAT, **name._asdict()})


def items(texts: Iterable[str]) -> bytes:
    """Return the lines of items."""
    return b"".join([b'{"item":%b}\n' % text.encode() for text in texts])


def with_time(line: bytes, at: str, default: str) -> bytes:
    """Return the line of an item with its time, unless that is ``default``."""
    plain, _ = split_time(line)
    is_dated = at != default and plain.startswith(ITEM) and plain.endswith(b"}}")
    return b'%b%b%b"}' % (plain[:-1], _AT, at.encode()) if is_dated else plain


def split_time(line: bytes) -> tuple[bytes, str | None]:
    """Return the line of an item without its time, and the time, None if it has none."""
    place = line.rfind(_AT) if line.endswith(b'"}') and line.startswith(ITEM) else -1
    at = line[place + len(_AT) : -2].decode(errors="replace")
    return (line[:place] + b"}", at) if place > 0 and _is_time(at) else (line, None)


def write_line(
    did: str,
    counts: tuple[int, int, int],
    after: State,
    *,
    metadata: str | None = None,
    state: str | None = None,
    answer: Answer | None = None,
    usage: tuple[int, StoredUsage] | None = None,
) -> bytes:
    """Return the line of a write; ``counts`` are those of items added, removed and dropped."""
    added, removed, dropped = counts
    parts = [f'"did":"{did}","added":{added},"removed":{removed},"dropped":{dropped}']
    if usage is not None:
        parts.append(turn_usage(*usage))
    if metadata is not None:
        parts.append(f'"metadata":{metadata}')
    if state is not None:
        parts.append(f'"state":{state}')
    if answer is not None:
        parts.append(f'"request":{codec.encode(answer._asdict(), "answer")}')
    parts.append(f'"after":{codec.encode(after.as_json(), "after")}')
    return f"{{{','.join(parts)}}}\n".encode()


def request_line(answer: Answer) -> bytes:
    """Return the line that preserves an answer when the file is rewritten."""
    return encoded({"request": answer._asdict()})


def turn_usage(number: int, usage: StoredUsage) -> str:
    return f'"turn":{number},"usage":{codec.encode(usage, "usage")}'


def turn_line(number: int, usage: StoredUsage) -> bytes:
    """Return the line with the usage of a turn, when the file is rewritten."""
    return f"{{{turn_usage(number, usage)}}}".encode()


def usage_of_turn(line: bytes) -> tuple[int, StoredUsage] | None:
    """Return the number and the usage of a turn in a line, also that of a write."""
    match = _COUNTS.match(line)
    if not line.startswith(b'"turn":', match.end() if match else 1):
        return None
    value = parse(line) or {}
    number, usage = value.get("turn"), value.get("usage")
    is_valid = _is_count(number) and type(usage) is dict
    return (number, decode_usage(usage) or {}) if is_valid else None  # type: ignore[return-value]


def position_line(position: int) -> bytes:
    """Return the line with the position of the item before it, when the file is rewritten."""
    return b"%b%d}" % (POSITION, position)


def position_of(line: bytes) -> int | None:
    position = (parse(line) or {}).get("position")
    return position if _is_count(position) else None


def next_position_of(line: bytes) -> int | None:
    """Return the position after the items of a write; None if it is unknown."""
    match = _NEXT_POSITION.search(line, max(0, line.rfind(_AFTER)))
    return None if match is None else int(match[1])


def is_user_message(line: bytes) -> bool:
    """Whether the item in the line opens a turn."""
    if b'"user"' not in line:
        return False
    (item,) = parse_items([line])
    return item is not None and role_of(item) == USER


def encoded(value: JSONObject) -> bytes:
    return codec.encode(value, "line").encode() + b"\n"


def plain(document: str) -> str:
    """Return a text of codec.encode_document as readable JSON."""
    return codec.encode(codec.decode_document(document), "document")


def is_write(line: bytes) -> bool:
    return line.startswith(WRITE)


def counts_of(line: bytes) -> tuple[int, int, int] | None:
    """Return the numbers of items that a write added, removed and dropped."""
    match = _COUNTS.match(line)
    if match is not None:
        return int(match[1]), int(match[2]), int(match[3])
    write = parse_write(line)
    return None if write is None else write[:3]


def parse_write(line: bytes) -> Write | None:
    """Return the write of the line; None if it is another line, or a damaged one."""
    if NOT_WRITTEN in line or not line.endswith(b"}"):
        return None
    match, start = _COUNTS.match(line), line.rfind(_AFTER)
    if match is not None and start > 0:
        # The rest of the line may be long.
        after = _state(parse(line[start + len(_AFTER) : -1]))
        if after is not None:
            return Write(int(match[1]), int(match[2]), int(match[3]), after)
    value = parse(line) or {}
    added, removed, dropped = (value.get(name) for name in ("added", "removed", "dropped"))
    after = _state(value.get("after"))
    if after is None or not all(map(_is_count, (added, removed, dropped))):
        return None
    return Write(added, removed, dropped, after)  # type: ignore[arg-type]  # they are counts


def _state(value: object) -> State | None:
    try:
        state = State(**value) if isinstance(value, dict) else None
    except TypeError:
        return None
    if state is None or not state.is_valid():
        return None
    if state.usage is None and state.usage_0 is None:
        return state
    return state._replace(usage=decode_usage(state.usage), usage_0=decode_usage(state.usage_0))


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_time(value: object) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


def parse(line: bytes) -> JSONObject | None:
    """Return the object of a line; None if it is damaged."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def parse_items(item_lines: Sequence[bytes]) -> list[JSONObject | None]:
    """Return the items of lines; None for those that are damaged."""
    start = len(ITEM)
    joined = b",".join(
        [
            (line if line.endswith(b"}}") else split_time(line)[0])[start:-1]
            if line.startswith(ITEM)
            else b"null"
            for line in item_lines
        ]
    )
    try:
        values = json.loads(b"[%b]" % joined)
    except (ValueError, RecursionError):
        values = []
    if len(values) == len(item_lines) and all(type(value) is dict for value in values):
        return values  # type: ignore[no-any-return]
    return [_item(line) for line in item_lines]


def _item(line: bytes) -> JSONObject | None:
    value = parse(line)
    item = None if value is None else value.get("item")
    return item if isinstance(item, dict) else None
