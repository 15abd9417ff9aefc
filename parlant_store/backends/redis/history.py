"""Turns, usage and branches in Redis."""

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import repeat
from typing import Any, NamedTuple

from parlant_store.backends.contract.history import TailChange, no_place, not_found, session_exists
from parlant_store.backends.contract.operations import (
    AddUsage,
    Branch,
    ItemPlace,
    KeepLatest,
    ListTurns,
    ReplaceTail,
)
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.redis.keys import encode_name, encode_owner
from parlant_store.backends.redis.server.requests import Command, call
from parlant_store.backends.redis.snapshots import RedisSnapshots, revision_arguments
from parlant_store.backends.redis.values import (
    FURTHER_FIELDS,
    UNKNOWN,
    Row,
    batch_arguments,
    buckets_of_bits,
    decode_item,
    decode_usage,
    encode_usage,
    opened_turns,
    rows_of,
    time_of,
    undamaged,
)
from parlant_store.content import codec
from parlant_store.content.items import role_of, text_of
from parlant_store.content.times import microseconds
from parlant_store.content.usage import TOTAL, sum_usage, usage_of
from parlant_store.types import SessionInfo, Turn, Usage

_TOKENS = re.compile(rb"\d*")

MISSING, UNNUMBERED, NO_PLACE, TAKEN = 0, 1, 2, 3
"""What scripts return instead of a result, for which no answer is stored."""


class Source(NamedTuple):
    """The fields of a session that a branch copies."""

    next: bytes
    expires: bytes
    state: bytes
    owner: bytes
    metadata: bytes
    tokens: bytes
    bits: bytes
    tool_bits: bytes
    first: bytes
    turns: bytes
    usage: bytes
    usage_0: bytes


class Part(NamedTuple):
    """The items of a session up to a place, with their words and turns."""

    source: Source
    items: list[bytes]
    texts: list[bytes]
    turns: list[bytes]
    item_count: int
    """The number of items of the whole session."""


class RedisHistory(RedisSnapshots):
    """Each operation is one script; a branch is read by one and written by another."""

    def _list_turns(self, listing: ListTurns) -> list[Turn]:
        after = "" if listing.after is None else listing.after
        arguments = (listing.limit, after, int(listing.newest_first))
        rows = self._read_part("list_turns", listing.session, *arguments, refresh=listing.refresh)
        with_item = listing.with_items
        return [] if rows == MISSING else [_turn(*row, with_item=with_item) for row in rows]

    def _replace_tail(self, change: ReplaceTail) -> TailChange | None:
        revision = ("", 0, 0) if change.since is None else revision_arguments(change.since)

        now, expires_at = self._expiry(change.ttl)

        def replace() -> Any:
            return self._write(
                "replace_tail",
                change.session,
                change.request,
                now,
                expires_at,
                encode_owner(change.user_id),
                *revision,
                *_place_arguments(change.start),
                *batch_arguments(change.batch, repeat(now)),
            )

        changed = self._numbered(change.session, replace)
        if changed == MISSING:
            raise not_found(change.session)
        if changed == NO_PLACE:
            raise no_place(change.session, change.start)
        return None if changed is None else TailChange(*map(int, changed.split()))

    def _keep_latest(self, keep: KeepLatest) -> int:
        limits = ["" if limit is None else limit for limit in (keep.items, keep.turns)]

        def delete() -> Any:
            return self._write("keep_latest", keep.session, keep.request, *self._now(), *limits)

        return int(self._numbered(keep.session, delete))

    def _branch(self, branch: Branch) -> int | None:
        # Both sessions may be on different servers: the copy is of the moment of the reading.
        source, target, ttl, request, end, replace, usage = branch
        part = self._read_part("load_part", source, *_place_arguments(end))
        if isinstance(part, list) and source == target:
            return int(part[-1])
        is_found = isinstance(part, list)
        arguments: Sequence[Any] = ()
        if is_found:
            with undamaged(source):
                copied = Part(Source(*part[0]), *part[1:])
                arguments = _copy(source, copied if usage else _without_usage(copied))
        # Without a source, it returns the answer that was stored when there was one.
        kind = 0 if not is_found else 1 if replace else 2
        count = self._write("branch", target, request, *self._expiry(ttl), kind, *arguments)
        if count == TAKEN:
            raise session_exists(target)
        if count is None and part == NO_PLACE:
            raise no_place(source, end)
        return None if count is None else int(count)

    def _list_branches(self, session: SessionName) -> list[SessionInfo]:
        name = encode_name(session)
        start, lead = name[: name.index(b"\0") + 1], b"<" + name + b"\0"
        now = microseconds(self.clock())
        key = self._keys(session).session
        parent, *answers = self.connection.read(
            Command(key, ("HMGET", key, "key", "expires", "created")),
            *(
                call(
                    "list",
                    [shard.branches],
                    *(shard.sessions, now, "branches", b"[" + lead, b"(" + lead + b"\xff"),
                    *(-1, "", start, "", ""),
                    *FURTHER_FIELDS,
                )
                for shard in self.keyspace.shards
            ),
        )
        if parent[0] is None or self._is_expired(parent[1]):
            return []
        with undamaged(session):
            # Earlier branches are those of a session that had this id before.
            created = int(parent[2])
            rows = [
                row
                for _, _, text in answers
                for row in rows_of(text)
                if row.parent == name[len(start) :] and int(row.created) >= created
            ]
            return [row.info for row in sorted(rows, key=_creation)]

    def _add_usage(self, addition: AddUsage) -> bool:
        name, counts, turn, replace, request = addition

        def add() -> Any:
            return self._write(
                "add_usage",
                name,
                request,
                *self._now(),
                encode_usage(counts),
                "" if turn is None else turn,
                int(replace),
            )

        added = self._numbered(name, add)
        if added == NO_PLACE:
            raise no_place(name, ItemPlace(turn, None, f"turn {turn}"))
        return added is not None

    def _get_usage(self, session: SessionName) -> Usage | None:
        key = self._keys(session).session
        command = Command(key, ("HMGET", key, "key", "expires", "usage", "tokens"))
        ((stored, expires, usage, tokens),) = self.connection.read(command)
        if stored is None or self._is_expired(expires):
            return None
        with undamaged(session):
            return usage_of(decode_usage(usage), int(tokens) or None)

    def _get_usage_of_turns(self, session: SessionName) -> dict[int, Usage]:
        stored = self._read_part("get_usage", session)
        if stored == MISSING:
            return {}
        found = zip(stored[::2], map(decode_usage, stored[1::2]), strict=True)
        usages = ((number, usage_of(counts)) for number, counts in found)
        return {number: usage for number, usage in usages if usage is not None}

    def _read_part(
        self,
        script: str,
        session: SessionName,
        *arguments: Any,
        refresh: timedelta | None = None,
    ) -> Any:
        """Run a script that reads the session; ``arguments`` are those after the time."""

        def read() -> Any:
            now = microseconds(self.clock())
            command = call(script, self._keys(session)[:4], now, *arguments)
            (result,) = self._read_content(session, refresh, command)
            return result

        return self._numbered(session, read)

    def _numbered(self, session: SessionName, run: Callable[[], Any]) -> Any:
        """Return the result of a script, whose session gets numbers of turns if it has none."""
        while (result := run()) == UNNUMBERED:
            self._number_turns(session)
        return result

    def _number_turns(self, session: SessionName) -> None:
        """Number the turns of a session that an earlier version of this store has written."""
        loaded = self._load(session)
        if loaded is not None:
            revision, texts, _ = loaded
            roles = [role_of(decode_item(text) or {}) for text in texts]
            self._write(
                "number_turns",
                session,
                None,
                *self._now(),
                *revision_arguments(revision),
                opened_turns(roles, repeat(None)),
            )


def _turn(
    number: int,
    position: int,
    item_count: int,
    usage: bytes,
    time: bytes,
    data: bytes,
    *,
    with_item: bool,
) -> Turn:
    is_known = time not in (b"", UNKNOWN.encode())
    item = decode_item(data)
    return Turn(
        number=number,
        position=position,
        text=text_of(item or {}) or "",
        created_at=time_of(b"%d" % int(time, 16)) if is_known else None,
        item_count=item_count,
        usage=usage_of(decode_usage(usage)),
        item=item if with_item else None,
    )


def _place_arguments(place: ItemPlace) -> tuple[int | str, int | str]:
    """Return the turn and the position, "" for None."""
    return tuple("" if number is None else number for number in place[:2])  # type: ignore[return-value]


def _copy(source: SessionName, part: Part) -> list[Any]:
    """Return the arguments of branch.lua for a part of the session ``source``."""
    row, count = part.source, len(part.items)
    first = int(row.first or 0)
    turns = [entry.split(b" ", 4) for entry in part.turns]
    place, position, number = map(int, turns[-1][:3]) if turns else (first, first, 0)
    usage_0 = row.usage_0 if count else b""
    last = position + first + count - 1 - place
    counters: tuple[Any, ...] = (row.tokens, row.next, row.turns or 0, row.usage)
    if count < part.item_count:
        usage = sum_usage(decode_usage(stored) for *_, stored in [*turns, [usage_0]])
        tokens = sum(map(tokens_of, part.texts))
        tokens += usage.get(TOTAL, 0)
        counters = (tokens, last + 1, number, encode_usage(usage))
    tokens, next_position, last_turn, total = counters
    return [
        *(row.owner, row.metadata, row.state, tokens, next_position, row.expires),
        *(first, last_turn, total, usage_0),
        *(codec.escape(source.session_id), last if count else ""),
        *(buckets_of_bits(row.bits), buckets_of_bits(row.tool_bits), count),
        *(*part.items, *part.texts, *part.turns),
    ]


def _without_usage(part: Part) -> Part:
    """Return the part without the usage of its turns."""
    usage = decode_usage(part.source.usage)
    tokens = int(part.source.tokens or 0) - (usage or {}).get(TOTAL, 0)
    source = part.source._replace(tokens=b"%d" % max(0, tokens), usage=b"", usage_0=b"")
    turns = [b" ".join(entry.split(b" ", 4)[:4]) for entry in part.turns]
    return part._replace(source=source, turns=turns)


def _creation(row: Row) -> tuple[int, int]:
    return int(row.created), int(row.key)


def tokens_of(text: bytes) -> int:
    """Return the tokens with which an entry of the words of an item begins."""
    match = _TOKENS.match(text)
    return int(match[0]) if match and match[0] else 0
