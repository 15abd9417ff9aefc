"""How much was written on each of the last days, without an index on the time of writing.

Keys ascend in time. A bisection finds the key with which the first of the days begins; of what
was written since, all rows are counted where they are few, else those of evenly spread keys.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from django.utils import timezone

from parlant_store.admin.lookups import COUNTED
from parlant_store.models import Document, Session, SessionItem

DAYS = 14

NEIGHBOURS = 20
"""Of how many rows a step of the bisection takes the earliest time: some were written again."""

# SQLite finds min and max by a step each, unless they stand side by side.
_STARTS = """
WITH RECURSIVE bounds (low, high) AS (
    SELECT (SELECT min(key) FROM {table}), (SELECT max(key) FROM {table})
    UNION ALL
    SELECT CASE WHEN ({earliest}) < %s THEN low + (high - low) / 2 + 1 ELSE low END,
        CASE WHEN ({earliest}) < %s THEN high ELSE low + (high - low) / 2 END
    FROM bounds WHERE low < high
)
SELECT low, (SELECT max(key) FROM {table}), ({partitions}) FROM bounds WHERE low = high
"""
_EARLIEST = (
    "SELECT min({column}) FROM (SELECT {column} FROM {table}"
    " WHERE key >= low + (high - low) / 2 ORDER BY key LIMIT " + f"{NEIGHBOURS}) near"
)
_PARTITIONS = "SELECT count(*) FROM pg_partition_tree('{table}') WHERE isleaf"

# So that no pattern of keys that were never used, or of rows that are gone, meets one of ours.
_SPREAD = """
WITH RECURSIVE places (number, place) AS (
    SELECT 0, CAST(%s AS bigint)
    UNION ALL
    SELECT number + 1, %s + (number + 1) * CAST(%s AS bigint) + (number + 1) * 2654435761 %% %s
    FROM places WHERE number + 1 < %s
)
SELECT {columns} FROM places CROSS JOIN {rows}
"""
# PostgreSQL may join by reading the whole table, unless there is an OFFSET in between.
_LOOKED_UP = {
    "postgresql": "LATERAL (SELECT {columns} FROM {table} WHERE key = place OFFSET 0) found",
    "sqlite": "{table} WHERE key = place",
}


class Source(NamedTuple):
    """Where rows say when they were written."""

    model: type[Model]
    written: str
    """The column that ascends with the key, apart from rows that were written again."""

    columns: tuple[str, ...]


class Written(NamedTuple):
    """How many rows were written on each day, by the group that they are of."""

    days: list[date]
    numbers: dict[str, list[int]]
    is_estimate: bool

    @property
    def total(self) -> list[int]:
        return [sum(day) for day in zip(*self.numbers.values(), strict=True)] or [0] * DAYS

    def of(self, group: str) -> list[int]:
        return self.numbers.get(group) or [0] * DAYS


class _Rows(NamedTuple):
    rows: Iterable[tuple[Any, ...]]
    weight: int
    """How many rows each of them stands for."""


SESSIONS = Source(Session, "created_at", ("created_at",))
ITEMS = Source(SessionItem, "created_at", ("created_at",))
DOCUMENTS = Source(Document, "updated_at", ("updated_at", "collection", "creation_utc"))


def written(source: Source) -> Written:
    """Group "" for what has no collection; documents count on the day of their creation_utc.

    Those without such a time count when they were last written to.
    """
    days = _days()
    starts = [_start(day) for day in [*days, days[-1] + timedelta(days=1)]]
    numbers: dict[str, list[int]] = defaultdict(lambda: [0] * DAYS)
    found = _since(source, starts[0])
    for at, group in _dated(found.rows):
        day = bisect_right(starts, at) - 1
        if 0 <= day < DAYS:
            numbers[group][day] += found.weight
    return Written(days, dict(numbers), found.weight > 1)


def _days() -> list[date]:
    now = timezone.now()
    today = (timezone.localtime(now) if timezone.is_aware(now) else now).date()
    return [today - timedelta(days=ago) for ago in reversed(range(DAYS))]


def _start(day: date) -> datetime:
    """When ``day`` begins here, as the columns say it."""
    midnight = datetime.combine(day, time.min)
    if timezone.is_naive(timezone.now()):
        return midnight
    return timezone.make_aware(midnight).astimezone(UTC)


def _dated(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[datetime, str]]:
    for at, *rest in rows:
        if not rest:
            yield at, ""
            continue
        collection, creation_utc = rest
        yield _moment(creation_utc, at), collection


def _moment(text: str | None, otherwise: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(text or "")
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment if otherwise.tzinfo else moment.astimezone().replace(tzinfo=None)
    except (ValueError, OverflowError):
        return otherwise


def _since(source: Source, start: datetime) -> _Rows:
    connection = connections[router.db_for_read(source.model)]
    bounds = _bounds(connection, source, start)
    if bounds is None:
        return _Rows([], 1)
    low, high, most = bounds
    rows = source.model._default_manager.filter(key__gte=low).order_by("key")
    if high - low < COUNTED or not rows.values("key")[COUNTED : COUNTED + 1]:
        return _Rows(rows.values_list(*source.columns)[:COUNTED], 1)
    step = max(2, -(-(high - low + 1) // most))
    return _Rows(_spread(connection, source, low, step, most), step)


def _bounds(
    connection: BaseDatabaseWrapper, source: Source, start: datetime
) -> tuple[int, int, int] | None:
    """The first key of what was written since ``start``, the last key of all, and how many
    keys may be looked up, each of which costs a step into every partition."""
    table = source.model._meta.db_table
    is_postgresql = connection.vendor == "postgresql"
    sql = _STARTS.format(
        table=table,
        earliest=_EARLIEST.format(table=table, column=source.written),
        partitions=_PARTITIONS.format(table=table) if is_postgresql else "1",
    )
    since = connection.ops.adapt_datetimefield_value(start)
    with connection.cursor() as cursor:
        cursor.execute(sql, (since, since))
        row = cursor.fetchone()
    return row and (row[0], row[1], COUNTED // max(1, row[2]))


def _spread(
    connection: BaseDatabaseWrapper, source: Source, low: int, step: int, most: int
) -> Iterator[tuple[Any, ...]]:
    """The rows that have one of ``most`` keys, from ``low`` on."""
    terms = {"table": source.model._meta.db_table, "columns": ", ".join(source.columns)}
    sql = _SPREAD.format(rows=_LOOKED_UP[connection.vendor].format(**terms), **terms)
    field: Any = source.model._meta.get_field(source.columns[0])
    column = field.get_col(terms["table"])
    converters = connection.ops.get_db_converters(column)
    with connection.cursor() as cursor:
        cursor.execute(sql, (low, low, step, step, most))
        rows = cursor.fetchall()
    for at, *rest in rows:
        for convert in converters:
            at = convert(at, column, connection)
        yield at, *rest
