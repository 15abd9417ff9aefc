"""The store in a database of this Django project: SQLite or PostgreSQL."""

from collections.abc import Iterator, Sequence
from itertools import chain

from django.core.checks import CheckMessage
from django.db import connections

from parlant_store.backends.contract.expiry import Expired
from parlant_store.backends.contract.operations import (
    AddItems,
    ClearSession,
    DeleteOne,
    DeleteSession,
    DropCollection,
    EnsureIndex,
    Find,
    FindOne,
    GetDocument,
    GetItems,
    GetMemories,
    InsertNumbered,
    InsertOne,
    ListNamespaces,
    ListSessions,
    ListSummaries,
    LoadSnapshot,
    MemoryRow,
    PopItem,
    ReadDocuments,
    ReadVersion,
    ReplaceDocuments,
    SaveSnapshot,
    Search,
    SearchMemories,
    SetDocumentExpiry,
    SetExpiry,
    SetMetadata,
    UpdateOne,
    WriteDocuments,
    WriteMemories,
    WriteSessions,
)
from parlant_store.backends.contract.retention import Place, Sweep
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.base.search import search_items
from parlant_store.backends.orm.checks import (
    check_contents,
    check_database,
    check_route,
    check_server,
    check_threads,
)
from parlant_store.backends.orm.grouped_calls import OrmGroupedCalls
from parlant_store.backends.orm.history import OrmHistory
from parlant_store.backends.orm.references.registry import is_referenced
from parlant_store.backends.orm.reindex import Step, reindex_documents, reindex_items
from parlant_store.backends.orm.reindex_threads import reindex_threads
from parlant_store.backends.orm.threads import OrmThreads
from parlant_store.backends.reads import primary_reads
from parlant_store.content.memories import Namespace
from parlant_store.types import (
    DocumentInfo,
    DocumentRecord,
    ExpiredDocument,
    ExpiredSession,
    ExpireResult,
    JSONObject,
    Revision,
    SearchHit,
    SessionInfo,
    SessionRecord,
    SessionSummary,
    Snapshot,
    StoredDocument,
    UpdateResult,
)


class OrmBackend(OrmHistory, OrmThreads, OrmGroupedCalls):
    """Documents, sessions and threads in the tables of parlant_store.models."""

    def _add_items(self, addition: AddItems) -> int:
        return self._write(
            lambda on: on.tables.sessions.add_items(on.connection, addition, on.time),
            addition.ttl,
            addition.request,
        )

    def _get_items(self, read: GetItems) -> list[JSONObject]:
        return self._read_content(
            lambda on: on.tables.sessions.get_items(on.connection, read, on.time, on.key),
            read.refresh,
            read.session,
        )

    def _pop_item(self, removal: PopItem) -> JSONObject | None:
        return self._write(
            lambda on: on.tables.sessions.pop_item(on.connection, removal.session, on.time),
            request=removal.request,
        )

    def _clear(self, removal: ClearSession) -> None:
        self._write(
            lambda on: on.tables.sessions.clear(on.connection, removal.session, on.time),
            request=removal.request,
        )

    def _delete_session(self, removal: DeleteSession) -> int | None:
        return self._write(
            lambda on: on.tables.sessions.delete_session(on.connection, removal.session, on.time),
            request=removal.request,
        )

    def _get_session(self, session: SessionName) -> SessionInfo | None:
        return self._read(
            lambda on: on.tables.sessions.get_session(on.connection, session, on.time)
        )

    def _set_metadata(self, change: SetMetadata) -> JSONObject:
        return self._write(
            lambda on: on.tables.sessions.set_metadata(on.connection, change, on.time),
            request=change.request,
        )

    def _set_expiry(self, change: SetExpiry) -> bool:
        return self._write(
            lambda on: on.tables.sessions.set_expiry(on.connection, change, on.time),
            request=change.request,
        )

    def _load_snapshot(self, load: LoadSnapshot) -> Snapshot | None:
        name, refresh = load
        # A later save relies on the revision.
        with primary_reads():
            return self._read_content(
                lambda on: on.tables.snapshots.load(on.connection, name, on.time, on.key),
                refresh,
                name,
            )

    def _save_snapshot(self, snapshot: SaveSnapshot) -> Revision | None:
        return self._write(
            lambda on: on.tables.snapshots.save(on.connection, snapshot, on.time),
            snapshot.ttl,
            snapshot.request,
        )

    def _search(self, search: Search) -> list[SearchHit]:
        return self._read(lambda on: search_items(on.connection, search, on.time))

    def _list_sessions(self, listing: ListSessions) -> list[SessionInfo]:
        return self._read(
            lambda on: on.tables.sessions.list_sessions(on.connection, listing, on.time)
        )

    def _list_summaries(self, listing: ListSummaries) -> Iterator[SessionSummary]:
        return self._read(
            lambda on: on.tables.sessions.list_summaries(on.connection, listing, on.time)
        )

    def _insert_one(self, insertion: InsertOne) -> None:
        self._write(
            lambda on: on.tables.documents.insert_one(on.connection, insertion, on.time),
            request=insertion.request,
        )

    def _insert_numbered(self, insertion: InsertNumbered) -> JSONObject:
        return self._write(
            lambda on: on.tables.documents.insert_numbered(on.connection, insertion, on.time),
            request=insertion.request,
        )

    def _find(self, search: Find) -> tuple[list[JSONObject], int | None]:
        return self._read(lambda on: on.tables.documents.find(on.connection, search, on.time))

    def _find_one(self, search: FindOne) -> JSONObject | None:
        return self._read(lambda on: on.tables.documents.find_one(on.connection, search, on.time))

    def _get_document(self, read: GetDocument) -> DocumentInfo | None:
        return self._read(lambda on: on.tables.documents.get_document(on.connection, read, on.time))

    def _set_document_expiry(self, change: SetDocumentExpiry) -> int:
        return self._write(
            lambda on: on.tables.documents.set_document_expiry(on.connection, change, on.time),
            request=change.request,
        )

    def _update_one(self, update: UpdateOne) -> UpdateResult:
        return self._write(
            lambda on: on.tables.documents.update_one(on.connection, update, on.time),
            request=update.request,
        )

    def _delete_one(self, deletion: DeleteOne) -> JSONObject | None:
        return self._write(
            lambda on: on.tables.documents.delete_one(on.connection, deletion, on.time),
            request=deletion.request,
        )

    def _list_collections(self) -> list[str]:
        return self._read(lambda on: on.tables.documents.list_collections(on.connection, on.time))

    def _drop_collection(self, deletion: DropCollection) -> int:
        return self._write(
            lambda on: on.tables.documents.drop_collection(on.connection, deletion.collection),
            request=deletion.request,
        )

    def _list_versions(self, collection: str) -> list[StoredDocument]:
        return self._write(
            lambda on: on.tables.versions.list_versions(on.connection, collection, on.time)
        )

    def _read_version(self, read: ReadVersion) -> list[StoredDocument]:
        return self._write(lambda on: on.tables.versions.read_version(on.connection, read, on.time))

    def _replace(self, replacement: ReplaceDocuments) -> list[bool]:
        return self._write(
            lambda on: on.tables.versions.replace(on.connection, replacement.replacements, on.time),
            request=replacement.request,
        )

    def _ensure_index(self, index: EnsureIndex) -> bool:
        return self._write(
            lambda on: on.tables.indexes.ensure_index(on.connection, index), request=index.request
        )

    def _get_memories(self, read: GetMemories) -> list[MemoryRow]:
        # A read that refreshes also writes.
        with primary_reads():
            return self._read(lambda on: on.tables.memories.get(on.connection, read, on.time))

    def _write_memories(self, write: WriteMemories) -> None:
        self._write(
            lambda on: on.tables.memories.write(on.connection, write, on.time),
            request=write.request,
        )

    def _search_memories(self, search: SearchMemories) -> list[MemoryRow]:
        with primary_reads():
            return self._read(lambda on: on.tables.memories.search(on.connection, search, on.time))

    def _list_namespaces(self, listing: ListNamespaces) -> list[Namespace]:
        return self._read(
            lambda on: on.tables.memories.list_namespaces(on.connection, listing, on.time)
        )

    keeps_times = True
    keeps_item_times = True
    keeps_history = True

    def _read_sessions(self, names: list[SessionName]) -> list[SessionRecord]:
        return self._read(lambda on: on.tables.records.read_sessions(on.connection, names, on.time))

    def _write_sessions(self, write: WriteSessions) -> list[bool]:
        return self._write(
            lambda on: on.tables.records.write_sessions(on.connection, write, on.time)
        )

    def _read_documents(self, read: ReadDocuments) -> list[DocumentRecord]:
        return self._read(lambda on: on.tables.records.read_documents(on.connection, read, on.time))

    def _write_documents(self, write: WriteDocuments) -> list[bool]:
        return self._write(
            lambda on: on.tables.records.write_documents(on.connection, write, on.time)
        )

    def _expire(self, batch_size: int) -> Expired:
        return self._write(lambda on: on.tables.sessions.expire(on.connection, on.time, batch_size))

    def _expire_all(self, batch_size: int) -> Iterator[ExpireResult]:
        if is_referenced(self._connection(write=True).alias):
            # One pass, which skips protected rows.
            return chain(
                self._retire_all(self._sweeps(None, batch_size)), self._expire_threads(batch_size)
            )
        return super()._expire_all(batch_size)

    def _retire(self, sweep: Sweep, after: Place) -> tuple[Expired, Place]:
        return self._write(lambda on: on.tables.retention.retire(on.connection, sweep, after))

    def _list_expired(
        self, sweep: Sweep, after: Place
    ) -> tuple[list[ExpiredSession | ExpiredDocument], Place]:
        with primary_reads():
            return self._read(
                lambda on: on.tables.retention.list_expired(on.connection, sweep, after)
            )

    def forget_requests(self, user_id: str) -> int:
        return self._write(lambda on: on.tables.requests.forget(on.connection, user_id))

    def reindex_items(self, after: int, limit: int) -> Step:
        """Compute the columns of ``limit`` stored items again, after the key ``after``."""
        return self._write(lambda on: reindex_items(on.connection, after, limit))

    def reindex_documents(self, after: int, limit: int) -> Step:
        """Compute the columns of ``limit`` stored documents again, after the key ``after``."""
        return self._write(lambda on: reindex_documents(on.connection, after, limit))

    def reindex_threads(self, after: int, limit: int) -> Step:
        """Compute the texts of ``limit`` threads at most again, after the key ``after``."""
        return self._write(
            lambda on: reindex_threads(on.tables.checkpoints, on.connection, on.time, after, limit)
        )

    def check(self) -> list[CheckMessage]:
        connection = self._usual_connection()
        messages = check_database(self.alias, connection) + check_route(self.alias, self.using)
        if connection.vendor == "postgresql":
            messages += check_threads(self.alias, self.threads, self.executor.count)
        return messages

    def _check_inside(self, database: str) -> list[CheckMessage]:
        where = f"the database {database!r} of the store {self.alias!r}"
        connection = connections[database]
        messages = check_contents(where, connection)
        return messages + check_server(where, self.executor.count, connection)

    def check_databases(self, databases: Sequence[str]) -> list[CheckMessage]:
        return [
            message
            for alias in self._aliases()
            if alias in databases
            for message in self._check_inside(alias)
        ]
