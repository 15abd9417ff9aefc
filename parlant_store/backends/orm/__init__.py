"""The store in a database of this Django project: SQLite or PostgreSQL."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store import codec
from parlant_store.backends.arguments import SessionName
from parlant_store.backends.base import BaseBackend
from parlant_store.backends.expiry import Expired
from parlant_store.backends.orm.connection import begins_by_locking, errors, fetch, refresh
from parlant_store.backends.orm.documents import Documents
from parlant_store.backends.orm.indexes import Indexes
from parlant_store.backends.orm.postgresql.documents import PostgreSQLDocuments
from parlant_store.backends.orm.postgresql.indexes import PostgreSQLIndexes
from parlant_store.backends.orm.postgresql.retention import PostgreSQLRetention
from parlant_store.backends.orm.postgresql.sessions import PostgreSQLSessions
from parlant_store.backends.orm.postgresql.snapshots import PostgreSQLSnapshots
from parlant_store.backends.orm.postgresql.versions import PostgreSQLVersions
from parlant_store.backends.orm.retention import RetentionRules
from parlant_store.backends.orm.searching import search
from parlant_store.backends.orm.sessions import Sessions, Time, time_for
from parlant_store.backends.orm.snapshots import Snapshots
from parlant_store.backends.orm.sqlite.documents import SQLiteDocuments
from parlant_store.backends.orm.sqlite.indexes import SQLiteIndexes
from parlant_store.backends.orm.sqlite.retention import SQLiteRetention
from parlant_store.backends.orm.sqlite.sessions import SQLiteSessions
from parlant_store.backends.orm.sqlite.snapshots import SQLiteSnapshots
from parlant_store.backends.orm.sqlite.versions import SQLiteVersions
from parlant_store.backends.orm.versions import Versions
from parlant_store.backends.retention import Place, Sweep
from parlant_store.backends.sessions import Narrowed, Splice
from parlant_store.backends.threads import Together
from parlant_store.exceptions import InvalidInput
from parlant_store.items import Batch
from parlant_store.query import Filter
from parlant_store.signals import session_loaded, session_saved
from parlant_store.types import (
    Direction,
    DocumentCursor,
    DocumentInfo,
    ExpiredDocument,
    ExpiredSession,
    JSONObject,
    Replacement,
    Revision,
    SearchHit,
    SessionInfo,
    SessionSummary,
    Snapshot,
    StoredDocument,
    UpdateResult,
)

SHORT = 1_000
"""How many items a read may ask for that is made together with others."""

TRANSACTION_POOLER = "6543"
"""The port on which Supabase pools transactions."""


class Tables(NamedTuple):
    sessions: Sessions
    documents: Documents
    snapshots: Snapshots
    versions: Versions
    indexes: Indexes
    retention: RetentionRules


TABLES = {
    "postgresql": Tables(
        PostgreSQLSessions(),
        PostgreSQLDocuments(),
        PostgreSQLSnapshots(),
        PostgreSQLVersions(),
        PostgreSQLIndexes(),
        PostgreSQLRetention(),
    ),
    "sqlite": Tables(
        SQLiteSessions(),
        SQLiteDocuments(),
        SQLiteSnapshots(),
        SQLiteVersions(),
        SQLiteIndexes(),
        SQLiteRetention(),
    ),
}


class OrmBackend(BaseBackend):
    """Documents and sessions in the tables of parlant_store.models.

    Calls join the caller's transaction when there is one. Those of ``submit`` run on the
    store's own threads, each with a connection that it keeps, outside any transaction of
    the caller's.
    """

    def __init__(self, alias: str, *, using: str | None = None, **options: Any) -> None:
        """``using``: the alias in DATABASES; None leaves it to the database routers."""
        if using is not None and using not in connections.settings:
            raise ImproperlyConfigured(
                f"the store {alias!r} uses the database {using!r}, which DATABASES does not have"
            )
        self.using = using
        super().__init__(alias, **options)
        self._groups = self._connection(write=True).vendor == "postgresql"

    def _add_items(
        self, name: SessionName, batch: Batch, user_id: str | None, ttl: timedelta | None
    ) -> int:
        with errors:
            tables, connection, time = self._begin(write=True, ttl=ttl)
            return tables.sessions.add_items(connection, name, batch, user_id, time, replace=False)

    def _replace_items(
        self, name: SessionName, batch: Batch, user_id: str | None, ttl: timedelta | None
    ) -> int:
        with errors:
            tables, connection, time = self._begin(write=True, ttl=ttl)
            return tables.sessions.add_items(connection, name, batch, user_id, time, replace=True)

    def _get_items(self, name: SessionName, limit: int | None) -> list[JSONObject]:
        with errors:
            tables, connection, time = self._begin()
            return tables.sessions.get_items(connection, name, time, limit)

    def _pop_item(self, name: SessionName) -> JSONObject | None:
        with errors:
            tables, connection, time = self._begin(write=True)
            return tables.sessions.pop_item(connection, name, time)

    def _clear(self, name: SessionName) -> None:
        with errors:
            tables, connection, time = self._begin(write=True)
            tables.sessions.clear(connection, name, time)

    def _delete_session(self, name: SessionName) -> int | None:
        with errors:
            tables, connection, time = self._begin(write=True)
            return tables.sessions.delete_session(connection, name, time)

    def _get_session(self, name: SessionName) -> SessionInfo | None:
        with errors:
            tables, connection, time = self._begin()
            return tables.sessions.get_session(connection, name, time)

    def _set_metadata(self, name: SessionName, metadata: str, merge: bool) -> JSONObject:
        with errors:
            tables, connection, time = self._begin(write=True)
            return tables.sessions.set_metadata(connection, name, metadata, time, merge)

    def _set_expiry(self, name: SessionName, expires_at: datetime | None) -> bool:
        with errors:
            tables, connection, time = self._begin(write=True)
            return tables.sessions.set_expiry(connection, name, expires_at, time)

    def _load_snapshot(self, name: SessionName) -> Snapshot | None:
        with errors:
            tables, connection, time = self._begin()
            return tables.snapshots.load(connection, name, time)

    def _save_snapshot(
        self,
        name: SessionName,
        batch: Batch,
        state: str,
        user_id: str | None,
        ttl: timedelta | None,
        splice: Splice | None,
    ) -> Revision | None:
        with errors:
            tables, connection, time = self._begin(write=True, ttl=ttl)
            return tables.snapshots.save(connection, name, batch, state, user_id, time, splice)

    def _branch(
        self, source: SessionName, target: SessionName, ttl: timedelta | None
    ) -> int | None:
        with errors:
            tables, connection, time = self._begin(write=True, ttl=ttl)
            return tables.snapshots.branch(connection, source, target, time)

    def _search(self, terms: list[list[str]], namespace: str | None, limit: int) -> list[SearchHit]:
        with errors:
            _, connection, time = self._begin()
            return search(connection, terms, namespace, limit, time)

    def _list_sessions(
        self, narrowed: Narrowed, limit: int, after: SessionName | None
    ) -> list[SessionInfo]:
        with errors:
            tables, connection, time = self._begin()
            return tables.sessions.list_sessions(connection, time, narrowed, limit, after)

    def _list_summaries(
        self, narrowed: Narrowed, limit: int, after: int
    ) -> Iterator[SessionSummary]:
        with errors:
            tables, connection, time = self._begin()
            return tables.sessions.list_summaries(connection, time, narrowed, limit, after)

    def _insert_one(self, collection: str, document: JSONObject) -> None:
        with errors:
            tables, connection, time = self._begin(write=True)
            tables.documents.insert_one(connection, collection, document, time)

    def _insert_numbered(
        self, collection: str, document: JSONObject, number: str, within: str
    ) -> JSONObject:
        with errors:
            tables, connection, time = self._begin(write=True)
            return tables.documents.insert_numbered(
                connection, collection, document, number, within, time
            )

    def _find(
        self,
        collection: str,
        filter_: Filter,
        limit: int | None,
        cursor: DocumentCursor | None,
        direction: Direction,
        count_to: int | None,
    ) -> tuple[list[JSONObject], int | None]:
        with errors:
            tables, connection, time = self._begin()
            return tables.documents.find(
                connection, collection, filter_, limit, cursor, direction, count_to, time
            )

    def _find_one(
        self, collection: str, filter_: Filter, sort: tuple[tuple[str, Direction], ...]
    ) -> JSONObject | None:
        with errors:
            tables, connection, time = self._begin()
            return tables.documents.find_one(connection, collection, filter_, sort, time)

    def _get_document(self, collection: str, document_id: str) -> DocumentInfo | None:
        with errors:
            tables, connection, time = self._begin()
            return tables.documents.get_document(connection, collection, document_id, time)

    def _set_document_expiry(
        self, collection: str, document_id: str, expires_at: datetime | None
    ) -> int:
        with errors:
            tables, connection, time = self._begin(write=True)
            return tables.documents.set_document_expiry(
                connection, collection, document_id, expires_at, time
            )

    def _update_one(
        self, collection: str, filter_: Filter, params: JSONObject, upsert: bool
    ) -> UpdateResult:
        with errors:
            tables, connection, time = self._begin(write=True)
            return tables.documents.update_one(
                connection, collection, filter_, params, upsert, time
            )

    def _delete_one(self, collection: str, filter_: Filter) -> JSONObject | None:
        with errors:
            tables, connection, time = self._begin(write=True)
            return tables.documents.delete_one(connection, collection, filter_, time)

    def _list_collections(self) -> list[str]:
        with errors:
            tables, connection, time = self._begin()
            return tables.documents.list_collections(connection, time)

    def _drop_collection(self, collection: str) -> int:
        with errors:
            tables, connection, _ = self._begin(write=True)
            return tables.documents.drop_collection(connection, collection)

    def _list_versions(self, collection: str) -> list[StoredDocument]:
        with errors:
            tables, connection, time = self._begin(write=True)
            return tables.versions.list_versions(connection, collection, time)

    def _read_version(
        self, collection: str, version: str | None, after: int, limit: int
    ) -> list[StoredDocument]:
        with errors:
            tables, connection, time = self._begin(write=True)
            return tables.versions.read_version(connection, collection, version, after, limit, time)

    def _replace(self, replacements: Sequence[Replacement]) -> list[bool]:
        with errors:
            tables, connection, time = self._begin(write=True)
            return tables.versions.replace(connection, replacements, time)

    def _ensure_index(
        self, collection: str, fields: tuple[tuple[str, Direction], ...], unique: bool
    ) -> bool:
        with errors:
            tables, connection, _ = self._begin(write=True)
            return tables.indexes.ensure_index(connection, collection, fields, unique)

    def _expire(self, batch_size: int) -> Expired:
        with errors:
            tables, connection, time = self._begin(write=True)
            return tables.sessions.expire(connection, time, batch_size)

    def _retire(self, sweep: Sweep, after: Place) -> tuple[Expired, Place]:
        with errors:
            tables, connection, _ = self._begin(write=True)
            return tables.retention.retire(connection, sweep, after)

    def _list_expired(
        self, sweep: Sweep, after: Place
    ) -> tuple[list[ExpiredSession | ExpiredDocument], Place]:
        with errors:
            tables, connection, _ = self._begin()
            return tables.retention.list_expired(connection, sweep, after)

    def forget_requests(self, user_id: str) -> int:
        sql = "DELETE FROM parlant_store_request WHERE user_id = %s RETURNING id"
        with errors:
            _, connection, _ = self._begin(write=True)
            return len(fetch(connection, sql, (codec.to_column(user_id),)))

    def together(self, call: Callable[[], Any]) -> Together | None:
        if not self._groups or not isinstance(call, partial):
            return None
        if call.func == self.add_items and call.keywords.get("ttl_seconds") is None:
            return self._add_together
        limit = call.keywords.get("limit")
        # Nobody should wait for somebody else's long history.
        short = isinstance(limit, int) and 0 < limit <= SHORT
        if call.func == self.get_items and short and not call.keywords.get("whole_turns"):
            return self._get_together
        return None

    def _add_together(self, calls: Sequence[Any]) -> Sequence[None] | None:
        try:
            additions = [self._addition(*call.args, **call.keywords) for call in calls]
        except (InvalidInput, TypeError):
            return None
        additions = [addition for addition in additions if addition.batch.data]
        with errors:
            tables, connection, time = self._begin(write=True)
            counts = tables.sessions.add_all(connection, additions, time) if additions else []
        if counts is None:
            return None
        for addition, count in zip(additions, counts, strict=True):
            self._send(session_saved, addition.name, count)
        return [None] * len(calls)

    def _get_together(self, calls: Sequence[Any]) -> Sequence[list[JSONObject]] | None:
        try:
            reads = [self._latest(*call.args, **call.keywords) for call in calls]
        except (InvalidInput, TypeError):
            return None
        with errors:
            tables, connection, time = self._begin()
            found = tables.sessions.get_all(connection, reads, time)
        for read, items in zip(reads, found or (), strict=False):
            self._send(session_loaded, read.name, len(items))
        return found

    def thread_count(self, threads: int) -> int:
        # Threads of one process only fight for SQLite's single write lock.
        return 1 if self._connection(write=True).vendor == "sqlite" else threads

    def check(self) -> list[CheckMessage]:
        connection = self._connection(write=True)
        where = f"the store {self.alias!r}"
        if connection.vendor not in TABLES:
            return [
                Error(
                    f"{where} uses the database {connection.alias!r}, which is "
                    f"{connection.display_name}.",
                    hint="OrmBackend works on SQLite and PostgreSQL.",
                    id="parlant_store.E002",
                )
            ]
        if connection.vendor == "sqlite":
            return _check_sqlite(connection, where)
        return _check_pooler(connection, where)

    def _connection(self, *, write: bool = False) -> BaseDatabaseWrapper:
        alias = self.using
        if alias is None:
            from parlant_store.models import Session

            alias = (router.db_for_write if write else router.db_for_read)(Session)
        return connections[alias]

    def _begin(
        self, *, write: bool = False, ttl: timedelta | None = None
    ) -> tuple[Tables, BaseDatabaseWrapper, Time]:
        """The tables' statements, a connection that is good to use, and the time."""
        connection = self._connection(write=write)
        refresh(connection)
        now = self.clock()
        return (
            TABLES[connection.vendor],
            connection,
            time_for(connection, now, self._expires_at(now, ttl)),
        )


def _check_sqlite(connection: BaseDatabaseWrapper, where: str) -> list[CheckMessage]:
    import sqlite3

    found: list[CheckMessage] = []
    if sqlite3.sqlite_version_info < (3, 35):
        found.append(
            Error(
                f"{where} needs SQLite 3.35 or later; this is {sqlite3.sqlite_version}.",
                hint="Install a Python with a newer SQLite, or use PostgreSQL.",
                id="parlant_store.E003",
            )
        )
    name = str(connection.settings_dict["NAME"])
    if name in ("", ":memory:"):
        found.append(
            Error(
                f"{where} uses an SQLite database in memory, which each thread has its own of.",
                hint="Give DATABASES a file as NAME.",
                id="parlant_store.E004",
            )
        )
    if not begins_by_locking(connection):
        found.append(
            Warning(
                f"{where} uses an SQLite database whose transactions start without its write lock.",
                hint=(
                    f'Set DATABASES["{connection.alias}"]["OPTIONS"] = {{"transaction_mode": '
                    '"IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"}, so that readers '
                    "and writers wait for each other instead of failing."
                ),
                id="parlant_store.W001",
            )
        )
    return found


def _check_pooler(connection: BaseDatabaseWrapper, where: str) -> list[CheckMessage]:
    """Supabase's transaction pooler gives each transaction another connection of the server."""
    settings, alias = connection.settings_dict, connection.alias
    if str(settings.get("PORT")) != TRANSACTION_POOLER:
        return []
    found: list[CheckMessage] = []
    port = f"port {TRANSACTION_POOLER} of the database {alias!r}, a transaction pooler,"
    if settings.get("DISABLE_SERVER_SIDE_CURSORS") is not True:
        found.append(
            Warning(
                f"{where} uses {port} with server-side cursors, which end with each transaction.",
                hint=(
                    f'Set DATABASES["{alias}"]["DISABLE_SERVER_SIDE_CURSORS"] = True, or use '
                    "the session pooler, on port 5432."
                ),
                id="parlant_store.W002",
            )
        )
    if settings.get("OPTIONS", {}).get("prepare_threshold") is not None:
        found.append(
            Warning(
                f"{where} uses {port} with prepared statements, which other clients do not find.",
                hint=f'Remove prepare_threshold from DATABASES["{alias}"]["OPTIONS"].',
                id="parlant_store.W003",
            )
        )
    return found
