"""The statements of each kind of database."""

from functools import cache
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.orm.base.checkpoints import Checkpoints
from parlant_store.backends.orm.base.documents import Documents
from parlant_store.backends.orm.base.history import History
from parlant_store.backends.orm.base.indexes import Indexes
from parlant_store.backends.orm.base.memories import Memories
from parlant_store.backends.orm.base.migration import Versions
from parlant_store.backends.orm.base.records import Records
from parlant_store.backends.orm.base.refresh import Refreshes
from parlant_store.backends.orm.base.requests import Requests
from parlant_store.backends.orm.base.retention import RetentionRules
from parlant_store.backends.orm.base.sessions import PLAIN, KeyColumn, Sessions, Time
from parlant_store.backends.orm.base.snapshots import Snapshots
from parlant_store.backends.orm.base.thread_records import ThreadRecords
from parlant_store.backends.orm.postgresql.checkpoints import PostgreSQLCheckpoints
from parlant_store.backends.orm.postgresql.documents import PostgreSQLDocuments
from parlant_store.backends.orm.postgresql.history import PostgreSQLHistory
from parlant_store.backends.orm.postgresql.indexes import PostgreSQLIndexes
from parlant_store.backends.orm.postgresql.memories import PostgreSQLMemories
from parlant_store.backends.orm.postgresql.migration import PostgreSQLVersions
from parlant_store.backends.orm.postgresql.records import PostgreSQLRecords
from parlant_store.backends.orm.postgresql.refresh import PostgreSQLRefreshes
from parlant_store.backends.orm.postgresql.requests import PostgreSQLRequests
from parlant_store.backends.orm.postgresql.retention import PostgreSQLRetention
from parlant_store.backends.orm.postgresql.sessions import PostgreSQLSessions
from parlant_store.backends.orm.postgresql.snapshots import PostgreSQLSnapshots
from parlant_store.backends.orm.postgresql.thread_records import PostgreSQLThreadRecords
from parlant_store.backends.orm.references.documents import ReferencedDocuments
from parlant_store.backends.orm.references.history import ReferencedHistory
from parlant_store.backends.orm.references.memories import ReferencedMemories
from parlant_store.backends.orm.references.records import ReferencedRecords
from parlant_store.backends.orm.references.registry import has_references, referenced_models
from parlant_store.backends.orm.references.requests import ReferencedRequests
from parlant_store.backends.orm.references.retention import ReferencedRetention
from parlant_store.backends.orm.references.sessions import ReferencedSessions
from parlant_store.backends.orm.references.snapshots import ReferencedSnapshots
from parlant_store.backends.orm.sqlite.checkpoints import SQLiteCheckpoints
from parlant_store.backends.orm.sqlite.documents import SQLiteDocuments
from parlant_store.backends.orm.sqlite.history import SQLiteHistory
from parlant_store.backends.orm.sqlite.indexes import SQLiteIndexes
from parlant_store.backends.orm.sqlite.memories import SQLiteMemories
from parlant_store.backends.orm.sqlite.migration import SQLiteVersions
from parlant_store.backends.orm.sqlite.records import SQLiteRecords
from parlant_store.backends.orm.sqlite.refresh import SQLiteRefreshes
from parlant_store.backends.orm.sqlite.requests import SQLiteRequests
from parlant_store.backends.orm.sqlite.retention import SQLiteRetention
from parlant_store.backends.orm.sqlite.sessions import SQLiteSessions
from parlant_store.backends.orm.sqlite.snapshots import SQLiteSnapshots
from parlant_store.backends.orm.sqlite.thread_records import SQLiteThreadRecords


class Tables(NamedTuple):
    sessions: Sessions
    documents: Documents
    snapshots: Snapshots
    history: History
    versions: Versions
    indexes: Indexes
    retention: RetentionRules
    requests: Requests
    records: Records
    refreshes: Refreshes
    memories: Memories
    checkpoints: Checkpoints
    thread_records: ThreadRecords


TABLES = {
    "postgresql": Tables(
        PostgreSQLSessions(),
        PostgreSQLDocuments(),
        PostgreSQLSnapshots(),
        PostgreSQLHistory(),
        PostgreSQLVersions(),
        PostgreSQLIndexes(),
        PostgreSQLRetention(),
        PostgreSQLRequests(),
        PostgreSQLRecords(),
        PostgreSQLRefreshes(),
        PostgreSQLMemories(),
        PostgreSQLCheckpoints(),
        PostgreSQLThreadRecords(),
    ),
    "sqlite": Tables(
        SQLiteSessions(),
        SQLiteDocuments(),
        SQLiteSnapshots(),
        SQLiteHistory(),
        SQLiteVersions(),
        SQLiteIndexes(),
        SQLiteRetention(),
        SQLiteRequests(),
        SQLiteRecords(),
        SQLiteRefreshes(),
        SQLiteMemories(),
        SQLiteCheckpoints(),
        SQLiteThreadRecords(),
    ),
}


@cache
def _referenced(vendor: str, *, sessions: bool, documents: bool) -> Tables:
    """Return the statements for databases whose tables refer to sessions, items or documents."""
    tables = TABLES[vendor]._replace(
        retention=ReferencedRetention(TABLES[vendor].retention),
        requests=ReferencedRequests(TABLES[vendor].requests),
        records=ReferencedRecords(TABLES[vendor].records),
    )
    if sessions:
        tables = tables._replace(
            sessions=ReferencedSessions(tables.sessions),
            snapshots=ReferencedSnapshots(tables.snapshots),
            history=ReferencedHistory(tables.history),
        )
    if documents:
        tables = tables._replace(
            documents=ReferencedDocuments(tables.documents),
            memories=ReferencedMemories(tables.memories),
        )
    return tables


class Target(NamedTuple):
    """The statements, the connection and the time of one call."""

    tables: Tables
    connection: BaseDatabaseWrapper
    time: Time
    key: KeyColumn = PLAIN
    """The key of a session that the call reads."""


def with_references(target: Target) -> Target:
    """Return ``target`` for tables of the project that refer to ours (references/registry.py)."""
    session, item, document = map(has_references, referenced_models())
    vendor = target.connection.vendor
    tables = _referenced(vendor, sessions=session or item, documents=document)
    return target._replace(tables=tables)
