"""The streams of sessions, Parlant sessions and threads for what a list asks for."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from parlant_store.admin.conversations.conversation import (
    ACTIVITY,
    CREATION,
    LANGGRAPH,
    LENGTH,
    OPENAI,
    PARLANT,
    SELECTOOLS,
    Criteria,
)
from parlant_store.admin.conversations.search.streams import Stream, Table
from parlant_store.admin.lookups import NEWEST_FIRST, Condition, contains
from parlant_store.backends.orm.base.sessions import adapted
from parlant_store.content import codec
from parlant_store.content.times import as_utc

SESSION, DOCUMENT, THREAD = 0, 1, 2
"""The kinds of rows: sessions, documents that are Parlant sessions, and threads of LangGraph."""

SOON = timedelta(days=1)
"""Conversations that expire within this time are expiring."""

_LAST = "\U0010ffff"
_ACTIVE = "active_minute DESC, key DESC"
_LONGEST = "length_class DESC, key DESC"

_SESSION_COLUMNS = (
    "key, namespace, user_id, framework, active_minute, failed_calls, item_count, created_at,"
    " expires_at"
)
_DOCUMENT_COLUMNS = (
    "key, collection, id, customer_id, agent_id, active_minute, failed_calls, item_count,"
    " creation_utc, expires_at"
)
_THREAD_COLUMNS = "key, namespace, user_id, active_minute, created_at, expires_at"
_IS_PARLANT = Condition("active_minute IS NOT NULL")


class Matches(NamedTuple):
    """What was found of the names and words of the criteria; None: there are none of them."""

    keys: Sequence[Sequence[int]] | None = None
    """The keys that the search found, of each kind."""

    collections: Sequence[str] = ()
    """The collections of Parlant sessions."""

    customers: Sequence[str] = ()
    """The ids of customers whose names match."""

    agents: Sequence[str] = ()
    """The ids of agents whose ids or names match."""

    namespaces: Sequence[str] | None = None
    """The namespaces that match; None if there are too many."""


class _Index(NamedTuple):
    """An index, with the condition that it serves."""

    conditions: tuple[Condition, ...]
    order: str
    serves: str = ""
    """The name of the condition."""


class _Kind:
    """One kind of conversations for some criteria."""

    columns: str
    table: str
    number: int
    person: str
    """The column of the owner or customer."""

    def __init__(
        self, connection: BaseDatabaseWrapper, criteria: Criteria, matches: Matches
    ) -> None:
        self.connection = connection
        self.criteria = criteria
        self.matches = matches
        now = timezone.now()
        self.now, self.soon = (adapted(connection, time) for time in (now, now + SOON))

    def build(self) -> Table | None:
        """Return the table with its streams; None if no row can match."""
        streams = tuple(self.streams())
        if not streams:
            return None
        place, order = self.sorting()
        return Table(self.number, self.table, self.columns, place, order, streams)

    def streams(self) -> Iterator[Stream]:
        conditions = dict(self.conditions())
        for index in self.indexes():
            others = {name: one for name, one in conditions.items() if name != index.serves}
            yield from self._within_dates(index, tuple(others.values()))

    def _within_dates(self, index: _Index, filters: tuple[Condition, ...]) -> Iterator[Stream]:
        is_active = index.order == _ACTIVE
        is_sorted = self.is_sorted(index)
        start, end = self._minute(self.criteria.start), self._minute(self.criteria.end)
        since = (Condition("active_minute >= %s", (start,)),) if start is not None else ()
        if not is_active:
            began = () if end is None else (self.began_before(self.criteria.end),)
            filters = (*filters, *since, *began)
            yield Stream(index.conditions, index.order, filters, is_sorted)
            return
        if start is None and end is None:
            yield Stream(index.conditions, index.order, filters, is_sorted)
            return
        # Both together would let PostgreSQL expect too few rows, and sort all of them.
        served = tuple(one for one in index.conditions if one != _IS_PARLANT)
        if end is None:
            yield Stream((*served, *since), index.order, filters, is_sorted)
            return
        before = Condition("active_minute < %s", (end,))
        yield Stream((*served, *since, before), index.order, filters, is_sorted)
        # Conversations that went on afterwards may have had an activity before.
        after = Condition("active_minute >= %s", (end,))
        filters = (*filters, self.began_before(self.criteria.end))
        yield Stream((*served, after), index.order, filters, is_sorted)

    def conditions(self) -> Iterator[tuple[str, Condition]]:
        criteria = self.criteria
        if criteria.has_failed:
            yield "failed", Condition("failed_calls > 0")
        match criteria.state:
            case "live":
                yield "state", Condition("(expires_at IS NULL OR expires_at > %s)", (self.now,))
            case "expiring":
                yield (
                    "state",
                    Condition("expires_at > %s AND expires_at <= %s", (self.now, self.soon)),
                )
            case "expired":
                yield "state", Condition("expires_at <= %s", (self.now,))
        if criteria.owner:
            yield "owner", self.part_of(self.person, criteria.owner, self.matches.customers)

    def indexes(self) -> Iterator[_Index]:
        """Yield indexes that together have all rows; the first ones that are the best."""
        raise NotImplementedError

    def sorting(self) -> tuple[str, str]:
        """Return the expression that the list is sorted by, and its order."""
        raise NotImplementedError

    def is_sorted(self, index: _Index) -> bool:
        return self.criteria.order == ACTIVITY and index.order == _ACTIVE

    def began_before(self, time: datetime | None) -> Condition:
        raise NotImplementedError

    def state_index(self, condition: Condition) -> _Index:
        order = "expires_at" if self.criteria.state == "expiring" else "expires_at DESC"
        return _Index((condition,), order, "state")

    def part_of(self, column: str, text: str, values: Sequence[str]) -> Condition:
        """Return the condition that the column contains the text, or is one of the values."""
        sql = contains(self.connection, column)
        if values:
            sql = f"({sql} OR {column} IN ({', '.join(['%s'] * len(values))}))"
        return Condition(sql, (codec.escape(text), *values))

    def starting(self, column: str, text: str) -> Condition:
        start = codec.escape(text)
        return Condition(f"{column} >= %s AND {column} < %s", (start, start + _LAST))

    def found(self, keys: Sequence[int]) -> Iterator[_Index]:
        if keys:
            marks = ", ".join(["%s"] * len(keys))
            yield _Index((Condition(f"key IN ({marks})", tuple(keys)),), "", "search")

    def _minute(self, time: datetime | None) -> int | None:
        """Return the minute as the columns have it."""
        if time is None:
            return None
        if time.tzinfo is None and self.connection.vendor == "sqlite":
            time = time.replace(tzinfo=UTC)
        return int(as_utc(time).timestamp() // 60)


class Sessions(_Kind):
    """The sessions of the OpenAI Agents SDK and of selectools."""

    columns = _SESSION_COLUMNS
    table = "parlant_store_session"
    number = SESSION
    person = "user_id"
    name = "session_id"
    frameworks: tuple[str, ...] = (OPENAI, SELECTOOLS)
    longest = _Index((), _LONGEST)

    def conditions(self) -> Iterator[tuple[str, Condition]]:
        yield from super().conditions()
        if self.criteria.framework:
            yield "framework", Condition("framework = %s", (self.criteria.framework,))
        if self.criteria.agent:
            yield "agent", self.part_of("namespace", self.criteria.agent, ())

    def indexes(self) -> Iterator[_Index]:
        criteria, conditions = self.criteria, dict(_Kind.conditions(self))
        if criteria.framework not in ("", *self.frameworks):
            return
        if self.matches.keys is not None:
            yield from self.found(self.matches.keys[self.number])
        elif criteria.owner:
            order = f"user_id, namespace, {self.name}"
            yield _Index((self.starting("user_id", criteria.owner),), order, "owner")
            for user_id in self.matches.customers:
                yield _Index((Condition("user_id = %s", (user_id,)),), order, "owner")
            yield from self._all()
        elif criteria.has_failed:
            yield _Index((conditions["failed"],), _ACTIVE, "failed")
        elif criteria.state in ("expiring", "expired"):
            yield self.state_index(conditions["state"])
        elif criteria.agent and self.matches.namespaces is not None:
            for namespace in self.matches.namespaces:
                yield _Index((Condition("namespace = %s", (namespace,)),), _ACTIVE, "agent")
        elif criteria.order == LENGTH and not criteria.start:
            yield self.longest
        elif criteria.order == CREATION and not criteria.start:
            yield _Index((), "key DESC")
        else:
            yield from self._all()

    def _all(self) -> Iterator[_Index]:
        for framework in (OPENAI, SELECTOOLS):
            if self.criteria.framework in ("", framework):
                condition = Condition("framework = %s", (framework,))
                yield _Index((condition,), _ACTIVE, "framework")

    def sorting(self) -> tuple[str, str]:
        match self.criteria.order:
            case "creation":
                return "created_at", "key DESC"
            case "length":
                return "item_count", "item_count DESC, key DESC"
        return "active_minute", _ACTIVE

    def is_sorted(self, index: _Index) -> bool:
        is_created = self.criteria.order == CREATION and index.order == "key DESC"
        return is_created or super().is_sorted(index)

    def began_before(self, time: datetime | None) -> Condition:
        return Condition("created_at < %s", (adapted(self.connection, time),))


class Threads(Sessions):
    """The threads of LangGraph, in which no failed calls and no length are counted."""

    columns = _THREAD_COLUMNS
    table = "parlant_store_thread"
    number = THREAD
    name = "thread_id"
    frameworks = (LANGGRAPH,)
    longest = _Index((), "key DESC")

    def conditions(self) -> Iterator[tuple[str, Condition]]:
        return ((name, one) for name, one in super().conditions() if name != "framework")

    def indexes(self) -> Iterator[_Index]:
        return iter(()) if self.criteria.has_failed else super().indexes()

    def _all(self) -> Iterator[_Index]:
        yield _Index((), _ACTIVE)

    def sorting(self) -> tuple[str, str]:
        # Those without a length are behind the others.
        return ("-1", "key DESC") if self.criteria.order == LENGTH else super().sorting()

    def is_sorted(self, index: _Index) -> bool:
        is_last = self.criteria.order == LENGTH and index.order == "key DESC"
        return is_last or super().is_sorted(index)


class ParlantSessions(_Kind):
    """The documents that are sessions of Parlant."""

    columns = _DOCUMENT_COLUMNS
    table = "parlant_store_document"
    number = DOCUMENT
    person = "customer_id"

    def conditions(self) -> Iterator[tuple[str, Condition]]:
        yield "parlant", _IS_PARLANT
        yield from super().conditions()
        if self.criteria.agent:
            yield "agent", self.part_of("agent_id", self.criteria.agent, self.matches.agents)

    def indexes(self) -> Iterator[_Index]:
        criteria, conditions = self.criteria, dict(super().conditions())
        all_rows = _Index((_IS_PARLANT,), _ACTIVE, "parlant")
        if criteria.framework not in ("", PARLANT):
            return
        if self.matches.keys is not None:
            yield from self.found(self.matches.keys[DOCUMENT])
        elif criteria.owner or (criteria.agent and not criteria.has_failed):
            yield from self._owned()
            yield all_rows
        elif criteria.has_failed:
            yield _Index((_IS_PARLANT, conditions["failed"]), _ACTIVE, "failed")
        elif criteria.state in ("expiring", "expired"):
            yield self.state_index(conditions["state"])
            yield all_rows
        elif criteria.order == LENGTH and not criteria.start:
            yield _Index((Condition("length_class IS NOT NULL"),), _LONGEST)
        elif criteria.order == CREATION and not criteria.start:
            for collection in self.matches.collections:
                within = Condition("collection = %s", (collection,))
                yield _Index((within,), NEWEST_FIRST, "parlant")
        else:
            yield all_rows

    def _owned(self) -> Iterator[_Index]:
        """Yield the indexes on customers, or else on agents."""
        is_owner = bool(self.criteria.owner)
        column, name = ("customer_id", "owner") if is_owner else ("agent_id", "agent")
        text = self.criteria.owner if is_owner else self.criteria.agent
        for collection in self.matches.collections:
            within = Condition("collection = %s", (collection,))
            starting = self.starting(column, text)
            yield _Index((within, starting), f"{column}, {_ascending(NEWEST_FIRST)}", name)
            for value in self.matches.customers if is_owner else self.matches.agents:
                yield _Index((within, Condition(f"{column} = %s", (value,))), NEWEST_FIRST, name)

    def sorting(self) -> tuple[str, str]:
        match self.criteria.order:
            case "creation":
                return "COALESCE(creation_utc, '')", "COALESCE(creation_utc, '') DESC, key DESC"
            case "length":
                return "item_count", "item_count DESC, key DESC"
        return "active_minute", _ACTIVE

    def is_sorted(self, index: _Index) -> bool:
        is_created = self.criteria.order == CREATION and index.order == NEWEST_FIRST
        return is_created or super().is_sorted(index)

    def began_before(self, time: datetime | None) -> Condition:
        text = "" if time is None else as_utc(time).isoformat()
        return Condition("COALESCE(creation_utc, '') < %s", (text,))


def _ascending(order: str) -> str:
    return order.replace(" DESC", "")


KINDS: dict[int, Any] = {SESSION: Sessions, DOCUMENT: ParlantSessions, THREAD: Threads}
