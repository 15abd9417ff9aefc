"""Listings of sessions in Redis: those of all shards, merged."""

import logging
from collections.abc import Callable, Iterator, Sequence
from math import isqrt
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


class Entry(NamedTuple):
    """A session in the order of a listing."""

    order: Any
    session: Any


class Page:
    """What is read of one shard so far, in the order of the listing."""

    def __init__(self, shard: Shard, after: Any) -> None:
        self.shard = shard
        self.after = after
        """The order of the last entry that was read."""

        self.is_done = False


class RedisListings(RedisSnapshots):
    def _list_sessions(self, listing: ListSessions) -> list[SessionInfo]:
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
            fields = FURTHER_FIELDS
            return self._list(page.shard, index, kind, first, last, entries, filters, fields)

        pages = [Page(shard, after_name) for shard in self.keyspace.shards]
        return self._merge(
            pages, limit, command, lambda _, entry: entry[len(lead) :], _by_name, filters.metadata
        )

    def _list_summaries(self, listing: ListSummaries) -> Iterator[SessionSummary]:
        filters, limit, after = listing
        fields = () if filters.metadata is None else FURTHER_FIELDS

        def command(page: Page, entries: int) -> Command:
            first = f"({(page.after - page.shard.number) // MAX_SHARDS}"
            return self._list(
                page.shard, page.shard.created, "created", first, "+inf", entries, filters, fields
            )

        pages = [Page(shard, after) for shard in self.keyspace.shards]
        return iter(self._merge(pages, limit, command, _key_of, _by_key, filters.metadata, fields))

    def _list(
        self,
        shard: Shard,
        index: bytes,
        kind: str,
        first: bytes | str,
        last: bytes | str,
        entries: int,
        filters: SessionFilters,
        fields: Sequence[str],
    ) -> Command:
        return call(
            "list",
            [index],
            shard.sessions,
            microseconds(self.clock()),
            kind,
            first,
            last,
            entries,
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
        order_of: Callable[[Shard, bytes], Any],
        decode: Callable[[Shard, Row], Entry],
        metadata: Filter | None,
        fields: Sequence[str] = FURTHER_FIELDS,
    ) -> list[Any]:
        """Return the first ``limit`` sessions of all shards.

        Each shard is asked for its part of them, and again as long as it may have more of them.
        ``order_of`` returns the order of the last entry that a script has read.
        """
        found: list[Entry] = []
        size = _part(limit, len(pages))
        left = list(pages) if limit else []
        while left:
            answers = self.connection.read(*(command(page, size) for page in left))
            for page, (count, frontier, text) in zip(left, answers, strict=True):
                page.is_done = count < size
                if count:
                    page.after = order_of(page.shard, frontier)
                for row in rows_of(text, fields):
                    try:
                        if metadata is None or matches(metadata, decode_metadata(row.metadata)):
                            found.append(decode(page.shard, row))
                    except DAMAGE:
                        logger.warning("Skipped a damaged session: %r", decode_name(row.name))
            found.sort(key=_order)
            del found[limit:]
            last = found[-1].order if len(found) == limit else None
            left = [
                page for page in pages if not page.is_done and (last is None or page.after < last)
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


def _order(entry: Entry) -> Any:
    return entry.order


def _by_name(shard: Shard, row: Row) -> Entry:
    return Entry(row.name, row.info)


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
