"""What is known of a Django connection before a statement is sent on it."""

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
"""Where Supabase's pooler hands each transaction another connection."""

MAX_POOLED = 100
"""How many connections of a pool are tried for one that is not broken."""

BUSY_MILLISECONDS = 50
"""How long a call that may be stopped leaves the waiting for a lock to SQLite."""

CANCEL_SECONDS = 1.0
"""How long the server may take to accept that a statement is to be cancelled."""

_PLAIN_ENGINES = (
    "django.db.backends.sqlite3.base",
    "django.db.backends.postgresql.base",
    # They add types and functions, and leave cursors alone.
    "django.contrib.gis.db.backends.spatialite.base",
    "django.contrib.gis.db.backends.postgis.base",
)

_HOOKS = frozenset(
    ("cursor", "chunked_cursor", "_cursor", "create_cursor", "make_cursor", "make_debug_cursor")
)
"""What tools replace on a connection to see its statements."""


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
    """Whether ``method`` is Django's own function: a tool may have replaced it early."""
    return isinstance(method, FunctionType) and str(method.__globals__["__name__"]).startswith(
        "django."
    )


_OWN_METHODS = _cursor_methods() if all(map(_is_own, _cursor_methods())) else ()


def is_plain(connection: BaseDatabaseWrapper) -> bool:
    """Whether a statement on ``connection`` may go to the driver itself.

    It may when nothing between Django and the driver would do something of its own: the class
    is Django's for SQLite or PostgreSQL, and nobody watches, logs or wraps its statements.
    """
    return (
        not connection.queries_logged
        and not is_watched(connection)
        and _cursor_methods() == _OWN_METHODS
    )


def is_watched(connection: BaseDatabaseWrapper) -> bool:
    """Whether this very connection does more than Django's own, for the tenant's sake or a tool's.

    Another one, made for a thread of the store's, would not do it.
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
    """Whether a method of this very connection was replaced.

    Django's TestCase replaces methods of databases that it forbids, and puts back what was there,
    which stays an attribute of the connection.
    """
    attributes = vars(connection)
    return any(
        getattr(attributes[name], "__func__", None) is not getattr(type(connection), name, None)
        for name in _HOOKS.intersection(attributes)
    )


def is_in_memory(connection: BaseDatabaseWrapper) -> bool:
    """Whether it is SQLite's, and nobody but this connection has its tables."""
    return connection.vendor == "sqlite" and connection.is_in_memory_db()  # type: ignore[attr-defined]


def pool_size(entry: dict[str, Any]) -> int | None:
    """How many connections the pool of this entry of DATABASES has at most; None: no pool."""
    pool = entry["OPTIONS"].get("pool")
    if not pool:
        return None
    options = pool if isinstance(pool, dict) else {}
    # psycopg_pool's own defaults.
    least = options.get("min_size", 4)
    return int(options.get("max_size") or least)


def interrupt(connection: BaseDatabaseWrapper, *, force: bool) -> None:
    """End the statement that another thread runs on ``connection``.

    ``force`` ends the connection with it, for a server that does not listen.
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
            with socket.socket(fileno=os.dup(raw.fileno())) as end:
                end.shutdown(socket.SHUT_RDWR)


class _Own(threading.local):
    """The driver's connections of this thread that wait little, by alias."""

    def __init__(self) -> None:
        self.waits_little: dict[str, Any] = {}


_own = _Own()


def wait_little_for_locks(connection: BaseDatabaseWrapper) -> None:
    """Have SQLite answer soon that a lock is taken, on a connection of the store's own."""
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        if _own.waits_little.get(connection.alias) is not connection.connection:
            _set_busy_timeout(connection, BUSY_MILLISECONDS)
            _own.waits_little[connection.alias] = connection.connection


@contextmanager
def waiting_little_for_locks(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """The same on a connection of the caller's, which is as it was afterwards."""
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


def _set_busy_timeout(connection: BaseDatabaseWrapper, milliseconds: int) -> None:
    connection.connection.execute(f"PRAGMA busy_timeout = {milliseconds}").close()


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


def reconnect(connection: BaseDatabaseWrapper) -> None:
    """Open another connection in place of one that broke.

    A pool may give some first that broke as well, as the server's end does with all of them.
    """
    connection.close()
    connection.ensure_connection()
    for _ in range(MAX_POOLED):
        if not _has_news(connection.connection):
            return
        connection.close()
        connection.ensure_connection()


def _has_news(raw: Any) -> bool:
    if raw.closed:
        return True
    descriptor = raw.fileno()
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])


_has_own_server: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
"""By the driver's connection: whether one process of the server serves it as long as it lasts."""


def may_prepare(connection: BaseDatabaseWrapper) -> bool:
    """Whether the server keeps statements prepared for this connection, which is open.

    An OPTIONS["prepare_threshold"] in DATABASES decides. Otherwise a pooler gives itself away:
    the process that the connection was told of is not the one that answers. It is asked once
    for each connection.
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
    """Whether transactions on it take SQLite's write lock when they begin."""
    if connection.vendor != "sqlite":
        return False
    mode = connection.settings_dict["OPTIONS"].get("transaction_mode")
    return str(mode).upper() in ("IMMEDIATE", "EXCLUSIVE")
