"""The full-text search of items."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import MAX_SNIPPETS, hits
from parlant_store.backends.contract.operations import Search
from parlant_store.backends.orm.base.sessions import LIVE, Time
from parlant_store.backends.orm.database.errors import migrate_command
from parlant_store.backends.orm.database.sqlite_functions import create_function
from parlant_store.backends.orm.database.statements import fetch
from parlant_store.content import codec
from parlant_store.content.text_search import (
    MAX_MATCHES,
    MAX_SEARCHED,
    count_matches,
    fts5_query,
    tsquery,
)
from parlant_store.exceptions import BackendError
from parlant_store.sql.search_index import SQLITE_PARTS, SQLITE_TABLE
from parlant_store.types import SearchHit

# The sessions with the most matches, each with its matching items. MATERIALIZED makes PostgreSQL
# evaluate the search once, whatever the number of rows it estimates.
_SEARCH = """
WITH hits AS MATERIALIZED ({hits}), best AS (
    SELECT session_key, sum(score) AS score FROM hits GROUP BY session_key
), first AS (
    SELECT best.session_key, best.score, s.namespace, s.session_id, s.full_names
    FROM best CROSS JOIN {session} AND {condition}
    ORDER BY best.score DESC, s.session_id, s.namespace LIMIT %s
), shown AS (
    SELECT session_key, text, row_number() OVER (
        PARTITION BY session_key ORDER BY score DESC, position
    ) AS number
    FROM hits WHERE session_key IN (SELECT session_key FROM first)
)
SELECT first.namespace, first.session_id, first.full_names, first.score, shown.text
FROM first JOIN shown ON shown.session_key = first.session_key AND shown.number <= %s
ORDER BY first.score DESC, first.session_id, first.namespace, shown.number
"""

_TEXT = "COALESCE(text, '')"
_DATA = f"substr(data, 1, {MAX_SEARCHED})"

_COUNT_PARTS = (
    f"SELECT count(*) FROM sqlite_master WHERE name IN ({', '.join(['%s'] * len(SQLITE_PARTS))})"
)


class _Dialect(NamedTuple):
    hits: str
    session: str
    params: Callable[[list[list[str]], bool], list[Any]]


def search_items(connection: BaseDatabaseWrapper, search: Search, time: Time) -> list[SearchHit]:
    """Return the sessions with items that match any of the terms."""
    terms, namespace, limit, tools = search
    if connection.vendor == "sqlite":
        require_index(connection)
    condition, params = LIVE, [time.now]
    if namespace is not None:
        condition += " AND s.namespace = %s"
        params.append(codec.to_column(namespace))
    dialect = _DIALECTS[connection.vendor]
    selected = dialect.hits.format(text=_DATA if tools else _TEXT)
    sql = _SEARCH.format(hits=selected, session=dialect.session, condition=condition)
    params = [*dialect.params(terms, tools), *params, limit, MAX_SNIPPETS]
    if connection.vendor == "sqlite":
        create_matches_function(connection)
    rows = fetch(connection, sql, params, prepare=None)
    return hits(rows, terms, tools=tools)


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
        "SELECT session_key, position, {text} AS text, least("
        f"ts_rank_cd('{{{{1,1,1,1}}}}', terms, %s::tsquery)::bigint, {MAX_MATCHES}) AS score"
        " FROM parlant_store_session_item WHERE terms @@ %s::tsquery",
        "LATERAL (SELECT namespace, session_id, full_names, expires_at"
        " FROM parlant_store_session WHERE key = best.session_key LIMIT 1) s WHERE TRUE",
        lambda terms, tools: [tsquery(terms, others=tools)] * 2,
    ),
    "sqlite": _Dialect(
        "SELECT * FROM (SELECT i.session_key, i.position, {text} AS text,"
        " parlant_store_matches_in(i.terms, %s, %s) AS score"
        f" FROM {SQLITE_TABLE} CROSS JOIN parlant_store_session_item i"
        f" WHERE {SQLITE_TABLE} MATCH %s AND i.key = {SQLITE_TABLE}.rowid) WHERE score > 0",
        "parlant_store_session s WHERE s.key = best.session_key",
        lambda terms, tools: [json.dumps(terms), int(tools), fts5_query(terms)],
    ),
}
