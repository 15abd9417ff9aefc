"""Conversations by the words of items, events and messages, through the indexes for search."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, NamedTuple

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.safestring import SafeString

from parlant_store.admin.conversations.search.names import CUSTOMERS
from parlant_store.admin.formatting import Highlighter
from parlant_store.admin.lookups import fetch, union
from parlant_store.backends.orm.base.search import require_index
from parlant_store.content import codec, text_search
from parlant_store.content.events import event_text
from parlant_store.content.items import searched_text

MAX_HITS = 5_000
"""Limit on the items, the events, and the messages of threads, that match and are read."""

MAX_NEWEST = 2_000
"""The number of the newest items, documents, and messages, that are searched first."""

FREQUENT = 200
"""So many matches among the newest are enough."""

MAX_CONVERSATIONS = 1_000
"""Limit on the conversations of one kind that a search finds by words."""

MAX_TEXT = 10_000
"""Limit on the characters of an item that are searched for a snippet."""

ITEM, EVENT, MESSAGE = range(3)
"""The kinds of texts: items, events, and messages of threads."""


class _Texts(NamedTuple):
    """A table with terms."""

    kind: int
    table: str
    columns: str
    last: str = ""
    """The last key, as SQL."""

    @property
    def index_table(self) -> str:
        """The table of the index on SQLite."""
        return f"{self.table}_fts"


_TABLES = (
    _Texts(
        ITEM,
        "parlant_store_session_item",
        "i.key, CAST(i.session_key AS text) AS session, NULL AS collection, NULL AS id",
    ),
    _Texts(EVENT, "parlant_store_document", "i.key, i.session_id AS session, i.collection, i.id"),
    _Texts(
        MESSAGE,
        "parlant_store_thread_message",
        "i.key, CAST(i.thread_key AS text) AS session, NULL AS collection,"
        " CAST(i.number AS text) AS id",
    ),
)
# The newest rows are read first. If the words are frequent there, the index is not read: it would
# collect all rows that have them.
_FIND = (
    "WITH newest AS MATERIALIZED (SELECT {kind} AS kind, {columns}, i.terms FROM {table} i"
    " WHERE i.key > {last} - {newest}),"
    " recent AS MATERIALIZED (SELECT kind, key, session, collection, id, true AS is_newest"
    " FROM newest i WHERE {condition})"
    " SELECT * FROM recent UNION ALL SELECT * FROM (SELECT {kind} AS kind, {columns},"
    " false AS is_newest FROM {indexed} LIMIT {limit}) by_index"
)
_IS_RARE = "(SELECT count(*) FROM recent) < {frequent}"
_INDEXED = {
    # An empty phrase finds nothing; a condition beside the search would follow it.
    "sqlite": (
        "{index} CROSS JOIN {table} i WHERE {index} MATCH"
        " CASE WHEN {is_rare} THEN %s ELSE '\"\"' END"
        " AND i.key = {index}.rowid ORDER BY {index}.rowid DESC"
    ),
    "postgresql": "{table} i WHERE i.terms @@ %s::tsquery AND {is_rare}",
}
_MATCHES = "i.terms @@ %s::tsquery"
# As FTS5 finds a phrase with a prefix.
_CONTAINS = "instr(' ' || i.terms, %s) > 0"
# Otherwise a word that is thought to be frequent is searched in the whole table. It lasts until the
# rollback, and begins after the keys are read.
_BY_INDEX = (
    "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'off', true),"
    " set_config('jit', 'off', true), (SELECT max(key) FROM parlant_store_session_item),"
    " (SELECT max(key) FROM parlant_store_document),"
    " (SELECT max(key) FROM parlant_store_thread_message)"
)
_LAST = "(SELECT max(key) FROM {table})"
_AFTER_ALL = str(2**62)
"""A key in place of the last one, so that no rows are among the newest."""

_EVENT_TEXTS = {
    "postgresql": (
        "data -> 'data' ->> 'message'",
        "COALESCE(data -> 'data', data -> 'value')::text",
    ),
    "sqlite": (
        "json_extract(data, '$.data.message')",
        "COALESCE(json_extract(data, '$.data'), json_extract(data, '$.value'))",
    ),
}
"""The message of an event, and its data or the value of a memory as JSON text."""


class Hit(NamedTuple):
    """An item, an event, a customer, or a message of a thread, whose words match."""

    kind: int
    key: int
    session: str | None
    """The key of the session of an item, or of a thread; the id of an event's Parlant session."""

    collection: str | None
    id: str | None
    """The id of a document, or the number of a message."""

    is_newest: bool
    """Whether it is among the newest rows, which are searched first."""


class FoundMessage(NamedTuple):
    """A message of a thread."""

    key: int
    number: int
    """Its place in the state of the thread, from 1."""


class Words(NamedTuple):
    """What a search by words found."""

    items: Mapping[int, int] = {}
    """The newest item that matches, by the key of its session."""

    events: Mapping[tuple[str, str], int] = {}
    """The newest event that matches, by its collection and the id of its session."""

    threads: Mapping[int, FoundMessage] = {}
    """The newest message that matches, by the key of its thread."""

    customers: Sequence[str] = ()
    """The ids of customers whose names match."""

    terms: Sequence[list[str]] = ()
    is_partial: bool = False
    """Whether more matches than were read."""


def search(
    connection: BaseDatabaseWrapper,
    query: str,
    person: str = "",
    *,
    kinds: Collection[int] = (ITEM, EVENT, MESSAGE),
) -> Words:
    """Search conversations that have all terms of the query in one item, event or message.

    If there are none, search those with any of the terms. Customers are those whose names have all
    words of ``person``; without one, those that the query finds. ``kinds`` are what the user may
    read.
    """
    terms = text_search.terms(query)
    with _by_index(connection) as last:
        found = _words(_find(connection, _tables(kinds, last), terms), terms)
        if not person:
            return found
        named = text_search.terms(person)
        of_names = {EVENT}.intersection(kinds)
        hits = _find(connection, _tables(of_names, last), named, needs_all=True)
    return found._replace(customers=_words(hits, named).customers)


def find_documents(connection: BaseDatabaseWrapper, terms: list[list[str]]) -> list[Hit]:
    """Return the events and customers that have all terms; with any, if none has all.

    Unlike ``search``, this reads the index alone.
    """
    with _by_index(connection):
        return _find(connection, _tables((EVENT,), [_AFTER_ALL] * len(_TABLES)), terms)


def _tables(kinds: Collection[int], last: Sequence[str]) -> list[_Texts]:
    tables = zip(_TABLES, last, strict=True)
    return [table._replace(last=key) for table, key in tables if table.kind in kinds]


@contextmanager
def _by_index(connection: BaseDatabaseWrapper) -> Iterator[list[str]]:
    """Let PostgreSQL read no table to find words, however frequent it thinks they are.

    Yield the last key of each table, as SQL.
    """
    if connection.vendor == "sqlite":
        require_index(connection)
        yield [_LAST.format(table=table.table) for table in _TABLES]
        return
    with transaction.atomic(connection.alias):
        with connection.cursor() as cursor:
            cursor.execute(_BY_INDEX)
            keys = cursor.fetchone()[-len(_TABLES) :]
        yield [str(int(key or 0)) for key in keys]
        transaction.set_rollback(True, connection.alias)


def _find(
    connection: BaseDatabaseWrapper,
    tables: list[_Texts],
    terms: list[list[str]],
    *,
    needs_all: bool = False,
) -> list[Hit]:
    if not terms or not tables:
        return []
    find = _find_sqlite if connection.vendor == "sqlite" else _find_postgresql
    return find(connection, tables, terms, needs_all or len(terms) == 1)


def _words(hits: list[Hit], terms: list[list[str]]) -> Words:
    found_items: dict[int, int] = {}
    found_events: dict[tuple[str, str], int] = {}
    threads: dict[int, FoundMessage] = {}
    customers: dict[str, None] = {}
    for hit in sorted(hits, key=lambda hit: hit.key, reverse=True):
        if hit.kind == ITEM:
            if len(found_items) < MAX_CONVERSATIONS:
                found_items.setdefault(int(hit.session or 0), hit.key)
        elif hit.kind == MESSAGE:
            if len(threads) < MAX_CONVERSATIONS:
                message = FoundMessage(hit.key, int(hit.id or 0))
                threads.setdefault(int(hit.session or 0), message)
        elif hit.collection and hit.session:
            if len(found_events) < MAX_CONVERSATIONS:
                found_events.setdefault((hit.collection, hit.session), hit.key)
        elif hit.collection and hit.id and hit.collection.endswith(CUSTOMERS):
            customers.setdefault(hit.id)
    has_more = any(
        len(found) >= MAX_CONVERSATIONS for found in (found_items, found_events, threads)
    )
    is_partial = has_more or has_more_hits(hits)
    return Words(found_items, found_events, threads, list(customers), terms, is_partial=is_partial)


def has_more_hits(hits: Sequence[Hit]) -> bool:
    """Whether more items, events or messages may match than these."""
    kinds = Counter(hit.kind for hit in hits)
    newest = Counter(hit.kind for hit in hits if hit.is_newest)
    return any(kinds[kind] > MAX_HITS or newest[kind] >= FREQUENT for kind in kinds)


def _find_sqlite(
    connection: BaseDatabaseWrapper, tables: list[_Texts], terms: list[list[str]], needs_all: bool
) -> list[Hit]:
    for operator in (" AND ",) if needs_all else (" AND ", " OR "):
        query = operator.join(f'"{" ".join(words)}" *' for words in terms)
        condition = f"({operator.join([_CONTAINS] * len(terms))})"
        params = [*(f" {' '.join(words)}" for words in terms), query]
        if hits := _fetch(connection, tables, condition, params):
            return hits
    return []


def _find_postgresql(
    connection: BaseDatabaseWrapper, tables: list[_Texts], terms: list[list[str]], needs_all: bool
) -> list[Hit]:
    any_term = text_search.tsquery(terms, others=True)
    all_terms = any_term.replace(") | (", ") & (")
    for query in (all_terms,) if needs_all else (all_terms, any_term):
        if hits := _fetch(connection, tables, _MATCHES, [query, query]):
            return hits
    return []


def _fetch(
    connection: BaseDatabaseWrapper, tables: list[_Texts], condition: str, params: list[str]
) -> list[Hit]:
    """Return the hits in each table; ``params`` are those of the condition and of the index."""
    selects = (_statement(connection.vendor, table, condition) for table in tables)
    rows = fetch(connection, union(selects), params * len(tables))
    # The index may find the newest too.
    hits = sorted((Hit(*row) for row in rows), key=attrgetter("is_newest"))
    return list({hit[:2]: hit for hit in hits}.values())


def _statement(vendor: str, table: _Texts, condition: str) -> str:
    names = table._asdict() | {
        "index": table.index_table,
        "is_rare": _IS_RARE.format(frequent=FREQUENT),
        "condition": condition,
        "newest": MAX_NEWEST,
        "limit": MAX_HITS + 1,
    }
    return _FIND.format(**names, indexed=_INDEXED[vendor].format(**names))


def snippets(
    connection: BaseDatabaseWrapper, keys: Mapping[int, Sequence[int]], terms: Sequence[list[str]]
) -> dict[tuple[int, int], SafeString]:
    """Return the texts around what matches, by their kinds and keys; ``keys`` are by kind."""
    texts = _read_texts(connection, keys)
    return {place: marked(text, terms) for place, text in texts.items()}


def marked(text: str, terms: Sequence[list[str]]) -> SafeString:
    """Return a snippet of the text, with what matches as <mark>."""
    shown = text_search.snippet(codec.printable(text), list(terms))
    return Highlighter(terms, whole_words=True).mark(shown)


def _read_texts(
    connection: BaseDatabaseWrapper, keys: Mapping[int, Sequence[int]]
) -> dict[tuple[int, int], str]:
    is_postgresql = connection.vendor == "postgresql"
    message, data = _EVENT_TEXTS[connection.vendor]
    left = "left" if is_postgresql else "substr"
    selects: list[str] = []
    parameters: list[int] = []
    for kind, table, text, json_text in (
        (ITEM, "parlant_store_session_item", "NULLIF(text, '')", "data"),
        (EVENT, "parlant_store_document", message, data),
        (MESSAGE, "parlant_store_thread_message", "text", "text"),
    ):
        if keys.get(kind):
            marks = ", ".join(["%s"] * len(keys[kind]))
            # Of a long one the text, which may be far behind the start of its JSON.
            shown = (
                f"CASE WHEN length({json_text}) <= {MAX_TEXT} THEN {json_text}"
                f" ELSE COALESCE({text}, {json_text}) END"
            )
            cut = (
                f"{left}({shown}, {MAX_TEXT})"
                if is_postgresql
                else (f"{left}({shown}, 1, {MAX_TEXT})")
            )
            selects.append(f"SELECT {kind}, key, {cut} FROM {table} WHERE key IN ({marks})")
            parameters += keys[kind]
    if not selects:
        return {}
    rows = fetch(connection, " UNION ALL ".join(selects), parameters)
    return {(kind, key): _text(kind, text or "") for kind, key, text in rows}


def _text(kind: int, text: str) -> str:
    """Return what is searched of the JSON of an item, of the data of an event, or of a message."""
    if kind == MESSAGE:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(value, dict):
        return text
    if kind == ITEM:
        return searched_text(value)
    message = event_text(value)
    return message if message else "\n".join(_strings(value))


def _strings(value: Any) -> Iterator[str]:
    """Yield the texts in a value; JSON text is never nested deeply here."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)
