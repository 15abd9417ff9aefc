"""MessagePack as plain data."""

import random

import pytest

from parlant_store.content import messagepack
from parlant_store.content.messagepack import MAX_DEPTH, MAX_TEXT, REST, decode, elements

pytestmark = pytest.mark.any_database

ormsgpack = pytest.importorskip("ormsgpack")

VALUES = [
    *(None, True, False, 0, 1, 127, 128, -1, -32, -33, -129, 255, 256, 65_535, 65_536, 2**63),
    *(-(2**15) - 1, -(2**31) - 1, -(2**63), 1.5, "", "ü" * 20, "x" * 300, "x" * MAX_TEXT),
    *([], [1] * 15, [1] * 16, [[None]] * 70_000, {}, {"a": {"b": [1, "c"]}}),
    {str(number): number for number in range(70)},
]


def packed(value):
    return ormsgpack.packb(value, option=ormsgpack.OPT_NON_STR_KEYS)


def extension(code, *arguments):
    return ormsgpack.Ext(code, packed(arguments))


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_values_come_back(value):
    assert decode(packed(value), max_values=200_000) == value


def test_what_json_has_not():
    assert decode(packed({1: b"abc", None: 2})) == {"1": {"bytes": 3}, "None": 2}
    assert decode(packed(ormsgpack.Ext(99, b"xx"))) == {"extension": 99, "bytes": 2}


@pytest.mark.parametrize("code", range(6))
def test_objects_are_their_names_and_arguments(code, monkeypatch):
    called = []
    monkeypatch.setattr("builtins.eval", called.append)
    value = extension(code, "builtins", "eval", ["1 / 0"], "method")
    assert decode(packed([value])) == [{"class": "builtins.eval", "arguments": ["1 / 0"]}]
    assert called == []


def test_objects_that_are_none():
    assert decode(packed(extension(2, 1, 2))) == {"extension": 2, "arguments": [1, 2]}
    assert decode(packed(ormsgpack.Ext(2, b"\xc1"))) == {"extension": 2, "bytes": 1}


def test_what_is_read_is_bounded():
    assert decode(packed("x" * (MAX_TEXT + 1))) == "x" * MAX_TEXT + REST
    assert decode(packed([1] * 100), max_values=11) == [1] * 10 + [REST]
    assert decode(packed({"a": [1, 2], "b": 3}), max_values=4) == {"a": [1, REST], REST: REST}
    deep = []
    for _ in range(MAX_DEPTH + 10):
        deep = [deep]
    assert repr(decode(packed(deep))).count("[") == MAX_DEPTH
    nested = ormsgpack.Ext(7, packed(1))
    for _ in range(2_000):
        nested = ormsgpack.Ext(7, ormsgpack.packb(nested))
    assert decode(ormsgpack.packb(nested))["extension"] == 7
    assert elements(ormsgpack.packb(nested)) is None


def test_lists_of_any_length_may_be_announced():
    data = b"\xdd\xff\xff\xff\xff" * 100 + b"\x01"
    assert REST in repr(decode(data))
    assert elements(data) == (2**32 - 1, [])


def test_the_elements_of_a_list(monkeypatch):
    found = elements(packed([1, [2, {"a": 3}], extension(2, "m", "n", {})]))
    assert found.total == 3
    assert [*map(decode, found.parts)] == [1, [2, {"a": 3}], {"class": "m.n", "arguments": {}}]
    assert elements(packed([1, "abc"])[:-1]).parts == [b"\x01"]
    assert elements(packed(ormsgpack.Ext(7, packed([1])))) == (1, [b"\x01"])
    assert elements(packed({})) is None
    assert elements(b"") is None
    monkeypatch.setattr(messagepack, "MAX_SKIPPED", 5)
    assert len(elements(packed([1] * 10)).parts) == 5


def test_any_bytes_are_read():
    source = random.Random(1)
    whole = packed([{"a": [1, "é", 1.5, b"x"]}, extension(5, "m", "n", {"b": None})])
    for _ in range(2_000):
        data = bytearray(whole[: source.randrange(len(whole) + 1)] or b"\xc1")
        data[source.randrange(len(data))] = source.randrange(256)
        decode(bytes(data))
        elements(bytes(data))
