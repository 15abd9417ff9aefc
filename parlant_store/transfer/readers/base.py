"""What all readers have in common: batches, and values that cannot be read."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from parlant_store.backends.contract.thread_records import check_parts
from parlant_store.backends.contract.validation import check_document, session_name
from parlant_store.content import codec
from parlant_store.content.times import as_utc
from parlant_store.exceptions import InvalidInput
from parlant_store.transfer.selection import Selection
from parlant_store.transfer.sources import MAX_THREADS, Note, Source, SourceError
from parlant_store.types import DocumentRecord, JSONObject, SessionRecord, ThreadRecord

MAX_RECORDS = 500
"""How many sessions or documents a batch has."""

MAX_ITEMS = 5_000
"""How many items the sessions of a batch have, unless it is a single session."""

R = TypeVar("R")


class Unreadable(Exception):
    """A value is not what it should be; the message says why."""


class Reader(Source):
    """A source that is no store. Each round reads it again."""

    knows_times = True
    """Does the source say when its sessions or documents were last written?"""

    knows_users = False
    """Does the source say whose its sessions or documents are?"""

    def __init__(self, *, namespace: str = "") -> None:
        """``namespace`` is that of the sessions, for sources without namespaces."""
        super().__init__()
        self.namespace = namespace
        self.since: datetime | None = None
        self.user_id: str | None = None

    def select(self, *, since: datetime | None, user_id: str | None) -> None:
        """Read only what was written since a time, in UTC, and what is of a user.

        Sessions without a time are read. Raise SourceError if the source does not say it.
        """
        if since is not None and not self.knows_times:
            raise SourceError("this kind has no --since: it does not say when documents changed")
        if user_id is not None and not self.knows_users:
            raise SourceError("this kind has no --user: it does not say whose sessions are")
        self.since, self.user_id = since, user_id

    def sessions(self, selection: Selection) -> Iterator[list[SessionRecord]]:
        batch: list[SessionRecord] = []
        items = 0
        for record in self.read_sessions():
            if not self._is_selected(record) or not self._is_valid(record):
                continue
            if batch and (len(batch) == MAX_RECORDS or items + len(record.items) > MAX_ITEMS):
                yield batch
                batch, items = [], 0
            batch.append(record)
            items += len(record.items)
        if batch:
            yield batch

    def threads(self, selection: Selection) -> Iterator[list[ThreadRecord]]:
        selected = filter(self._is_selected, self.read_threads())
        return batches(filter(self._is_valid_thread, selected), MAX_THREADS)

    def collections(self, selection: Selection) -> list[str]:
        return self.list_collections() if selection.has_documents else []

    def documents(self, collection: str, selection: Selection) -> Iterator[list[DocumentRecord]]:
        return batches(self.first_documents(collection))

    def read_sessions(self) -> Iterator[SessionRecord]:
        """Return all sessions; a source of documents has none."""
        return iter(())

    def read_threads(self) -> Iterator[ThreadRecord]:
        """Return all threads; most sources have none."""
        return iter(())

    def list_collections(self) -> list[str]:
        """Return the collections; a source of sessions has none."""
        return []

    def read_documents(self, collection: str) -> Iterator[DocumentRecord]:
        """Return the documents of the collection."""
        raise NotImplementedError

    def note(self, name: str, reason: object) -> None:
        """Add something that cannot be read."""
        self.notes.append(Note(name, str(reason)))

    def items(self, session: str, texts: Iterable[object]) -> Iterator[tuple[int, JSONObject]]:
        """Return the items that can be read, each with its place in ``texts``."""
        for place, text in enumerate(texts):
            try:
                item = parse_object(text)
            except Unreadable as exc:
                self.note(f"item {place + 1} of {session}", exc)
            else:
                yield place, item

    def _is_selected(self, record: SessionRecord | ThreadRecord) -> bool:
        is_own = self.user_id in (None, record.user_id)
        return is_own and self.is_recent(record.updated_at)

    def is_recent(self, time: datetime | None) -> bool:
        """Whether it is not before that of ``select``, or unknown."""
        return self.since is None or time is None or as_utc(time) >= self.since

    def _is_valid(self, record: SessionRecord) -> bool:
        """Whether a store can have the session; its items were checked before."""
        try:
            session_name(record.session_id, record.namespace)
            codec.check(record.state, "its state")
            codec.check(record.metadata, "its metadata")
        except InvalidInput as exc:
            self.note(f"session {record.session_id!r:.200}", exc)
            return False
        return True

    def _is_valid_thread(self, record: ThreadRecord) -> bool:
        """Whether a store can have the thread."""
        try:
            check_parts(record)
        except InvalidInput as exc:
            self.note(f"thread {record.thread_id!r:.200}", exc)
            return False
        return True

    def first_documents(self, collection: str) -> Iterator[DocumentRecord]:
        """Return valid documents; of those with the same id, the first one."""
        seen: set[str] = set()
        for record in self.read_documents(collection):
            id_ = record.document.get("id")
            name = f"document {id_!r:.200} of {collection!r}"
            try:
                check_document(record.document)
                codec.check(record.document, "it")
            except InvalidInput as exc:
                self.note(name, exc)
                continue
            if id_ is not None and id_ in seen:
                self.note(name, "another document before it has the same id")
                continue
            if id_ is not None:
                seen.add(id_)
            yield record


def batches(records: Iterable[R], size: int = MAX_RECORDS) -> Iterator[list[R]]:
    batch: list[R] = []
    for record in records:
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def parse_object(text: object, *, strict: bool = True) -> JSONObject:
    """Return the JSON object in a text or in bytes; raise Unreadable.

    Without ``strict``, it may have values that JSON cannot represent, such as NaN, and its parts
    have to be checked.
    """
    value = parse(text, strict=strict)
    if not isinstance(value, dict):
        raise Unreadable("it is no JSON object")
    return value


def parse(text: object, *, strict: bool = True) -> Any:
    """Return the JSON value in a text or in bytes; raise Unreadable."""
    if not isinstance(text, (str, bytes)):
        raise Unreadable(f"it is {type(text).__name__}, and no text")
    try:
        value = json.loads(text)
        if strict:
            codec.check(value, "it")
    except InvalidInput as exc:
        raise Unreadable(str(exc)) from exc
    except (ValueError, RecursionError) as exc:
        raise Unreadable(f"it is no JSON: {exc}") from exc
    return value


def text_of(value: object) -> str:
    """Return a text of a database, perhaps in bytes; raise Unreadable."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as exc:
            raise Unreadable(f"it is not in UTF-8: {exc}") from exc
    if not isinstance(value, str):
        raise Unreadable(f"it is {type(value).__name__}, and no text")
    return value


def time_of(value: object) -> datetime | None:
    """Return a time in ISO 8601, in seconds since 1970, or a datetime; None if it is none.

    Times without a zone are in UTC.
    """
    try:
        if isinstance(value, bytes):
            value = value.decode()
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            value = datetime.fromtimestamp(value, UTC)
        if not isinstance(value, datetime):
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
