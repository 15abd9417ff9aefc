"""A PostgreSQL engine that sees every statement, as tools for instrumentation are."""

from typing import Any

from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper

from tests.matrix.watching import STATEMENTS


class Cursor(CursorWrapper):
    def execute(self, sql: Any, params: Any = None) -> Any:
        STATEMENTS.append(str(sql))
        return super().execute(sql, params)

    def executemany(self, sql: Any, param_list: Any) -> Any:
        STATEMENTS.append(str(sql))
        return super().executemany(sql, param_list)


class DatabaseWrapper(base.DatabaseWrapper):
    def make_cursor(self, cursor: Any) -> Any:
        return Cursor(cursor, self)

    def make_debug_cursor(self, cursor: Any) -> Any:
        return Cursor(cursor, self)
