"""The rows of the values of channels.

A long value that differs little from an earlier one of its channel, as a list of messages does that
has grown, is stored as its difference from a base: a row of its own, with a name in place of a
version, which no two values ever have. The type of the difference has this name.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from parlant_store.backends.thread_columns import (
    ValueRow,
    stored_value,
    typed,
    version_column,
)
from parlant_store.content import codec, differences
from parlant_store.content.compression import DAMAGED, DIFFERENCE, MAX_START, decompress_start
from parlant_store.exceptions import BackendError
from parlant_store.sql.differences import NAME_SIZE
from parlant_store.types import USER_MARK, ChannelValue, TypedBytes

MIN_BYTES = 4_096
"""Shorter values are stored whole."""

MAX_BYTES = 4_194_304
"""Longer values are stored whole."""

MAX_CACHED = 16_777_216
"""Limit on the bytes of the bases in the cache of a store."""

MIN_RATIO = 6
"""How many times longer a base is than its differences."""

NAME_START = "~"
"""The start of the name of a base, in the column of versions, which are JSON."""

ValueColumns = tuple[str, str, str, bytes]
"""The channel, the version, the type and the value."""


class Base(NamedTuple):
    """A value from which later ones may differ little."""

    name: str | None
    """That of its row; None if it is stored only as the value of a version."""

    data: bytes
    size: int
    """The number of its bytes as it is stored."""

    is_of_user: bool = False
    """Whether a user wrote it: differences from it have the mark of a user, too."""


class EncodedValues(NamedTuple):
    """Rows of values, and the bases that the next values of their channels may have."""

    rows: list[ValueColumns]
    bases: dict[str, Base]

    @property
    def needed(self) -> list[tuple[str, str]]:
        """The channels and names of bases that must be stored already."""
        own = {version for _, version, _, _ in self.rows}
        return [
            (channel, name)
            for channel, _, type_, _ in self.rows
            if (name := base_of(type_)) is not None and name not in own
        ]


def encode(values: Iterable[ChannelValue], known: Mapping[str, Base]) -> EncodedValues:
    """Return the rows of values; ``known`` has a base of each channel that has one."""
    encoded = EncodedValues([], {})
    for value in values:
        base = known.get(value.channel)
        if MIN_BYTES <= len(value.value.data) <= MAX_BYTES:
            _encode_long(value, base, encoded)
        else:
            encoded.rows.append(_whole(value, version_column(value.version)))
    return encoded


def _encode_long(value: ChannelValue, base: Base | None, encoded: EncodedValues) -> None:
    """Add the rows of a value, as its difference from ``base`` if it is similar."""
    type_, data = value.value
    is_of_user = type_.startswith(USER_MARK)
    changes = None if base is None else differences.difference(base.data, data)
    if base is None or changes is None or 2 * len(changes) > len(data):
        row = _whole(value, version_column(value.version))
        encoded.rows.append(row)
        encoded.bases[value.channel] = Base(None, data, len(row[-1]), is_of_user)
        return
    name = base.name if is_of_user or not base.is_of_user else None
    row = _difference(value, name, changes)
    if name is None or len(row[-1]) * MIN_RATIO > base.size:
        name = NAME_START + os.urandom(8).hex()
        whole = _whole(value, name)
        encoded.rows.append(whole)
        base = Base(name, data, len(whole[-1]), is_of_user)
        row = _difference(value, name, differences.difference(data, data))
    encoded.rows.append(row)
    encoded.bases[value.channel] = base


def _whole(value: ChannelValue, version: str) -> ValueColumns:
    return (codec.to_column(value.channel), version, *stored_value(value.value))


def _difference(value: ChannelValue, name: str | None, changes: bytes) -> ValueColumns:
    type_ = value.value.type
    mark = USER_MARK if type_.startswith(USER_MARK) else ""
    inner, data = stored_value(TypedBytes(type_.removeprefix(mark), changes))
    return (
        codec.to_column(value.channel),
        version_column(value.version),
        f"{mark}{DIFFERENCE}{name}:{inner}",
        data,
    )


def base_of(type_: str) -> str | None:
    """Return the name of the base in the type of a row; None if the value is stored whole."""
    type_ = type_.removeprefix(USER_MARK)
    if not type_.startswith(DIFFERENCE):
        return None
    return type_[len(DIFFERENCE) : len(DIFFERENCE) + NAME_SIZE]


class ValueStart(NamedTuple):
    """The type of a row, and the first bytes of its value."""

    type: str
    data: bytes
    is_whole: bool
    """Whether there are no more."""


def start_of(row: ValueStart, base: ValueStart | None = None) -> TypedBytes:
    """Return the start of a value; ``base`` is that of its base, if it is a difference.

    Raise as ``decompress_start`` does, and ValueError if it is no difference from this base.
    """
    type_ = codec.unescape(row.type).removeprefix(USER_MARK)
    if base is None:
        return TypedBytes(*decompress_start(type_, row.data))
    inner, changes = decompress_start(_inner_type(type_), row.data)
    _, start = decompress_start(codec.unescape(base.type), base.data)
    is_whole = row.is_whole and base.is_whole and max(len(start), len(changes)) < MAX_START
    return TypedBytes(inner, differences.apply(start, changes, is_whole=is_whole))


def _inner_type(type_: str) -> str:
    """Return the type of a difference without the mark and the name of the base."""
    return type_.removeprefix(USER_MARK)[len(DIFFERENCE) + NAME_SIZE + 1 :]


class StoredValues:
    """The values in the rows of a read, which has the bases of its differences, too.

    known: the bases that the read has left out.
    """

    def __init__(self, rows: Iterable[ValueRow], known: Iterable[Base] = ()) -> None:
        self._rows = {row[:4]: row for row in rows}
        self._known = {base.name: base for base in known}
        self._bases: dict[tuple[int, str, str, str], Base] = {}

    def get(self, thread_key: int, ns: str, channel: str, version: str) -> TypedBytes | None:
        row = self._rows.get((thread_key, ns, channel, version))
        return None if row is None else self.value_of(row)

    def value_of(self, row: ValueRow) -> TypedBytes:
        """Return the value of a row of this read.

        A difference without its base, which only a user can delete, has the mark of a user, so that
        it does not stop those who read the values of all users.
        """
        name = base_of(row.type)
        if name is None:
            return typed(row.type, row.value)
        mark = USER_MARK if row.type.startswith(USER_MARK) else ""
        base = self._base(row, name)
        if base is None:
            return TypedBytes(USER_MARK + row.type.removeprefix(mark), bytes(row.value))
        type_, changes = typed(mark + _inner_type(row.type), row.value)
        if base.is_of_user:
            type_ = USER_MARK + type_.removeprefix(mark)
        try:
            return TypedBytes(type_, differences.apply(base.data, changes))
        except ValueError as exc:
            if not type_.startswith(USER_MARK):
                raise BackendError(DAMAGED) from exc
            return TypedBytes(USER_MARK + DIFFERENCE, changes)

    def by_channel(self) -> dict[str, TypedBytes]:
        """Return the values by the columns of their channels, of which each has one."""
        return {row.channel: self.value_of(row) for row in self.versions()}

    def versions(self) -> Iterator[ValueRow]:
        """Return the rows that are no bases."""
        return (row for row in self._rows.values() if not row.version.startswith(NAME_START))

    def bases(self, values: Mapping[str, TypedBytes]) -> dict[str, Base]:
        """Return the bases of the values of one checkpoint, by channel."""
        found = {}
        for row in self.versions():
            value = values.get(codec.unescape(row.channel))
            if value is not None and MIN_BYTES <= len(value.data) <= MAX_BYTES:
                found[codec.unescape(row.channel)] = self._base_like(row, value)
        return found

    def _base_like(self, row: ValueRow, value: TypedBytes) -> Base:
        """Return the base from which the value of a row differs, or the value itself."""
        name = base_of(row.type)
        base = None if name is None else self._base(row, name)
        return base or _base(None, value, row)

    def _base(self, row: ValueRow, name: str) -> Base | None:
        if name in self._known:
            return self._known[name]
        place = (*row[:3], name)
        if place not in self._bases and place in self._rows:
            stored = self._rows[place]
            self._bases[place] = _base(name, typed(stored.type, stored.value), stored)
        return self._bases.get(place)


def _base(name: str | None, value: TypedBytes, row: ValueRow) -> Base:
    return Base(name, value.data, len(row.value), value.type.startswith(USER_MARK))


class BaseCache:
    """The bases of the channels that a store has written or read last, up to MAX_CACHED bytes.

    A name in it may no longer be stored: who writes a difference makes sure that its base is.
    """

    def __init__(self) -> None:
        self._bases: dict[tuple[str, ...], dict[str, Base]] = {}
        self._bytes = 0
        # Never waited for: a process may be forked while another thread has it.
        self._lock = threading.Lock()

    def get(self, place: tuple[str, ...]) -> dict[str, Base]:
        """Return the bases, by channel, of a thread's namespace in a database."""
        return self._bases.get(place) or {}

    def named(self, place: tuple[str, ...]) -> dict[str, Base]:
        """Return those with names, by name."""
        return {base.name: base for base in self.get(place).values() if base.name is not None}

    def put(self, place: tuple[str, ...], bases: Mapping[str, Base]) -> None:
        if not bases or not self._lock.acquire(blocking=False):
            return
        try:
            merged = {**self._discard(place), **bases}
            self._bases[place] = merged
            self._bytes += _size(merged)
            while self._bytes > MAX_CACHED:
                self._discard(next(iter(self._bases)))
        finally:
            self._lock.release()

    def _discard(self, place: tuple[str, ...]) -> dict[str, Base]:
        bases = self._bases.pop(place, {})
        self._bytes -= _size(bases)
        return bases


def _size(bases: Mapping[str, Base]) -> int:
    return sum(len(base.data) for base in bases.values())


def write_values(
    cache: BaseCache,
    place: tuple[str, ...],
    values: Iterable[ChannelValue],
    write_rows: Callable[[EncodedValues], bool],
) -> None:
    """Write values by ``write_rows``, which returns whether all bases that they need are stored.

    It is called again without bases if one is not.
    """
    values = [*values]
    encoded = encode(values, cache.get(place))
    if not write_rows(encoded):
        encoded = encode(values, {})
        write_rows(encoded)
    cache.put(place, encoded.bases)
