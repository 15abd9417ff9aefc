"""Expressions on the JSON of documents, for indexes and filters.

A database uses an index on an expression only for queries with the same expression. Index rows of
PostgreSQL have at most 2,704 bytes, but a field can have any size: the indexed expressions are
shortened there, and filters also compare the whole value.
"""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func, TextField
from django.db.models.sql.compiler import SQLCompiler

NUMBER_FIELDS = ("offset",)
"""Fields that are indexed as numbers."""

TEXT_FIELDS = ("variable_id", "key", "tag_id", "source", "target")
"""Fields that are indexed as text."""

PREFIX = 100
"""The number of characters of a text field in an index of PostgreSQL."""

# Numbers are clamped and rounded to a bigint, and values of other kinds get the lowest one. This is
# monotone, so that the index serves ranges and orders.
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
    """Return SQL for the number in ``field`` of the column ``data``, as it is indexed."""
    template = _POSTGRESQL_NUMBER if vendor == "postgresql" else _SQLITE_NUMBER
    return template.format(data=data, field=field)


def indexed_text(vendor: str, data: str, field: str) -> str:
    """Return SQL for the text in ``field`` of the column ``data``, as it is indexed."""
    template = _POSTGRESQL_TEXT if vendor == "postgresql" else _SQLITE_TEXT
    return template.format(data=data, field=field)


def unique_value(data: str, field: str) -> str:
    """Return SQL of PostgreSQL that is equal for equal values of ``field``, and null for null."""
    return _POSTGRESQL_UNIQUE.format(data=data, field=field)


class IndexedField(Func):
    """``indexed_number`` or ``indexed_text`` of a field, for the indexes of models."""

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
