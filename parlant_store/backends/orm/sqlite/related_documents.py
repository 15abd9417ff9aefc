"""Documents that belong to Parlant sessions, on SQLite."""

import json

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.orm.base.documents import NAMES
from parlant_store.backends.orm.database.statements import fetch
from parlant_store.content.related_documents import (
    SESSIONS,
    collections_by_prefix,
    session_prefixes,
)

_NAMES = f"{NAMES} SELECT name FROM names WHERE name IS NOT NULL"
IS_OF_SESSIONS = "substr({}, -8) = 'sessions'"
# Each collection of a prefix, with that of the sessions to which its documents belong.
_BESIDE = (
    "(SELECT json_extract(value, '$[0]') AS name, json_extract(value, '$[1]') AS sessions"
    " FROM json_each(%s)) beside"
)
# The documents that belong to the Parlant session d, and the session that d belongs to.
PARTS = (
    f"{_BESIDE} CROSS JOIN parlant_store_document part ON beside.sessions = d.collection"
    " AND part.collection = beside.name AND part.session_id = d.id AND part.key <> d.key"
)
WHOLE = (
    f"{_BESIDE} CROSS JOIN parlant_store_document s ON beside.name = d.collection"
    " AND s.collection = beside.sessions AND s.id = d.session_id AND s.key <> d.key"
)
IN_KEYS = "IN (SELECT value FROM json_each(%s))"


def collections_beside(connection: BaseDatabaseWrapper) -> str:
    """The parameter of PARTS and WHOLE."""
    names = [name for (name,) in fetch(connection, _NAMES)]
    beside = collections_by_prefix(names, session_prefixes(names))
    return json.dumps(
        [
            (name, prefix + SESSIONS)
            for prefix, collections in beside.items()
            for name in collections
        ]
    )


def parts_of(connection: BaseDatabaseWrapper, keys: list[int]) -> list[int]:
    """The documents that belong to the Parlant sessions among those of ``keys``."""
    already = set(keys)
    return list(dict.fromkeys(key for _, key in related(connection, keys) if key not in already))


def related(connection: BaseDatabaseWrapper, keys: list[int]) -> list[tuple[int, int]]:
    """The same, each document after its session."""
    sql = (
        f"SELECT DISTINCT d.key, part.key FROM parlant_store_document d CROSS JOIN {PARTS}"
        f" WHERE d.key {IN_KEYS} AND {IS_OF_SESSIONS.format('d.collection')}"
    )
    rows = fetch(connection, sql, (collections_beside(connection), json.dumps(keys)))
    return [(session, part) for session, part in rows]
