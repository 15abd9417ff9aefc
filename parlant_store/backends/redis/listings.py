"""Listings of sessions in Redis: those of all shards, merged."""

import logging
from collections.abc import Callable, Iterator, Sequence
from math import isqrt
from struct import pack
from typing import Any, NamedTuple

from parlant_store.backends.contract.operations import (
    ListSessions,
    ListSummaries,
    SessionFilters,
)
from parlant_store.backends.redis.keys import (
    MAX_SHARDS,
    Shard,
    decode_name,
    encode_name,
    encode_owner,
)
from parlant_store.backends.redis.server.requests import Command, call
from parlant_store.backends.redis.snapshots import RedisSnapshots
from parlant_store.backends.redis.values import (
    DAMAGE,
    FURTHER_FIELDS,
    Row,
    decode_metadata,
    optional_microseconds,
    rows_of,
    session_key,
)
from parlant_store.content import codec
from parlant_store.content.query import Filter, matches
from parlant_store.content.times import microseconds
from parlant_store.types import SessionInfo, SessionSummary

logger = logging.getLogger("parlant_store")

MAX_ENTRIES = 5_000
"""Limit on the entries that a script reads."""

MAX_INDEXED = 1_000
"""Limit on the sessions that one script adds to the indexes by activity."""

NOT_INDEXED = 1
"""What list_activity.lua returns if sessions are not in its indexes."""


class Entry(NamedTuple):
    """A session in the order of a listing."""

    order: Any
    session: Any


class Order(NamedTuple):
    """The order of a listing."""

    of_frontier: Callable[[Shard, bytes], Any]
    """Returns the order of the last entry that a script has read."""

    entry: Callable[[Shard, Row], Entry]
    is_descending: bool = False

    def has(self, one: Any, before: Any) -> bool:
        """Whether the entries after ``one`` may come before another entry."""
        return bool(one > before if self.is_descending else one < before)


class Page:
    """What is read of one shard so far, in the order of the listing."""

    def __init__(self, shard: Shard, after: Any) -> None:
        self.shard = shard
        self.after = after
        """The order of the last entry that was read."""

        self.is_done = False


class RedisListings(RedisSnapshots):
    def _list_sessions(self, listing: ListSessions) -> list[SessionInfo]:
        if listing.by_activity:
            return self._list_by_activity(listing)
        filters, limit, after, *_ = listing
        start = _start(filters)
        owner = encode_owner(filters.user_id)
        lead = owner + b"\0" if owner else b""
        after_name = None if after is None else encode_name(after)

        def command(page: Page, entries: int) -> Command:
            first = _first(lead, start, page.after)
            last = b"(" + lead + start + b"\xff" if lead + start else b"+"
            index = page.shard.owners if owner else page.shard.names
            kind = "owners" if owner else "names"
            limits = (kind, first, last, entries)
            return self._list("list", page.shard, [index], limits, filters, FURTHER_FIELDS)

        pages = [Page(shard, after_name) for shard in self.keyspace.shards]
        order = Order(lambda _, entry: entry[len(lead) :], _by_name)
        return self._merge(pages, limit, command, order, filters.metadata)

    def _list_by_activity(self, listing: ListSessions) -> list[SessionInfo]:
        filters, limit, after, _, before = listing
        lead = _lead(filters)

        def command(page: Page, entries: int) -> Command:
            shard = page.shard
            first, last = _activity_limits(lead, page.after, filters)
            limits = (lead, first, last, entries)
            keys = [shard.created, shard.updated, shard.activity]
            return self._list("list_activity", shard, keys, limits, filters, FURTHER_FIELDS)

        start = None
        if after is not None and before is not None:
            start = (float(microseconds(before)), encode_name(after))
        pages = [Page(shard, start) for shard in self.keyspace.shards]
        order = Order(_activity_of, _by_activity, is_descending=True)
        return self._merge(pages, limit, command, order, filters.metadata)

    def _index_activity(self, shards: Sequence[Shard]) -> None:
        """Add the sessions of earlier versions of this store to the indexes by activity."""
        places: dict[Shard, Any] = dict.fromkeys(shards, "+inf")
        while places:
            answers = self.connection.read(
                *(
                    call(
                        "index_activity",
                        [shard.created, shard.updated, shard.activity],
                        *(shard.sessions, highest, MAX_INDEXED),
                    )
                    for shard, highest in places.items()
                )
            )
            places = {
                shard: b"(" + last
                for shard, last in zip(places, answers, strict=True)
                if last is not None
            }

    def _list_summaries(self, listing: ListSummaries) -> Iterator[SessionSummary]:
        filters, limit, after = listing
        fields = () if filters.metadata is None else FURTHER_FIELDS

        def command(page: Page, entries: int) -> Command:
            first = f"({(page.after - page.shard.number) // MAX_SHARDS}"
            limits = ("created", first, "+inf", entries)
            return self._list("list", page.shard, [page.shard.created], limits, filters, fields)

        pages = [Page(shard, after) for shard in self.keyspace.shards]
        order = Order(_key_of, _by_key)
        return iter(self._merge(pages, limit, command, order, filters.metadata, fields))

    def _list(
        self,
        script: str,
        shard: Shard,
        keys: Sequence[bytes],
        limits: tuple[bytes | str, bytes | str, bytes | str, int],
        filters: SessionFilters,
        fields: Sequence[str],
    ) -> Command:
        """Return the call of a script; ``limits`` are the kind of index, its limits and entries."""
        return call(
            script,
            keys,
            shard.sessions,
            microseconds(self.clock()),
            *limits,
            encode_owner(filters.user_id),
            b"" if filters.namespace is None else _start(filters),
            codec.escape(filters.prefix),
            optional_microseconds(filters.updated_since),
            *fields,
        )

    def _merge(
        self,
        pages: Sequence[Page],
        limit: int,
        command: Callable[[Page, int], Command],
        order: Order,
        metadata: Filter | None,
        fields: Sequence[str] = FURTHER_FIELDS,
    ) -> list[Any]:
        """Return the first ``limit`` sessions of all shards.

        Each shard is asked for its part of them, and again as long as it may have more of them.
        """
        found: list[Entry] = []
        size = _part(limit, len(pages))
        left = list(pages) if limit else []
        while left:
            answers = self.connection.read(*(command(page, size) for page in left))
            pairs = zip(left, answers, strict=True)
            if missing := [page.shard for page, answer in pairs if answer == NOT_INDEXED]:
                self._index_activity(missing)
                continue
            for page, (count, frontier, text) in zip(left, answers, strict=True):
                page.is_done = count < size
                if count:
                    page.after = order.of_frontier(page.shard, frontier)
                for row in rows_of(text, fields):
                    try:
                        if metadata is None or matches(metadata, decode_metadata(row.metadata)):
                            found.append(order.entry(page.shard, row))
                    except DAMAGE:
                        logger.warning("Skipped a damaged session: %r", decode_name(row.name))
            found.sort(key=_order, reverse=order.is_descending)
            del found[limit:]
            last = found[-1].order if len(found) == limit else None
            left = [
                page
                for page in pages
                if not page.is_done and (last is None or order.has(page.after, last))
            ]
            size = min(2 * size, MAX_ENTRIES)
        return [entry.session for entry in found]


def _part(limit: int, shards: int) -> int:
    """Return how many of ``limit`` sessions one of the shards hardly ever exceeds."""
    mean = limit // shards + 1
    return min(mean + 4 * isqrt(mean) + 1, MAX_ENTRIES)


def _start(filters: SessionFilters) -> bytes:
    """Return the beginning of the names in the namespace of the filters."""
    if filters.namespace is None:
        return b""
    return f"{codec.escape(filters.namespace)}\0{codec.escape(filters.prefix)}".encode()


def _first(lead: bytes, start: bytes, after: bytes | None) -> bytes:
    """Return the lower limit of a range of entries that begin with ``lead`` and a name."""
    if after is not None and after >= start:
        return b"(" + lead + after
    return b"[" + lead + start if lead + start else b"-"


def _lead(filters: SessionFilters) -> bytes:
    """Return the beginning of the entries of the owner or the namespace; b"" for all sessions."""
    if filters.user_id is not None:
        return b">" + encode_owner(filters.user_id) + b"\0"
    if filters.namespace is not None:
        return f"<{codec.escape(filters.namespace)}\0".encode()
    return b""


def _activity_limits(
    lead: bytes, after: tuple[float, bytes] | None, filters: SessionFilters
) -> tuple[bytes | str, bytes | str]:
    """Return the limits of the entries that begin with ``lead``, or after which all are read."""
    if not lead:
        return ("", "") if after is None else (f"{after[0]:.0f}", after[1])
    since = filters.updated_since
    last = b"[" + lead + (b"" if since is None else _time(float(microseconds(since))))
    if after is None:
        return b"(" + lead + b"\xff", last
    time, name = after
    if filters.user_id is None:
        name = name.partition(b"\0")[2]
    return b"(" + lead + _time(time) + name, last


def _time(time: float) -> bytes:
    """Return a time as it is in entries by activity."""
    return pack(">Q", int(time) + 2**63)


def _order(entry: Entry) -> Any:
    return entry.order


def _by_name(shard: Shard, row: Row) -> Entry:
    return Entry(row.name, row.info)


def _by_activity(shard: Shard, row: Row) -> Entry:
    return Entry((float(row.updated), row.name), row.info)


def _activity_of(shard: Shard, frontier: bytes) -> tuple[float, bytes]:
    time, _, name = frontier.partition(b" ")
    return float(time), name


def _by_key(shard: Shard, row: Row) -> Entry:
    key = session_key(int(row.key), shard)
    summary = SessionSummary(
        key,
        *decode_name(row.name),
        int(row.item_count),
        int(row.created) / 10**6,
        int(row.updated) / 10**6,
    )
    return Entry(key, summary)


def _key_of(shard: Shard, score: bytes) -> int:
    return session_key(int(float(score)), shard)
