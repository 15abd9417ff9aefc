"""What a copy consists of: the sessions, the threads, and the documents of each collection."""

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.reads import primary_reads
from parlant_store.transfer.digests import (
    as_known,
    document_digest,
    session_digest,
    thread_as_known,
    thread_digest,
    without_history,
    without_item_times,
    without_times,
)
from parlant_store.transfer.selection import Selection
from parlant_store.transfer.sources import MAX_DOCUMENTS, Source
from parlant_store.types import DocumentRecord, SessionRecord, ThreadRecord

R = TypeVar("R")


class Part(ABC, Generic[R]):
    """Records of one kind, in a source and in a store."""

    kind: str
    """ "sessions", "threads" or the name of the collection."""

    def __init__(self, source: Source, target: BaseBackend, selection: Selection) -> None:
        self.source = source
        self.target = target
        self.selection = selection

    def batches(self, selection: Selection) -> Iterator[list[R]]:
        """Return the records of the source."""
        raise NotImplementedError

    @abstractmethod
    def named(self, records: Sequence[R]) -> dict[str, R]:
        """Return the records by names, in JSON."""

    @abstractmethod
    def digest(self, record: R) -> bytes:
        """Return the checksum of a record of the source."""

    @abstractmethod
    def items(self, record: R) -> int:
        """Return the number of items, or of checkpoints."""

    @abstractmethod
    def stored(self, records: dict[str, R]) -> dict[str, bytes]:
        """Return the checksums of those records that the target has, by name."""

    @abstractmethod
    def write(self, records: Sequence[R], *, replace: bool) -> list[bool]:
        """Return for each record whether it was written."""

    @abstractmethod
    def delete(self, name: str, digest: bytes) -> bool:
        """Delete a record of the target if it has the checksum; return whether it had."""

    @abstractmethod
    def label(self, name: str) -> str:
        """Return the name for messages."""


class SessionPart(Part[SessionRecord]):
    kind = "sessions"

    def __init__(self, source: Source, target: BaseBackend, selection: Selection) -> None:
        super().__init__(source, target, selection)
        self._keeps_times = source.keeps_times and target.keeps_times
        self._keeps_item_times = source.keeps_item_times and target.keeps_item_times
        self._keeps_history = source.keeps_history and target.keeps_history

    def batches(self, selection: Selection) -> Iterator[list[SessionRecord]]:
        return self.source.sessions(selection)

    def named(self, records: Sequence[SessionRecord]) -> dict[str, SessionRecord]:
        return {json.dumps([record.namespace, record.session_id]): record for record in records}

    def digest(self, record: SessionRecord) -> bytes:
        record = record if self._keeps_times else without_times(record)
        record = record if self._keeps_item_times else without_item_times(record)
        return session_digest(record if self._keeps_history else without_history(record))

    def items(self, record: SessionRecord) -> int:
        return len(record.items)

    def stored(self, records: dict[str, SessionRecord]) -> dict[str, bytes]:
        names = [(record.namespace, record.session_id) for record in records.values()]
        with primary_reads():
            found = self.named(self.target.read_sessions(names))
        return {
            name: self.digest(as_known(record, records[name])) for name, record in found.items()
        }

    def write(self, records: Sequence[SessionRecord], *, replace: bool) -> list[bool]:
        return self.target.write_sessions(records, replace=replace)

    def delete(self, name: str, digest: bytes) -> bool:
        namespace, session_id = json.loads(name)
        with primary_reads():
            found = self.target.read_sessions([(namespace, session_id)])
        if [self.digest(record) for record in found] != [digest]:
            return False
        return self.target.delete_session(session_id, namespace=namespace)

    def label(self, name: str) -> str:
        namespace, session_id = json.loads(name)
        return f"session {session_id!r}" + (f" of {namespace!r}" if namespace else "")


class ThreadPart(Part[ThreadRecord]):
    kind = "threads"

    def batches(self, selection: Selection) -> Iterator[list[ThreadRecord]]:
        return self.source.threads(selection)

    def named(self, records: Sequence[ThreadRecord]) -> dict[str, ThreadRecord]:
        return {json.dumps([record.namespace, record.thread_id]): record for record in records}

    def digest(self, record: ThreadRecord) -> bytes:
        return thread_digest(record)

    def items(self, record: ThreadRecord) -> int:
        return len(record.checkpoints)

    def stored(self, records: dict[str, ThreadRecord]) -> dict[str, bytes]:
        names = [(record.namespace, record.thread_id) for record in records.values()]
        with primary_reads():
            found = self.named(self.target.read_threads(names))
        return {
            name: self.digest(thread_as_known(record, records[name]))
            for name, record in found.items()
        }

    def write(self, records: Sequence[ThreadRecord], *, replace: bool) -> list[bool]:
        return self.target.write_threads(records, replace=replace)

    def delete(self, name: str, digest: bytes) -> bool:
        namespace, thread_id = json.loads(name)
        with primary_reads():
            found = self.target.read_threads([(namespace, thread_id)])
        if [self.digest(record) for record in found] != [digest]:
            return False
        return self.target.delete_thread(thread_id, namespace=namespace)

    def label(self, name: str) -> str:
        namespace, thread_id = json.loads(name)
        return f"thread {thread_id!r}" + (f" of {namespace!r}" if namespace else "")


class DocumentPart(Part[DocumentRecord]):
    """The documents of a collection.

    Documents without an id are named by their checksum, and counted: the target should have as
    many with this checksum.
    """

    def __init__(
        self, source: Source, target: BaseBackend, selection: Selection, collection: str
    ) -> None:
        super().__init__(source, target, selection)
        self.kind = self.collection = collection
        self._counts: Counter[bytes] = Counter()
        self._stored_counts: dict[bool, Counter[bytes]] = {}

    def batches(self, selection: Selection) -> Iterator[list[DocumentRecord]]:
        self._counts.clear()
        self._stored_counts.clear()
        return self.source.documents(self.collection, selection)

    def named(self, records: Sequence[DocumentRecord]) -> dict[str, DocumentRecord]:
        return {self._name(record): record for record in records}

    def digest(self, record: DocumentRecord) -> bytes:
        return document_digest(record)

    def items(self, record: DocumentRecord) -> int:
        return 0

    def stored(self, records: dict[str, DocumentRecord]) -> dict[str, bytes]:
        names = {name: json.loads(name) for name in records}
        ids = {key[0]: name for name, key in names.items() if len(key) == 1}
        digests = {}
        with primary_reads():
            found = self.target.read_documents(self.collection, ids=[*ids], limit=None)
            for record in found:
                name = ids[record.document["id"]]
                digests[name] = self.digest(_as_known(record, records[name]))
            for name, key in names.items():
                if len(key) == 2:
                    digest = bytes.fromhex(key[0])
                    is_timed = records[name].updated_at is not None
                    if self._stored_without_id(is_timed)[digest] >= key[1]:
                        digests[name] = digest
        return digests

    def write(self, records: Sequence[DocumentRecord], *, replace: bool) -> list[bool]:
        return self.target.write_documents(self.collection, records, replace=replace)

    def delete(self, name: str, digest: bytes) -> bool:
        key = json.loads(name)
        if len(key) == 2:
            return False
        with primary_reads():
            found = self.target.read_documents(self.collection, ids=key)
        if [self.digest(record) for record in found] != [digest]:
            return False
        return self.target.delete_one(self.collection, {"id": {"$eq": key[0]}}) is not None

    def label(self, name: str) -> str:
        key = json.loads(name)
        what = f"document {key[0]!r}" if len(key) == 1 else "document without an id"
        return f"{what} of {self.collection!r}"

    def _name(self, record: DocumentRecord) -> str:
        id_: Any = record.document.get("id")
        if id_ is not None:
            return json.dumps([id_])
        digest = self.digest(record)
        self._counts[digest] += 1
        return json.dumps([digest.hex(), self._counts[digest]])

    def _stored_without_id(self, is_timed: bool) -> Counter[bytes]:
        """Return the counts of documents without an id, with their times or without."""
        if is_timed not in self._stored_counts:
            counts = self._stored_counts[is_timed] = Counter[bytes]()
            after = 0
            while records := self.target.read_documents(
                self.collection, after=after, limit=MAX_DOCUMENTS
            ):
                after = records[-1].key
                for record in records:
                    if record.document.get("id") is None:
                        counts[self.digest(record if is_timed else _without_time(record))] += 1
        return self._stored_counts[is_timed]


def _as_known(record: DocumentRecord, source: DocumentRecord) -> DocumentRecord:
    return _without_time(record) if source.updated_at is None else record


def _without_time(record: DocumentRecord) -> DocumentRecord:
    return replace(record, updated_at=None)
