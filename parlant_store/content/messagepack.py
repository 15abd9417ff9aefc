"""MessagePack as plain data: nothing that the bytes name is imported or called.

LangGraph's serializer writes objects as extensions with the name of a class and its arguments, and
calls what is named there when it reads them. They are dicts here. What is read is bounded, and
bytes may end anywhere.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

MAX_TEXT = 20_000
"""Limit on the characters of a text."""

MAX_VALUES = 5_000
"""Limit on the values that are read."""

MAX_SKIPPED = 500_000
"""Limit on the values that are skipped to find the elements of a list."""

MAX_DEPTH = 40

REST = "…"
"""What stands for values that were not read."""

CLASS, ARGUMENTS = "class", "arguments"
"""The fields of an object: the dotted name of its class, and what it is called with."""

_NAMED = range(6)
"""The extensions with a module, a name and arguments (langgraph.checkpoint.serde.jsonplus)."""

_ARRAY, _SNAPSHOT = 6, 7
_NUMBERS = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_LENGTHS = {
    0xD9: ("text", 1),
    0xDA: ("text", 2),
    0xDB: ("text", 4),
    0xC4: ("bytes", 1),
    0xC5: ("bytes", 2),
    0xC6: ("bytes", 4),
    0xDC: ("list", 2),
    0xDD: ("list", 4),
    0xDE: ("dict", 2),
    0xDF: ("dict", 4),
    0xC7: ("extension", 1),
    0xC8: ("extension", 2),
    0xC9: ("extension", 4),
}


class _Token(NamedTuple):
    """A value, or the beginning of one that contains others."""

    kind: str
    """constant, text, bytes, extension, list or dict."""

    start: int
    """Where its content is."""

    length: int
    """The number of bytes, or of values inside."""

    value: Any = None
    """The constant, or the code of an extension."""

    @property
    def end(self) -> int:
        """Where the next value is, which is the first one inside of a list or dict."""
        return self.start if self.kind in ("list", "dict") else self.start + self.length


class _End(Exception):
    """The bytes end before the value does, or there is no such value."""


class Elements(NamedTuple):
    """A list whose elements are still serialized."""

    total: int
    parts: list[bytes]
    """The first ones, as many as are whole."""


def decode(data: bytes, *, max_values: int = MAX_VALUES) -> Any:
    """Return the value as JSON could have it; ``REST`` stands for what is beyond the limits."""
    reader = _Reader(data, [max_values], MAX_DEPTH)
    try:
        return reader.read()
    except _End:
        return REST


def elements(data: bytes) -> Elements | None:
    """Return the elements of a list; None if the value is none."""
    try:
        token = _token(data, 0)
        if token.kind == "extension" and token.value == _SNAPSHOT:
            return elements(data[token.start : token.end])
    except (_End, RecursionError):
        return None
    if token.kind != "list":
        return None
    return Elements(token.length, [*_parts(data, token)])


def _parts(data: bytes, token: _Token) -> Iterator[bytes]:
    place, skipped = token.end, 0
    try:
        for _ in range(token.length):
            start, inside = place, 1
            while inside:
                found = _token(data, place)
                inside += _values_in(found) - 1
                place = found.end
                skipped += 1
                if skipped > MAX_SKIPPED or place > len(data):
                    return
            yield data[start:place]
    except _End:
        return


def _values_in(token: _Token) -> int:
    return {"list": 1, "dict": 2}.get(token.kind, 0) * token.length


class _Reader:
    def __init__(self, data: bytes, budget: list[int], depth: int) -> None:
        """``budget`` has the number of values that may still be read, for nested readers too."""
        self._data, self._place, self._budget, self._depth = data, 0, budget, depth

    def read(self) -> Any:
        if self._budget[0] <= 0:
            raise _End
        self._budget[0] -= 1
        token = _token(self._data, self._place)
        self._place = token.end
        if token.kind == "constant":
            return token.value
        if token.kind in ("list", "dict"):
            return self._inside(token)
        if token.kind == "bytes":
            return {"bytes": token.length}
        if token.kind == "text":
            return self._text(token)
        return self._extension(token)

    def _text(self, token: _Token) -> str:
        # A character has at most four bytes.
        end = min(token.end, token.start + 4 * MAX_TEXT)
        text = self._data[token.start : end].decode(errors="replace")
        return text if len(text) <= MAX_TEXT and end == token.end else text[:MAX_TEXT] + REST

    def _inside(self, token: _Token) -> Any:
        if not self._depth:
            raise _End
        self._depth -= 1
        values: list[Any] = []
        pairs: dict[str, Any] = {}
        try:
            for _ in range(token.length):
                if token.kind == "list":
                    values.append(self.read())
                else:
                    name = self.read()
                    pairs[name if isinstance(name, str) else repr(name)] = self.read()
        except _End:
            # Where the next value starts is not known either.
            self._budget[0] = 0
            values.append(REST)
            pairs[REST] = REST
        self._depth += 1
        return values if token.kind == "list" else pairs

    def _extension(self, token: _Token) -> Any:
        code, data = token.value, self._data[token.start : token.end]
        if not self._depth or not (code in _NAMED or code in (_ARRAY, _SNAPSHOT)):
            return {"extension": code, "bytes": token.length}
        inner = _Reader(data, self._budget, self._depth - 1)
        try:
            value = inner.read()
        except _End:
            return {"extension": code, "bytes": token.length}
        if code == _ARRAY:
            return {CLASS: "numpy.ndarray", ARGUMENTS: value}
        if code == _SNAPSHOT:
            return value
        match value:
            case [str(module), str(name), arguments, *_]:
                return {CLASS: f"{module}.{name}", ARGUMENTS: arguments}
        return {"extension": code, ARGUMENTS: value}


def _token(data: bytes, place: int) -> _Token:
    if place >= len(data):
        raise _End
    first = data[place]
    after = place + 1
    if first <= 0x7F or first >= 0xE0:
        return _Token("constant", after, 0, first if first <= 0x7F else first - 0x100)
    if first <= 0x9F:
        return _Token("dict" if first <= 0x8F else "list", after, first & 0x0F)
    if first <= 0xBF:
        return _Token("text", after, first & 0x1F)
    if first in _CONSTANTS:
        return _Token("constant", after, 0, _CONSTANTS[first])
    if first in _NUMBERS:
        format_ = _NUMBERS[first]
        size = struct.calcsize(format_)
        (number,) = struct.unpack(format_, _bytes(data, after, size))
        return _Token("constant", after, size, number)
    if 0xD4 <= first <= 0xD8:
        (code,) = struct.unpack("b", _bytes(data, after, 1))
        return _Token("extension", after + 1, 1 << (first - 0xD4), code)
    if first not in _LENGTHS:
        raise _End
    kind, size = _LENGTHS[first]
    length = int.from_bytes(_bytes(data, after, size), "big")
    after += size
    if kind == "extension":
        (code,) = struct.unpack("b", _bytes(data, after, 1))
        return _Token(kind, after + 1, length, code)
    return _Token(kind, after, length)


def _bytes(data: bytes, place: int, size: int) -> bytes:
    found = data[place : place + size]
    if len(found) < size:
        raise _End
    return found
