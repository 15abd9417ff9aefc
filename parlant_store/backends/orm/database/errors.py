"""What Django's database layer raises, as errors of the contract."""

import re
import sqlite3
from collections.abc import Callable
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, OperationalError, transaction

from parlant_store.exceptions import BackendError, ProtectedRow, StoreError, StoreUnavailable

_MISSING = re.compile(r"no such (table|module): (\w+\.)?parlant_store_")


class Errors:
    """Turns what Django's database layer raises into a StoreError.

    ``database`` gives the alias of the database that was used; it is called after an error.
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
    """Whether a row would refer to what is no more; mostly said at the commit."""
    state = getattr(error.__cause__, "sqlstate", None)
    return state in ("23503", "23001") or "FOREIGN KEY constraint failed" in str(error)


def _is_missing(error: BaseException) -> bool:
    state = getattr(error.__cause__, "sqlstate", None)
    return state in ("42P01", "42883") or _MISSING.search(str(error)) is not None


def migrate_command(alias: str) -> str:
    """What makes the tables in that database, and what stands beside them."""
    return "manage.py migrate" + ("" if alias == DEFAULT_DB_ALIAS else f" --database {alias}")


def is_lost(error: BaseException) -> bool:
    """Whether the answer of the statement was lost: it was done, or it was not.

    A server that stops says so (57P01), perhaps after it has committed the statement.
    """
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state.startswith(("08", "57P")) or state == "40003"


def was_undone(error: DatabaseError) -> bool:
    """Whether the server said that it undid the statement, and nothing of it can be there."""
    state = getattr(error.__cause__, "sqlstate", None)
    return state is not None and not state.startswith(("08", "57")) and state != "40003"


def is_locked(error: DatabaseError) -> bool:
    """Whether SQLite refused a statement since another connection holds a lock."""
    code = getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_deadlock(error: BaseException | None) -> bool:
    """Whether PostgreSQL undid a transaction, since others waited for it and it for them."""
    return getattr(getattr(error, "__cause__", None), "sqlstate", None) == "40P01"
