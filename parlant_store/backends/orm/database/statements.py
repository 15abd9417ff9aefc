"""Statements on the Django connection of the calling thread.

The writes of a store are part of the caller's transaction, if there is one. Statements use the
driver directly if Django's cursor does nothing else (``is_plain``): on PostgreSQL, they then stay
prepared between calls. Otherwise they use Django's cursor.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import lru_cache
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.orm.database.connection import begins_by_locking, is_plain, may_prepare

Row = tuple[Any, ...]


def fetch(
    connection: BaseDatabaseWrapper,
    sql: str,
    params: Sequence[Any] = (),
    *,
    prepare: bool | None = True,
    binary: bool = False,
) -> list[Row]:
    """Run a statement and return its rows; on PostgreSQL, it must be one that returns rows.

    ``prepare``: True to prepare it at once, None after several calls, False never. ``binary``:
    use PostgreSQL's binary format, which is faster for thousands of rows.
    """
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    if not is_plain(connection):
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
    """Run a statement under the advisory lock ``name``; only on PostgreSQL.

    A statement of its own takes the lock, so that the other one sees what was committed while it
    waited. Both are sent in one round trip.
    """
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    if not is_plain(connection):
        with transaction.atomic(using=connection.alias):
            take_lock(connection, name)
            return fetch(connection, sql, params)
    raw = connection.connection
    with connection.wrap_database_errors, _prepared_statements(connection):
        import psycopg

        cursor = psycopg.Cursor(raw)
        try:
            with raw.pipeline():
                psycopg.Cursor(raw).execute(_WAIT, (name,), prepare=True)
                cursor.execute(sql, params)
        except psycopg.Error:
            _forget_prepared(raw)
            raise
        return cursor.fetchall()


def _forget_prepared(raw: Any) -> None:
    """Forget the prepared statements of a connection whose pipeline failed.

    psycopg (3.3) regards a statement as prepared that the server skipped after a failed one. It
    forgets all prepared statements at a rollback.
    """
    import psycopg

    is_idle = raw.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    # With a pooler, they would be those of another client.
    if is_idle and raw.prepare_threshold is not None:
        with suppress(psycopg.Error), raw.transaction(force_rollback=True):
            pass


_WAIT = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


def take_lock(connection: BaseDatabaseWrapper, name: str) -> None:
    """Take the advisory lock ``name`` until the transaction ends; only on PostgreSQL."""
    fetch(connection, _WAIT, (name,))


def _fetch_postgresql(
    connection: BaseDatabaseWrapper,
    sql: str,
    params: Sequence[Any],
    prepare: bool | None,
    binary: bool,
) -> list[Row]:
    import psycopg

    from parlant_store.backends.orm.database import prepared

    raw = connection.connection
    if prepare and not binary and may_prepare(connection) and prepared.can_execute(raw):
        rows = prepared.execute(raw, sql, params)
        if rows is not None:
            return rows
    # Django's cursors bind parameters on the client, which excludes prepared statements.
    with _prepared_statements(connection), psycopg.Cursor(raw) as cursor:
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


@contextmanager
def write(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """A transaction on SQLite that takes the write lock at its start."""
    with transaction.atomic(using=connection.alias):
        if not begins_by_locking(connection):
            lock_writes(connection)
        yield


def lock_writes(connection: BaseDatabaseWrapper) -> None:
    """Take SQLite's write lock until the transaction ends."""
    fetch(connection, "UPDATE parlant_store_session SET key = key WHERE 0")


def savepoint(connection: BaseDatabaseWrapper) -> AbstractContextManager[None]:
    """Keep an error of a write from breaking the caller's transaction.

    SQLite rolls a failed statement back by itself, and ``write`` the statements before it.
    """
    if connection.in_atomic_block and connection.vendor == "postgresql":
        return transaction.atomic(using=connection.alias)
    return nullcontext()


@lru_cache(maxsize=512)
def _question_marks(sql: str) -> str:
    return sql.replace("%s", "?").replace("%%", "%")
