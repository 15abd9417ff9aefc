"""Statements on the Django connection of the calling thread.

The connection is Django's, so a store's writes belong to the caller's transaction when
there is one. A statement goes through Django's cursor, unless it is known that nothing but
the driver is behind that: then it goes straight to the driver, which on PostgreSQL lets it
stay prepared from call to call.
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
    """Run one statement and return its rows; on PostgreSQL, one that has rows to return.

    ``prepare``: True at once, None when it comes again and again, False never. ``binary``
    has PostgreSQL send numbers as they are, which thousands of rows are read faster from.
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
    """Run one statement while nobody else runs one of this ``name``; only on PostgreSQL.

    It is a statement of its own that waits for its turn: the other one sees what was
    committed meanwhile. Both go in one round trip.
    """
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    if not is_plain(connection):
        with transaction.atomic(using=connection.alias):
            wait_turn(connection, name)
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
    """Prepare everything anew on a connection whose pipeline failed.

    psycopg (3.3) takes a statement for prepared that the server skipped behind a failed one,
    and forgets all of them at a rollback.
    """
    import psycopg

    is_idle = raw.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    # Behind a pooler they would be somebody else's.
    if is_idle and raw.prepare_threshold is not None:
        with suppress(psycopg.Error), raw.transaction(force_rollback=True):
            pass


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


def savepoint(connection: BaseDatabaseWrapper) -> AbstractContextManager[None]:
    """Keep an error of a write from breaking the caller's transaction.

    SQLite undoes a refused statement by itself, and ``write`` what was before it.
    """
    if connection.in_atomic_block and connection.vendor == "postgresql":
        return transaction.atomic(using=connection.alias)
    return nullcontext()


@lru_cache(maxsize=512)
def _question_marks(sql: str) -> str:
    return sql.replace("%s", "?").replace("%%", "%")
