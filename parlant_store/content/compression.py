"""Compression of serialized values.

SQLite has none; that of PostgreSQL takes longer, and leaves more bytes. Zstandard is used if its
package is installed, as it is with LangGraph, else zlib.
"""

import threading
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

from parlant_store.exceptions import BackendError, NotSupported
from parlant_store.types import USER_MARK

MIN_BYTES = 1_024
"""Shorter values are not compressed."""

MAX_START = 1_000_000
"""Limit on the bytes of ``decompress_start``."""

MAX_RATIO = 20
"""Limit on how much shorter values become: few bytes of a user must not fill a server's memory."""

_MIN_LIMIT = 4_096
"""The limit of the bytes of a value, however short it is."""

DIFFERENCE = "diff:"
"""The start of the type of a difference (parlant_store.backends.channel_values)."""

_ZSTD, _ZLIB, _PLAIN = ("zstd:", "zlib:", "plain:")
_PREFIXES = (_ZSTD, _ZLIB, _PLAIN, DIFFERENCE)
_LEVEL = 1
DAMAGED = "a stored value is damaged: it cannot be decompressed"


def compress(type_: str, data: bytes) -> tuple[str, bytes]:
    """Return a type and bytes from which ``decompress`` returns these ones.

    Encrypted values, and others that do not become smaller, stay as they are, and so do those that
    ``decompress`` would refuse if a user wrote them. The mark of such a value stays at the start.
    """
    if type_.startswith(USER_MARK):
        type_, data = compress(type_.removeprefix(USER_MARK), data)
        return USER_MARK + type_, data
    if len(data) >= MIN_BYTES:
        prefix, function = _compressor()
        compressed = function(data)
        if len(compressed) < len(data) * 0.9 and len(data) <= _max_size(compressed):
            return prefix + type_, compressed
    return (_PLAIN + type_ if type_.startswith(_PREFIXES) else type_), data


def decompress(type_: str, data: bytes) -> tuple[str, bytes]:
    """The reverse of ``compress``.

    Raise NotSupported if a package is missing, and BackendError if the bytes are damaged. What a
    user wrote stays as it is if it cannot be decompressed, or becomes too long: it must not stop
    those who read the values of all users.
    """
    if type_.startswith(USER_MARK):
        inner = type_.removeprefix(USER_MARK)
        try:
            inner, data = _decompress_of_user(inner, data)
        except _errors():
            pass
        return USER_MARK + inner, data
    if not type_.startswith(_PREFIXES):
        return type_, data
    if type_.startswith(_ZSTD):
        return type_.removeprefix(_ZSTD), _zstd(data)
    if type_.startswith(_ZLIB):
        try:
            return type_.removeprefix(_ZLIB), zlib.decompress(data)
        except zlib.error as exc:
            raise BackendError(DAMAGED) from exc
    return type_.removeprefix(_PLAIN), data


def decompress_start(type_: str, start: bytes) -> tuple[str, bytes]:
    """Return the type, and at most MAX_START bytes from ``start``, the first ones that are stored.

    Raise as ``decompress`` does.
    """
    type_ = type_.removeprefix(USER_MARK)
    if type_.startswith(_ZSTD):
        return type_.removeprefix(_ZSTD), _zstd(start, MAX_START)
    if type_.startswith(_ZLIB):
        try:
            return type_.removeprefix(_ZLIB), zlib.decompressobj().decompress(start, MAX_START)
        except zlib.error as exc:
            raise BackendError(DAMAGED) from exc
    return type_.removeprefix(_PLAIN), start


def _decompress_of_user(type_: str, data: bytes) -> tuple[str, bytes]:
    """Decompress data that may have been made to become huge; raise ValueError if they do."""
    limit = _max_size(data)
    if type_.startswith(_ZSTD):
        if not 0 <= _needed_zstandard().frame_content_size(data) <= limit:
            raise ValueError(f"the value would have more than {limit:,} bytes")
    elif type_.startswith(_ZLIB):
        stream = zlib.decompressobj()
        data = stream.decompress(data, limit + 1)
        if not stream.eof:
            raise ValueError(f"the value would have more than {limit:,} bytes")
        return type_.removeprefix(_ZLIB), data
    return decompress(type_, data)


def _max_size(compressed: bytes) -> int:
    return max(_MIN_LIMIT, MAX_RATIO * len(compressed))


def _errors() -> tuple[type[Exception], ...]:
    """Return the errors of ``_decompress_of_user``."""
    zstandard = _zstandard()
    return (
        BackendError,
        NotSupported,
        ValueError,
        zlib.error,
        *([] if zstandard is None else [zstandard.ZstdError]),
    )


@cache
def _compressor() -> tuple[str, Callable[[bytes], bytes]]:
    """Return the prefix of the type, and the function."""
    if _zstandard() is None:
        return _ZLIB, lambda data: zlib.compress(data, _LEVEL)
    return _ZSTD, lambda data: _of_thread("ZstdCompressor", level=_LEVEL).compress(data)


def _zstd(data: bytes, limit: int | None = None) -> bytes:
    """Return the bytes, or at most ``limit`` of those whose start is ``data``."""
    zstandard = _needed_zstandard()
    try:
        if limit is None:
            return _of_thread("ZstdDecompressor").decompress(data)  # type: ignore[no-any-return]
        reader = zstandard.ZstdDecompressor().stream_reader(data)
        return reader.read(limit)  # type: ignore[no-any-return]
    except zstandard.ZstdError as exc:
        raise BackendError(DAMAGED) from exc


_objects = threading.local()


def _of_thread(kind: str, **options: Any) -> Any:
    """Return the object of Zstandard of this thread; it is not safe in several threads."""
    found = getattr(_objects, kind, None)
    if found is None:
        found = getattr(_zstandard(), kind)(**options)
        setattr(_objects, kind, found)
    return found


def _needed_zstandard() -> Any:
    zstandard = _zstandard()
    if zstandard is None:
        raise NotSupported(
            "a stored value is compressed by Zstandard; run: pip install "
            "'django-parlant-store[langgraph]'"
        )
    return zstandard


@cache
def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError:
        return None
    return zstandard
