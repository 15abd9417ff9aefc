"""Arguments of a store's methods: what is checked before a backend sees them."""

from typing import NamedTuple

from parlant_store import codec
from parlant_store.exceptions import InvalidLimit, InvalidName
from parlant_store.types import JSONObject

MAX_LIMIT = 2**63 - 1


class SessionName(NamedTuple):
    """Which session is meant."""

    namespace: str
    session_id: str


def session_name(session_id: str, namespace: str) -> SessionName:
    codec.check_name(session_id, "session_id")
    codec.check_name(namespace, "namespace", empty=True)
    return SessionName(namespace, session_id)


def check_owner(user_id: str | None) -> str | None:
    return None if user_id is None else codec.check_name(user_id, "user_id")


def check_limit(limit: int | None) -> int | None:
    """Return ``limit``, lowered to what a database can count to."""
    if limit is None:
        return None
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise InvalidLimit(f"limit must be a whole number or None, not {limit!r}")
    if limit < 0:
        raise InvalidLimit(f"limit must not be negative; it is {limit}")
    return min(limit, MAX_LIMIT)


def check_collection(collection: str) -> str:
    codec.check_name(collection, "collection")
    if codec.is_long(collection):
        raise InvalidName(f"collection has more than {codec.MAX_COLUMN_BYTES} bytes in UTF-8")
    return collection


def check_document(document: JSONObject) -> JSONObject:
    codec.check_object(document, "document")
    if document.get("id") is not None:
        codec.check_name(document["id"], "the document's id")
    return document
