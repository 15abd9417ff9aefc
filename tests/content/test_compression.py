"""Compression of serialized values."""

import os
import zlib

import pytest

from parlant_store.content import compression
from parlant_store.content.compression import MIN_BYTES, compress, decompress
from parlant_store.exceptions import NotSupported

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


def test_encrypted_values_stay(format_):
    data = os.urandom(MIN_BYTES)
    assert compress("msgpack+aes", data) == ("msgpack+aes", data)


def test_either_format_is_read(monkeypatch):
    data = b"a" * MIN_BYTES
    stored = compress("t", data)
    assert decompress("zlib:t", zlib.compress(data)) == decompress(*stored) == ("t", data)
    monkeypatch.setattr(compression, "_zstandard", lambda: None)
    assert decompress("zlib:t", zlib.compress(data)) == ("t", data)
    with pytest.raises(NotSupported, match=r"django-parlant-store\[langgraph\]"):
        decompress(*stored)
