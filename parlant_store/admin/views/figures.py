"""The size of the tables, and the tools that fail."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Model
from django.db.models.functions import Left
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from parlant_store.admin.documents.lookups import json_text
from parlant_store.admin.formatting import cut, grouped, mappings, model_field, rounded, text_of
from parlant_store.admin.lookups import COUNTED, connection_of, fetch
from parlant_store.content import codec
from parlant_store.content.failures import block_status, call_status, parlant_call_status
from parlant_store.content.related_documents import SESSIONS, sessions_prefix
from parlant_store.models import Document, Session

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

_STATES: tuple[tuple[str | Promise, int, str], ...] = (
    (gettext_lazy("Expired, not deleted yet"), 0, "expired"),
    (gettext_lazy("Expires within a day"), 1, "expiring"),
)
MAX_CONVERSATIONS = 20
"""Limit on the conversations that are read, of sessions and of Parlant each."""

LATEST = 60
"""The number of the latest items of a session that are read."""

MAX_EVENTS = 200
"""Limit on the events that are read."""

MAX_TEXT = 4_000
"""Limit on the characters of an item that are read; longer items are left out."""

MAX_TOOLS = 10
"""Limit on the tools that are shown."""

_ITEMS = f"""
SELECT s.key, {{start}} FROM (
    SELECT key, next_position FROM parlant_store_session WHERE failed_calls > 0
    ORDER BY active_minute DESC, key DESC LIMIT {MAX_CONVERSATIONS}
) s JOIN parlant_store_session_item i
ON i.session_key = s.key AND i.position >= s.next_position - {LATEST}
ORDER BY s.key, i.position
"""

_START = {
    "postgresql": f"left(i.data, {MAX_TEXT + 1})",
    "sqlite": f"substr(i.data, 1, {MAX_TEXT + 1})",
}


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


def amounts(models: Sequence[type[Model]]) -> list[Amount]:
    """Return the number and the size of the rows of each table, by one statement."""
    connection = connection_of(models[0])
    is_postgresql = connection.vendor == "postgresql"
    statements = []
    for model in models:
        table = model._meta.db_table
        # On SQLite, the rows are in the order of the keys: an index has fewer pages.
        names = model._meta.total_unique_constraints[0].fields
        columns = ["key"] if is_postgresql else [model_field(model, name).column for name in names]
        order = ", ".join(columns)
        count = _COUNT.format(table=table, where="", order=order, limit=COUNTED + 1)
        sql = _POSTGRESQL if is_postgresql else _SQLITE
        statements.append(sql.format(count=count, table=table))
    rows = fetch(connection, " UNION ALL ".join(statements))
    return [
        Amount(counted, size or 0, estimate, not is_postgresql) for counted, size, estimate in rows
    ]


def expiring(models: Sequence[type[Model]]) -> list[list[Window]]:
    """Return how many rows of each model have expired, and how many expire within a day."""
    connection = connection_of(models[0])
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
    (row,) = fetch(connection, f"SELECT {', '.join(counts)}", adapted)
    windows = [
        Window(title, number, state)
        for (title, _days, state), number in zip(_STATES * len(models), row, strict=True)
    ]
    return [windows[start : start + len(_STATES)] for start in range(0, len(row), len(_STATES))]


class FailingTool(NamedTuple):
    name: str
    """"" if the call is not among what was read."""

    number: int
    """The number of failed calls."""


def failing_tools(models: Sequence[type[Model]]) -> list[FailingTool]:
    """Return the tools with the most failed calls.

    models: which of Session and Document are read.
    """
    names: Counter[str] = Counter()
    if Session in models:
        names.update(_failed_in_sessions())
    if Document in models:
        names.update(_failed_in_parlant())
    return [FailingTool(cut(name) or "", number) for name, number in names.most_common(MAX_TOOLS)]


def _failed_in_sessions() -> Iterator[str]:
    connection = connection_of(Session)
    rows = fetch(connection, _ITEMS.format(start=_START[connection.vendor]))
    called: dict[int, dict[str, str]] = defaultdict(dict)
    for key, text in rows:
        if len(text) <= MAX_TEXT and (item := _object(text)):
            called[key].update(_calls(item))
            for id_, name in _failed(item):
                yield name or called[key].get(id_, "")


def _failed_in_parlant() -> Iterator[str]:
    sessions = Document.objects.filter(active_minute__isnull=False, failed_calls__gt=0)
    newest = sessions.order_by("-active_minute", "-key").values_list("collection", "document_id")
    ids = defaultdict(list)
    for collection, id_ in newest[:MAX_CONVERSATIONS]:
        prefix = sessions_prefix(collection) if collection.endswith(SESSIONS) else None
        if prefix is not None:
            ids[f"{prefix}events"].append(id_)
    events = [
        Document.objects.filter(collection=collection, session_id__in=ids[collection])
        .filter(failed_calls__gt=0)
        .values_list(Left(json_text(("data",)), MAX_TEXT * 5))
        for collection in ids
    ]
    if not events:
        return
    for (text,) in events[0].union(*events[1:], all=True)[:MAX_EVENTS]:
        calls = _object(codec.unescape(text or "")).get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if parlant_call_status(call) == "failed":
                yield text_of(call.get("tool_id"))


def _calls(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the ids and the names of the calls in an item."""
    kind = text_of(item.get("type"))
    if kind.endswith("_call"):
        name = text_of(item.get("name")) or kind.removesuffix("_call")
        yield text_of(item.get("call_id")) or text_of(item.get("id")), name
    for call in mappings(item.get("tool_calls")):
        function = call.get("function") or call.get("custom") or call
        if isinstance(function, Mapping):
            yield text_of(call.get("id")), text_of(function.get("name"))
    for block in mappings(item.get("content")):
        if text_of(block.get("type")).endswith("tool_use"):
            yield text_of(block.get("id")), text_of(block.get("name"))


def _failed(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the ids of the failed calls of an item, with their names if it has them."""
    if call_status(item) == "failed":
        name = text_of(item.get("tool_name")) or text_of(item.get("name"))
        id_ = text_of(item.get("call_id")) or text_of(item.get("tool_call_id"))
        yield id_ or text_of(item.get("id")), name
    for block in mappings(item.get("content")):
        if block_status(block) == "failed":
            yield text_of(block.get("tool_use_id")), ""


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
