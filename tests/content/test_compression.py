"""Compression of serialized values."""

import os
import zlib

import pytest
import zstandard

from parlant_store.content import compression
from parlant_store.content.compression import (
    MAX_START,
    MIN_BYTES,
    compress,
    decompress,
    decompress_start,
)
from parlant_store.exceptions import BackendError, NotSupported
from parlant_store.types import USER_MARK

pytestmark = pytest.mark.any_database


@pytest.fixture(params=["zstd", "zlib"])
def format_(request, monkeypatch):
    if request.param == "zlib":
        monkeypatch.setattr(compression, "_zstandard", lambda: None)
    compression._compressor.cache_clear()
    yield request.param
    compression._compressor.cache_clear()


@pytest.mark.parametrize("type_", ["msgpack", "", "zlib:msgpack", "zstd:", "plain:", "plain:zlib:"])
@pytest.mark.parametrize("data", [b"", b"short", b"long " * 1_000, os.urandom(10_000)])
def test_a_value_comes_back(format_, type_, data):
    assert decompress(*compress(type_, data)) == (type_, data)


def test_long_values_become_smaller(format_):
    assert compress("t", b"a" * (MIN_BYTES - 1)) == ("t", b"a" * (MIN_BYTES - 1))
    type_, data = compress("t", b"a" * MIN_BYTES)
    assert type_ == f"{format_}:t"
    assert len(data) < 50


def test_the_start_of_a_value(format_):
    data = b"".join(b"%d " % number for number in range(100_000))
    type_, stored = compress("t", data)
    name, start = decompress_start(type_, stored[: len(stored) // 2])
    assert name == "t"
    assert 0 < len(start) < len(data)
    assert data.startswith(start)
    assert decompress_start(type_, stored) == ("t", data)
    assert decompress_start("plain:zlib:t", b"a") == ("zlib:t", b"a")
    assert decompress_start(USER_MARK + type_, stored) == ("t", data)


def test_the_start_of_a_value_is_bounded():
    huge = b"a" * 100_000_000
    for type_, stored in (("zlib:t", zlib.compress(huge)), ("zstd:t", zstandard.compress(huge))):
        assert len(stored) < 100_000
        assert decompress_start(type_, stored) == ("t", b"a" * MAX_START)


@pytest.mark.parametrize("type_", ["zstd:t", "zlib:t"])
def test_damaged_values(type_):
    for function in (decompress, decompress_start):
        with pytest.raises(BackendError, match="damaged"):
            function(type_, b"no such bytes")


def test_encrypted_values_stay(format_):
    data = os.urandom(MIN_BYTES)
    assert compress("msgpack+aes", data) == ("msgpack+aes", data)


@pytest.mark.parametrize("mark", ["", USER_MARK])
def test_values_of_users_come_back(format_, mark):
    """Those that become very short too, which are not compressed."""
    for size in (100, 1_000, 10_000):
        for data in (os.urandom(size), os.urandom(size // 3) * 3, b"a" * size, b"a" * 100 * size):
            stored = compress(f"{mark}t", data)
            assert decompress(*stored) == (f"{mark}t", data)
            # A client does not know that it is a user's.
            type_, compressed = stored
            assert decompress(USER_MARK + type_.removeprefix(mark), compressed) == ("user:t", data)


def test_values_of_users_stay_if_they_would_become_long(format_):
    for data in (bytes(10_000_000), b"a" * 5_000):
        type_, stored = f"{format_}:t", compression._compressor()[1](data)
        assert decompress(type_, stored) == ("t", data)
        for prefix in ("", "plain:", "user:", f"{format_}:"):
            marked = f"{USER_MARK}{prefix}{type_}"
            found, left = decompress(marked, stored)
            assert found.startswith(USER_MARK)
            assert left == stored
            assert decompress(*compress(found, left)) == (found, left)
    for broken in (b"", b"x", stored[:-1], bytes(100)):
        assert decompress(f"user:{format_}:t", broken) == (f"user:{format_}:t", broken)


def test_either_format_is_read(monkeypatch):
    data = b"a" * MIN_BYTES
    stored = compress("t", data)
    assert decompress("zlib:t", zlib.compress(data)) == decompress(*stored) == ("t", data)
    monkeypatch.setattr(compression, "_zstandard", lambda: None)
    assert decompress("zlib:t", zlib.compress(data)) == ("t", data)
    with pytest.raises(NotSupported, match=r"django-parlant-store\[langgraph\]"):
        decompress(*stored)
