"""The operations of the contract: a value for each, with checked arguments.

The public methods of a store make these values, and its backend takes them. Names and texts are
those of the caller. ``request`` is the id under which the result of a write is stored, or None.
``ttl`` is the time until a session expires, None for the default of the store.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from parlant_store.backends.contract.validation import SessionName
from parlant_store.content.items import Batch, turn_starts
from parlant_store.content.query import Filter
from parlant_store.content.usage import TOTAL, StoredUsage
from parlant_store.types import (
    Direction,
    DocumentCursor,
    DocumentRecord,
    JSONObject,
    NamespaceMatch,
    Replacement,
    Revision,
)

Sort = tuple[tuple[str, Direction], ...]
"""Fields in order, each with its direction."""


class AddItems(NamedTuple):
    session: SessionName
    batch: Batch
    user_id: str | None
    ttl: timedelta | None = None
    request: UUID | None = None
    replace: bool = False
    """Whether they replace all items, instead of following them."""


class GetItems(NamedTuple):
    session: SessionName
    limit: int | None
    """The number of latest items; None: all."""

    refresh: timedelta | None = None
    """The time until the session expires, unless it expires later; None: it is not prolonged."""


class LoadSnapshot(NamedTuple):
    session: SessionName
    refresh: timedelta | None = None
    """See GetItems."""


class PopItem(NamedTuple):
    session: SessionName
    request: UUID | None


class ClearSession(NamedTuple):
    session: SessionName
    request: UUID | None


class DeleteSession(NamedTuple):
    session: SessionName
    request: UUID | None


class SetMetadata(NamedTuple):
    session: SessionName
    metadata: str
    """The encoded object."""

    merge: bool
    request: UUID | None


class AddUsage(NamedTuple):
    session: SessionName
    usage: StoredUsage
    turn: int | None
    """None: the last turn."""

    replace: bool
    """Whether it replaces the usage of the turn, instead of being added to it."""

    request: UUID | None


class SetExpiry(NamedTuple):
    session: SessionName
    expires_at: datetime | None
    request: UUID | None


class Splice(NamedTuple):
    """The items of a revision to keep: ``keep`` items after the first ``drop``."""

    since: Revision
    drop: int
    keep: int


class SaveSnapshot(NamedTuple):
    session: SessionName
    batch: Batch
    state: str
    """The encoded object."""

    user_id: str | None
    ttl: timedelta | None
    splice: Splice | None
    """None: the items replace all items."""

    request: UUID | None


class ItemPlace(NamedTuple):
    """A place among the items of a session: the start of a turn, or a position, or the end."""

    turn: int | None = None
    position: int | None = None

    label: str = "end"
    """What the caller named, for errors: "turn 7"."""

    @property
    def is_end(self) -> bool:
        return self.turn is None and self.position is None


class Branch(NamedTuple):
    source: SessionName
    target: SessionName
    ttl: timedelta | None
    request: UUID | None
    end: ItemPlace = ItemPlace()
    """The first item that is not copied."""

    replace: bool = True
    """Whether it replaces a session with the id of the target."""

    usage: bool = True
    """Whether the usage of turns is copied."""


class ListTurns(NamedTuple):
    session: SessionName
    limit: int
    after: int | None
    """The number of the last turn before the page; None: the first page."""

    newest_first: bool
    with_items: bool = False
    """Whether the turns have the messages that open them."""

    refresh: timedelta | None = None
    """See GetItems."""


class ListUserMessages(NamedTuple):
    session: SessionName
    refresh: timedelta | None = None
    """See GetItems."""


class ReplaceTail(NamedTuple):
    session: SessionName
    start: ItemPlace
    """The first item to delete."""

    batch: Batch
    """The items in place of the deleted ones."""

    user_id: str | None
    ttl: timedelta | None
    since: Revision | None
    """None: the session may have changed."""

    request: UUID | None


class KeepLatest(NamedTuple):
    session: SessionName
    items: int | None
    """None: the number of items does not matter."""

    turns: int | None
    request: UUID | None


class Search(NamedTuple):
    terms: list[list[str]]
    """The words of each term (parlant_store.content.text_search)."""

    namespace: str | None
    limit: int
    tools: bool = False
    """Whether what tools said matches too."""


class SessionFilters(NamedTuple):
    """None and an empty prefix match any session."""

    namespace: str | None
    user_id: str | None
    prefix: str
    updated_since: datetime | None
    metadata: Filter | None


class ListSessions(NamedTuple):
    filters: SessionFilters
    limit: int
    after: SessionName | None
    by_activity: bool = False
    """Whether the last changed session comes first, instead of the order of names."""

    before: datetime | None = None
    """When the session ``after`` was changed, in a listing by activity."""


class ListSummaries(NamedTuple):
    filters: SessionFilters
    limit: int
    after: int
    """The key of the last one before; 0: none."""


class EntryHistory(NamedTuple):
    """What SessionHistory has, with stored usage."""

    first_turn: int = 1
    usage: StoredUsage | None = None
    turn_usage: Mapping[int, StoredUsage] = MappingProxyType({})
    parent_id: str | None = None
    parent_position: int | None = None


class SessionEntry(NamedTuple):
    """A session to write as it is, with its times."""

    session: SessionName
    batch: Batch
    item_times: list[datetime]
    user_id: str | None
    state: str
    """The encoded object, like ``metadata``."""

    metadata: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    history: EntryHistory

    @property
    def tokens(self) -> int:
        """The tokens of items and of runs; 0 if none are known."""
        return self.batch.total + (self.history.usage or {}).get(TOTAL, 0)

    @property
    def last_turn(self) -> int:
        """The number of the last turn."""
        return self.history.first_turn - 1 + self.batch.turns

    @property
    def item_usage(self) -> list[StoredUsage | None]:
        """For each item, the usage of the turn that starts with it."""
        first_turn, _, turn_usage, *_ = self.history
        usages: list[StoredUsage | None] = [None] * len(self.batch.data)
        if turn_usage:
            for turn, place in turn_starts(self.batch.roles, first_turn).items():
                usages[place] = turn_usage.get(turn)
        return usages


class WriteSessions(NamedTuple):
    entries: list[SessionEntry]
    replace: bool
    """Whether they replace sessions of the same names, which are left otherwise."""


class ReadDocuments(NamedTuple):
    collection: str
    ids: list[str] | None
    """None: documents after the key ``after``, in the order of their keys."""

    after: int
    limit: int


class WriteDocuments(NamedTuple):
    collection: str
    records: list[DocumentRecord]
    replace: bool
    """Whether they replace documents with the same ids, which are left otherwise."""


class InsertOne(NamedTuple):
    collection: str
    document: JSONObject
    request: UUID | None = None


class InsertNumbered(NamedTuple):
    collection: str
    document: JSONObject
    number: str
    within: str
    request: UUID | None


class Find(NamedTuple):
    collection: str
    filter: Filter
    limit: int | None
    cursor: DocumentCursor | None
    direction: Direction
    count_to: int | None
    """Limit on the count of matching documents; None: they are not counted."""


class FindOne(NamedTuple):
    collection: str
    filter: Filter
    sort: Sort = ()


class GetDocument(NamedTuple):
    collection: str
    document_id: str


class SetDocumentExpiry(NamedTuple):
    collection: str
    document_id: str
    expires_at: datetime | None
    request: UUID | None


class UpdateOne(NamedTuple):
    collection: str
    filter: Filter
    changes: JSONObject
    upsert: bool
    request: UUID | None


class DeleteOne(NamedTuple):
    collection: str
    filter: Filter
    request: UUID | None


class DropCollection(NamedTuple):
    collection: str
    request: UUID | None


class ReadVersion(NamedTuple):
    collection: str
    version: str | None
    after: int
    """The key of the last one before; 0: none."""

    limit: int


class ReplaceDocuments(NamedTuple):
    replacements: Sequence[Replacement]
    request: UUID | None


class EnsureIndex(NamedTuple):
    collection: str
    fields: Sort
    unique: bool
    request: UUID | None


class GetMemories(NamedTuple):
    ids: list[str]
    refresh: bool
    """Whether those with a ttl expire later from now on."""


class WriteMemories(NamedTuple):
    records: list[DocumentRecord]
    """They keep the time of their creation if they exist."""

    deleted: list[str]
    """The ids of those to delete."""

    request: UUID | None


class SearchMemories(NamedTuple):
    namespace: tuple[str, ...]
    """They are in this namespace and below."""

    filter: Filter
    """On the fields of their values."""

    terms: list[list[str]] | None
    """The words of each term; None: they need not match any."""

    limit: int
    offset: int
    refresh: bool


class ListNamespaces(NamedTuple):
    conditions: list[NamespaceMatch]
    max_depth: int | None
    limit: int
    offset: int


class MemoryRow(NamedTuple):
    """A stored memory."""

    document: JSONObject
    updated_at: datetime
    score: int | None = None
