"""The names of keys: shards, and the keys of a session.

All keys begin with the prefix of the store. The keys of a shard, and those of its sessions, share a
hash tag, so that a script may use them together in a cluster. The tags are numbers chosen so that
the shards are spread evenly over the slots.
"""

from binascii import crc_hqx
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from parlant_store.backends.contract.validation import SessionName
from parlant_store.content import codec

SLOTS = 16_384
"""The number of slots of a cluster."""

MAX_SHARDS = 1_024


class SessionKeys(NamedTuple):
    """The keys that scripts for one session use, in the order of their KEYS."""

    session: bytes
    items: bytes
    texts: bytes
    turns: bytes
    names: bytes
    owners: bytes
    created: bytes
    expires: bytes
    words: bytes
    tools: bytes
    branches: bytes
    updated: bytes
    activity: bytes


class Shard:
    """The keys of one shard."""

    def __init__(self, number: int, base: bytes) -> None:
        self.number = number
        self.names = base + b"names"
        self.owners = base + b"owners"
        self.created = base + b"created"
        self.expires = base + b"expires"
        self.words = base + b"words"
        self.tools = base + b"tools"
        self.branches = base + b"branches"
        self.updated = base + b"updated"
        self.activity = base + b"activity"
        self.sessions = base + b"session:"
        self.items = base + b"items:"
        self.texts = base + b"texts:"
        self.turns = base + b"turns:"
        self.requests = base + b"request:"

    def keys(self, name: bytes) -> SessionKeys:
        return SessionKeys(
            self.sessions + name,
            self.items + name,
            self.texts + name,
            self.turns + name,
            self.names,
            self.owners,
            self.created,
            self.expires,
            self.words,
            self.tools,
            self.branches,
            self.updated,
            self.activity,
        )


class Keyspace:
    """The shards of a store."""

    def __init__(self, prefix: str, count: int) -> None:
        self.settings = f"{prefix}:shards".encode()
        self.shards = tuple(
            Shard(number, f"{prefix}:{{{tag}}}:".encode()) for number, tag in enumerate(tags(count))
        )

    def shard_of(self, name: bytes) -> Shard:
        return self.shards[crc32(name) % len(self.shards)]


@lru_cache
def tags(count: int) -> tuple[int, ...]:
    """Return the hash tag of each shard: the lowest number in its part of the slots."""
    found: dict[int, int] = {}
    number = 0
    while len(found) < count:
        slot = crc_hqx(str(number).encode(), 0) % SLOTS
        found.setdefault(slot * count // SLOTS, number)
        number += 1
    return tuple(found[part] for part in range(count))


@lru_cache(maxsize=1_000)
def encode_name(name: SessionName) -> bytes:
    """Return the name as part of keys and entries; it sorts like the pair of texts."""
    return f"{codec.escape(name.namespace)}\0{codec.escape(name.session_id)}".encode()


def decode_name(name: bytes) -> SessionName:
    namespace, _, session_id = name.decode().partition("\0")
    if name.isascii() and b"\1" not in name:
        return SessionName(namespace, session_id)
    return SessionName(codec.unescape(namespace), codec.unescape(session_id))


def encode_owner(user_id: str | None) -> bytes:
    return b"" if user_id is None else codec.escape(user_id).encode()


def decode_owner(owner: bytes) -> str | None:
    return codec.unescape(owner.decode()) if owner else None
