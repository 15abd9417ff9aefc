"""Checks of the arguments of a store's methods, before a backend gets them."""

import re
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar
from uuid import UUID, uuid5

from django.conf import settings

from parlant_store.content import codec
from parlant_store.content.query import kind_of
from parlant_store.content.times import MAX_TTL_SECONDS, as_utc
from parlant_store.exceptions import InvalidInput, InvalidLimit, InvalidName
from parlant_store.types import JSONObject

T = TypeVar("T")

MAX_LIMIT = 2**63 - 1

MAX_PREFIX_BYTES = codec.MAX_COLUMN_BYTES - 72
"""Limit on a prefix: a shortened name in a column has at least as many bytes of the name."""


class SessionName(NamedTuple):
    """What identifies a session."""

    namespace: str
    session_id: str


def session_name(session_id: str, namespace: str) -> SessionName:
    codec.check_name(session_id, "session_id")
    codec.check_name(namespace, "namespace", empty=True)
    return SessionName(namespace, session_id)


def check_owner(user_id: str | None) -> str | None:
    return None if user_id is None else codec.check_name(user_id, "user_id")


_REQUESTS = UUID("5f0c1f0e-6a5b-5d1f-9a63-0c1c7d5a4e21")
"""The namespace of request ids."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def check_request(request_id: str | UUID | None, method: str) -> UUID | None:
    """Return the id under which the request is stored, another one for each method."""
    if request_id is None:
        return None
    if not isinstance(request_id, (str, UUID)):
        raise InvalidName(f"request_id must be text or a UUID, not {type(request_id).__name__}")
    text = codec.escape(codec.check_name(str(request_id), "request_id"))
    return uuid5(_REQUESTS, f"{method} {text.lower() if _UUID.fullmatch(text) else text}")


def check_prefix(prefix: str) -> str:
    codec.check_name(prefix, "prefix", empty=True)
    if len(codec.escape(prefix).encode()) > MAX_PREFIX_BYTES:
        raise InvalidName(f"prefix has more than {MAX_PREFIX_BYTES} bytes in UTF-8")
    return prefix


def check_ttl(ttl_seconds: float | None) -> timedelta | None:
    if ttl_seconds is None:
        return None
    if kind_of(ttl_seconds) != "number" or not 0 < ttl_seconds <= MAX_TTL_SECONDS:
        raise InvalidLimit(
            f"ttl_seconds must be a number above 0 and at most {MAX_TTL_SECONDS:,}, "
            f"not {ttl_seconds!r}"
        )
    return timedelta(seconds=ttl_seconds)


def check_time(time: datetime | None, what: str) -> datetime | None:
    """Return ``time`` in UTC; with USE_TZ = False it may be naive, like those of Django."""
    if time is None:
        return None
    if not isinstance(time, datetime) or (time.tzinfo is None and settings.USE_TZ):
        raise InvalidInput(f"{what} must be a datetime with a timezone, not {time!r}")
    try:
        return as_utc(time)
    except OverflowError:
        raise InvalidInput(f"{what} is beyond all times in UTC: {time!r}") from None


def check_limit(limit: int | None, what: str = "limit") -> int | None:
    """Return ``limit``, at most the largest bigint."""
    if limit is None:
        return None
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise InvalidLimit(f"{what} must be a whole number or None, not {limit!r}")
    if limit < 0:
        raise InvalidLimit(f"{what} must not be negative; it is {limit}")
    return min(limit, MAX_LIMIT)


def check_collection(collection: str) -> str:
    codec.check_name(collection, "collection")
    if codec.is_long(collection):
        raise InvalidName(f"collection has more than {codec.MAX_COLUMN_BYTES} bytes in UTF-8")
    return collection


def check_id(document_id: str) -> str:
    return codec.check_name(document_id, "the document's id")


def check_document(document: JSONObject) -> JSONObject:
    codec.check_object(document, "document")
    if document.get("id") is not None:
        check_id(document["id"])
    return document


def check_cursor(cursor: T | None, kind: type[T], what: str = "cursor") -> T | None:
    if cursor is None or isinstance(cursor, kind):
        return cursor
    raise InvalidInput(
        f"{what} must be a {kind.__name__} of the page before, not {type(cursor).__name__}"
    )


def check_number(number: int, what: str) -> int:
    """Return the number of a turn or a position, one less than the largest bigint at most."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise InvalidInput(f"{what} must be a whole number, 0 or more, not {number!r}")
    return min(number, MAX_LIMIT - 1)
