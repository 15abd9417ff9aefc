"""Whole sessions and documents over Supabase, with the service role."""

from collections.abc import Callable
from typing import Any, TypeVar

from parlant_store.backends.columns import (
    columns,
    decode_items,
    decode_state,
    name_of,
    owner_of,
    parent_of,
)
from parlant_store.backends.contract.operations import (
    ReadDocuments,
    SessionEntry,
    WriteDocuments,
    WriteSessions,
)
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.record_columns import document_columns, item_columns, session_columns
from parlant_store.backends.record_history import history_of
from parlant_store.backends.supabase.client import Conflict, is_overdue, time_of
from parlant_store.backends.supabase.rest import shapes
from parlant_store.backends.supabase.sessions import SupabaseSessions
from parlant_store.content import codec
from parlant_store.exceptions import DuplicateDocument, StoreUnavailable
from parlant_store.types import DocumentRecord, SessionRecord

MAX_ITEMS = 2_000
"""How many items one statement writes; Supabase ends statements after 8 s."""

ITEM_COLUMNS = ("data", "roles", "texts", "terms", "tokens", "failed", "times", "item_usages")

_SINGLE = {
    "namespace": "namespaces",
    "session_id": "session_ids",
    "names": "names",
    "user_id": "user_ids",
    "metadata": "metadata",
    "state": "states",
    "created": "created",
    "updated": "updated",
    "expires": "expires",
    "total": "totals",
    "usage": "usages",
    "parent": "parents",
    "parent_name": "parent_names",
    "parent_position": "parent_positions",
}
"""The parameters for one session, each with that for several."""

T = TypeVar("T")
R = TypeVar("R")


class SupabaseRecords(SupabaseSessions):
    """Reads and writes many at once; if the database ends a statement, half as many."""

    keeps_times = True
    keeps_item_times = True
    keeps_history = True
    max_record_items = 1_000

    def _read_sessions(self, names: list[SessionName]) -> list[SessionRecord]:
        return _in_steps(self._read_some_sessions, names)

    def _write_sessions(self, write: WriteSessions) -> list[bool]:
        return _in_steps(
            lambda entries: self._write_some_sessions(write._replace(entries=entries)),
            write.entries,
        )

    def _write_large_session(self, entry: SessionEntry, replace: bool) -> bool:
        """Write a session in steps; no read returns it before the last one."""
        key = None
        columns = item_columns(WriteSessions([entry], replace))
        for start in range(0, len(entry.batch.data), MAX_ITEMS):
            end = start + MAX_ITEMS
            key = self.connection.write(
                "stage_items",
                shapes.integer,
                None,
                key=key,
                turn=entry.history.first_turn - 1,
                **{name: columns[name][start:end] for name in ITEM_COLUMNS},
                now=self.clock(),
            )
        session = session_columns(WriteSessions([entry], replace))
        published: bool = self.connection.write(
            "publish_session",
            shapes.boolean,
            None,
            key=key,
            items=len(entry.batch.data),
            **{single: session[several][0] for single, several in _SINGLE.items()},
            replace=replace,
            now=self.clock(),
        )
        return published

    def _read_documents(self, read: ReadDocuments) -> list[DocumentRecord]:
        rows = self.connection.read(
            "read_documents",
            shapes.list_of(shapes.DOCUMENT_RECORD),
            collection=codec.to_column(read.collection),
            ids=None if read.ids is None else list(map(codec.to_column, read.ids)),
            after=read.after,
            limit=read.limit,
            now=self.clock(),
        )
        documents = codec.decode_documents([row[1] for row in rows])
        return [
            DocumentRecord(
                document=document,
                updated_at=time_of(updated_at),
                expires_at=time_of(expires_at),
                key=key,
            )
            for (key, _, updated_at, expires_at), document in zip(rows, documents, strict=True)
        ]

    def _write_documents(self, write: WriteDocuments) -> list[bool]:
        try:
            written: list[bool] = self.connection.write(
                "write_documents",
                shapes.list_of(shapes.boolean),
                None,
                collection=codec.to_column(write.collection),
                **document_columns(write),
                replace=write.replace,
                now=self.clock(),
            )
        except Conflict as exc:
            raise DuplicateDocument(str(exc)) from exc
        return written

    def _read_some_sessions(self, names: list[SessionName]) -> list[SessionRecord]:
        short = [columns(name) for name in names]
        rows = self.connection.read(
            "read_sessions",
            shapes.list_of(shapes.session_record),
            namespaces=[name.namespace for name in short],
            session_ids=[name.session_id for name in short],
            now=self.clock(),
        )
        return list(map(_record, rows))

    def _write_some_sessions(self, write: WriteSessions) -> list[bool]:
        if any(len(entry.batch.data) > MAX_ITEMS for entry in write.entries):
            return [self._write_alone(entry, write.replace) for entry in write.entries]
        written: list[bool] = self.connection.write(
            "write_sessions",
            shapes.list_of(shapes.boolean),
            None,
            **session_columns(write),
            **item_columns(write),
            replace=write.replace,
            now=self.clock(),
        )
        return written

    def _write_alone(self, entry: SessionEntry, replace: bool) -> bool:
        if len(entry.batch.data) <= MAX_ITEMS:
            return self._write_some_sessions(WriteSessions([entry], replace))[0]
        written = self._write_large_session(entry, replace)
        # Items of a session that was not written, or of the one before.
        self.delete_hidden()
        return written


def _in_steps(operation: Callable[[list[T]], list[R]], values: list[T]) -> list[R]:
    """Run ``operation`` on all values, or on halves of them if it takes too long."""
    try:
        return operation(values)
    except StoreUnavailable as exc:
        if len(values) == 1 or not is_overdue(exc):
            raise
    half = len(values) // 2
    return _in_steps(operation, values[:half]) + _in_steps(operation, values[half:])


def _record(row: dict[str, Any]) -> SessionRecord:
    session, texts = row["session"], row["items"]
    name = name_of(session["namespace"], session["session_id"], session["full_names"])
    items = decode_items(texts, name)
    pairs = [
        (item, time_of(time))
        for item, time in zip(items, row["times"], strict=True)
        if item is not None
    ]
    times = {when: time_of(session[when]) for when in ("created_at", "updated_at", "expires_at")}
    return SessionRecord(
        namespace=name.namespace,
        session_id=name.session_id,
        user_id=owner_of(session["user_id"], session["full_names"]),
        items=[item for item, _ in pairs],
        item_times=[time for _, time in pairs],
        state=decode_state(row["state"], name),
        metadata=codec.decode_document(session["metadata"]),
        history=history_of(
            items,
            row["usages"],
            last_turn=row["last_turn"],
            usage=row["usage"],
            parent_id=parent_of(session["parent_id"], session["parent_name"]),
            parent_position=session["parent_position"],
        ),
        damaged_items=len(items) - len(pairs),
        **times,
    )
