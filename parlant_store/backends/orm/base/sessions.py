"""Statements for sessions: the reads of both databases, and the interface of writes."""

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from parlant_store.backends.columns import (
    Columns,
    columns,
    decode_all,
    name_of,
    owner_of,
    parent_of,
)
from parlant_store.backends.contract.expiry import Expired
from parlant_store.backends.contract.operations import (
    AddItems,
    GetItems,
    ListSessions,
    ListSummaries,
    SessionFilters,
    SetExpiry,
    SetMetadata,
)
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.base.filters import Renderer, Sql
from parlant_store.backends.orm.database.statements import Row, fetch
from parlant_store.content import codec
from parlant_store.content.times import as_utc, without_zone
from parlant_store.types import JSONObject, SessionInfo, SessionSummary

FRAMEWORKS = ("openai", "selectools")
"""The values of the column ``framework``."""

logger = logging.getLogger("parlant_store")

LIVE = "(expires_at IS NULL OR expires_at > %s)"
_NAMED = f"FROM parlant_store_session WHERE namespace = %s AND session_id = %s AND {LIVE}"
KEY_OF = f"(SELECT {{key}} {_NAMED})"
KEY = KEY_OF.format(key="key")
_ITEMS = (
    f"SELECT data FROM parlant_store_session_item WHERE session_key = {KEY_OF} ORDER BY position"
)
# PostgreSQL does not know this limit when it plans, and can use one generic plan for all limits.
LATEST = f"{_ITEMS} DESC LIMIT (SELECT CAST(%s AS bigint))"
INFO = (
    "SELECT namespace, session_id, full_names, user_id, item_count, tokens, metadata,"
    " parent_id, parent_name, parent_position,"
    f" created_at, updated_at, expires_at FROM parlant_store_session WHERE {LIVE}"
)


class Time(NamedTuple):
    """The time of the clock, as parameters of the database."""

    now: Any
    expires_at: Any
    """When a session that is written now expires; None: unchanged."""


class KeyColumn(NamedTuple):
    """SQL for the key of a session in a statement that reads it, and perhaps prolongs it."""

    sql: str = "key"
    params: tuple[Any, ...] = ()


PLAIN = KeyColumn()
"""The key in a statement that prolongs nothing."""


def time_for(connection: BaseDatabaseWrapper, now: datetime, expires_at: datetime | None) -> Time:
    """Return ``now`` and ``expires_at`` as parameters for ``connection``."""
    return Time(adapted(connection, now), adapted(connection, expires_at))


def adapted(connection: BaseDatabaseWrapper, time: datetime | None) -> Any:
    """Return ``time`` as a parameter for ``connection``."""
    if time is not None and connection.timezone is None:
        # SQLite stores no zone; PostgreSQL would use that of its session.
        time = without_zone(time) if connection.vendor == "sqlite" else as_utc(time)
    return time and connection.ops.adapt_datetimefield_value(time)


class Sessions(ABC):
    """The operations on sessions, for one kind of database."""

    metadata: Renderer
    """Renders filters on the column ``metadata``."""

    def prepare(self, connection: BaseDatabaseWrapper, sql: str) -> None:  # noqa: B027
        """Create functions on the connection that ``sql`` needs."""

    def get_items(
        self, connection: BaseDatabaseWrapper, read: GetItems, time: Time, key: KeyColumn = PLAIN
    ) -> list[JSONObject]:
        name, limit, _ = read
        params = (*key.params, *columns(name), time.now)
        if limit is None:
            return _decode(fetch(connection, _ITEMS.format(key=key.sql), params), name)
        window = limit
        while True:
            rows = fetch(connection, LATEST.format(key=key.sql), (*params, window))
            rows.reverse()
            items = _decode(rows, name)
            # Damaged rows do not count: read more rows to return ``limit`` items.
            if len(items) >= limit or len(rows) < window:
                return items[-limit:]
            window *= 2

    def get_session(
        self, connection: BaseDatabaseWrapper, name: SessionName, time: Time
    ) -> SessionInfo | None:
        sql = f"{INFO} AND namespace = %s AND session_id = %s"
        rows = fetch(connection, sql, (time.now, *columns(name)))
        return session_info(connection, rows[0]) if rows else None

    def list_sessions(
        self, connection: BaseDatabaseWrapper, listing: ListSessions, time: Time
    ) -> list[SessionInfo]:
        where, params = self._where(connection, listing.filters)
        if listing.by_activity:
            return self._list_by_activity(connection, listing, time, (where, params))
        if listing.after is not None:
            where += " AND (namespace, session_id) > (%s, %s)"
            params += columns(listing.after)
        sql = f"{INFO} AND {where} ORDER BY namespace, session_id LIMIT %s"
        rows = fetch(connection, sql, (time.now, *params, listing.limit), prepare=None)
        return [session_info(connection, row) for row in rows]

    def _list_by_activity(
        self, connection: BaseDatabaseWrapper, listing: ListSessions, time: Time, filters: Sql
    ) -> list[SessionInfo]:
        where, params = filters
        if listing.after is not None and listing.before is not None:
            before = adapted(connection, listing.before)
            where += " AND (active_minute, updated_at, namespace, session_id) < (%s, %s, %s, %s)"
            params = [*params, _minute(before), before, *columns(listing.after)]
        order = "updated_at DESC, namespace DESC, session_id DESC LIMIT %s"
        page = f"{INFO} AND {where} {{}} ORDER BY active_minute DESC, {order}"
        page_params = (time.now, *params, listing.limit)
        if listing.filters.namespace is not None or listing.filters.user_id is not None:
            rows = fetch(connection, page.format(""), page_params, prepare=None)
        else:
            # The index without a namespace or an owner starts with the framework.
            pages = " UNION ALL ".join(
                f"SELECT * FROM ({page.format(f'AND framework = {name!r}')}) AS {name}"
                for name in FRAMEWORKS
            )
            sql = f"SELECT * FROM ({pages}) AS pages ORDER BY {order}"
            all_params = (*page_params * len(FRAMEWORKS), listing.limit)
            rows = fetch(connection, sql, all_params, prepare=None)
        return [session_info(connection, row) for row in rows]

    def list_summaries(
        self, connection: BaseDatabaseWrapper, listing: ListSummaries, time: Time
    ) -> Iterator[SessionSummary]:
        where, filter_params = self._where(connection, listing.filters)
        created, updated = (self.seconds(connection, name) for name in ("created_at", "updated_at"))
        summary = f"key, namespace, session_id, item_count, {created}, {updated}"
        # Scans the table in the order of keys. With filters, the plus sign keeps SQLite from it, so
        # that it uses an index.
        key = "key" if where == "TRUE" else "+key"
        table = (
            f"FROM parlant_store_session WHERE {LIVE} AND {where} AND {key} > %s"
            f" ORDER BY {key} LIMIT %s"
        )
        params = (time.now, *filter_params, listing.after, listing.limit)
        rows = fetch(connection, f"SELECT {summary} {table}", params, prepare=None, binary=True)
        if all(codec.is_plain("".join(map(itemgetter(place), rows))) for place in (1, 2)):
            return map(partial(tuple.__new__, SessionSummary), rows)
        rows = fetch(connection, f"SELECT {summary}, full_names {table}", params, prepare=None)
        return (
            SessionSummary(key, *name_of(namespace, session_id, full), *counted)
            for key, namespace, session_id, *counted, full in rows
        )

    @abstractmethod
    def seconds(self, connection: BaseDatabaseWrapper, column: str) -> str:
        """Return SQL for the time in ``column`` in seconds since 1970."""

    def _where(self, connection: BaseDatabaseWrapper, filters: SessionFilters) -> Sql:
        """Return the condition of the filters."""
        sql = "TRUE"
        params: list[Any] = []
        for column, value in (("namespace", filters.namespace), ("user_id", filters.user_id)):
            if value is not None:
                sql += f" AND {column} = %s"
                params.append(codec.to_column(value))
        if filters.prefix:
            prefix = codec.escape(filters.prefix)
            sql += " AND session_id >= %s AND substr(session_id, 1, %s) = %s"
            params += [prefix, len(prefix), prefix]
        if filters.updated_since is not None:
            sql += " AND updated_at >= %s"
            params.append(adapted(connection, filters.updated_since))
        if filters.metadata is not None:
            condition, operands = self.metadata.where(filters.metadata)
            sql += f" AND {condition}"
            params += operands
        self.prepare(connection, sql)
        return sql, params

    def pop_item(
        self, connection: BaseDatabaseWrapper, name: SessionName, time: Time
    ) -> JSONObject | None:
        while (text := self.pop_text(connection, columns(name), time)) is not None:
            try:
                item: JSONObject = json.loads(text)
            except ValueError:
                logger.warning("Removed a damaged item of %r", name)
            else:
                return item
        return None

    @abstractmethod
    def add_items(self, connection: BaseDatabaseWrapper, addition: AddItems, time: Time) -> int:
        """Return the number of items that the session now has."""

    def add_all(
        self, connection: BaseDatabaseWrapper, additions: Sequence[AddItems], time: Time
    ) -> list[int] | None:
        """Make all ``additions`` at once; return None if none is made."""
        return None

    def get_all(
        self,
        connection: BaseDatabaseWrapper,
        reads: Sequence[GetItems],
        time: Time,
        key: KeyColumn = PLAIN,
    ) -> list[list[JSONObject]] | None:
        """Return the items of all ``reads`` by one statement; None if this is not possible."""
        return None

    @abstractmethod
    def pop_text(
        self, connection: BaseDatabaseWrapper, columns: Columns, time: Time
    ) -> str | None: ...

    @abstractmethod
    def clear(self, connection: BaseDatabaseWrapper, name: SessionName, time: Time) -> None: ...

    @abstractmethod
    def delete_session(
        self, connection: BaseDatabaseWrapper, name: SessionName, time: Time
    ) -> int | None:
        """Return the number of its items; None if there was no session, or an expired one."""

    @abstractmethod
    def set_expiry(
        self, connection: BaseDatabaseWrapper, change: SetExpiry, time: Time
    ) -> bool: ...

    @abstractmethod
    def set_metadata(
        self, connection: BaseDatabaseWrapper, change: SetMetadata, time: Time
    ) -> JSONObject: ...

    @abstractmethod
    def expire(self, connection: BaseDatabaseWrapper, time: Time, batch_size: int) -> Expired: ...


def _decode(rows: list[Row], name: SessionName) -> list[JSONObject]:
    return decode_all([text for (text,) in rows], name)


def session_info(connection: BaseDatabaseWrapper, row: Row) -> SessionInfo:
    namespace, session_id, full, user_id, item_count, tokens, metadata, *more = row
    parent, long_parent, parent_position, *times = more
    name = name_of(namespace, session_id, full)
    created_at, updated_at, expires_at = (aware(connection, time) for time in times)
    return SessionInfo(
        namespace=name.namespace,
        session_id=name.session_id,
        user_id=owner_of(user_id, full),
        item_count=item_count,
        tokens=tokens,
        metadata=codec.decode_document(metadata),
        created_at=created_at,
        updated_at=updated_at,
        expires_at=expires_at,
        parent_id=parent_of(parent, long_parent),
        parent_position=parent_position,
    )


def _minute(time: Any) -> int:
    """Return the column ``active_minute`` for a parameter of ``updated_at``."""
    if isinstance(time, str):
        # SQLite rounds the half of the minute towards zero.
        return int(datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() // 60 + 0.5)
    return int(time.timestamp() // 60)


def aware(connection: BaseDatabaseWrapper, time: Any) -> Any:
    """Return ``time`` as Django returns the times of this connection."""
    if time is None:
        return None
    if connection.timezone is None:
        return without_zone(time)
    if time.tzinfo is not None:
        return time
    if connection.timezone is UTC:
        return time.replace(tzinfo=UTC)
    return timezone.make_aware(time, connection.timezone)


def time_of(connection: BaseDatabaseWrapper, text: str) -> datetime:
    """Return the time in ``text``, as the database writes it, as ``aware`` does."""
    return aware(connection, datetime.fromisoformat(text))  # type: ignore[no-any-return]
