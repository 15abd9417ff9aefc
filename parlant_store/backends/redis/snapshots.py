"""Whole sessions in Redis: loading, and saving what changed."""

from datetime import timedelta
from itertools import repeat

from parlant_store.backends.columns import decode_all, decode_state
from parlant_store.backends.contract.operations import LoadSnapshot, SaveSnapshot, Splice
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.redis.keys import encode_name, encode_owner
from parlant_store.backends.redis.server.requests import Command, call
from parlant_store.backends.redis.sessions import RedisSessions
from parlant_store.backends.redis.values import (
    batch_arguments,
    decode_texts,
    session_key,
    stored_key,
    undamaged,
)
from parlant_store.content.times import microseconds
from parlant_store.types import JSONObject, Revision, Snapshot


class RedisSnapshots(RedisSessions):
    """What a store does with whole sessions."""

    def _load_snapshot(self, load: LoadSnapshot) -> Snapshot | None:
        session, refresh = load
        loaded = self._load(session, refresh)
        if loaded is None:
            return None
        revision, texts, state = loaded
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

    def _load(
        self, session: SessionName, refresh: timedelta | None = None
    ) -> tuple[Revision, list[bytes], bytes] | None:
        """Return the revision, the items and the state of a session."""
        command = self._load_command(session, words=False)
        (stored,) = self._read_content(session, refresh, command)
        if stored is None:
            return None
        (key, next_position, _, state, *_), texts, *_ = stored
        with undamaged(session):
            revision = self._revision(session, int(key), int(next_position), len(texts))
        return revision, texts, state

    def _load_command(
        self, session: SessionName, *, words: bool, first: int = 0, turns: bool = False
    ) -> Command:
        now = microseconds(self.clock())
        keys = self._keys(session)[:4]
        return call("load_snapshot", keys, now, int(words), first, int(turns))

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
    return (*revision_arguments(splice.since), splice.drop, splice.keep)


def revision_arguments(revision: Revision) -> tuple[int, int, int]:
    return stored_key(revision.key), revision.next_position, revision.item_count
