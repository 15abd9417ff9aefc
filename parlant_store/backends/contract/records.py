"""The contract of stores: whole sessions and documents, for copies between stores."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from parlant_store.backends.contract.documents import DocumentMethods
from parlant_store.backends.contract.history import HistoryMethods
from parlant_store.backends.contract.operations import (
    DeleteSession,
    EntryHistory,
    GetItems,
    LoadSnapshot,
    ReadDocuments,
    SaveSnapshot,
    SessionEntry,
    SetExpiry,
    SetMetadata,
    WriteDocuments,
    WriteSessions,
)
from parlant_store.backends.contract.validation import (
    MAX_LIMIT,
    SessionName,
    check_document,
    check_id,
    check_limit,
    check_number,
    check_owner,
    check_time,
    session_name,
)
from parlant_store.backends.threads.async_methods import as_async
from parlant_store.content import codec
from parlant_store.content.items import Batch, batch, turn_starts
from parlant_store.content.usage import counts_of
from parlant_store.exceptions import InvalidInput, InvalidItem, InvalidName
from parlant_store.types import DocumentRecord, SessionHistory, SessionRecord, TimedItem

MAX_TURN = 2**53
"""Limit on the number of the first turn of a session."""


class RecordMethods(HistoryMethods, DocumentMethods):
    """Reading and writing of whole sessions and documents, with their times.

    No signals are sent.
    """

    keeps_times = False
    """Does write_sessions keep created_at and updated_at of sessions?"""

    keeps_item_times = False
    """Does write_sessions keep the times of items?"""

    keeps_history = False
    """Does write_sessions keep turns, usage and parents?"""

    max_record_items = 5_000
    """How many items one call of read_sessions or write_sessions should have at most."""

    def read_sessions(self, names: Iterable[tuple[str, str]]) -> list[SessionRecord]:
        """Return the sessions with these pairs of namespace and session_id, in any order.

        Those that do not exist are left out, and so are damaged items, which are counted.
        """
        checked = [session_name(session_id, namespace) for namespace, session_id in names]
        return self._read_sessions(list(dict.fromkeys(checked))) if checked else []

    aread_sessions = as_async(read_sessions)

    def get_timed_items(
        self, session_id: str, *, namespace: str = "", limit: int | None = None
    ) -> list[TimedItem]:
        """Return the latest ``limit`` items like get_items, with their times.

        Backends without a fast way know no times. The session is not prolonged.
        """
        read = GetItems(session_name(session_id, namespace), check_limit(limit))
        return [] if read.limit == 0 else self._get_timed_items(read)

    aget_timed_items = as_async(get_timed_items)

    def write_sessions(
        self, records: Sequence[SessionRecord], *, replace: bool = False
    ) -> list[bool]:
        """Write sessions as they are; return for each whether it was written.

        A session that exists is left as it is; with ``replace``, all of it is replaced. Each
        session is written as a whole or not at all. Raise InvalidInput if one of them is invalid
        or if a name occurs twice; nothing is written then.
        """
        now: datetime = self.clock()  # type: ignore[attr-defined]  # of BaseBackend
        entries = [_entry(record, now) for record in records]
        names = {entry.session for entry in entries}
        if len(names) < len(entries):
            raise InvalidName("a session occurs twice among those to write")
        return self._write_sessions(WriteSessions(entries, replace)) if entries else []

    awrite_sessions = as_async(write_sessions)

    def read_documents(
        self,
        collection: str,
        *,
        ids: Sequence[str] | None = None,
        after: int = 0,
        limit: int | None = 500,
    ) -> list[DocumentRecord]:
        """Return documents with these ids, or, if None, at most ``limit`` after the key ``after``.

        They are in the order of their keys.
        """
        checked = None if ids is None else [*map(check_id, codec.check_list(ids, "ids"))]
        rows = check_limit(limit)
        after = check_number(after, "after")
        read = ReadDocuments(
            self._collection(collection), checked, after, MAX_LIMIT if rows is None else rows
        )
        return [] if checked == [] else self._read_documents(read)

    aread_documents = as_async(read_documents)

    def write_documents(
        self, collection: str, records: Sequence[DocumentRecord], *, replace: bool = False
    ) -> list[bool]:
        """Write documents as they are; return for each whether it was written.

        A document whose id exists is left as it is, or replaced with ``replace``; those without an
        id are always inserted. All are written or none. Raise InvalidInput, or DuplicateDocument if
        a unique index forbids one.
        """
        ids = [record.document["id"] for record in records if record.document.get("id") is not None]
        if len(set(ids)) < len(ids):
            raise InvalidName("a document occurs twice among those to write")
        checked = [_checked(record) for record in records]
        write = WriteDocuments(self._collection(collection), checked, replace)
        return self._write_documents(write) if records else []

    awrite_documents = as_async(write_documents)

    def _get_timed_items(self, read: GetItems) -> list[TimedItem]:
        return [TimedItem(item, None) for item in self._get_items(read)]

    def _read_sessions(self, names: list[SessionName]) -> list[SessionRecord]:
        """Without times of items and history, unless a backend has a faster way."""
        records = []
        for name in names:
            info, snapshot = self._get_session(name), self._load_snapshot(LoadSnapshot(name))
            if info is None or snapshot is None:
                continue
            records.append(
                SessionRecord(
                    namespace=info.namespace,
                    session_id=info.session_id,
                    user_id=info.user_id,
                    items=snapshot.items,
                    state=snapshot.state,
                    metadata=info.metadata,
                    created_at=info.created_at,
                    updated_at=info.updated_at,
                    expires_at=info.expires_at,
                    damaged_items=snapshot.revision.item_count - len(snapshot.items),
                )
            )
        return records

    def _write_sessions(self, write: WriteSessions) -> list[bool]:
        """Without times and history, by several operations, unless a backend has a better way."""
        return [self._write_session(entry, write.replace) for entry in write.entries]

    def _write_session(self, entry: SessionEntry, replace: bool) -> bool:
        name = entry.session
        if self._get_session(name) is not None:
            if not replace:
                return False
            self._delete_session(DeleteSession(name, None))
        self._save_snapshot(
            SaveSnapshot(name, entry.batch, entry.state, entry.user_id, None, None, None)
        )
        if entry.metadata != "{}":
            self._set_metadata(SetMetadata(name, entry.metadata, False, None))
        self._set_expiry(SetExpiry(name, entry.expires_at, None))
        return True

    def _read_documents(self, read: ReadDocuments) -> list[DocumentRecord]:
        raise NotImplementedError

    def _write_documents(self, write: WriteDocuments) -> list[bool]:
        raise NotImplementedError


def _entry(record: SessionRecord, now: datetime) -> SessionEntry:
    items = batch(record.items)
    created_at = check_time(record.created_at, "created_at") or now
    updated_at = check_time(record.updated_at, "updated_at") or created_at
    times = record.item_times
    if times is None:
        times = [updated_at] * len(items.data)
    elif len(times) != len(items.data):
        raise InvalidItem(f"{len(items.data)} items have {len(times)} item_times")
    return SessionEntry(
        session_name(record.session_id, record.namespace),
        items,
        [check_time(time, "item_times") or updated_at for time in times],
        check_owner(record.user_id),
        codec.encode_document(record.state, "state"),
        codec.encode_document(record.metadata, "metadata"),
        created_at,
        updated_at,
        check_time(record.expires_at, "expires_at"),
        EntryHistory() if record.history is None else _history(record.history, items),
    )


def _history(history: SessionHistory, items: Batch) -> EntryHistory:
    first_turn, parent_id = check_number(history.first_turn, "first_turn"), history.parent_id
    if not 0 < first_turn <= MAX_TURN:
        raise InvalidInput(f"first_turn must be a number from 1 to {MAX_TURN}, not {first_turn}")
    unknown = history.turn_usage.keys() - turn_starts(items.roles, first_turn).keys()
    if unknown:
        turn = min(unknown, key=repr)
        raise InvalidInput(f"turn_usage has the turn {turn!r}, and the session has no such turn")
    if history.turn_usage and history.usage is None:
        raise InvalidInput("turn_usage needs usage, which is that of all turns")
    position = history.parent_position
    return EntryHistory(
        first_turn,
        None if history.usage is None else counts_of(history.usage),
        {turn: counts_of(usage) for turn, usage in history.turn_usage.items()},
        None if parent_id is None else codec.check_name(parent_id, "parent_id"),
        None if position is None else check_number(position, "parent_position"),
    )


def _checked(record: DocumentRecord) -> DocumentRecord:
    check_document(record.document)
    check_time(record.updated_at, "updated_at")
    check_time(record.expires_at, "expires_at")
    return record
