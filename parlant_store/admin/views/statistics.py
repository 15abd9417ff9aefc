"""How much there is in the tables, told by bounded reads and by the catalog."""

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
from parlant_store.models import Document, Session

MEASURED = 20
"""Of how many of a collection's newest documents the size is measured."""

LARGEST = 10

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
    """How many rows a table has, and how many bytes."""

    counted: int
    """Exact up to COUNTED; one more than that where there are more."""

    size: int
    """With its indexes; on SQLite that of the whole database file."""

    estimate: float | None
    """From the catalog; on SQLite the most that it can be, from the keys."""

    is_whole_file: bool

    def __str__(self) -> str:
        if self.counted <= COUNTED:
            return grouped(self.counted)
        if not self.estimate or self.estimate <= COUNTED:
            return _("more than %(number)s") % {"number": grouped(COUNTED)}
        text = _("at most %(number)s") if self.is_whole_file else _("about %(number)s")
        return text % {"number": grouped(rounded(self.estimate))}


class Window(NamedTuple):
    """How many rows expire within a time."""

    title: str | Promise
    counted: int
    """Exact up to COUNTED; one more than that where there are more."""

    state: str
    """What the lists' filter calls the time; "" where it has no such choice."""

    def __str__(self) -> str:
        if self.counted <= COUNTED:
            return grouped(self.counted)
        return _("more than %(number)s") % {"number": grouped(COUNTED)}


class Largest(NamedTuple):
    sessions: list[Session]
    is_partial: bool
    """Whether there are sessions that were not looked at."""


_ENDS = (
    (gettext_lazy("Expired, not removed yet"), 0, "expired"),
    (gettext_lazy("Within a day"), 1, "expiring"),
    (gettext_lazy("In 1 to 2 days"), 2, ""),
    (gettext_lazy("In 2 to 3 days"), 3, ""),
    (gettext_lazy("In 3 to 7 days"), 7, ""),
    (gettext_lazy("In 7 to 30 days"), 30, ""),
)

# The sessions that began last, and those of the items that were written last. As a scalar
# subquery, each is looked up by its key: a join may read the whole table.
_LARGEST = """
SELECT counted.key, (
    SELECT key FROM parlant_store_session ORDER BY key DESC LIMIT 1 OFFSET {counted}
) AS beyond FROM (
    SELECT key, (SELECT item_count FROM parlant_store_session s WHERE s.key = looked_at.key)
        AS items
    FROM (
        SELECT key FROM (
            SELECT key FROM parlant_store_session ORDER BY key DESC LIMIT {counted}
        ) newest
        UNION
        SELECT session_key FROM (
            SELECT session_key FROM parlant_store_session_item ORDER BY key DESC LIMIT {counted}
        ) written
    ) looked_at
) counted WHERE items > 0 ORDER BY items DESC, counted.key DESC LIMIT {largest}
"""


def amount(model: type[Model]) -> Amount:
    connection = connections[router.db_for_read(model)]
    table = model._meta.db_table
    count = _COUNT.format(table=table, where="", order="key", limit=COUNTED + 1)
    sql = _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE
    counted, size, estimate = _rows(connection, sql.format(count=count, table=table))[0]
    return Amount(counted, size or 0, estimate, connection.vendor != "postgresql")


def expiring(model: type[Model]) -> list[Window]:
    """How many rows have expired and are there still, and how many will within so many days."""
    connection = connections[router.db_for_read(model)]
    now, counts, params = timezone.now(), [], list[Any]()
    since: datetime | None = None
    for _title, days, _state in _ENDS:
        until = now + timedelta(days=days)
        where = " WHERE expires_at <= %s" + (" AND expires_at > %s" if since else "")
        count = _COUNT.format(
            table=model._meta.db_table, where=where, order="expires_at", limit=COUNTED + 1
        )
        counts.append(f"({count})")
        params += [until, since] if since else [until]
        since = until
    adapted = [connection.ops.adapt_datetimefield_value(time) for time in params]
    (counted,) = _rows(connection, f"SELECT {', '.join(counts)}", adapted)
    return [
        Window(title, number, state)
        for (title, _days, state), number in zip(_ENDS, counted, strict=True)
    ]


def largest() -> Largest:
    """The sessions with the most items among those looked at."""
    rows = _rows(
        connections[router.db_for_read(Session)],
        _LARGEST.format(counted=COUNTED, largest=LARGEST),
    )
    found = Session.objects.defer("metadata", "state", "full_names").in_bulk(
        [key for key, _beyond in rows]
    )
    return Largest(
        [found[key] for key, _beyond in rows if key in found],
        any(beyond is not None for _key, beyond in rows),
    )


def document_sizes(names: list[str]) -> dict[str, float]:
    """How many bytes a document of each collection has: the mean of the newest MEASURED."""
    if not names:
        return {}
    connection = connections[router.db_for_read(Document)]
    measure = "pg_column_size(data)" if connection.vendor == "postgresql" else "length(data)"
    mean = (
        f"SELECT avg(size) FROM (SELECT {measure} AS size FROM parlant_store_document"
        " WHERE collection = %s ORDER BY COALESCE(creation_utc, '') DESC, COALESCE(id, '') DESC"
        f" LIMIT {MEASURED}) newest"
    )
    sql = " UNION ALL ".join(f"SELECT {number}, ({mean})" for number in range(len(names)))
    return {names[number]: float(size or 0) for number, size in _rows(connection, sql, names)}


def _rows(connection: BaseDatabaseWrapper, sql: str, params: Any = ()) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[Any] = cursor.fetchall()
    return rows
