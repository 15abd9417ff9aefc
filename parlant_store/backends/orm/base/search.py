"""The full-text searches of items, and of the messages of threads."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import MAX_SNIPPETS, hits
from parlant_store.backends.contract.operations import Search
from parlant_store.backends.orm.base.sessions import LIVE, Time
from parlant_store.backends.orm.database.errors import migrate_command
from parlant_store.backends.orm.database.sqlite_functions import create_function
from parlant_store.backends.orm.database.statements import Row, fetch
from parlant_store.backends.thread_columns import thread_hits
from parlant_store.content import codec
from parlant_store.content.text_search import (
    MAX_MATCHES,
    MAX_SEARCHED,
    count_matches,
    fts5_query,
    tsquery,
)
from parlant_store.exceptions import BackendError
from parlant_store.sql.search_index import ITEMS, MESSAGES, SQLITE_PARTS
from parlant_store.types import SearchHit, ThreadHit

# The owners with the most matches, each with its rows that match. MATERIALIZED makes PostgreSQL
# evaluate the search once, whatever the number of rows it estimates.
_SEARCH = """
WITH hits AS MATERIALIZED ({hits}), best AS (
    SELECT owner_key, sum(score) AS score FROM hits GROUP BY owner_key
), first AS (
    SELECT best.owner_key, best.score, s.namespace, s.id, s.full_names
    FROM best CROSS JOIN {owner} AND {condition}
    ORDER BY best.score DESC, s.id, s.namespace LIMIT %s
), shown AS (
    SELECT owner_key, place, text, row_number() OVER (
        PARTITION BY owner_key ORDER BY score DESC, place
    ) AS number
    FROM hits WHERE owner_key IN (SELECT owner_key FROM first)
)
SELECT first.namespace, first.id, first.full_names, first.score, shown.text, shown.place
FROM first JOIN shown ON shown.owner_key = first.owner_key AND shown.number <= %s
ORDER BY first.score DESC, first.id, first.namespace, shown.number
"""

_TEXT = "COALESCE(text, '')"
_DATA = f"substr(data, 1, {MAX_SEARCHED})"

_COUNT_PARTS = (
    f"SELECT count(*) FROM sqlite_master WHERE name IN ({', '.join(['%s'] * len(SQLITE_PARTS))})"
)


class _Dialect(NamedTuple):
    hits: str
    owner: str
    params: Callable[[list[list[str]], bool], list[Any]]


class _Table(NamedTuple):
    """A table with terms, and that of the owners of its rows."""

    table: str
    key: str
    place: str
    owner: str
    id: str


_ITEMS = _Table(ITEMS, "session_key", "position", "parlant_store_session", "session_id")
_MESSAGES = _Table(MESSAGES, "thread_key", "number", "parlant_store_thread", "thread_id")


def search_items(connection: BaseDatabaseWrapper, search: Search, time: Time) -> list[SearchHit]:
    """Return the sessions with items that match any of the terms."""
    text = _DATA if search.tools else _TEXT
    rows = _search(connection, _ITEMS, text, search, time)
    return hits(rows, search.terms, tools=search.tools)


def search_messages(connection: BaseDatabaseWrapper, search: Search, time: Time) -> list[ThreadHit]:
    """Return the threads with messages that match any of the terms."""
    return thread_hits(_search(connection, _MESSAGES, "text", search, time), search.terms)


def _search(
    connection: BaseDatabaseWrapper, table: _Table, text: str, search: Search, time: Time
) -> list[Row]:
    """Return the names of each owner, its score, and the text and the place of a row."""
    terms, namespace, limit, tools = search
    if connection.vendor == "sqlite":
        require_index(connection)
    condition, params = LIVE, [time.now]
    if namespace is not None:
        condition += " AND s.namespace = %s"
        params.append(codec.to_column(namespace))
    dialect = _DIALECTS[connection.vendor]
    names = table._asdict() | {"text": text}
    sql = _SEARCH.format(
        hits=dialect.hits.format_map(names),
        owner=dialect.owner.format_map(names),
        condition=condition,
    )
    params = [*dialect.params(terms, tools), *params, limit, MAX_SNIPPETS]
    if connection.vendor == "sqlite":
        create_matches_function(connection)
    return fetch(connection, sql, params, prepare=None)


def require_index(connection: BaseDatabaseWrapper) -> None:
    """Raise BackendError if SQLite has no search index, or no triggers that update it."""
    if fetch(connection, _COUNT_PARTS, SQLITE_PARTS) != [(len(SQLITE_PARTS),)]:
        raise BackendError(f"the search index is missing; run {migrate_command(connection.alias)}")


def create_matches_function(connection: BaseDatabaseWrapper) -> None:
    """Create parlant_store_matches_in(words, terms, others) on SQLite."""
    name = "parlant_store_matches_in"
    create_function(connection, name, 3, _count_matches, deterministic=True)


def _count_matches(text: str, terms: str, others: int) -> int:
    return count_matches(text, json.loads(terms), others=bool(others))


# With weights of 1, ts_rank_cd counts the matching positions.
_DIALECTS = {
    "postgresql": _Dialect(
        "SELECT {key} AS owner_key, {place} AS place, {text} AS text, least("
        f"ts_rank_cd('{{{{1,1,1,1}}}}', terms, %s::tsquery)::bigint, {MAX_MATCHES}) AS score"
        " FROM {table} WHERE terms @@ %s::tsquery",
        "LATERAL (SELECT namespace, {id} AS id, full_names, expires_at"
        " FROM {owner} WHERE key = best.owner_key LIMIT 1) s WHERE TRUE",
        lambda terms, tools: [tsquery(terms, others=tools)] * 2,
    ),
    "sqlite": _Dialect(
        "SELECT * FROM (SELECT i.{key} AS owner_key, i.{place} AS place, {text} AS text,"
        " parlant_store_matches_in(i.terms, %s, %s) AS score"
        " FROM {table}_fts CROSS JOIN {table} i"
        " WHERE {table}_fts MATCH %s AND i.key = {table}_fts.rowid) WHERE score > 0",
        "(SELECT key, namespace, {id} AS id, full_names, expires_at FROM {owner}) s"
        " WHERE s.key = best.owner_key",
        lambda terms, tools: [json.dumps(terms), int(tools), fts5_query(terms)],
    ),
}
