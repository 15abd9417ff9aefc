"""Expiry and retention in Redis."""

from collections.abc import Sequence
from typing import Any

from parlant_store.backends.contract.expiry import Expired
from parlant_store.backends.contract.retention import Place, Sweep
from parlant_store.backends.redis.keys import Shard, decode_name
from parlant_store.backends.redis.search import RedisSearch
from parlant_store.backends.redis.server.requests import Command, call
from parlant_store.backends.redis.values import (
    FURTHER_FIELDS,
    ROW_FIELDS,
    Row,
    optional_microseconds,
    rows_of,
    session_key,
)
from parlant_store.content import codec
from parlant_store.content.times import microseconds
from parlant_store.types import ExpiredDocument, ExpiredSession


class RedisExpiry(RedisSearch):
    """A pass reads names from the indexes, and deletes each session by a script.

    The place of a step is the number of a shard and the last name that was read there, or for
    expired sessions the number of entries.
    """

    def _expire(self, batch_size: int) -> Expired:
        deleted: list[Any] = []
        now = microseconds(self.clock())
        while len(deleted) < batch_size:
            rest = batch_size - len(deleted)
            answers = self.connection.read(
                *(_due(shard, now, 0, rest) for shard in self.keyspace.shards)
            )
            entries = [entry for answer in answers for entry in answer][:rest]
            if not entries:
                break
            deleted += self._delete(
                [(name, ("expired", owner)) for name, _, owner in map(_split, entries)], now
            )
        return Expired(deleted, 0)

    def _retire(self, sweep: Sweep, after: Place) -> tuple[Expired, Place]:
        rows, after = self._step(sweep, after)
        until = (
            optional_microseconds(sweep.created_until),
            optional_microseconds(sweep.updated_until),
        )
        which = ("expired", b"") if sweep.rule is None else ("rule", *until)
        names = [(row.name, which) for _, row in rows]
        return Expired(self._delete(names, microseconds(sweep.now)), 0), after

    def _list_expired(
        self, sweep: Sweep, after: Place
    ) -> tuple[list[ExpiredSession | ExpiredDocument], Place]:
        rows, after = self._step(sweep, after)
        return [_expired(shard, row) for shard, row in rows], after

    def _step(self, sweep: Sweep, after: Place) -> tuple[list[tuple[Shard, Row]], Place]:
        """Return the eligible sessions of a step, and the place after which the next starts."""
        number, last = after or (0, None)
        found: list[tuple[Shard, Row]] = []
        examined = 0
        while number < len(self.keyspace.shards):
            shard = self.keyspace.shards[number]
            size = min(sweep.examined - examined, sweep.limit - len(found))
            count, rows, last = self._read_step(sweep, shard, last, size)
            found += [(shard, row) for row in rows]
            examined += count
            if count < size:
                number, last = number + 1, None
            if len(found) >= sweep.limit or examined >= sweep.examined:
                break
        return found, (number, last) if number < len(self.keyspace.shards) else None

    def _read_step(
        self, sweep: Sweep, shard: Shard, last: Any, size: int
    ) -> tuple[int, list[Row], Any]:
        """Return the number of entries that were read, the eligible sessions, and the last."""
        if sweep.rule is None:
            return self._read_due(sweep, shard, last or 0, size)
        namespace = sweep.rule.namespace
        start = b"" if namespace is None else f"{codec.escape(namespace)}\0".encode()
        first = b"(" + last if last else b"[" + start if start else b"-"
        end = b"(" + start + b"\xff" if start else b"+"
        now = microseconds(sweep.now)
        command = call(
            "list",
            [shard.names],
            *(shard.sessions, now, "names", first, end, size, "", start, "", ""),
            *FURTHER_FIELDS,
        )
        ((count, frontier, text),) = self.connection.read(command)
        return count, [row for row in rows_of(text) if _matches(sweep, row)], frontier

    def _read_due(
        self, sweep: Sweep, shard: Shard, start: int, size: int
    ) -> tuple[int, list[Row], int]:
        now = microseconds(sweep.now)
        (entries,) = self.connection.read(_due(shard, now, start, size))
        names = [_split(entry)[0] for entry in entries]
        stored = self.connection.read(
            *(Command(shard.names, ("HMGET", shard.sessions + name, *ROW_FIELDS)) for name in names)
        )
        rows = [
            Row(name, *(field or b"" for field in fields))
            for name, fields in zip(names, stored, strict=True)
        ]
        due = [row for row in rows if _is_whole(row) and row.expires and int(row.expires) <= now]
        return len(entries), due, start + len(entries)

    def _delete(self, names: Sequence[tuple[bytes, tuple[Any, ...]]], now: int) -> list[Any]:
        """Delete the sessions that are still eligible; return each with its number of items."""
        with self.connection.requests.take(None, len(names)) as answers:
            counts = self.connection.write(
                *(
                    self._command("delete_session", name, answer, now, "", *which)
                    for (name, which), answer in zip(names, answers, strict=True)
                )
            )
        return [
            (decode_name(name), int(count))
            for (name, _), count in zip(names, counts, strict=True)
            if count is not None
        ]


def _due(shard: Shard, now: int, start: int, count: int) -> Command:
    key = shard.expires
    return Command(key, ("ZRANGEBYSCORE", key, "-inf", now, "LIMIT", start, count))


def _split(entry: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the name and the owner in an entry of the index by expiry."""
    return entry.rpartition(b"\0")


def _matches(sweep: Sweep, row: Row) -> bool:
    limits = ((row.created, sweep.created_until), (row.updated, sweep.updated_until))
    return _is_whole(row) and all(
        until is None or int(time) <= microseconds(until) for time, until in limits
    )


def _is_whole(row: Row) -> bool:
    """Whether the session exists and its numbers are not damaged."""
    numbers = (row.key, row.item_count, row.created, row.updated, row.expires or b"0")
    return all(number.removeprefix(b"-").isdigit() for number in numbers)


def _expired(shard: Shard, row: Row) -> ExpiredSession:
    return ExpiredSession(
        key=session_key(int(row.key), shard),
        item_count=int(row.item_count),
        **decode_name(row.name)._asdict(),
    )
