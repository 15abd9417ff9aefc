"""Conversion between the values of the contract and what is stored."""

import json
import logging
import re
from binascii import crc_hqx
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from struct import pack
from typing import Any, NamedTuple

from django.conf import settings

from parlant_store.backends.columns import decode
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.redis.keys import MAX_SHARDS, Shard, decode_name, decode_owner
from parlant_store.content import codec, usage
from parlant_store.content.items import USER, Batch
from parlant_store.content.text_search import stored_words
from parlant_store.content.times import EPOCH, microseconds, without_zone
from parlant_store.content.usage import StoredUsage
from parlant_store.exceptions import BackendError
from parlant_store.types import JSONObject, SessionInfo

logger = logging.getLogger("parlant_store")

_TIME = re.compile(rb"\d*@(-?[0-9a-f]+)")

UNKNOWN = "?"
"""A time of a turn that is not known."""

BUCKETS = 4_096
"""The number of buckets of words."""


DAMAGE = (ValueError, OverflowError, RecursionError)
"""What decoding a damaged value raises."""


@contextmanager
def undamaged(name: SessionName) -> Iterator[None]:
    """Surround the decoding of a session; raise BackendError if it is damaged."""
    try:
        yield
    except DAMAGE as exc:
        raise BackendError(f"the stored session {name!r} is damaged: {exc}") from exc


def optional_microseconds(time: datetime | None) -> int | str:
    """Return an argument of scripts: the time, or "" for None."""
    return "" if time is None else microseconds(time)


def time_of(value: bytes) -> datetime:
    """Return a stored time as Django returns times: naive if USE_TZ is False."""
    time = EPOCH + timedelta(microseconds=int(value))
    return time if settings.USE_TZ else without_zone(time)


def session_key(key: int, shard: Shard) -> int:
    """Return the primary key of a session from the one that is unique in its shard."""
    return key * MAX_SHARDS + shard.number


def stored_key(key: int) -> int:
    """The reverse of ``session_key``."""
    return key // MAX_SHARDS


class Row(NamedTuple):
    """A session as scripts return it for listings."""

    name: bytes
    key: bytes
    item_count: bytes
    created: bytes
    updated: bytes
    expires: bytes
    owner: bytes
    tokens: bytes = b""
    metadata: bytes = b""
    parent: bytes = b""
    parent_position: bytes = b""

    @property
    def info(self) -> SessionInfo:
        """Raise one of DAMAGE if a field is damaged."""
        name = decode_name(self.name)
        return SessionInfo(
            **name._asdict(),
            user_id=decode_owner(self.owner),
            item_count=int(self.item_count),
            tokens=int(self.tokens) or None,
            metadata=decode_metadata(self.metadata),
            created_at=time_of(self.created),
            updated_at=time_of(self.updated),
            expires_at=time_of(self.expires) if self.expires else None,
            parent_id=codec.unescape(self.parent.decode()) if self.parent else None,
            parent_position=int(self.parent_position) if self.parent_position else None,
        )


FURTHER_FIELDS = ("tokens", "metadata", "parent", "parent_position")
"""The last fields of a Row, which list.lua reads for SessionInfo."""

ROW_FIELDS = ("key", "count", "created", "updated", "expires", "owner", *FURTHER_FIELDS)
"""The fields of the hash of a session that a Row has."""


def rows_of(text: bytes, fields: Sequence[str] = FURTHER_FIELDS) -> Iterator[Row]:
    """Return the rows of list.lua with these further fields. A name has one separator in it."""
    parts = text.split(b"\0") if text else []
    size = len(ROW_FIELDS) - len(FURTHER_FIELDS) + len(fields) + 2
    for start in range(0, len(parts), size):
        name = b"\0".join(parts[start : start + 2])
        yield Row(name, *parts[start + 2 : start + size])


def encode_metadata(text: str) -> list[str]:
    """Return the keys and values of an encoded object, in turns, each as JSON text."""
    parts = []
    for key, value in codec.decode_document(text).items():
        parts += [codec.encode_value(key, "metadata"), codec.encode_value(value, "metadata")]
    return parts


def decode_metadata(stored: bytes) -> JSONObject:
    """Return the object whose keys and values are the lines of ``stored``, in turns.

    A damaged one is empty, with a warning.
    """
    try:
        lines = stored.decode().split("\n") if stored else []
        members = map(":".join, zip(lines[::2], lines[1::2], strict=True))
        metadata: JSONObject = codec.decode_document("{" + ",".join(members) + "}")
    except DAMAGE:
        logger.warning("Skipped damaged metadata")
        return {}
    return metadata


def decode_texts(texts: Iterable[bytes]) -> list[str]:
    """Return JSON texts; those that are no UTF-8 are empty, which is no JSON either."""
    try:
        return [text.decode() for text in texts]
    except UnicodeDecodeError:
        return [_decode_damaged(text) for text in texts]


def _decode_damaged(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return ""


def decode_item(text: bytes) -> JSONObject | None:
    """Return an item, or None if it is damaged."""
    items = decode(decode_texts([text]))
    return items[0] if items and isinstance(items[0], dict) else None


def encode_usage(counts: StoredUsage | None) -> str:
    """Return usage as JSON without quotes in names; "" if there is none."""
    names = {name: json.dumps(name)[1:-1].replace('\\"', "\\u0022") for name in counts or {}}
    members = ",".join(f'"{names[name]}":{count}' for name, count in (counts or {}).items())
    return f"{{{members}}}" if counts else ""


def decode_usage(stored: bytes | None) -> StoredUsage | None:
    """Return stored usage; None if there is none."""
    (text,) = decode_texts([stored or b""])
    return usage.decode_usage(text)


def batch_arguments(batch: Batch, times: Iterable[int]) -> list[Any]:
    """Return the last arguments of scripts that append items; ``times`` are microseconds."""
    texts, buckets, tool_buckets, last = [], set[bytes](), set[bytes](), None
    moments = list(islice(times, len(batch.data)))
    for words, tokens, tool_words, time in zip(
        batch.words, batch.tokens, batch.tool_words, moments, strict=True
    ):
        text = str(tokens or "")
        if time != last:
            text, last = f"{text}@{time:x}", time
        if found := stored_words(words, tool_words):
            text = f"{text} {found}"
        texts.append(text)
        buckets.update(map(bucket, prefixes_of(words or ())))
        tool_buckets.update(map(bucket, prefixes_of(tool_words or ())))
    lists = (*batch.data, *texts)
    openers = opened_turns(batch.roles, moments)
    return [batch.total, b"".join(buckets), b"".join(tool_buckets), openers, len(texts), *lists]


def opened_turns(roles: Iterable[str | None], times: Iterable[int | None]) -> str:
    """Return the offsets of the items that open turns, and their times."""
    return " ".join(
        f"{offset}@{UNKNOWN if time is None else f'{time:x}'}"
        for offset, (role, time) in enumerate(zip(roles, times, strict=False))
        if role == USER
    )


def times_of(texts: Sequence[bytes], count: int) -> list[datetime | None]:
    """Return the times of ``count`` items; None for the first ones if they have none."""
    times: list[datetime | None] = []
    time: datetime | None = None
    for text in texts[:count]:
        if match := _TIME.match(text):
            time = time_of(b"%d" % int(match[1], 16))
        times.append(time)
    return times + [time] * (count - len(times))


def prefixes_of(words: Iterable[str]) -> Iterator[str]:
    """Return the prefixes of words by which searches find them."""
    for word in words:
        yield word[:3]
        yield word[:1]


@lru_cache(maxsize=50_000)
def bucket(prefix: str) -> bytes:
    """Return the bucket of a prefix: the place of a byte, from 1, and a bit of it."""
    place, digit = divmod(crc_hqx(prefix.encode(), 0) % BUCKETS, 8)
    return pack(">HB", place + 1, 1 << digit)


def buckets_of_bits(bits: bytes) -> bytes:
    """Return the buckets from the bits of the field ``buckets``."""
    return b"".join(
        pack(">HB", place, 1 << digit)
        for place, byte in enumerate(bits, 1)
        if byte
        for digit in range(8)
        if byte >> digit & 1
    )


def term_buckets(words: Sequence[str]) -> bytes:
    """Return the buckets of sessions that may have the words, of which the last may be a prefix."""
    *whole, last = words
    prefixes = [word[:3] for word in whole]
    prefixes.append(last[:3] if len(last) >= 3 else last[:1])
    return b"".join(map(bucket, prefixes))
