"""The related documents of Parlant sessions on SQLite."""

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
# Each collection of related documents with the collection of their sessions.
_COLLECTIONS = (
    "(SELECT json_extract(value, '$[0]') AS name, json_extract(value, '$[1]') AS sessions"
    " FROM json_each(%s)) related"
)
# The related documents of the Parlant session d, and the session of the related document d.
DOCUMENTS_OF_D = (
    f"{_COLLECTIONS} CROSS JOIN parlant_store_document r ON related.sessions = d.collection"
    " AND r.collection = related.name AND r.session_id = d.id AND r.key <> d.key"
)
SESSION_OF_D = (
    f"{_COLLECTIONS} CROSS JOIN parlant_store_document s ON related.name = d.collection"
    " AND s.collection = related.sessions AND s.id = d.session_id AND s.key <> d.key"
)
IN_KEYS = "IN (SELECT value FROM json_each(%s))"


def related_collections(connection: BaseDatabaseWrapper) -> str:
    """Return the parameter of DOCUMENTS_OF_D and SESSION_OF_D."""
    names = [name for (name,) in fetch(connection, _NAMES)]
    by_prefix = collections_by_prefix(names, session_prefixes(names))
    return json.dumps(
        [
            (name, prefix + SESSIONS)
            for prefix, collections in by_prefix.items()
            for name in collections
        ]
    )


def related_keys(connection: BaseDatabaseWrapper, keys: list[int]) -> list[int]:
    """Return the keys of the related documents of the sessions in ``keys``, without ``keys``."""
    sessions = set(keys)
    rows = related_documents(connection, keys)
    return list(dict.fromkeys(key for _, key in rows if key not in sessions))


def related_documents(connection: BaseDatabaseWrapper, keys: list[int]) -> list[tuple[int, int]]:
    """Return the keys of the Parlant sessions in ``keys``, each with that of a related document."""
    sql = (
        f"SELECT DISTINCT d.key, r.key FROM parlant_store_document d CROSS JOIN {DOCUMENTS_OF_D}"
        f" WHERE d.key {IN_KEYS} AND {IS_OF_SESSIONS.format('d.collection')}"
    )
    rows = fetch(connection, sql, (related_collections(connection), json.dumps(keys)))
    return [(session, document) for session, document in rows]
