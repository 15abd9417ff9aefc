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


class NamedPart(Part[R]):
    """Records with a namespace and an id: sessions or threads."""

    what: str
    """What messages call a record."""

    @abstractmethod
    def place(self, record: R) -> tuple[str, str]:
        """Return the namespace and the id."""

    @abstractmethod
    def read(self, places: list[tuple[str, str]]) -> list[R]:
        """Return the records of the target."""

    @abstractmethod
    def as_known(self, record: R, source: R) -> R:
        """Return the record of the target without what the source does not know."""

    @abstractmethod
    def remove(self, namespace: str, id_: str) -> bool:
        """Delete a record of the target; return whether there was one."""

    def named(self, records: Sequence[R]) -> dict[str, R]:
        return {json.dumps(self.place(record)): record for record in records}

    def stored(self, records: dict[str, R]) -> dict[str, bytes]:
        with primary_reads():
            found = self.named(self.read([*map(self.place, records.values())]))
        return {
            name: self.digest(self.as_known(record, records[name]))
            for name, record in found.items()
        }

    def delete(self, name: str, digest: bytes) -> bool:
        namespace, id_ = json.loads(name)
        with primary_reads():
            found = self.read([(namespace, id_)])
        if [self.digest(record) for record in found] != [digest]:
            return False
        return self.remove(namespace, id_)

    def label(self, name: str) -> str:
        namespace, id_ = json.loads(name)
        return f"{self.what} {id_!r}" + (f" of {namespace!r}" if namespace else "")


class SessionPart(NamedPart[SessionRecord]):
    kind, what = "sessions", "session"

    def __init__(self, source: Source, target: BaseBackend, selection: Selection) -> None:
        super().__init__(source, target, selection)
        self._keeps_times = source.keeps_times and target.keeps_times
        self._keeps_item_times = source.keeps_item_times and target.keeps_item_times
        self._keeps_history = source.keeps_history and target.keeps_history

    def batches(self, selection: Selection) -> Iterator[list[SessionRecord]]:
        return self.source.sessions(selection)

    def place(self, record: SessionRecord) -> tuple[str, str]:
        return record.namespace, record.session_id

    def digest(self, record: SessionRecord) -> bytes:
        record = record if self._keeps_times else without_times(record)
        record = record if self._keeps_item_times else without_item_times(record)
        return session_digest(record if self._keeps_history else without_history(record))

    def items(self, record: SessionRecord) -> int:
        return len(record.items)

    def read(self, places: list[tuple[str, str]]) -> list[SessionRecord]:
        return self.target.read_sessions(places)

    def as_known(self, record: SessionRecord, source: SessionRecord) -> SessionRecord:
        return as_known(record, source)

    def write(self, records: Sequence[SessionRecord], *, replace: bool) -> list[bool]:
        return self.target.write_sessions(records, replace=replace)

    def remove(self, namespace: str, id_: str) -> bool:
        return self.target.delete_session(id_, namespace=namespace)


class ThreadPart(NamedPart[ThreadRecord]):
    kind, what = "threads", "thread"

    def batches(self, selection: Selection) -> Iterator[list[ThreadRecord]]:
        return self.source.threads(selection)

    def place(self, record: ThreadRecord) -> tuple[str, str]:
        return record.namespace, record.thread_id

    def digest(self, record: ThreadRecord) -> bytes:
        return thread_digest(record)

    def items(self, record: ThreadRecord) -> int:
        return len(record.checkpoints)

    def read(self, places: list[tuple[str, str]]) -> list[ThreadRecord]:
        return self.target.read_threads(places)

    def as_known(self, record: ThreadRecord, source: ThreadRecord) -> ThreadRecord:
        return thread_as_known(record, source)

    def write(self, records: Sequence[ThreadRecord], *, replace: bool) -> list[bool]:
        return self.target.write_threads(records, replace=replace)

    def remove(self, namespace: str, id_: str) -> bool:
        return self.target.delete_thread(id_, namespace=namespace)


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
