"""Encoding of JSON and text for database columns.

Items are stored as JSON text, without loss. Documents are stored as ``jsonb`` on PostgreSQL, which
refuses NUL and lone surrogates and converts large floats to integers. ``encode_document`` returns
text that it accepts, and ``decode_document`` reverses this. Both databases store the same text, so
that they sort and compare alike.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from hashlib import sha256
from json import encoder
from typing import Any

from parlant_store.exceptions import InvalidItem, InvalidName
from parlant_store.types import JSONObject

MAX_DEPTH = 500
"""Limit on the nesting of JSON. SQLite reads 1,000 levels, Python's parser fewer."""

MAX_BITS = 14_284
"""Limit on the bits of an integer: Python's default for conversion from text."""

MAX_NAME = 4_096
"""Limit on the characters of an id, a namespace or the name of a collection."""

MAX_COLUMN_BYTES = 512
"""Limit on the bytes of a name in an indexed column; an index row holds up to 2,704."""


def _encoder() -> Callable[[object], str]:
    """Return JSONEncoder.encode, which creates no C encoder at each call."""
    readable = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
    make_encoder, quote = vars(encoder).get("c_make_encoder"), encoder.encode_basestring
    if make_encoder is None:
        return readable.encode
    write = make_encoder(None, readable.default, quote, None, ":", ",", False, False, True)
    return lambda value: "".join(write(value, 0))


_READABLE = _encoder()
_ASCII = json.JSONEncoder(separators=(",", ":")).encode


class _NotJson(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.path: list[str] = []


def check_name(value: object, what: str, *, empty: bool = False) -> str:
    """Return ``value``; raise InvalidName unless it is a valid name."""
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
    """Return ``value`` as JSON text; errors call it ``name``.

    Raises InvalidItem if JSON cannot represent it: NaN, Infinity, sets, bytes, keys that are
    not text, or more than MAX_DEPTH levels.
    """
    text = _write(value, name)
    return text if text.isascii() or _encodable(text) else _ASCII(value)


def check(value: object, name: str) -> None:
    """Raise InvalidItem as ``encode`` does, without writing anything."""
    try:
        _check(value, MAX_DEPTH)
    except _NotJson as exc:
        where = name + "".join(reversed(exc.path))
        raise InvalidItem(f"{where} is {exc.reason}, which JSON cannot represent") from None
    except RecursionError as exc:
        raise InvalidItem(f"{name} is nested too deeply to be written as JSON") from exc


def _write(value: object, name: str) -> str:
    check(value, name)
    try:
        return _READABLE(value)
    except (ValueError, RecursionError) as exc:
        raise InvalidItem(f"{name} cannot be written as JSON: {exc}") from exc


def encode_object(value: object, name: str) -> str:
    """Return a dict as JSON text; raise InvalidItem as ``encode`` does."""
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
        if type(part) is str:
            continue
        try:
            _check(part, depth - 1)
        except _NotJson as exc:
            exc.path.append(f"[{place!r}]")
            raise


def check_list(texts: Sequence[str], what: str) -> Sequence[str]:
    """Return ``texts``, unless it is one text, which would be a list of its characters."""
    if isinstance(texts, str):
        raise InvalidName(f"{what} must be a list of texts, not a text")
    return texts


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
    """Return ``text`` without NUL and lone surrogates, which sorts as before."""
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text)


def is_plain(text: str) -> bool:
    """Whether ``escape`` certainly leaves ``text`` unchanged; a fast check."""
    return text.isascii() and "\x00" not in text and "\x01" not in text


def unescape(text: str) -> str:
    """The reverse of ``escape``."""
    if text.isascii() and "\x01" not in text:
        return text
    return _ESCAPED.sub(lambda match: _UNESCAPES[match[0]], text)


# Python never writes 0.00, which jsonb preserves and compares as equal to 0.
_NEGATIVE_ZERO, _STORED_ZERO = "-0.0", "0.00"
_STRING = r'"(?:[^"\\]|\\.)*"'
_STRING_OR_FLOAT = re.compile(_STRING + r"|(-?\d+(?:\.\d+)?e[+-]?\d+|-0\.0(?!\d))")
_ZERO_PATTERN = r"(?<![\d.-])0\.00(?!\d)"
_MAYBE_ZERO = re.compile(_ZERO_PATTERN)
_STRING_OR_STORED_ZERO = re.compile(f"{_STRING}|({_ZERO_PATTERN})")
# It starts with a literal, which makes the search fast.
_EXPONENT = re.compile(r"e(?<=\de)[+-]?\d")


def _write_out(match: re.Match[str]) -> str:
    if match[1] is None:
        return match[0]
    if match[1] == _NEGATIVE_ZERO:
        return _STORED_ZERO
    value = float(match[1])
    if value.is_integer():
        # With all digits, because jsonb compares them with those of integers.
        return f"{int(value)}.0"
    return format(Decimal(match[1]), "f")


def encode_value(value: object, name: str) -> str:
    """Return the JSON text of a value inside a document, for columns and filters."""
    text = _write(value, name)
    if "\\u000" in text or not text.isascii():
        text = _JSON_SPECIAL.sub(lambda match: _JSON_ESCAPES.get(match[0], match[0]), text)
    if _NEGATIVE_ZERO in text or _EXPONENT.search(text):
        # jsonb would convert 1e23 to a different number, an integer.
        text = _STRING_OR_FLOAT.sub(_write_out, text)
    return text


def encode_document(document: object, name: str) -> str:
    """Return the JSON text of a document; raise InvalidItem as ``encode`` does."""
    return encode_value(check_object(document, name), name)


def decode_document(text: str) -> Any:
    """Return the value of a text from ``encode_document`` or ``encode_value``."""
    if "\\u0001" in text or "\ud7ff" in text:
        text = _JSON_ESCAPED.sub(lambda match: _JSON_UNESCAPES.get(match[0], match[0]), text)
    # The second search excludes the digits of longer numbers, and is slower than the first.
    if _STORED_ZERO in text and _MAYBE_ZERO.search(text):
        text = _STRING_OR_STORED_ZERO.sub(
            lambda match: _NEGATIVE_ZERO if match[1] else match[0], text
        )
    return json.loads(text)


def decode_documents(texts: list[str]) -> list[JSONObject]:
    """Decode many documents in one call."""
    documents: list[JSONObject] = decode_document(f"[{','.join(texts)}]")
    return documents


def to_column(text: str) -> str:
    """Return the value of an indexed column for ``text``: escaped, and shortened if it is long.

    Different texts have different values. A shortened one ends in \\x01\\x03 and the SHA-256 of
    the text, which ``escape`` never returns.
    """
    if _is_short_plain(text):
        return text
    if _SPECIAL.search(text):
        text = escape(text)
    if not _is_long(text):
        return text
    encoded = text.encode()
    start = encoded[: MAX_COLUMN_BYTES - 66].decode(errors="ignore").rstrip("\x01")
    return f"{start}\x01\x03{sha256(encoded).hexdigest()}"


def from_column(column: str) -> str:
    """What ``to_column`` was given, as people read it: of a long text the beginning and "…"."""
    start, shortened, _digest = column.partition("\x01\x03")
    return printable(unescape(start)) + ("…" if shortened else "")


def is_long(text: str) -> bool:
    """Whether ``to_column`` shortens ``text``."""
    return not _is_short_plain(text) and _is_long(escape(text))


def _is_short_plain(text: str) -> bool:
    """Whether ``to_column`` certainly leaves ``text`` unchanged; a fast check."""
    return (
        len(text) <= MAX_COLUMN_BYTES
        and text.isascii()
        and "\x00" not in text
        and "\x01" not in text
    )


def are_short(texts: Sequence[str]) -> bool:
    """Whether ``is_long`` is certainly false for all of them; a fast check."""
    return max(map(len, texts), default=0) <= MAX_COLUMN_BYTES and is_plain("".join(texts))


def _is_long(escaped: str) -> bool:
    length = len(escaped)
    return length * 4 > MAX_COLUMN_BYTES and len(escaped.encode()) > MAX_COLUMN_BYTES


def printable(text: str) -> str:
    """Replace characters that a text column cannot store, NUL and lone surrogates, by U+FFFD."""
    return text if text.isascii() and "\0" not in text else _UNPRINTABLE.sub("\ufffd", text)


class DocumentEncoder(json.JSONEncoder):
    """``encode_value`` as the encoder of a JSONField."""

    def encode(self, o: Any) -> str:
        return encode_value(o, "document")


class DocumentDecoder(json.JSONDecoder):
    """``decode_document`` as the decoder of a JSONField."""

    def decode(self, s: str, *args: Any, **kwargs: Any) -> Any:
        return decode_document(s)
