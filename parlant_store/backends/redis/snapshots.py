"""Whole sessions in Redis: loading, saving what changed, branching."""

from itertools import repeat
from typing import Any

from parlant_store.backends.columns import decode_all, decode_state
from parlant_store.backends.contract.operations import Branch, SaveSnapshot, Splice
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.redis.keys import encode_name, encode_owner
from parlant_store.backends.redis.server.requests import Command, call
from parlant_store.backends.redis.sessions import RedisSessions
from parlant_store.backends.redis.values import (
    batch_arguments,
    buckets_of_bits,
    decode_texts,
    microseconds,
    session_key,
    stored_key,
    undamaged,
)
from parlant_store.types import JSONObject, Revision, Snapshot

_NOTHING = (b"", b"", b"", 0, 0, b"", b"", b"", 0)


class RedisSnapshots(RedisSessions):
    """What a store does with whole sessions."""

    def _load_snapshot(self, session: SessionName) -> Snapshot | None:
        stored = self._load(session, words=False)
        if stored is None:
            return None
        (key, next_position, _, state, *_), texts, _ = stored
        with undamaged(session):
            revision = self._revision(session, int(key), int(next_position), len(texts))
        items = decode_all(decode_texts(texts), session)
        return Snapshot(items=items, state=state_of(state, session), revision=revision)

    def _save_snapshot(self, snapshot: SaveSnapshot) -> Revision | None:
        now, expires_at = self._expiry(snapshot.ttl)
        saved = self._write(
            "save_snapshot",
            snapshot.session,
            snapshot.request,
            now,
            expires_at,
            encode_owner(snapshot.user_id),
            snapshot.state,
            *_splice_arguments(snapshot.splice),
            *batch_arguments(snapshot.batch, repeat(now)),
        )
        if saved is None:
            return None
        return self._revision(snapshot.session, *map(int, saved.split()))

    def _branch(self, branch: Branch) -> int | None:
        # Both sessions may be on different servers: the copy is of the moment of the reading.
        source, target, ttl, request = branch
        stored = self._load(source, words=True)
        if stored is not None and source == target:
            return len(stored[1])
        arguments = _NOTHING if stored is None else _copy_arguments(*stored)
        count = self._write(
            "branch", target, request, *self._expiry(ttl), int(stored is not None), *arguments
        )
        return None if count is None else int(count)

    def _load(self, session: SessionName, *, words: bool) -> Any:
        """Return the fields, the items and the words of a session, or None."""
        (stored,) = self.connection.read(self._load_command(session, words=words))
        return stored

    def _load_command(self, session: SessionName, *, words: bool, first: int = 0) -> Command:
        now = microseconds(self.clock())
        return call("load_snapshot", self._keys(session)[:3], now, int(words), first)

    def _revision(
        self, session: SessionName, key: int, next_position: int, item_count: int
    ) -> Revision:
        shard = self.keyspace.shard_of(encode_name(session))
        return Revision(
            key=session_key(key, shard), next_position=next_position, item_count=item_count
        )


def state_of(stored: bytes, session: SessionName) -> JSONObject:
    (text,) = decode_texts([stored or b"{}"])
    return decode_state(text, session)


def _splice_arguments(splice: Splice | None) -> tuple[int | str, ...]:
    if splice is None:
        return ("", 0, 0, 0, 0)
    since = splice.since
    revision = (stored_key(since.key), since.next_position, since.item_count)
    return (*revision, splice.drop, splice.keep)


def _copy_arguments(row: list[bytes], items: list[bytes], texts: list[bytes]) -> tuple[Any, ...]:
    _, next_position, expires, state, owner, metadata, tokens, bits, tool_bits, *_ = row
    fields = (owner, metadata, state, tokens, next_position, expires)
    buckets = (buckets_of_bits(bits), buckets_of_bits(tool_bits))
    return (*fields, *buckets, len(items), *items, *texts)
