"""Statements that select conversations in an order that an index has.

A stream reads an index in its order. Conditions that the index does not serve are applied to its
first MAX_FILTERED rows, so that no statement reads a whole table.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.admin.lookups import Condition, fetch, union

MAX_ROWS = 10_000
"""Limit on the rows that a list has."""

MAX_FILTERED = 1_000
"""Limit on the rows of an index that are read for filters which it does not serve."""

MAX_SORTED = 5_000
"""Limit on the rows of an index that are read to be sorted."""


class Stream(NamedTuple):
    """Rows of one table in the order of an index."""

    conditions: tuple[Condition, ...]
    """The conditions that the index serves."""

    order: str = ""
    """The order of the index; "" if there are few rows and their order does not matter."""

    filters: tuple[Condition, ...] = ()
    """The conditions on the first MAX_FILTERED rows."""

    is_sorted: bool = False
    """Whether the order of the index is that of the list."""

    @property
    def bound(self) -> int:
        """The limit on the rows of the index that are read."""
        if not self.order:
            return MAX_ROWS
        return MAX_FILTERED if self.filters else MAX_ROWS if self.is_sorted else MAX_SORTED


class Table(NamedTuple):
    """One kind of conversations: a table, and how its rows are sorted."""

    number: int
    """The kind in the results."""

    name: str
    columns: str
    """The columns that conditions, filters and orders need."""

    place: str
    """The expression that the list is sorted by."""

    order: str
    """The order of the list."""

    streams: tuple[Stream, ...]


class Place(NamedTuple):
    """The place of a conversation in a list."""

    kind: int
    key: int
    value: Any
    """What the list is sorted by."""


def select(connection: BaseDatabaseWrapper, tables: Sequence[Table], limit: int) -> list[Place]:
    """Return the first rows of all streams, by ``place`` and key; rows of two streams once."""
    return [Place(*row) for row in _select(connection, tables, limit, limit)]


def select_and_count(
    connection: BaseDatabaseWrapper, tables: Sequence[Table], limit: int
) -> tuple[list[Place], int]:
    """Return what ``select`` does, and the number of all rows, by one statement.

    The number is exact up to MAX_ROWS of each stream.
    """
    rows = _select(connection, tables, limit, MAX_ROWS + 1, ", count(*) OVER ()")
    return [Place(*row[:3]) for row in rows], rows[0][3] if rows else 0


def _select(
    connection: BaseDatabaseWrapper,
    tables: Sequence[Table],
    limit: int,
    stream_limit: int,
    more: str = "",
) -> list[tuple[Any, ...]]:
    parts = [
        _part(table, stream, f"{table.number} AS kind, key, {table.place} AS place", stream_limit)
        for table in tables
        for stream in table.streams
    ]
    by_key = all(table.order == "key DESC" for table in tables)
    order = "key DESC" if by_key else "place DESC, kind, key DESC"
    union = _union(parts, tables)
    sql = f"SELECT found.*{more} FROM ({union}) found ORDER BY {order} LIMIT {limit}"
    return _fetch(connection, sql, parts)


def count(connection: BaseDatabaseWrapper, tables: Sequence[Table]) -> int:
    """Count the rows of all streams, up to one more than MAX_ROWS."""
    limit = MAX_ROWS + 1
    parts = [
        _part(table, stream, f"{table.number} AS kind, key", limit, is_sorted=False)
        for table in tables
        for stream in table.streams
    ]
    union = _union(parts, tables)
    sql = f"SELECT count(*) FROM (SELECT * FROM ({union}) found LIMIT {limit}) counted"
    ((number,),) = _fetch(connection, sql, parts)
    return int(number)


def is_cut(connection: BaseDatabaseWrapper, tables: Sequence[Table]) -> bool:
    """Whether there are rows that the filters of a stream did not see."""
    bounded = [
        (table, stream)
        for table in tables
        for stream in table.streams
        if stream.order and (stream.filters or not stream.is_sorted)
    ]
    parts = [
        Condition(
            f"SELECT 1 FROM (SELECT key FROM {table.name}{_where(stream.conditions)}"
            f" ORDER BY {stream.order} LIMIT 1 OFFSET {stream.bound}) beyond",
            _parameters(stream.conditions),
        )
        for table, stream in sorted(bounded, key=lambda one: one[1].bound)
    ]
    if not parts:
        return False
    # The first row answers: streams with a greater bound are seldom read.
    return bool(_fetch(connection, f"{union(part.sql for part in parts)} LIMIT 1", parts))


def _part(
    table: Table, stream: Stream, columns: str, limit: int, *, is_sorted: bool = True
) -> Condition:
    """Return the statement for the first rows of a stream."""
    is_direct = not stream.filters and (stream.is_sorted or not is_sorted)
    inner = (
        f"SELECT {table.columns} FROM {table.name}{_where(stream.conditions)}"
        f"{_order(stream.order)} LIMIT {limit if is_direct else stream.bound}"
    )
    order = "" if is_direct or not is_sorted else _order(table.order)
    sql = f"SELECT {columns} FROM ({inner}) first_rows{_where(stream.filters)}{order} LIMIT {limit}"
    return Condition(sql, _parameters((*stream.conditions, *stream.filters)))


def _union(parts: Sequence[Condition], tables: Sequence[Table]) -> str:
    # Streams of one index have no row in common.
    is_disjoint = all(len({stream.order for stream in table.streams}) == 1 for table in tables)
    return union((part.sql for part in parts), "UNION ALL" if is_disjoint else "UNION")


def _where(conditions: Sequence[Condition]) -> str:
    return f" WHERE {' AND '.join(one.sql for one in conditions)}" if conditions else ""


def _order(order: str) -> str:
    return f" ORDER BY {order}" if order else ""


def _parameters(conditions: Iterable[Condition]) -> tuple[Any, ...]:
    return tuple(value for one in conditions for value in one.parameters)


def _fetch(
    connection: BaseDatabaseWrapper, sql: str, parts: Iterable[Condition]
) -> list[tuple[Any, ...]]:
    return fetch(connection, sql, _parameters(parts))
