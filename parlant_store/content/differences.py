"""Differences of values from earlier ones, most of whose bytes they share.

A difference is the sizes of the start and the end that both values have, the first bytes of the
value, and the bytes between the start and the end.
"""

from collections.abc import Callable
from struct import Struct

HEAD = 8
"""The first bytes, in which serializers count elements, are never those of the earlier value."""

_STEP = 1_024
_PRECISION = 32
_SIZES = Struct("<II")
_START = _SIZES.size + HEAD


def difference(base: bytes, data: bytes) -> bytes:
    """Return bytes of which ``apply`` makes ``data``; both values have HEAD bytes or more."""
    most = min(len(base), len(data)) - HEAD
    start = HEAD + _equal_bytes(most, lambda low, high: _equal_starts(base, data, low, high))
    most += HEAD - start
    end = _equal_bytes(most, lambda low, high: _equal_ends(base, data, low, high))
    return _SIZES.pack(start, end) + data[:HEAD] + data[start : len(data) - end]


def apply(base: bytes, changes: bytes, *, is_whole: bool = True) -> bytes:
    """Return the value with the difference ``changes`` from ``base``.

    Raise ValueError if it is no difference from this base. If ``base`` is only the start of it, and
    not the whole value, return the start of the new value.
    """
    if len(changes) < _START:
        raise ValueError("a difference is too short")
    start, end = _SIZES.unpack_from(changes)
    head, common, middle = changes[_SIZES.size : _START], base[HEAD:start], changes[_START:]
    if not is_whole:
        return head + common + middle if start <= len(base) else head + common
    if not HEAD <= start <= len(base) - end:
        raise ValueError("a difference is from another value")
    return b"".join((head, common, middle, base[len(base) - end :]))


def _equal_starts(base: bytes, data: bytes, low: int, high: int) -> bool:
    return data.startswith(base[HEAD + low : HEAD + high], HEAD + low)


def _equal_ends(base: bytes, data: bytes, low: int, high: int) -> bool:
    return data.endswith(base[len(base) - high : len(base) - low], 0, len(data) - low)


def _equal_bytes(most: int, are_equal: Callable[[int, int], bool]) -> int:
    """Return how many bytes up to ``most`` are equal, or less by up to _PRECISION.

    ``are_equal`` compares those after so many, up to so many.
    """
    equal, step = 0, _STEP
    while equal < most:
        end = min(equal + step, most)
        if not are_equal(equal, end):
            most = end
            break
        equal, step = end, step * 4
    while most - equal > _PRECISION:
        middle = (equal + most) // 2
        if are_equal(equal, middle):
            equal = middle
        else:
            most = middle
    return equal
