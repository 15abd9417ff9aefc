"""Conversations by the names of their sessions, owners, customers and agents."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from parlant_store.admin.conversations.search.selection import DOCUMENT, SESSION, THREAD
from parlant_store.admin.conversations.search.streams import MAX_ROWS
from parlant_store.admin.lookups import NEWEST_FIRST, Condition, fetch_union, select_first
from parlant_store.content import codec
from parlant_store.content.related_documents import SESSIONS
from parlant_store.content.text_search import words
from parlant_store.models import Document, Session, Thread

MAX_NAMES = 1_000
"""Limit on the namespaces, the collections, and the names of persons, that are read."""

MAX_COLLECTIONS = 10
"""Limit on the collections of one kind that are searched."""

MAX_PERSONS = 20
"""Limit on the customers, and on the agents, whose names match."""

MAX_SLASHES = 50
"""Limit on the slashes of a search that may separate the namespace from the session id."""

CUSTOMERS, AGENTS, EVENTS = "customers", "agents", "events"
"""The suffixes of the names of Parlant's collections of these."""

_NAME = {"postgresql": "data ->> 'name'", "sqlite": "json_extract(data, '$.name')"}
_CONTAINS = {
    "postgresql": "strpos(lower(name), %s) > 0",
    # SQLite changes the case of ASCII only; terms are in lower case.
    "sqlite": "(instr(lower(name), %s) > 0 OR instr(' ' || terms, %s) > 0)",
}


class Names(NamedTuple):
    """The first namespaces and collections."""

    namespaces: list[str] = []  # noqa: RUF012
    collections: list[str] = []  # noqa: RUF012

    def ending(self, suffix: str) -> list[str]:
        """Return the collections of Parlant whose names end so."""
        return [name for name in self.collections if name.endswith(suffix)][:MAX_COLLECTIONS]

    def containing(self, text: str) -> list[str] | None:
        """Return the namespaces that contain the text; None if there may be more."""
        part = codec.escape(text).lower()
        found = [name for name in self.namespaces if part in name.lower()]
        is_known = len(self.namespaces) < MAX_NAMES and len(found) <= MAX_PERSONS
        return found if is_known else None


def read_names(connection: BaseDatabaseWrapper) -> Names:
    """Read the namespaces and the collections by one statement."""
    columns: list[tuple[type[Model], str]] = [
        (Session, "namespace"),
        (Document, "collection"),
        (Thread, "namespace"),
    ]
    sessions, collections, threads = select_first(connection, columns, MAX_NAMES)
    return Names(sorted({*sessions, *threads}), collections)


def named(
    connection: BaseDatabaseWrapper,
    names: Names,
    term: str,
    persons: Sequence[str],
    sessions: Sequence[tuple[str, str]],
) -> tuple[set[int], set[int], set[int]]:
    """Return the keys of the conversations of each kind with this id or of this person.

    ``persons`` are the ids of customers whose names match, ``sessions`` the collections of events
    and the ids of Parlant sessions that have these.
    """
    parts = [
        *_sessions(names, term, SESSION, Session, "session_id"),
        *_sessions(names, term, THREAD, Thread, "thread_id"),
        *_documents(names, term, persons),
        *_of_events(sessions),
    ]
    keys: tuple[set[int], set[int], set[int]] = set(), set(), set()
    for kind, key in fetch_union(connection, parts):
        keys[kind].add(key)
    return keys


def persons_named(
    connection: BaseDatabaseWrapper, names: Names, suffix: str, text: str
) -> list[str]:
    """Return the ids of customers or agents whose names contain the text.

    Of the first MAX_NAMES alone; the words of customers' names have an index (words.search).
    """
    collections = names.ending(suffix)
    if not collections or not text:
        return []
    vendor = connection.vendor
    part = codec.escape(text).lower()
    terms = (f" {' '.join(words(text)) or text}",) if vendor == "sqlite" else ()
    parts = [
        Condition(
            f"SELECT id FROM (SELECT id, terms, {_NAME[vendor]} AS name"
            " FROM parlant_store_document WHERE collection = %s"
            f" ORDER BY collection, id LIMIT {MAX_NAMES}) first_rows"
            f" WHERE id IS NOT NULL AND {_CONTAINS[vendor]} LIMIT {MAX_PERSONS}",
            (collection, part, *terms),
        )
        for collection in collections
    ]
    return [id_ for (id_,) in fetch_union(connection, parts, "UNION")][:MAX_PERSONS]


def _sessions(
    names: Names, term: str, kind: int, model: type[Model], id_: str
) -> Iterator[Condition]:
    """Yield the conditions for sessions or threads, whose id is in the column ``id_``."""
    table, name = model._meta.db_table, codec.to_column(term)
    within = Condition("")
    if len(names.namespaces) < MAX_NAMES and names.namespaces:
        marks = ", ".join(["%s"] * len(names.namespaces))
        within = Condition(f" AND namespace IN ({marks})", tuple(names.namespaces))
    yield _keys(kind, table, "user_id = %s", (name,), f"user_id, namespace, {id_}")
    yield _keys(kind, table, f"{id_} = %s{within.sql}", (name, *within.parameters))
    for slash in list(re.finditer("/", term))[:MAX_SLASHES]:
        place = codec.to_column(term[: slash.start()]), codec.to_column(term[slash.end() :])
        yield _keys(kind, table, f"namespace = %s AND {id_} = %s", place)


def _documents(names: Names, term: str, persons: Sequence[str]) -> Iterator[Condition]:
    table, name = "parlant_store_document", codec.to_column(term)
    for collection in names.ending(SESSIONS):
        yield _keys(DOCUMENT, table, "collection = %s AND id = %s", (collection, name))
        for person in dict.fromkeys((name, *persons)):
            condition = "collection = %s AND customer_id = %s"
            yield _keys(DOCUMENT, table, condition, (collection, person), NEWEST_FIRST)
        condition = "collection = %s AND agent_id = %s"
        yield _keys(DOCUMENT, table, condition, (collection, name), NEWEST_FIRST)


def _of_events(sessions: Sequence[tuple[str, str]]) -> Iterator[Condition]:
    ids: dict[str, list[str]] = {}
    for collection, id_ in sessions:
        if collection.endswith(EVENTS):
            ids.setdefault(collection.removesuffix(EVENTS) + SESSIONS, []).append(id_)
    for collection, of_collection in ids.items():
        marks = ", ".join(["%s"] * len(of_collection))
        condition = f"collection = %s AND id IN ({marks})"
        yield _keys(DOCUMENT, "parlant_store_document", condition, (collection, *of_collection))


def _keys(
    kind: int, table: str, condition: str, parameters: tuple[Any, ...], order: str = ""
) -> Condition:
    by = f" ORDER BY {order}" if order else ""
    sql = f"SELECT {kind} AS kind, key FROM {table} WHERE {condition}{by} LIMIT {MAX_ROWS}"
    return Condition(sql, parameters)
