"""Where sessions, threads and documents are copied from."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.reads import on_primary, primary_reads
from parlant_store.content.times import as_utc
from parlant_store.exceptions import StoreError
from parlant_store.personal_data import PersonalData
from parlant_store.transfer.selection import Selection
from parlant_store.types import (
    OWNERS,
    DocumentRecord,
    SessionCursor,
    SessionInfo,
    SessionRecord,
    ThreadCursor,
    ThreadInfo,
    ThreadRecord,
)

PAGE_SIZE = 500
"""How many sessions are listed at once."""

MAX_DOCUMENTS = 200
"""How many documents are read at once."""

MAX_THREADS = 20
"""How many threads are read at once, each with all of its checkpoints."""


class SourceError(StoreError):
    """The source cannot be opened or read."""


class Note(NamedTuple):
    """Something that cannot be read, and is not copied."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class Source(ABC):
    """Sessions, threads and documents, in batches. What cannot be read is added to ``notes``."""

    keeps_times = True
    """Does the source know when sessions were written?"""

    keeps_item_times = True
    """Does the source know when items were written?"""

    keeps_history = True
    """Does the source know turns, usage and parents?"""

    def __init__(self) -> None:
        self.notes: list[Note] = []

    @abstractmethod
    def sessions(self, selection: Selection) -> Iterator[list[SessionRecord]]: ...

    def has_threads(self, selection: Selection) -> bool:
        """Whether there may be threads."""
        return False

    def threads(self, selection: Selection) -> Iterator[list[ThreadRecord]]:
        return iter(())

    @abstractmethod
    def collections(self, selection: Selection) -> list[str]: ...

    @abstractmethod
    def documents(
        self, collection: str, selection: Selection
    ) -> Iterator[list[DocumentRecord]]: ...


class StoreSource(Source):
    """A store."""

    def __init__(self, store: BaseBackend) -> None:
        super().__init__()
        self.store = store
        self.keeps_times = store.keeps_times
        self.keeps_item_times = store.keeps_item_times
        self.keeps_history = store.keeps_history
        self._ids: dict[str, list[str]] | None = None

    @on_primary
    def sessions(self, selection: Selection) -> Iterator[list[SessionRecord]]:
        for infos in self._groups(self._infos(selection)):
            records = self.store.read_sessions(
                [(info.namespace, info.session_id) for info in infos]
            )
            for record in records:
                if record.damaged_items:
                    reason = f"{record.damaged_items} of its items are damaged"
                    self.notes.append(Note(f"session {record.session_id!r}", reason))
            yield records

    def has_threads(self, selection: Selection) -> bool:
        with primary_reads():
            return next(self._thread_infos(selection), None) is not None

    @on_primary
    def threads(self, selection: Selection) -> Iterator[list[ThreadRecord]]:
        infos = self._thread_infos(selection)
        while page := list(islice(infos, MAX_THREADS)):
            yield self.store.read_threads([(info.namespace, info.thread_id) for info in page])

    def collections(self, selection: Selection) -> list[str]:
        if not (selection.has_documents and self.store.supports_documents):
            return []
        with primary_reads():
            if selection.user_id is not None:
                self._ids = self._ids_of_user(selection.user_id)
                names = sorted(self._ids)
            else:
                names = self.store.list_collections()
                if self.store.read_documents(OWNERS, limit=1):
                    names.append(OWNERS)
        return [name for name in names if selection.collection in (None, name)]

    @on_primary
    def documents(self, collection: str, selection: Selection) -> Iterator[list[DocumentRecord]]:
        since = selection.since
        for records in self._pages(collection):
            yield [
                record
                for record in records
                if since is None or record.updated_at is None or as_utc(record.updated_at) >= since
            ]

    def _thread_infos(self, selection: Selection) -> Iterator[ThreadInfo]:
        cursor: ThreadCursor | None = None
        while self.store.supports_checkpoints and selection.has_threads:
            page = self.store.list_threads(
                namespace=selection.namespace,
                user_id=selection.user_id,
                limit=PAGE_SIZE,
                cursor=cursor,
            )
            since = selection.since
            yield from (
                info for info in page.threads if since is None or as_utc(info.updated_at) >= since
            )
            cursor = page.next_cursor
            if cursor is None:
                return

    def _infos(self, selection: Selection) -> Iterator[SessionInfo]:
        cursor: SessionCursor | None = None
        while True:
            page = self.store.list_sessions(
                namespace=selection.namespace,
                user_id=selection.user_id,
                updated_since=selection.since,
                limit=PAGE_SIZE,
                cursor=cursor,
            )
            yield from page.sessions
            cursor = page.next_cursor
            if cursor is None:
                return

    def _groups(self, infos: Iterable[SessionInfo]) -> Iterator[list[SessionInfo]]:
        """Group sessions whose items are read at once."""
        group: list[SessionInfo] = []
        items = 0
        for info in infos:
            is_full = items + info.item_count > self.store.max_record_items
            if group and (is_full or len(group) == PAGE_SIZE):
                yield group
                group, items = [], 0
            group.append(info)
            items += info.item_count
        if group:
            yield group

    def _pages(self, collection: str) -> Iterator[list[DocumentRecord]]:
        if self._ids is not None:
            ids = self._ids.get(collection, [])
            for start in range(0, len(ids), MAX_DOCUMENTS):
                chunk = ids[start : start + MAX_DOCUMENTS]
                yield self.store.read_documents(collection, ids=chunk, limit=None)
            return
        after = 0
        while records := self.store.read_documents(collection, after=after, limit=MAX_DOCUMENTS):
            yield records
            after = records[-1].key

    def _ids_of_user(self, user_id: str) -> dict[str, list[str]]:
        """Return the ids of the documents of the user, by collection."""
        ids: dict[str, list[str]] = defaultdict(list)
        for document in PersonalData(self.store, user_id).documents():
            id_ = document.content.get("id")
            if isinstance(id_, str):
                ids[document.collection].append(id_)
            else:
                name = f"document of {document.collection!r}"
                self.notes.append(Note(name, "it has no id by which it could be copied"))
        return ids
