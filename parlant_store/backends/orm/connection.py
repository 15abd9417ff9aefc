"""Statements on the Django connection of the calling thread.

The connection is Django's, so a store's writes belong to the caller's transaction when
there is one. A statement goes through Django's cursor when somebody watches it (DEBUG,
CaptureQueriesContext, execute_wrapper); otherwise it goes straight to the driver, which
on PostgreSQL lets it stay prepared from call to call.
"""

import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.exceptions import BackendError, StoreError, StoreUnavailable

Row = tuple[Any, ...]

TRANSACTION_POOLER_PORT = "6543"
"""Where Supabase's pooler hands each transaction another connection."""


class Errors:
    """Turns what Django's database layer raises into a StoreError."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is None or isinstance(error, (StoreError, transaction.TransactionManagementError)):
            return
        if not isinstance(error, (DatabaseError, InterfaceError)):
            return
        message = str(error).strip()
        if _is_missing(error):
            raise BackendError(f"{message}; run manage.py migrate") from error
        if isinstance(error, (OperationalError, InterfaceError)):
            raise StoreUnavailable(message) from error
        raise BackendError(message) from error


errors = Errors()


def _is_missing(error: BaseException) -> bool:
    state = getattr(error.__cause__, "sqlstate", None)
    return state in ("42P01", "42883") or "no such table: parlant_store" in str(error)


def was_undone(error: DatabaseError) -> bool:
    """Whether the server said that it undid the statement, and nothing of it can be there."""
    state = getattr(error.__cause__, "sqlstate", None)
    return state is not None and not state.startswith(("08", "57")) and state != "40003"


def refresh(connection: BaseDatabaseWrapper) -> None:
    """Let go of a connection that broke while nobody used it; the next statement reconnects.

    A server that goes away says so: its end of an idle connection becomes readable. Looking
    costs a microsecond, where asking the server would cost a round trip at every call.
    """
    raw = connection.connection
    if raw is None or connection.in_atomic_block:
        return
    if connection.errors_occurred or (connection.vendor == "postgresql" and _has_news(raw)):
        if connection.is_usable():
            connection.errors_occurred = False
        else:
            connection.close()


def _has_news(raw: Any) -> bool:
    if raw.closed:
        return True
    descriptor = raw.fileno()
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])


def may_prepare(connection: BaseDatabaseWrapper) -> bool:
    """Whether the server keeps statements prepared for this connection.

    DATABASES tells: an OPTIONS["prepare_threshold"] there decides; otherwise whoever sits
    behind a transaction pooler has set DISABLE_SERVER_SIDE_CURSORS, as Django asks.
    """
    settings = connection.settings_dict
    if "prepare_threshold" in settings["OPTIONS"]:
        return settings["OPTIONS"]["prepare_threshold"] is not None
    return (
        not settings.get("DISABLE_SERVER_SIDE_CURSORS")
        and str(settings["PORT"]) != TRANSACTION_POOLER_PORT
    )


def fetch(
    connection: BaseDatabaseWrapper,
    sql: str,
    params: Sequence[Any] = (),
    *,
    prepare: bool | None = True,
    binary: bool = False,
) -> list[Row]:
    """Run one statement and return its rows; on PostgreSQL, one that has rows to return.

    ``prepare``: True at once, None when it comes again and again, False never. ``binary``
    has PostgreSQL send numbers as they are, which thousands of rows are read faster from.
    """
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    if connection.queries_logged or connection.execute_wrappers:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall() if cursor.description else []
    with connection.wrap_database_errors:
        if connection.vendor == "postgresql":
            return _fetch_postgresql(connection, sql, params, prepare, binary)
        return connection.connection.execute(_question_marks(sql), params).fetchall()  # type: ignore[no-any-return]


def fetch_alone(
    connection: BaseDatabaseWrapper, name: str, sql: str, params: Sequence[Any]
) -> list[Row]:
    """Run one statement while nobody else runs one of this ``name``; only on PostgreSQL.

    It is a statement of its own that waits for its turn: the other one sees what was
    committed meanwhile. Both go in one round trip.
    """
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    if connection.queries_logged or connection.execute_wrappers:
        with transaction.atomic(using=connection.alias):
            wait_turn(connection, name)
            return fetch(connection, sql, params)
    raw = connection.connection
    with connection.wrap_database_errors, _prepared_statements(connection):
        import psycopg

        cursor = psycopg.Cursor(raw)
        with raw.pipeline():
            psycopg.Cursor(raw).execute(_WAIT, (name,), prepare=True)
            cursor.execute(sql, params)
        return cursor.fetchall()


_WAIT = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


def wait_turn(connection: BaseDatabaseWrapper, name: str) -> None:
    """Keep others that wait for a turn of this ``name`` from theirs until the transaction ends.

    Only on PostgreSQL.
    """
    fetch(connection, _WAIT, (name,))


def _fetch_postgresql(
    connection: BaseDatabaseWrapper,
    sql: str,
    params: Sequence[Any],
    prepare: bool | None,
    binary: bool,
) -> list[Row]:
    import psycopg

    # Django's own cursors bind on the client, which rules out prepared statements.
    with _prepared_statements(connection), psycopg.Cursor(connection.connection) as cursor:
        return cursor.execute(sql, params, prepare=prepare, binary=binary).fetchall()


@contextmanager
def _prepared_statements(connection: BaseDatabaseWrapper) -> Iterator[None]:
    raw = connection.connection
    threshold = raw.prepare_threshold
    if may_prepare(connection):
        raw.prepare_threshold = 5 if threshold is None else threshold
    try:
        yield
    finally:
        raw.prepare_threshold = threshold


def execute_many(connection: BaseDatabaseWrapper, sql: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run one statement for each of ``rows``; on SQLite, inside ``write``."""
    if connection.queries_logged or connection.execute_wrappers:
        with connection.cursor() as cursor:
            cursor.executemany(sql, rows)
    else:
        with connection.wrap_database_errors:
            connection.connection.executemany(_question_marks(sql), rows)


@contextmanager
def write(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """A transaction on SQLite that holds the write lock from its first statement on."""
    with transaction.atomic(using=connection.alias):
        if not begins_by_locking(connection):
            lock_writes(connection)
        yield


def lock_writes(connection: BaseDatabaseWrapper) -> None:
    """Take SQLite's write lock, which the transaction keeps until it ends."""
    fetch(connection, "UPDATE parlant_store_session SET key = key WHERE 0")


def begins_by_locking(connection: BaseDatabaseWrapper) -> bool:
    """Whether transactions on this SQLite database take its write lock when they begin."""
    mode = connection.settings_dict["OPTIONS"].get("transaction_mode")
    return str(mode).upper() in ("IMMEDIATE", "EXCLUSIVE")


@lru_cache(maxsize=512)
def _question_marks(sql: str) -> str:
    return sql.replace("%s", "?").replace("%%", "%")
