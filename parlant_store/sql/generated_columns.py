"""Expressions of the columns that are computed from others (parlant_store.sql.computed_columns).

In tables of older versions, they are generated columns.
"""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField, F, Field, Func, TextField
from django.db.models.sql.compiler import SQLCompiler

MAX_CLASS = 30
"""The length class on SQLite of all numbers from 2 ** 30 on."""

_CLASSES = " ".join(f"WHEN {{0}} < {2**n} THEN {n - 1}" for n in range(MAX_CLASS + 1))
SQLITE_LENGTH_CLASS = f"CASE {_CLASSES} WHEN {{0}} IS NOT NULL THEN {MAX_CLASS} END"
POSTGRESQL_LENGTH_CLASS = "length(ltrim(({0})::bit(64)::text, '0')) - 1"

# An infinite time has a minute too, so that a policy can refuse it.
POSTGRESQL_MINUTE = (
    "floor(least(greatest(date_part('epoch', {0} at time zone 'UTC'), -1e12), 1e12) / 60)::bigint"
)
POSTGRESQL_FRAMEWORK = (
    "CASE WHEN jsonb_exists({0}, 'selectools') THEN 'selectools' ELSE 'openai' END"
)
# At the half of the minute, so that rounding does not matter.
SQLITE_MINUTE = "CAST((julianday(substr({0}, 1, 16) || ':30') - 2440587.5) * 1440 AS integer)"


class _Template(Func):
    """A template of SQL for each kind of database, with the place of a column."""

    postgresql: str
    sqlite: str
    field: type[Field]  # type: ignore[assignment,type-arg]

    def __init__(self, column: str) -> None:
        super().__init__(F(column), output_field=self.field())

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *args: Any, **extra: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        column, params = compiler.compile(self.source_expressions[0])
        template = self.postgresql if connection.vendor == "postgresql" else self.sqlite
        return template.format(column), tuple(params)


class Minute(_Template):
    """A time in whole minutes since 1970."""

    postgresql = POSTGRESQL_MINUTE
    sqlite = SQLITE_MINUTE
    field = BigIntegerField


class Framework(_Template):
    """The framework of a session, by its state."""

    postgresql = POSTGRESQL_FRAMEWORK
    sqlite = (
        "CASE WHEN json_type({0}, '$.selectools') IS NOT NULL THEN 'selectools' ELSE 'openai' END"
    )
    field = TextField


class LengthClass(_Template):
    """The binary logarithm of a number, rounded down; -1 for 0."""

    postgresql = POSTGRESQL_LENGTH_CLASS
    sqlite = SQLITE_LENGTH_CLASS
    field = BigIntegerField
