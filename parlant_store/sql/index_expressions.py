"""Expressions over a document's JSON, written alike by the indexes and by the filters.

A database uses an index on an expression only where a query repeats it, so both take
it from here. Fields of any size must be storable, and PostgreSQL's index rows are at
most 2,704 bytes: the indexed expressions are bounded there, and a filter that uses
one compares the whole value beside it.
"""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func, TextField
from django.db.models.sql.compiler import SQLCompiler

NUMBER_FIELDS = ("offset",)
"""Fields that an index keeps as numbers."""

TEXT_FIELDS = ("variable_id", "key", "tag_id", "source", "target")
"""Fields that an index keeps as text."""

PREFIX = 100
"""How many characters of a text field an index keeps on PostgreSQL."""

# Clamped and rounded to a bigint, below all of which comes what is no number: monotone, so
# it serves ranges and orders.
_POSTGRESQL_NUMBER = (
    "(CASE WHEN jsonb_typeof({data} -> '{field}') = 'number' THEN "
    "round(least(greatest(({data} ->> '{field}')::numeric, -9e18), 9e18))::bigint"
    " ELSE '-9223372036854775808'::bigint END)"
)
_POSTGRESQL_TEXT = f"left({{data}} ->> '{{field}}', {PREFIX})"
_POSTGRESQL_UNIQUE = (
    "(CASE jsonb_typeof({data} -> '{field}') WHEN 'null' THEN NULL"
    " WHEN 'number' THEN md5(trim_scale(({data} ->> '{field}')::numeric)::text)"
    " ELSE md5(({data} -> '{field}')::text) END)"
)
_SQLITE_TEXT = "json_extract({data}, '$.{field}')"
_SQLITE_NUMBER = (
    "(CASE WHEN json_type({data}, '$.{field}') IN ('integer', 'real') THEN "
    "json_extract({data}, '$.{field}') END)"
)


def indexed_number(vendor: str, data: str, field: str) -> str:
    """The number in ``field`` of the column ``data`` as the indexes keep it."""
    template = _POSTGRESQL_NUMBER if vendor == "postgresql" else _SQLITE_NUMBER
    return template.format(data=data, field=field)


def indexed_text(vendor: str, data: str, field: str) -> str:
    """The text in ``field`` of the column ``data`` as the indexes keep it."""
    template = _POSTGRESQL_TEXT if vendor == "postgresql" else _SQLITE_TEXT
    return template.format(data=data, field=field)


def unique_value(data: str, field: str) -> str:
    """On PostgreSQL, what is equal where the values of ``field`` are; null where there is none."""
    return _POSTGRESQL_UNIQUE.format(data=data, field=field)


class IndexedField(Func):
    """``indexed_number`` or ``indexed_text`` of a field, for the models' indexes."""

    output_field = TextField()

    def __init__(self, column: str, field: str) -> None:
        super().__init__(F(column))
        self.json_field = field

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *args: Any, **extra: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        data, params = compiler.compile(self.source_expressions[0])
        indexed = indexed_number if self.json_field in NUMBER_FIELDS else indexed_text
        return indexed(connection.vendor, data, self.json_field), tuple(params)
