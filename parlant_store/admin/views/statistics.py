"""The number and the size of the rows of the tables, by bounded counts and the catalog."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from parlant_store.admin.formatting import grouped, rounded
from parlant_store.admin.lookups import COUNTED

_COUNT = (
    "SELECT count(*) FROM (SELECT 1 FROM {table}{where} ORDER BY {order} LIMIT {limit}) counted"
)

# Of a partitioned table the partitions are what has pages. Rows per page as ANALYZE saw them,
# times the pages of now, as PostgreSQL's planner estimates.
_POSTGRESQL = """
SELECT ({count}), sum(pg_total_relation_size(oid)), sum(
    CASE WHEN relpages > 0 THEN reltuples / relpages
    * (pg_relation_size(oid) / current_setting('block_size')::integer) END
) FROM pg_class WHERE relkind = 'r' AND oid IN (
    SELECT '{table}'::regclass UNION ALL SELECT relid FROM pg_partition_tree('{table}')
)
"""
_SQLITE = """
SELECT ({count}),
    (SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()),
    (SELECT max(key) FROM {table}) - (SELECT min(key) FROM {table}) + 1
"""


class Amount(NamedTuple):
    """The number of rows of a table, and of bytes."""

    counted: int
    """Exact up to COUNTED; COUNTED + 1 if there are more."""

    size: int
    """With indexes; on SQLite, of the whole database file."""

    estimate: float | None
    """From the catalog; on SQLite the maximum, from the keys."""

    is_whole_file: bool

    def __str__(self) -> str:
        if self.counted <= COUNTED:
            return grouped(self.counted)
        if not self.estimate or self.estimate <= COUNTED:
            return _("more than %(number)s") % {"number": grouped(COUNTED)}
        text = _("at most %(number)s") if self.is_whole_file else _("about %(number)s")
        return text % {"number": grouped(rounded(self.estimate))}


class Window(NamedTuple):
    """The number of rows in a state."""

    title: str | Promise
    counted: int
    """Exact up to COUNTED; COUNTED + 1 if there are more."""

    state: str
    """The value of the filter of the list."""

    def __str__(self) -> str:
        if self.counted <= COUNTED:
            return grouped(self.counted)
        return _("more than %(number)s") % {"number": grouped(COUNTED)}


_STATES: tuple[tuple[str | Promise, int, str], ...] = (
    (gettext_lazy("Expired, not deleted yet"), 0, "expired"),
    (gettext_lazy("Expires within a day"), 1, "expiring"),
)


def amounts(models: Sequence[type[Model]]) -> list[Amount]:
    """Return the number and the size of the rows of each table, by one statement."""
    connection = connections[router.db_for_read(models[0])]
    is_postgresql = connection.vendor == "postgresql"
    statements = []
    for model in models:
        table = model._meta.db_table
        count = _COUNT.format(table=table, where="", order="key", limit=COUNTED + 1)
        sql = _POSTGRESQL if is_postgresql else _SQLITE
        statements.append(sql.format(count=count, table=table))
    rows = _rows(connection, " UNION ALL ".join(statements))
    return [
        Amount(counted, size or 0, estimate, not is_postgresql) for counted, size, estimate in rows
    ]


def expiring(models: Sequence[type[Model]]) -> list[list[Window]]:
    """Return how many rows of each model have expired, and how many expire within a day."""
    connection = connections[router.db_for_read(models[0])]
    now, counts, params = timezone.now(), [], list[Any]()
    for model in models:
        since: datetime | None = None
        for _title, days, _state in _STATES:
            until = now + timedelta(days=days)
            where = " WHERE expires_at <= %s" + (" AND expires_at > %s" if since else "")
            table = model._meta.db_table
            count = _COUNT.format(table=table, where=where, order="expires_at", limit=COUNTED + 1)
            counts.append(f"({count})")
            params += [until, since] if since else [until]
            since = until
    adapted = [connection.ops.adapt_datetimefield_value(time) for time in params]
    (row,) = _rows(connection, f"SELECT {', '.join(counts)}", adapted)
    windows = [
        Window(title, number, state)
        for (title, _days, state), number in zip(_STATES * len(models), row, strict=True)
    ]
    return [windows[start : start + len(_STATES)] for start in range(0, len(row), len(_STATES))]


def _rows(connection: BaseDatabaseWrapper, sql: str, params: Any = ()) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[Any] = cursor.fetchall()
    return rows
