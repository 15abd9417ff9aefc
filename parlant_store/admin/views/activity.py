"""Figures of each of the last days: active conversations, written items and their tokens.

Conversations are counted by the indexes on their last activity. Items have no index on the time:
their keys ascend with it. A bisection finds the first key of these days; if there are more items
since than MAX_ROWS, those of evenly spread keys are read, each of which stands for several.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from parlant_store.admin.conversations.conversation import midnight, today
from parlant_store.admin.lookups import connection_of, fetch
from parlant_store.content.times import as_utc
from parlant_store.models import Document, Session, SessionItem, Thread

DAYS = 14

MAX_COUNT = 1_000
"""Limit on the conversations that are counted of a day and a framework."""

MAX_ROWS = 700
"""Limit on the items that are read."""

SAMPLED = 120
"""An estimate counts one of so many minutes."""

MAX_MINUTE = 200
"""Limit on the conversations that are counted of a minute."""

NEIGHBOURS = 20
"""The number of rows of which a step of the bisection takes the earliest time."""

_ITEM = SessionItem._meta.db_table

# SQLite finds min and max by a step each, unless they stand side by side.
_EARLIEST = (
    f"SELECT min(created_at) FROM (SELECT created_at FROM {_ITEM}"
    f" WHERE key >= low + (high - low) / 2 ORDER BY key LIMIT {NEIGHBOURS}) near"
)
_STARTS = f"""
WITH RECURSIVE bounds (low, high) AS (
    SELECT (SELECT min(key) FROM {_ITEM}), (SELECT max(key) FROM {_ITEM})
    UNION ALL
    SELECT CASE WHEN ({_EARLIEST}) < %s THEN low + (high - low) / 2 + 1 ELSE low END,
        CASE WHEN ({_EARLIEST}) < %s THEN high ELSE low + (high - low) / 2 END
    FROM bounds WHERE low < high
)
SELECT low, (SELECT max(key) FROM {_ITEM}) FROM bounds WHERE low = high
"""

# The steps differ, so that they match no pattern of unused keys or deleted rows.
_SPREAD = """
WITH RECURSIVE places (number, place) AS (
    SELECT 0, CAST(%s AS bigint)
    UNION ALL
    SELECT number + 1, %s + (number + 1) * CAST(%s AS bigint) + (number + 1) * 2654435761 %% %s
    FROM places WHERE number + 1 < %s
)
SELECT created_at, tokens FROM places CROSS JOIN {rows}
"""
# PostgreSQL may join by reading the whole table, unless there is an OFFSET in between.
_LOOKED_UP = {
    "postgresql": (
        f"LATERAL (SELECT created_at, tokens FROM {_ITEM} WHERE key = place OFFSET 0) found"
    ),
    "sqlite": f"{_ITEM} WHERE key = place",
}

_COUNT = (
    "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {condition} AND active_minute >= %s"
    " AND active_minute < %s ORDER BY active_minute, key LIMIT " + f"{MAX_COUNT + 1}) counted"
)
_MINUTES = f"""
WITH RECURSIVE steps (step) AS (
    SELECT 0 UNION ALL SELECT step + 1 FROM steps WHERE step < {25 * 60 // SAMPLED}
), minutes (place) AS (SELECT step * {SAMPLED} + step * 37 %% {SAMPLED} FROM steps)
"""
# Without the order, SQLite may scan the table.
_ESTIMATE = (
    "SELECT {number}, sum((SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {condition}"
    " AND active_minute = %s + minutes.place ORDER BY active_minute, key"
    f" LIMIT {MAX_MINUTE}) counted))"
    " FROM minutes WHERE minutes.place < %s"
)


class _Source(NamedTuple):
    """The conversations of a framework, in the order of an index."""

    framework: str
    model: type[Model]
    condition: str

    @property
    def table(self) -> str:
        return self.model._meta.db_table


_Span = tuple[_Source, int, int]
"""A source, with the first minute and the minute after the last one."""

_SOURCES = (
    _Source("openai", Session, "framework = 'openai'"),
    _Source("selectools", Session, "framework = 'selectools'"),
    _Source("parlant", Document, "active_minute IS NOT NULL"),
    _Source("langgraph", Thread, "active_minute IS NOT NULL"),
)


class Figure(NamedTuple):
    number: int
    is_estimate: bool = False


class Activity(NamedTuple):
    """The number of conversations of a framework by the day of their last activity."""

    framework: str
    figures: list[Figure]


class WrittenItems(NamedTuple):
    """The number of items by the day of their writing, and of the tokens that they report."""

    items: list[Figure]
    tokens: list[Figure]


def last_days() -> list[date]:
    return [today() - timedelta(days=ago) for ago in reversed(range(DAYS))]


def active_conversations(days: list[date], models: Sequence[type[Model]]) -> list[Activity]:
    """Return the activity of each framework, by one statement for estimates and one for counts.

    models: which of Session and Document are read.
    """
    sources = [source for source in _SOURCES if source.model in models]
    starts = [_minute(day) for day in [*days, days[-1] + timedelta(days=1)]]
    spans = [(source, first, last) for source in sources for first, last in pairwise(starts)]
    connection = connection_of(Session)
    estimates = _estimates(connection, spans)
    counts = _counts(connection, [span for span in spans if estimates[span] <= MAX_COUNT])
    figures = [
        Figure(counts[span], counts[span] > MAX_COUNT)
        if span in counts
        else Figure(estimates[span], True)
        for span in spans
    ]
    return [
        Activity(source.framework, figures[number * DAYS : (number + 1) * DAYS])
        for number, source in enumerate(sources)
    ]


def _estimates(connection: BaseDatabaseWrapper, spans: list[_Span]) -> dict[_Span, int]:
    """Return the numbers of conversations in ``spans``, from some minutes."""
    sql = " UNION ALL ".join(
        _ESTIMATE.format(**source._asdict(), table=source.table, number=number)
        for number, (source, *_span) in enumerate(spans)
    )
    params = [number for _source, first, last in spans for number in (first, last - first)]
    rows = fetch(connection, f"{_MINUTES} {sql}", params)
    return {spans[number]: int(total or 0) * SAMPLED for number, total in rows}


def _counts(connection: BaseDatabaseWrapper, spans: list[_Span]) -> dict[_Span, int]:
    """Return the numbers of conversations in ``spans``, up to MAX_COUNT + 1."""
    if not spans:
        return {}
    counts = [f"({_COUNT.format(**source._asdict(), table=source.table)})" for source, *_ in spans]
    params = [minute for _source, *span in spans for minute in span]
    (row,) = fetch(connection, f"SELECT {', '.join(counts)}", params)
    return dict(zip(spans, row, strict=True))


def written_items(days: list[date]) -> WrittenItems:
    starts = [midnight(day) for day in [*days, days[-1] + timedelta(days=1)]]
    items, tokens = [0] * DAYS, [0] * DAYS
    rows, weight = _since(starts[0])
    for at, reported in rows:
        day = bisect_right(starts, at) - 1
        if 0 <= day < DAYS:
            items[day] += weight
            tokens[day] += weight * (reported or 0)
    return WrittenItems(
        [Figure(number, weight > 1) for number in items],
        [Figure(number, weight > 1) for number in tokens],
    )


def _minute(day: date) -> int:
    """Return the minute with which ``day`` begins, as the columns have it."""
    return int(as_utc(midnight(day)).timestamp()) // 60


def _since(start: datetime) -> tuple[Iterable[tuple[Any, ...]], int]:
    """Return the times and tokens of items, and how many items each row stands for."""
    connection = connection_of(SessionItem)
    bounds = _bounds(connection, start)
    if bounds is None:
        return [], 1
    low, high = bounds
    rows = SessionItem.objects.filter(key__gte=low).order_by("key")
    if high - low < MAX_ROWS or not rows.values("key")[MAX_ROWS : MAX_ROWS + 1]:
        return rows.values_list("created_at", "tokens")[:MAX_ROWS], 1
    step = max(2, -(-(high - low + 1) // MAX_ROWS))
    return _spread(connection, low, step), step


def _bounds(connection: BaseDatabaseWrapper, start: datetime) -> tuple[int, int] | None:
    """Return the first key of what was written since ``start``, and the last key of all."""
    since = connection.ops.adapt_datetimefield_value(start)
    rows = fetch(connection, _STARTS, (since, since))
    return rows[0] if rows else None


def _spread(connection: BaseDatabaseWrapper, low: int, step: int) -> Iterator[tuple[Any, ...]]:
    """Return the rows that have one of MAX_ROWS keys, from ``low`` on."""
    sql = _SPREAD.format(rows=_LOOKED_UP[connection.vendor])
    field: Any = SessionItem._meta.get_field("created_at")
    column = field.get_col(SessionItem._meta.db_table)
    converters = connection.ops.get_db_converters(column)
    for at, tokens in fetch(connection, sql, (low, low, step, step, MAX_ROWS)):
        for convert in converters:
            at = convert(at, column, connection)
        yield at, tokens
