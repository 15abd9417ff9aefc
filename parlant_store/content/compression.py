"""Compression of serialized values.

SQLite has none; that of PostgreSQL takes longer, and leaves more bytes. Zstandard is used if its
package is installed, as it is with LangGraph, else zlib.
"""

import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

from parlant_store.exceptions import NotSupported

MIN_BYTES = 1_024
"""Shorter values are not compressed."""

_SAMPLE = 4_096
_ZSTD, _ZLIB, _PLAIN = _PREFIXES = ("zstd:", "zlib:", "plain:")
_LEVEL = 1


def compress(type_: str, data: bytes) -> tuple[str, bytes]:
    """Return a type and bytes from which ``decompress`` returns these ones.

    Encrypted values, and others of which a sample does not become smaller, stay as they are.
    """
    if len(data) >= MIN_BYTES:
        prefix, function = _compressor()
        sample = data[:_SAMPLE]
        compressed = function(sample)
        if len(compressed) < len(sample) * 0.9:
            return prefix + type_, compressed if len(data) <= _SAMPLE else function(data)
    return (_PLAIN + type_ if type_.startswith(_PREFIXES) else type_), data


def decompress(type_: str, data: bytes) -> tuple[str, bytes]:
    """The reverse of ``compress``; raise NotSupported if a package is missing."""
    if type_.startswith(_ZSTD):
        return type_.removeprefix(_ZSTD), _zstd_decompressor(data)
    if type_.startswith(_ZLIB):
        return type_.removeprefix(_ZLIB), zlib.decompress(data)
    return type_.removeprefix(_PLAIN), data


@cache
def _compressor() -> tuple[str, Callable[[bytes], bytes]]:
    """Return the prefix of the type, and the function."""
    zstandard = _zstandard()
    if zstandard is None:
        return _ZLIB, lambda data: zlib.compress(data, _LEVEL)
    # Its objects are not safe in several threads.
    return _ZSTD, lambda data: zstandard.ZstdCompressor(level=_LEVEL).compress(data)


def _zstd_decompressor(data: bytes) -> bytes:
    zstandard = _zstandard()
    if zstandard is None:
        raise NotSupported(
            "a stored value is compressed by Zstandard; run: pip install "
            "'django-parlant-store[langgraph]'"
        )
    return zstandard.ZstdDecompressor().decompress(data)  # type: ignore[no-any-return]


@cache
def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError:
        return None
    return zstandard
