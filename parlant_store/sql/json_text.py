"""The text at a path of a JSON column."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func, TextField
from django.db.models.sql.compiler import SQLCompiler


class JSONText(Func):
    """The text at ``path``; null if there is none, or null.

    Django's ``KT`` returns the text "null" for null on SQLite.
    """

    output_field = TextField()

    def __init__(self, column: str, *path: str) -> None:
        super().__init__(F(column))
        self.path = path

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *args: Any, **extra: Any
    ) -> tuple[str, tuple[Any, ...]]:
        column, params = compiler.compile(self.source_expressions[0])
        if connection.vendor == "postgresql":
            return f"({column} #>> %s)", (*params, list(self.path))
        names = "".join(f'."{name}"' for name in self.path)
        return f"JSON_EXTRACT({column}, %s)", (*params, f"${names}")
