"""Sessions found by what their items say: the stores' search, looking at so many hits at most."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.functions import Left

from parlant_store.backends.orm.base.search import require_index
from parlant_store.content import text_search
from parlant_store.models import SessionItem
from parlant_store.sql.search_index import SQLITE_TABLE

LOOKED_AT = 10_000
"""How many items that match are looked at."""

SESSIONS = 1_000
"""How many sessions are found by content."""

SNIPPED = 10_000
"""How many characters of an item are looked through for a snippet."""

_SQLITE = (
    f"SELECT i.key, i.session_key FROM {SQLITE_TABLE} CROSS JOIN parlant_store_session_item i"
    f" WHERE {SQLITE_TABLE} MATCH %s AND i.key = {SQLITE_TABLE}.rowid"
    f" ORDER BY {SQLITE_TABLE}.rowid DESC LIMIT %s"
)
_HITS = (
    "SELECT key, session_key FROM parlant_store_session_item WHERE terms @@ %s::tsquery LIMIT %s"
)
_NEWEST = (
    "SELECT key, session_key FROM (SELECT key, session_key, terms FROM parlant_store_session_item"
    " ORDER BY key DESC LIMIT %s) newest WHERE terms @@ %s::tsquery"
)
# The index finds hits in no order; without this, a word that is thought to be frequent is
# looked for in the whole table. It lasts until the rollback.
_BY_INDEX = (
    "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'off', true)"
)

Hit = tuple[int, int]
"""The keys of an item and of its session."""


class Found(NamedTuple):
    """The newest item that matches, by its session's key."""

    items: dict[int, int]
    terms: list[list[str]]
    is_partial: bool
    """Whether more items match than were looked at."""


def find(query: str) -> Found:
    """Sessions with an item that has all the terms of ``query``; with any of them, if none has."""
    terms = text_search.terms(query)
    hits = _hits(terms, joined=True) if terms else []
    if not hits and len(terms) > 1:
        hits = _hits(terms, joined=False)
    items: dict[int, int] = {}
    for item, session in sorted(hits, reverse=True):
        if len(items) < SESSIONS:
            items.setdefault(session, item)
    is_all = len(hits) <= LOOKED_AT and len(items) < SESSIONS
    return Found(items, terms, is_partial=not is_all)


def snippets(found: Found, sessions: Sequence[int]) -> dict[int, str]:
    """What matches in each of ``sessions``, by their keys."""
    keys = [found.items[session] for session in sessions if session in found.items]
    if not keys:
        return {}
    texts = SessionItem.objects.filter(key__in=keys).values_list("session", Left("text", SNIPPED))
    return {session: text_search.snippet(text or "", found.terms) for session, text in texts}


def _hits(terms: list[list[str]], *, joined: bool) -> list[Hit]:
    """The newest hits, LOOKED_AT and one more at most; where they are too many, also others."""
    connection = connections[router.db_for_read(SessionItem)]
    if connection.vendor == "sqlite":
        require_index(connection)
        phrases = [f'"{" ".join(words)}" *' for words in terms]
        query = (" AND " if joined else " OR ").join(phrases)
        return _fetch(connection, _SQLITE, (query, LOOKED_AT + 1))
    query = text_search.tsquery(terms)
    query = query.replace(") | (", ") & (") if joined else query
    with transaction.atomic(connection.alias):
        _fetch(connection, _BY_INDEX)
        hits = _fetch(connection, _HITS, (query, LOOKED_AT + 1))
        transaction.set_rollback(True, connection.alias)
    if len(hits) > LOOKED_AT:
        hits += _fetch(connection, _NEWEST, (LOOKED_AT, query))
    return hits


def _fetch(connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any] = ()) -> list[Hit]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        hits: list[Hit] = cursor.fetchall()
    return hits
