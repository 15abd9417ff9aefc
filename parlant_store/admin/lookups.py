"""Keys and values found by steps through an index, and rows by the whole of a name."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Any, NamedTuple, TypeVar

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, Q

from parlant_store.admin.formatting import model_field
from parlant_store.content import codec
from parlant_store.models import Session

COUNTED = 10_000
"""How many rows a list counts, and lists."""

PLACES = 1_000
"""In how many namespaces or collections a search looks one by one; else it reads the index."""

SLASHES = 50
"""How many slashes of a search may part the place from the name."""

NEWEST_FIRST = "COALESCE(creation_utc, '') DESC, COALESCE(id, '') DESC"
"""The order of the indexes on the documents of a collection, and of an owner in it."""

Key = TypeVar("Key")


class Condition(NamedTuple):
    """A condition or a statement of SQL with its parameters."""

    sql: str
    parameters: tuple[Any, ...] = ()


def named(
    model: type[Model], place: str, name: str, term: str, places: list[str] | None = None
) -> list[Q]:
    """Conditions that find ``term`` as a ``name`` in any ``place``, or as place/name.

    The unique index on both columns serves them. places: the first places, if they are known.
    """
    anywhere, within = Q((name, codec.to_column(term))), Q()
    if places is None:
        places = first_values(model, place, PLACES + 1)
    if len(places) <= PLACES:
        anywhere &= Q((f"{place}__in", places))
    for slash in list(re.finditer("/", term))[:SLASHES]:
        before, after = term[: slash.start()], term[slash.end() :]
        within |= Q((place, codec.to_column(before)), (name, codec.to_column(after)))
    return [anywhere, within] if within else [anywhere]


def sessions_named(term: str) -> list[Q]:
    return named(Session, "namespace", "session_id", term)


def keys(model: type[Model], conditions: list[Q]) -> list[int]:
    """The keys of the newest rows that meet one of ``conditions``.

    A union, because OR loses indexes; and a list, because beside an order and a limit
    PostgreSQL may prefer to read the whole table.
    """
    first, *rest = (model._default_manager.filter(condition) for condition in conditions)
    found = first.values_list("key").union(*(matches.values_list("key") for matches in rest))
    return [key for (key,) in found.order_by("-key")[: COUNTED + 1]]


def common_length(name: str, other: str) -> int:
    """Return the length of the common beginning of two names."""
    pairs = zip(name, other, strict=False)
    return sum(1 for _pair in takewhile(lambda pair: pair[0] == pair[1], pairs))


def with_first_values(model: type[Model], name: str, most: int) -> str:
    """How a statement begins that finds the first values as the column name of ``names``."""
    table, column = model._meta.db_table, model_field(model, name).column
    return f"""
WITH RECURSIVE steps (name) AS (
    SELECT min({column}) FROM {table}
    UNION ALL
    SELECT (SELECT min({column}) FROM {table} WHERE {column} > name)
    FROM steps WHERE name IS NOT NULL
), names (name) AS (SELECT name FROM steps WHERE name IS NOT NULL LIMIT {most})
"""


def connection_of(model: type[Model]) -> BaseDatabaseWrapper:
    """Return the connection that the rows of the model are read from."""
    return connections[router.db_for_read(model)]


def fetch(
    connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    """Return all rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def union(statements: Iterable[str], operator: str = "UNION ALL") -> str:
    """Return one statement for all rows; SQLite takes an order and a limit in subqueries only."""
    parts = (f"SELECT * FROM ({sql}) part{number}" for number, sql in enumerate(statements))
    return f" {operator} ".join(parts)


def fetch_union(
    connection: BaseDatabaseWrapper, parts: Sequence[Condition], operator: str = "UNION ALL"
) -> list[tuple[Any, ...]]:
    """Return the rows of all statements, by one."""
    parameters = [value for part in parts for value in part.parameters]
    return fetch(connection, union((part.sql for part in parts), operator), parameters)


def contains(connection: BaseDatabaseWrapper, column: str) -> str:
    """Return the condition that the column contains a text, in any case of ASCII at least."""
    if connection.vendor == "postgresql":
        # Of the columns, the collation is "C", which changes the case of ASCII only.
        return f'strpos(lower({column} COLLATE "default"), lower(%s)) > 0'
    return f"instr(lower({column}), lower(%s)) > 0"


def first_values(model: type[Model], name: str, most: int, using: str | None = None) -> list[str]:
    """The first values, ``most`` of them at most, as the column keeps them."""
    connection = connections[using] if using else connection_of(model)
    rows = fetch(connection, f"{with_first_values(model, name, most)} SELECT name FROM names")
    return [value for (value,) in rows]


def values_starting(
    model: type[Model], name: str, start: str, using: str, limit: int | None = None
) -> list[str]:
    """Return the values of the column that start with ``start``, which is as columns have it."""
    table, column, length = model._meta.db_table, model_field(model, name).column, len(start)
    sql = f"""
WITH RECURSIVE steps (name) AS (
    SELECT min({column}) FROM {table} WHERE {column} >= %s
    UNION ALL
    SELECT (SELECT min({column}) FROM {table} WHERE {column} > name)
    FROM steps WHERE substr(name, 1, %s) = %s
) SELECT name FROM steps WHERE substr(name, 1, %s) = %s{"" if limit is None else f" LIMIT {limit}"}
"""
    rows = fetch(connections[using], sql, (start, length, start, length, start))
    return [value for (value,) in rows]


def select_first(
    connection: BaseDatabaseWrapper, columns: Sequence[tuple[type[Model], str]], limit: int
) -> list[list[str]]:
    """Return the first values of each of the columns, by one statement."""
    parts = [
        f"{with_first_values(model, name, limit)} SELECT {number} AS place, name FROM names"
        for number, (model, name) in enumerate(columns)
    ]
    values: list[list[str]] = [[] for _ in columns]
    for place, value in fetch(connection, union(parts)):
        values[place].append(value)
    return values


def batches(keys: Sequence[Key], size: int) -> Iterator[Sequence[Key]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
