"""Conversion of Django's database errors to errors of the contract."""

import re
import sqlite3
from collections.abc import Callable
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, OperationalError, transaction

from parlant_store.exceptions import BackendError, ProtectedRow, StoreError, StoreUnavailable

_MISSING = re.compile(r"no such (table|module): (\w+\.)?parlant_store_")


class Errors:
    """Converts Django's database errors to StoreError.

    ``database`` returns the alias of the database in use; it is called after an error.
    """

    def __init__(self, database: Callable[[], str] = lambda: DEFAULT_DB_ALIAS) -> None:
        self._database = database

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is None or isinstance(error, (StoreError, transaction.TransactionManagementError)):
            return
        if not isinstance(error, (DatabaseError, InterfaceError)):
            return
        message = str(error).strip()
        if _is_referenced(error):
            raise ProtectedRow(message, message.partition("\n")[0]) from error
        if _is_missing(error):
            raise BackendError(f"{message}; run {migrate_command(self._database())}") from error
        if isinstance(error, (OperationalError, InterfaceError)):
            raise StoreUnavailable(message) from error
        raise BackendError(message) from error


errors = Errors()


def _is_referenced(error: BaseException) -> bool:
    """Whether a foreign key was violated; most are checked at the commit."""
    state = getattr(error.__cause__, "sqlstate", None)
    return state in ("23503", "23001") or "FOREIGN KEY constraint failed" in str(error)


def _is_missing(error: BaseException) -> bool:
    state = getattr(error.__cause__, "sqlstate", None)
    return state in ("42P01", "42883") or _MISSING.search(str(error)) is not None


def migrate_command(alias: str) -> str:
    """Return the command that creates the tables, functions and indexes in the database."""
    return "manage.py migrate" + ("" if alias == DEFAULT_DB_ALIAS else f" --database {alias}")


def is_lost(error: BaseException) -> bool:
    """Whether the answer of the statement was lost, so that its outcome is unknown.

    A server that stops sends 57P01, perhaps after it has committed the statement.
    """
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state.startswith(("08", "57P")) or state == "40003"


def was_undone(error: DatabaseError) -> bool:
    """Whether the server reported an error that rolled the statement back."""
    state = getattr(error.__cause__, "sqlstate", None)
    return state is not None and not state.startswith(("08", "57")) and state != "40003"


def is_locked(error: DatabaseError) -> bool:
    """Whether SQLite refused a statement because another connection has a lock."""
    code = getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_read_only(error: DatabaseError) -> bool:
    """Whether SQLite refused a write because the database, or the connection, is read-only."""
    code = getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF
    return code == sqlite3.SQLITE_READONLY


def is_deadlock(error: BaseException | None) -> bool:
    """Whether PostgreSQL rolled a transaction back to end a deadlock."""
    return getattr(getattr(error, "__cause__", None), "sqlstate", None) == "40P01"
