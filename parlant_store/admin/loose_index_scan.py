"""The values of a column that leads an index, by one step into it for each of them."""

from collections.abc import Sequence

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from parlant_store.admin.formatting import model_field


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


def first_values(model: type[Model], name: str, most: int, using: str | None = None) -> list[str]:
    """The first values, ``most`` of them at most, as the column keeps them."""
    with connections[using or router.db_for_read(model)].cursor() as cursor:
        cursor.execute(f"{with_first_values(model, name, most)} SELECT name FROM names")
        return [value for (value,) in cursor.fetchall()]


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
    with connections[using].cursor() as cursor:
        cursor.execute(sql, (start, length, start, length, start))
        return [value for (value,) in cursor.fetchall()]


def select_first(
    connection: BaseDatabaseWrapper, columns: Sequence[tuple[type[Model], str]], limit: int
) -> list[list[str]]:
    """Return the first values of each of the columns, by one statement."""
    parts = [
        f"SELECT {number} AS place, name"
        f" FROM ({with_first_values(model, name, limit)} SELECT name FROM names) part{number}"
        for number, (model, name) in enumerate(columns)
    ]
    values: list[list[str]] = [[] for _ in columns]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        for place, value in cursor.fetchall():
            values[place].append(value)
    return values
