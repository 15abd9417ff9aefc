"""Documents that belong to Parlant sessions, on SQLite."""

import json

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.orm.connection import fetch

_NAMES = (
    "WITH RECURSIVE names (name) AS (SELECT min(collection) FROM parlant_store_document"
    " UNION ALL SELECT (SELECT min(collection) FROM parlant_store_document"
    " WHERE collection > name) FROM names WHERE name IS NOT NULL)"
    " SELECT name FROM names WHERE name IS NOT NULL"
)
IS_OF_SESSIONS = "substr({}, -8) = 'sessions'"
# Whether the collection {0} begins as {1}, a collection of sessions, does before "sessions".
_IS_BESIDE = "substr({0}, 1, length({1}) - 8) = substr({1}, 1, length({1}) - 8)"
# The documents that belong to the Parlant session d, and the session that d belongs to.
PARTS = (
    "json_each(%s) name CROSS JOIN parlant_store_document part"
    " ON part.collection = name.value AND part.session_id = d.id AND part.key <> d.key"
    f" AND {_IS_BESIDE.format('name.value', 'd.collection')}"
)
WHOLE = (
    "json_each(%s) name CROSS JOIN parlant_store_document s"
    " ON s.collection = name.value AND s.id = d.session_id AND s.key <> d.key"
    f" AND {IS_OF_SESSIONS.format('name.value')}"
    f" AND {_IS_BESIDE.format('d.collection', 'name.value')}"
)
IN_KEYS = "IN (SELECT value FROM json_each(%s))"


def names_of(connection: BaseDatabaseWrapper) -> str:
    return json.dumps([name for (name,) in fetch(connection, _NAMES)])


def parts_of(connection: BaseDatabaseWrapper, keys: list[int]) -> list[int]:
    """The documents that belong to the Parlant sessions among those of ``keys``."""
    sql = (
        f"SELECT DISTINCT part.key FROM parlant_store_document d CROSS JOIN {PARTS}"
        f" WHERE d.key {IN_KEYS} AND {IS_OF_SESSIONS.format('d.collection')}"
    )
    found = fetch(connection, sql, (names_of(connection), json.dumps(keys)))
    already = set(keys)
    return [key for (key,) in found if key not in already]
