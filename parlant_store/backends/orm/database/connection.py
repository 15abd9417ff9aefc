"""The properties of a Django connection that decide how statements are sent on it."""

import os
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

TRANSACTION_POOLER_PORT = "6543"
"""The port of Supabase's pooler in transaction mode."""

MAX_POOLED = 100
"""Limit on the connections of a pool that are tried until one is not broken."""

BUSY_MILLISECONDS = 50
"""The busy timeout of SQLite for calls that may be cancelled."""

CANCEL_SECONDS = 1.0
"""How long the server may take to accept the cancellation of a statement."""

_PLAIN_ENGINES = (
    "django.db.backends.sqlite3.base",
    "django.db.backends.postgresql.base",
    # They add types and functions, but do not change cursors.
    "django.contrib.gis.db.backends.spatialite.base",
    "django.contrib.gis.db.backends.postgis.base",
)

_HOOKS = frozenset(
    ("cursor", "chunked_cursor", "_cursor", "create_cursor", "make_cursor", "make_debug_cursor")
)
"""The methods of a connection that tools replace to see its statements."""


def _cursor_methods() -> tuple[Any, ...]:
    return (
        CursorWrapper.execute,
        CursorWrapper.executemany,
        CursorWrapper.callproc,
        BaseDatabaseWrapper.cursor,
        BaseDatabaseWrapper.chunked_cursor,
        BaseDatabaseWrapper.make_cursor,
    )


def _is_own(method: Any) -> bool:
    """Whether ``method`` is Django's function, and not one of a tool that was imported before."""
    return isinstance(method, FunctionType) and str(method.__globals__["__name__"]).startswith(
        "django."
    )


_OWN_METHODS = _cursor_methods() if all(map(_is_own, _cursor_methods())) else ()


def is_plain(connection: BaseDatabaseWrapper) -> bool:
    """Whether statements on ``connection`` may use the driver directly.

    They may if the class is Django's for SQLite or PostgreSQL, and nothing logs, watches or wraps
    the statements.
    """
    return (
        not connection.queries_logged
        and not is_watched(connection)
        and _cursor_methods() == _OWN_METHODS
    )


def is_watched(connection: BaseDatabaseWrapper) -> bool:
    """Whether this connection does more than Django's, for tenants or for a tool.

    A new connection on a thread of the store would not do it.
    """
    kind = type(connection)
    return (
        kind.__module__ not in _PLAIN_ENGINES
        or kind.__name__ != "DatabaseWrapper"
        or bool(connection.execute_wrappers)
        or connection.force_debug_cursor
        or _is_hooked(connection)
    )


def _is_hooked(connection: BaseDatabaseWrapper) -> bool:
    """Whether a method of this connection was replaced.

    Django's TestCase replaces methods of databases that it forbids. Later it sets the original
    methods as attributes of the connection.
    """
    attributes = vars(connection)
    return any(
        getattr(attributes[name], "__func__", None) is not getattr(type(connection), name, None)
        for name in _HOOKS.intersection(attributes)
    )


def is_in_memory(connection: BaseDatabaseWrapper) -> bool:
    """Whether it is a database of SQLite in memory, which other connections cannot use."""
    return connection.vendor == "sqlite" and connection.is_in_memory_db()  # type: ignore[attr-defined]


def pool_size(entry: dict[str, Any]) -> int | None:
    """Return the maximal size of the pool in an entry of DATABASES; None without a pool."""
    pool = entry["OPTIONS"].get("pool")
    if not pool:
        return None
    options = pool if isinstance(pool, dict) else {}
    # The defaults of psycopg_pool.
    min_size = options.get("min_size", 4)
    return int(options.get("max_size") or min_size)


def interrupt(connection: BaseDatabaseWrapper, *, force: bool) -> None:
    """Cancel the statement that another thread runs on ``connection``.

    ``force`` closes the connection, for a server that does not answer.
    """
    raw = connection.connection
    if raw is None:
        return
    with suppress(Exception):
        if connection.vendor == "sqlite":
            raw.interrupt()
        elif not force:
            raw.cancel_safe(timeout=CANCEL_SECONDS)
        elif not raw.closed:
            with socket.socket(fileno=os.dup(raw.fileno())) as copy:
                copy.shutdown(socket.SHUT_RDWR)


class _ThreadConnections(threading.local):
    """The driver's connections of this thread that ``configure_sqlite`` has set up, by alias."""

    def __init__(self) -> None:
        self.configured: dict[str, Any] = {}


_connections = _ThreadConnections()


def configure_sqlite(connection: BaseDatabaseWrapper) -> None:
    """Configure SQLite for the calls of adapters, on a connection of a thread of the store."""
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        if _connections.configured.get(connection.alias) is not connection.connection:
            _set_busy_timeout(connection, BUSY_MILLISECONDS)
            _keep_journals_in_memory(connection)
            _enlarge_cache(connection)
            _connections.configured[connection.alias] = connection.connection


def _keep_journals_in_memory(connection: BaseDatabaseWrapper) -> None:
    """Have SQLite write no temporary files, unless the project relies on temporary data.

    It would create a file for each statement that changes many pages, such as an insert of items
    of a dozen sessions.
    """
    raw = connection.connection
    # Changing the setting deletes temporary tables.
    if raw.execute(_HAS_NO_TEMPORARY_DATA).fetchall():
        raw.execute("PRAGMA temp_store = MEMORY").close()


def _enlarge_cache(connection: BaseDatabaseWrapper) -> None:
    """Have SQLite keep the pages of a long session in memory, unless the project sets a size."""
    raw = connection.connection
    ((size,),) = raw.execute("PRAGMA cache_size").fetchall()
    if size == _DEFAULT_CACHE_SIZE:
        raw.execute(f"PRAGMA cache_size = {_CACHE_SIZE}").close()


_DEFAULT_CACHE_SIZE, _CACHE_SIZE = -2_000, -8_000
"""Sizes of SQLite's cache, in kilobytes if they are negative."""

_HAS_NO_TEMPORARY_DATA = (
    "SELECT 1 FROM pragma_temp_store"
    " WHERE temp_store = 0 AND NOT EXISTS (SELECT 1 FROM temp.sqlite_master)"
)


@contextmanager
def short_busy_timeout(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Set a short busy timeout of SQLite on a connection of the caller, and restore it."""
    if connection.vendor != "sqlite":
        yield
        return
    connection.ensure_connection()
    _set_busy_timeout(connection, BUSY_MILLISECONDS)
    try:
        yield
    finally:
        seconds = connection.settings_dict["OPTIONS"].get("timeout", 5.0)
        _set_busy_timeout(connection, round(1000 * seconds))


@contextmanager
def no_busy_timeout(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Have SQLite refuse a write at once if another connection has the lock."""
    connection.ensure_connection()
    ((milliseconds,),) = connection.connection.execute("PRAGMA busy_timeout").fetchall()
    _set_busy_timeout(connection, 0)
    try:
        yield
    finally:
        _set_busy_timeout(connection, milliseconds)


def _set_busy_timeout(connection: BaseDatabaseWrapper, milliseconds: int) -> None:
    connection.connection.execute(f"PRAGMA busy_timeout = {milliseconds}").close()


def refresh(connection: BaseDatabaseWrapper) -> None:
    """Close a connection that broke while it was idle, so that the next statement reconnects.

    If the server has closed it, the socket of an idle connection is readable. Checking this takes
    a microsecond, and no round trip.
    """
    raw = connection.connection
    if raw is None or connection.in_atomic_block:
        return
    if connection.errors_occurred or (connection.vendor == "postgresql" and _is_readable(raw)):
        if connection.is_usable():
            connection.errors_occurred = False
        else:
            connection.close()


def reconnect(connection: BaseDatabaseWrapper) -> None:
    """Replace a broken connection.

    A pool may first return other broken ones, because a restart of the server breaks all of them.
    """
    connection.close()
    connection.ensure_connection()
    for _ in range(MAX_POOLED):
        if not _is_readable(connection.connection):
            return
        connection.close()
        connection.ensure_connection()


def _is_readable(raw: Any) -> bool:
    if raw.closed:
        return True
    descriptor = raw.fileno()
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])


_has_own_server: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
"""By connection of the driver: whether the server has one process for it, and no pooler."""


def may_prepare(connection: BaseDatabaseWrapper) -> bool:
    """Whether statements may be prepared on this connection, which is open.

    OPTIONS["prepare_threshold"] in DATABASES decides, if it is set. Otherwise a pooler is
    detected: the process that answers is not the one whose id the connection got at its start.
    This takes a round trip, once for each connection.
    """
    settings = connection.settings_dict
    if "prepare_threshold" in settings["OPTIONS"]:
        return settings["OPTIONS"]["prepare_threshold"] is not None
    if (
        settings.get("DISABLE_SERVER_SIDE_CURSORS")
        or str(settings["PORT"]) == TRANSACTION_POOLER_PORT
    ):
        return False
    raw = connection.connection
    answer = _has_own_server.get(raw)
    if answer is None:
        answer = _has_own_server[raw] = _is_served_by_one_process(raw)
    return answer


def _is_served_by_one_process(raw: Any) -> bool:
    import psycopg

    with psycopg.Cursor(raw) as cursor:
        cursor.execute("SELECT pg_backend_pid()", prepare=False)
        ((pid,),) = cursor.fetchall()
    return bool(pid == raw.info.backend_pid)


def begins_by_locking(connection: BaseDatabaseWrapper) -> bool:
    """Whether transactions on it take SQLite's write lock at their start."""
    if connection.vendor != "sqlite":
        return False
    mode = connection.settings_dict["OPTIONS"].get("transaction_mode")
    return str(mode).upper() in ("IMMEDIATE", "EXCLUSIVE")
