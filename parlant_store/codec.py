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
from collections.abc import Iterable
from decimal import Decimal
from hashlib import sha256
from typing import Any

from parlant_store.exceptions import InvalidItem, InvalidName
from parlant_store.types import JSONObject

MAX_DEPTH = 500
"""How deep JSON may nest. SQLite reads 1,000 levels, Python's own parser fewer than that."""

MAX_BITS = 14_284
"""How long an integer may be: what Python reads from text without being told to."""

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
    text = _write(value, name)
    return text if text.isascii() or _encodable(text) else _ASCII(value)


def check(value: object, name: str) -> None:
    """Raise InvalidItem as ``encode`` does, without writing anything."""
    try:
        _check(value, MAX_DEPTH)
    except _NotJson as exc:
        where = name + "".join(reversed(exc.path))
        raise InvalidItem(f"{where} is {exc.reason}, which JSON cannot say") from None
    except RecursionError as exc:
        raise InvalidItem(f"{name} is nested too deeply to be written as JSON") from exc


def _write(value: object, name: str) -> str:
    check(value, name)
    try:
        return _READABLE(value)
    except (ValueError, RecursionError) as exc:
        raise InvalidItem(f"{name} cannot be written as JSON: {exc}") from exc


def encode_object(value: object, name: str) -> str:
    """``encode`` for what must be a JSON object."""
    return encode(check_object(value, name), name)


def _check(value: object, depth: int) -> None:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if isinstance(value, int):
        if value.bit_length() > MAX_BITS:
            raise _NotJson("an integer of more than 4,300 digits")
        return
    parts: Iterable[tuple[object, object]]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise _NotJson(f"a dict with the key {key!r} of type {type(key).__name__}")
        parts = value.items()
    elif isinstance(value, (list, tuple)):
        parts = enumerate(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _NotJson(repr(float(value)))
        return
    elif isinstance(value, str):
        return
    else:
        raise _NotJson(f"of type {kind.__name__}")
    if depth == 0:
        raise _NotJson(f"nested more than {MAX_DEPTH} levels deep")
    for place, part in parts:
        try:
            _check(part, depth - 1)
        except _NotJson as exc:
            exc.path.append(f"[{place!r}]")
            raise


def check_object(value: object, name: str) -> object:
    """Return ``value`` if it is a dict, else raise InvalidItem."""
    if not isinstance(value, dict):
        raise InvalidItem(f"{name} must be a dict, not {type(value).__name__}")
    return value


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _in_json(text: str) -> str:
    return text.replace("\x00", r"\u0000").replace("\x01", r"\u0001").replace("\x02", r"\u0002")


# An escape that keeps the order of code points: \x00 becomes \x01\x01, which sorts
# before every other use of \x01 (\x01\x02); a surrogate, which sorts between U+D7FF
# and U+E000, becomes U+D7FF and a character above \x01, while U+D7FF becomes itself
# and \x01.
_SPECIAL = re.compile("[\x00\x01\ud7ff-\udfff]")
_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")
_ESCAPED = re.compile("\x01[\x01\x02]|\ud7ff[\x01\u0100-\u08ff]")
_ESCAPES = {"\x00": "\x01\x01", "\x01": "\x01\x02", "\ud7ff": "\ud7ff\x01"} | {
    chr(0xD800 + n): "\ud7ff" + chr(0x100 + n) for n in range(0x800)
}
_UNESCAPES = {escaped: plain for plain, escaped in _ESCAPES.items()}

# The same inside JSON text, where control characters are written \\u0000: the last
# alternative of each takes what follows another backslash out of the way.
_JSON_SPECIAL = re.compile(r"\\u000[01]|[\ud7ff-\udfff]|\\.")
_JSON_ESCAPED = re.compile(r"\\u0001\\u000[12]|\ud7ff(?:\\u0001|[\u0100-\u08ff])|\\.")
_JSON_ESCAPES = {_in_json(plain): _in_json(escaped) for plain, escaped in _ESCAPES.items()}
_JSON_UNESCAPES = {escaped: plain for plain, escaped in _JSON_ESCAPES.items()}


def escape(text: str) -> str:
    """``text`` without NUL and lone surrogates; order by code point stays as it was."""
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text)


def is_plain(text: str) -> bool:
    """Whether ``text`` is its own escape: a quick yes for most."""
    return text.isascii() and "\x00" not in text and "\x01" not in text


def unescape(text: str) -> str:
    """The reverse of ``escape``."""
    return _ESCAPED.sub(lambda match: _UNESCAPES[match[0]], text)


# Python never writes 0.00, which jsonb keeps as it is and takes for equal to 0.
_NEGATIVE_ZERO, _KEPT_ZERO = "-0.0", "0.00"
_STRING = r'"(?:[^"\\]|\\.)*"'
_STRING_OR_FLOAT = re.compile(_STRING + r"|(-?\d+(?:\.\d+)?e[+-]?\d+|-0\.0(?!\d))")
_STRING_OR_KEPT_ZERO = re.compile(_STRING + r"|((?<![\d.-])0\.00(?!\d))")
_FLOAT = re.compile(r"\de[+-]?\d|-0\.0")


def _write_out(match: re.Match[str]) -> str:
    if match[1] is None:
        return match[0]
    if match[1] == _NEGATIVE_ZERO:
        return _KEPT_ZERO
    digits = format(Decimal(match[1]), "f")
    return digits if "." in digits else digits + ".0"


def encode_value(value: object, name: str) -> str:
    """JSON text of any value as it stands inside a document, for columns and filters."""
    text = _write(value, name)
    if _JSON_SPECIAL.search(text):
        text = _JSON_SPECIAL.sub(lambda match: _JSON_ESCAPES.get(match[0], match[0]), text)
    if _FLOAT.search(text):
        # jsonb would turn 1e23 into an integer that is another number.
        text = _STRING_OR_FLOAT.sub(_write_out, text)
    return text


def encode_document(document: object, name: str) -> str:
    """JSON text of a document. Raises InvalidItem as ``encode`` does, or for no dict."""
    return encode_value(check_object(document, name), name)


def decode_document(text: str) -> Any:
    """What ``encode_document`` or ``encode_value`` was given."""
    if "\\u0001" in text or "\ud7ff" in text:
        text = _JSON_ESCAPED.sub(lambda match: _JSON_UNESCAPES.get(match[0], match[0]), text)
    if _KEPT_ZERO in text:
        text = _STRING_OR_KEPT_ZERO.sub(
            lambda match: _NEGATIVE_ZERO if match[1] else match[0], text
        )
    return json.loads(text)


def decode_documents(texts: list[str]) -> list[JSONObject]:
    """``decode_document`` of each, at the price of one."""
    documents: list[JSONObject] = decode_document(f"[{','.join(texts)}]")
    return documents


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
