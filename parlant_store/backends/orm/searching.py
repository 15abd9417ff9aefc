"""Searching the items of sessions."""

from collections.abc import Callable
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store import codec
from parlant_store.backends.orm.connection import fetch
from parlant_store.backends.orm.sessions import LIVE, Time
from parlant_store.backends.rows import MAX_SNIPPETS, hits
from parlant_store.search import tsquery
from parlant_store.sql.search import SQLITE_TABLE
from parlant_store.types import SearchHit

# The sessions that match best, each with the items that do. What matches is found once, and
# all else is looked up from there, whatever the planner thinks of how much it is.
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


class _Dialect(NamedTuple):
    hits: str
    session: str
    query: Callable[[list[list[str]]], str]


def search(
    connection: BaseDatabaseWrapper,
    terms: list[list[str]],
    namespace: str | None,
    limit: int,
    time: Time,
) -> list[SearchHit]:
    """The sessions that match any of ``terms`` (parlant_store.search.terms)."""
    condition, params = LIVE, [time.now]
    if namespace is not None:
        condition += " AND s.namespace = %s"
        params.append(codec.to_column(namespace))
    dialect = _DIALECTS[connection.vendor]
    sql = _SEARCH.format(hits=dialect.hits, session=dialect.session, condition=condition)
    queries = [dialect.query(terms)] * dialect.hits.count("%s")
    rows = fetch(connection, sql, (*queries, *params, limit, MAX_SNIPPETS), prepare=None)
    return hits(rows, terms)


def _fts5(terms: list[list[str]]) -> str:
    return " OR ".join(f'"{" ".join(words)}" *' for words in terms)


_DIALECTS = {
    "postgresql": _Dialect(
        "SELECT session_key, position, text, ts_rank(terms, %s::tsquery) AS score"
        " FROM parlant_store_session_item WHERE terms @@ %s::tsquery",
        "LATERAL (SELECT namespace, session_id, full_names, expires_at"
        " FROM parlant_store_session WHERE key = best.session_key LIMIT 1) s WHERE TRUE",
        tsquery,
    ),
    # bm25 is the lower the better, and may come out as nothing for a word of every text.
    "sqlite": _Dialect(
        "SELECT i.session_key, i.position, i.text,"
        f" max(-bm25({SQLITE_TABLE}), 1e-9) AS score"
        f" FROM {SQLITE_TABLE} CROSS JOIN parlant_store_session_item i"
        f" WHERE {SQLITE_TABLE} MATCH %s AND i.key = {SQLITE_TABLE}.rowid",
        "parlant_store_session s WHERE s.key = best.session_key",
        _fts5,
    ),
}
