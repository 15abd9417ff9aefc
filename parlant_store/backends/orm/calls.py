"""The choice of the database and the thread for the calls of a store in a Django database."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from time import sleep
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.base import IDLE_SECONDS, BaseBackend, check_seconds
from parlant_store.backends.contract.refresh import refresh_at
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.base.sessions import time_for
from parlant_store.backends.orm.database.connection import (
    begins_by_locking,
    configure_sqlite,
    interrupt,
    is_in_memory,
    is_watched,
    pool_size,
    refresh,
    short_busy_timeout,
)
from parlant_store.backends.orm.database.errors import Errors, is_deadlock, is_locked
from parlant_store.backends.orm.database.tenants import as_tenant, has_set_tenant, tenant_of
from parlant_store.backends.orm.references.registry import is_referenced
from parlant_store.backends.orm.tables import TABLES, Target, with_references
from parlant_store.backends.reads import CHOICES, PRIMARY, ROUTER, is_primary
from parlant_store.backends.threads import caller
from parlant_store.backends.threads.caller_state import CallerState
from parlant_store.backends.threads.calls import Call, running_call
from parlant_store.exceptions import StoreUnavailable

T = TypeVar("T")

MAX_DEADLOCKS = 5
"""How often a write is repeated after a deadlock on PostgreSQL."""

LOCK_PAUSE = 0.005
"""Seconds between the attempts to get a lock of SQLite that another connection has."""

TIMEOUT = 30.0
"""The default of the option ``timeout``."""

READS = frozenset(
    (
        "exists",
        "find",
        "find_one",
        "get_channel_history",
        "get_checkpoint",
        "get_document",
        "get_items",
        "get_metadata",
        "get_session",
        "get_usage",
        "list_branches",
        "list_checkpoints",
        "list_collections",
        "list_memory_namespaces",
        "list_sessions",
        "list_summaries",
        "list_threads",
        "list_turns",
        "list_user_messages",
        "load_snapshot",
        "read_documents",
        "read_sessions",
        "read_threads",
        "search",
    )
)
"""The methods that do not write."""

ROUTED_READS = READS - {"load_snapshot"}
"""The methods that the option ``reads`` applies to; a later save relies on the snapshot."""

SQLITE_ENGINES = (".sqlite3", ".spatialite")

_OWN_TRANSACTION = (
    "if it is the caller's own (transaction.atomic, ATOMIC_REQUESTS), call the store itself "
    "there, or let adapters join it with the option threads: 0"
)


class OrmCalls(BaseBackend):
    """Runs operations on the database that the routers choose, in the context of the caller.

    In the caller's thread, they join the caller's transaction. For adapters, they run on the
    store's own threads, each with its own connection. They use the caller's connection if it is
    in memory, of a class that is not Django's, or if a tool or the project watches it.
    """

    def __init__(
        self,
        alias: str,
        *,
        using: str | None = None,
        reads: str = PRIMARY,
        timeout: float | None = TIMEOUT,
        **options: Any,
    ) -> None:
        """
        using: the alias in DATABASES; None: the database routers choose it.
        reads: "primary" reads from the database of writes; "router" reads from that of the
            routers' db_for_read, which may be a replica.
        timeout: how many seconds a call of an adapter may take, including waiting for a thread,
            a connection and locks; None: no limit.
        """
        if using is not None and using not in connections.settings:
            raise ImproperlyConfigured(
                f"the store {alias!r} uses the database {using!r}, which DATABASES does not have"
            )
        if reads not in CHOICES:
            raise ImproperlyConfigured(
                f"reads of the store {alias!r} must be 'primary' or 'router', not {reads!r}"
            )
        if using is not None and reads == ROUTER:
            raise ImproperlyConfigured(
                f"the store {alias!r} has the option using, which is one database, and reads "
                "'router', for which the database routers choose it: set only one of them"
            )
        self.using = using
        self.reads = reads
        self._errors = Errors(lambda: self._usual_connection().alias)
        self.call_timeout = check_seconds(timeout, "timeout", alias)
        super().__init__(alias, **options)

    def thread_count(self, threads: int) -> int:
        self.threads = threads
        databases = self._databases()
        if threads and all(entry["ENGINE"].endswith(SQLITE_ENGINES) for entry in databases):
            # More threads would only wait for SQLite's single write lock.
            return 1
        # The project needs connections of its pool too.
        sizes = [size for size in map(pool_size, databases) if size is not None]
        return min([threads, *(max(1, size // 2) for size in sizes)])

    threads: int
    """The value of the option."""

    def default_idle_seconds(self) -> float:
        ages = [entry["CONN_MAX_AGE"] for entry in self._databases()]
        return min((float(age) for age in ages if age), default=IDLE_SECONDS)

    def caller_state(self) -> CallerState:
        state, alias = super().caller_state(), self._alias(write=True)
        tenant = tenant_of(caller.connection_of_caller(alias))
        tenants = () if tenant is None else (as_tenant(alias, tenant),)
        return replace(state, database=alias, managers=(*state.managers, *tenants))

    def has_own_tenant(self, state: CallerState) -> bool:
        return state.database is not None and has_set_tenant(
            caller.connection_of_caller(state.database)
        )

    def prepare_call(self, call: Call[Any]) -> BaseDatabaseWrapper | None:
        if call.database is None:
            call.database = self._alias(write=True)
            if self.reads == ROUTER and _name(call) in ROUTED_READS:
                call.read_database = self._alias()
        connection = caller.connection_of_caller(call.read_database or call.database)
        if self.is_on_callers_thread() or is_watched(connection) or is_in_memory(connection):
            return connection
        if (
            connection.in_atomic_block
            and begins_by_locking(connection)
            and _name(call) not in READS
        ):
            raise StoreUnavailable(
                f"another transaction holds the lock of the database {call.database!r}: "
                + _OWN_TRANSACTION
            )
        return None

    def uses_coroutines_connection(self) -> bool:
        connection = caller.connection_of_coroutine(self._alias(write=True))
        return connection is not None and is_watched(connection)

    def has_connection(self) -> bool:
        alias = self._alias(write=True)
        return caller.connection_of_caller(alias).connection is not None

    def interrupt(self, resource: Any, *, force: bool) -> None:
        interrupt(resource, force=force)

    def explain_timeout(self, seconds: float) -> str:
        reason = super().explain_timeout(seconds)
        return (
            f"{reason}; another transaction may hold a lock that it waited for: {_OWN_TRANSACTION}"
        )

    def after_call(self) -> None:
        # Most projects have nothing to release, and looking for connections takes longer than this.
        has_pool = any(entry["OPTIONS"].get("pool") for entry in connections.settings.values())
        if not (has_pool or settings.DEBUG):
            return
        for connection in connections.all(initialized_only=True):
            if connection.settings_dict["OPTIONS"].get("pool"):
                # A cancelled call may have broken it while no statement ran.
                refresh(connection)
                connection.close()
            elif settings.DEBUG:
                connection.queries_log.clear()

    def _databases(self) -> list[dict[str, Any]]:
        """The entries of DATABASES that the store may use."""
        names = connections.settings if self.using is None else (self.using,)
        return [connections.settings[name] for name in names]

    def _aliases(self) -> list[str]:
        """The databases in which the store may have tables."""
        from parlant_store.models import Session

        try:
            return [self._alias(write=True)]
        except Exception:
            # The router needs a request to choose one.
            return [alias for alias in connections if router.allow_migrate_model(alias, Session)]

    def _alias(self, *, write: bool = False) -> str:
        """Return the database of a call: that of ``using``, or the choice of the routers."""
        if self.using is not None:
            return self.using
        call = running_call()
        if call is not None and call.store is self and call.database is not None:
            reads = not write and not is_primary() and call.read_database
            return reads or call.database
        from parlant_store.models import Session

        primary = router.db_for_write(Session)
        if write or self.reads == PRIMARY or is_primary():
            return primary
        if caller.connection_of_caller(primary).in_atomic_block:
            return primary
        return router.db_for_read(Session)

    def _connection(self, *, write: bool = False) -> BaseDatabaseWrapper:
        return connections[self._alias(write=write)]

    def _usual_connection(self) -> BaseDatabaseWrapper:
        """Return the connection for writes, or the default one if routers need a request."""
        try:
            return self._connection(write=True)
        except Exception:
            return connections[DEFAULT_DB_ALIAS]

    def _read(self, operation: Callable[[Target], T]) -> T:
        return self._run(self._connection(), operation)

    def _read_content(
        self,
        operation: Callable[[Target], T],
        refresh: timedelta | None,
        *names: SessionName,
    ) -> T:
        """Run a read of these sessions, which prolongs them by ``refresh`` on the primary."""
        connection = self._connection()
        if refresh is None or connection.alias != self._alias(write=True):
            return self._run(connection, operation)
        times = refresh_at(self.clock(), refresh)

        def read(on: Target) -> T:
            key = on.tables.refreshes.key_column(on.connection, names, on.time, times)
            return operation(on._replace(key=key))

        return self._run(connection, read)

    def _write(
        self,
        operation: Callable[[Target], T],
        ttl: timedelta | None = None,
        request: UUID | None = None,
    ) -> T:
        """Run ``operation``, only once for the id ``request`` if there is one.

        In a transaction of the caller, an error does not break the transaction.
        """

        def run_once(target: Target) -> T:
            if is_referenced(target.connection.alias):
                target = with_references(target)
            return target.tables.requests.run(target.connection, request, lambda: operation(target))

        connection = self._connection(write=True)
        for _ in range(MAX_DEADLOCKS):
            try:
                return self._run(connection, run_once, ttl)
            except StoreUnavailable as exc:
                if connection.in_atomic_block or not is_deadlock(exc.__cause__):
                    raise
        return self._run(connection, run_once, ttl)

    def _run(
        self,
        connection: BaseDatabaseWrapper,
        operation: Callable[[Target], T],
        ttl: timedelta | None = None,
    ) -> T:
        call = running_call()
        if call is None or call.store is not self:
            with self._errors:
                refresh(connection)
                return operation(self._target(connection, ttl))
        call.check()
        call.resource = connection
        with self._errors:
            refresh(connection)
            if connection.connection is None:
                # The pool may be exhausted, or the server may not answer.
                with call.leaving(StoreUnavailable):
                    connection.ensure_connection()
            if call.is_on_callers_connection:
                with short_busy_timeout(connection):
                    return self._run_call(call, connection, operation, ttl)
            configure_sqlite(connection)
            return self._run_call(call, connection, operation, ttl)

    def _run_call(
        self,
        call: Call[Any],
        connection: BaseDatabaseWrapper,
        operation: Callable[[Target], T],
        ttl: timedelta | None,
    ) -> T:
        """Run ``operation`` on a thread of the store; repeat it while SQLite's lock is taken.

        Waiting inside SQLite cannot be interrupted.
        """
        while True:
            try:
                return operation(self._target(connection, ttl))
            except OperationalError as exc:
                if not is_locked(exc) or connection.in_atomic_block or call.is_late():
                    raise
            call.check()
            sleep(LOCK_PAUSE)

    def _target(self, connection: BaseDatabaseWrapper, ttl: timedelta | None = None) -> Target:
        """Return the statements of the database, ``connection`` and the time."""
        now = self.clock()
        time = time_for(connection, now, self._expires_at(now, ttl))
        return Target(TABLES[connection.vendor], connection, time)


def _name(call: Call[Any]) -> str:
    """Return the name of the method that ``call`` calls."""
    function = call.function.func if isinstance(call.function, partial) else call.function
    return getattr(function, "__name__", "")
