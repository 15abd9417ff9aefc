"""JSON in and out of the tables, and text in and out of their columns.

Items are kept as JSON text and come back exactly. Documents are kept in a column that
can be searched, ``jsonb`` on PostgreSQL, which refuses NUL and lone surrogates and
loses the point of large floats. ``encode_document`` writes what it accepts and
``decode_document`` reverses it; both databases get the same text, so that they sort
and compare alike.
"""

import json
import math
import re
from decimal import Decimal
from hashlib import sha256
from typing import Any

from parlant_store.exceptions import InvalidItem, InvalidName
from parlant_store.types import JSONObject

MAX_DEPTH = 500
"""How deep JSON may nest. SQLite reads 1,000 levels, Python's own parser fewer than that."""

MAX_NAME = 4_096
"""How many characters an id, a namespace or a collection's name may have."""

MAX_COLUMN_BYTES = 512
"""How many bytes of a name an index column keeps; four of them fit PostgreSQL's 2,704."""


# Built once: json.dumps with options builds an encoder at every call.
_READABLE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_ASCII = json.JSONEncoder(separators=(",", ":")).encode


class _NotJson(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.path: list[str] = []


def check_name(value: object, what: str, *, empty: bool = False) -> str:
    """Return ``value`` if it can name something, else raise InvalidName that says why."""
    if not isinstance(value, str):
        raise InvalidName(f"{what} must be text, not {type(value).__name__}")
    if not value and not empty:
        raise InvalidName(f"{what} must not be empty")
    if "\0" in value:
        raise InvalidName(f"{what} must not hold a NUL character")
    if len(value) > MAX_NAME:
        raise InvalidName(f"{what} has {len(value):,} characters; at most {MAX_NAME:,} are allowed")
    return value


def encode(value: object, name: str) -> str:
    """Return ``value`` as JSON text; ``name`` stands for it in errors.

    Raises InvalidItem when it holds what JSON cannot say: NaN, Infinity, sets, bytes,
    keys that are no text, or more than MAX_DEPTH levels.
    """
    try:
        _check(value, MAX_DEPTH)
        text = _READABLE(value)
    except _NotJson as exc:
        where = name + "".join(reversed(exc.path))
        raise InvalidItem(f"{where} is {exc.reason}, which JSON cannot say") from None
    except ValueError as exc:
        raise InvalidItem(f"{name} cannot be written as JSON: {exc}") from exc
    if text.isascii() or _encodable(text):
        return text
    return _ASCII(value)


def encode_object(value: object, name: str) -> str:
    """``encode`` for what must be a JSON object."""
    if not isinstance(value, dict):
        raise InvalidItem(f"{name} must be a dict, not {type(value).__name__}")
    return encode(value, name)


def _check(value: object, depth: int) -> None:
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return
    if depth == 0:
        raise _NotJson(f"nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise _NotJson(f"a dict with the key {key!r} of type {type(key).__name__}")
            try:
                _check(part, depth - 1)
            except _NotJson as exc:
                exc.path.append(f"[{key!r}]")
                raise
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            try:
                _check(part, depth - 1)
            except _NotJson as exc:
                exc.path.append(f"[{index}]")
                raise
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _NotJson(repr(float(value)))
    elif not isinstance(value, (str, int)):
        raise _NotJson(f"of type {kind.__name__}")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# An escape that keeps the order of code points: \x00 becomes \x01\x01, which sorts
# before every other use of \x01 (\x01\x02); a surrogate, which sorts between U+D7FF
# and U+E000, becomes U+D7FF and a character above \x01, while U+D7FF becomes itself
# and \x01.
_SPECIAL = re.compile("[\x00\x01\ud7ff-\udfff]")
_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")
_ESCAPED = re.compile("\x01[\x01\x02]|\ud7ff[\x01\u0100-\u08ff]")
_MAY_BE_SPECIAL = re.compile(r"\\u000[01]|\\ud[7-9a-f]|[\ud7ff-\udfff]")
_ESCAPES = {"\x00": "\x01\x01", "\x01": "\x01\x02", "\ud7ff": "\ud7ff\x01"} | {
    chr(0xD800 + n): "\ud7ff" + chr(0x100 + n) for n in range(0x800)
}
_UNESCAPES = {escaped: plain for plain, escaped in _ESCAPES.items()}


def escape(text: str) -> str:
    """``text`` without NUL and lone surrogates; order by code point stays as it was."""
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text)


def unescape(text: str) -> str:
    """The reverse of ``escape``."""
    return _ESCAPED.sub(lambda match: _UNESCAPES[match[0]], text)


def _map_text(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): _map_text(part, change) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_map_text(part, change) for part in value]
    return value


_STRING_OR_EXPONENT = re.compile(r'"(?:[^"\\]|\\.)*"|(-?\d+(?:\.\d+)?e[+-]?\d+)')
_EXPONENT = re.compile(r"\de[+-]?\d")


def _write_out(match: re.Match[str]) -> str:
    if match[1] is None:
        return match[0]
    digits = format(Decimal(match[1]), "f")
    return digits if "." in digits else digits + ".0"


def encode_value(value: object, name: str) -> str:
    """JSON text of any value as it stands inside a document, for columns and filters."""
    text = encode(value, name)
    if _MAY_BE_SPECIAL.search(text):
        text = _READABLE(_map_text(value, escape))
    if _EXPONENT.search(text):
        # jsonb would turn 1e23 into an integer that is another number.
        text = _STRING_OR_EXPONENT.sub(_write_out, text)
    return text


def encode_document(document: object, name: str) -> str:
    """JSON text of a document. Raises InvalidItem as ``encode`` does, or for no dict."""
    if not isinstance(document, dict):
        raise InvalidItem(f"{name} must be a dict, not {type(document).__name__}")
    return encode_value(document, name)


def decode_document(text: str) -> Any:
    """What ``encode_document`` or ``encode_value`` was given."""
    value = json.loads(text)
    return _map_text(value, unescape) if _has_escapes(text) else value


def decode_documents(texts: list[str]) -> list[JSONObject]:
    """``decode_document`` of each, at the price of one."""
    text = f"[{','.join(texts)}]"
    documents: list[JSONObject] = json.loads(text)
    return _map_text(documents, unescape) if _has_escapes(text) else documents


def _has_escapes(text: str) -> bool:
    return "\\u0001" in text or "\ud7ff" in text or "\\ud7ff" in text


def to_column(text: str) -> str:
    """``text`` as an index column keeps it: escaped, and shortened when it is long.

    Equal texts give equal columns and different texts different ones. What was
    shortened ends in \\x01\\x03 and its SHA-256, which ``escape`` never writes.
    """
    if _SPECIAL.search(text):
        text = escape(text)
    if not _is_long(text):
        return text
    encoded = text.encode()
    start = encoded[: MAX_COLUMN_BYTES - 66].decode(errors="ignore").rstrip("\x01")
    return f"{start}\x01\x03{sha256(encoded).hexdigest()}"


def is_long(text: str) -> bool:
    """Whether ``to_column`` shortens this text."""
    return _is_long(escape(text))


def _is_long(escaped: str) -> bool:
    length = len(escaped)
    return length * 4 > MAX_COLUMN_BYTES and len(escaped.encode()) > MAX_COLUMN_BYTES


def printable(text: str) -> str:
    """``text`` with U+FFFD for what no column of text can hold: NUL and lone surrogates."""
    return text if text.isascii() and "\0" not in text else _UNPRINTABLE.sub("\ufffd", text)


class DocumentEncoder(json.JSONEncoder):
    """``encode_value`` as the encoder of a JSONField."""

    def encode(self, o: Any) -> str:
        return encode_value(o, "document")


class DocumentDecoder(json.JSONDecoder):
    """``decode_document`` as the decoder of a JSONField."""

    def decode(self, s: str, *args: Any, **kwargs: Any) -> Any:
        return decode_document(s)
