"""The values that stores take and return. All are frozen and keyword-only."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

JSONObject = dict[str, Any]
"""A JSON object: text keys, and any JSON values."""

PROMOTED = ("id", "version", "creation_utc", "session_id", "customer_id", "agent_id")
"""Fields of a document that are columns too; a column is null unless its field is text."""

OWNERS = "parlant_store.collections.metadata"
"""The collection with the table_prefix of each collection (adapters.parlant.ownership)."""

FAILED = "_failed_migrations"
"""The suffix of the names of collections with documents whose migration failed."""

Direction = Literal["asc", "desc"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionInfo:
    """A session as listings return it, without its items."""

    namespace: str
    """The tenant or application that the session belongs to; "" by default."""

    session_id: str
    """The id within the namespace."""

    user_id: str | None
    """The owner; None if the session has none."""

    item_count: int
    """The number of items."""

    tokens: int | None
    """The tokens that items report as their usage, and add_usage added; None if none is known."""

    metadata: JSONObject
    """The metadata that the application has set."""

    created_at: datetime
    """When the session was first written."""

    updated_at: datetime
    """When the session was last written."""

    expires_at: datetime | None
    """When the session expires; None: never."""

    parent_id: str | None = None
    """The id of the session, in the same namespace, of which it is a branch; None if it is none."""

    parent_position: int | None = None
    """The position of the last item that was copied from the parent; None if none was copied."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What runs of agents used; None: unknown."""

    requests: int | None = None
    """The number of requests to the model."""

    input_tokens: int | None = None

    output_tokens: int | None = None

    total_tokens: int | None = None

    input_tokens_details: dict[str, int] = field(default_factory=dict)
    """Parts of the input tokens by name, as ``cached_tokens``."""

    output_tokens_details: dict[str, int] = field(default_factory=dict)
    """Parts of the output tokens by name, as ``reasoning_tokens``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """A user's message with the items after it, up to the next message of a user."""

    number: int
    """From 1 on; 0 for the items before the first message of a user.

    A turn keeps its number when turns before it are deleted.
    """

    position: int
    """The position of the first item."""

    text: str
    """The text of the user's message; "" for turn 0, and for a message without text."""

    created_at: datetime | None
    """When the first item was written; None: unknown."""

    item_count: int
    """The number of items."""

    usage: Usage | None
    """What runs in this turn used; None: unknown."""


class SessionSummary(NamedTuple):
    """A session as listings of very many sessions return it."""

    key: int
    """The primary key, which grows with each new session."""

    namespace: str
    session_id: str
    item_count: int

    created_at: float
    """In seconds since 1970, like updated_at."""

    updated_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """The state of a session's items at one moment: any write to them changes it.

    After a rollback, the same revision may occur again for other items.
    """

    key: int
    next_position: int
    item_count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A session as a framework saves it: its items and the state of the framework."""

    items: list[JSONObject]

    state: JSONObject

    revision: Revision


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionRecord:
    """All that a store has of a session, for copies to another store."""

    namespace: str = ""

    session_id: str

    user_id: str | None = None
    """The owner."""

    items: list[JSONObject]

    item_times: list[datetime] | None = None
    """When each item was written; None: unknown."""

    state: JSONObject = field(default_factory=dict)

    metadata: JSONObject = field(default_factory=dict)

    created_at: datetime | None = None
    """None: unknown, like updated_at."""

    updated_at: datetime | None = None

    expires_at: datetime | None = None
    """When the session expires; None: never."""

    damaged_items: int = 0
    """The number of stored items that cannot be read, and are not in ``items``."""


class TimedItem(NamedTuple):
    """An item, and when it was written."""

    item: JSONObject

    written_at: datetime | None
    """None: unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentRecord:
    """All that a store has of a document, for copies to another store."""

    document: JSONObject

    updated_at: datetime | None = None
    """None: unknown."""

    expires_at: datetime | None = None
    """When the document expires; None: never."""

    key: int = 0
    """The primary key of the row that was read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchHit:
    """A session that a search found."""

    namespace: str

    session_id: str

    score: float
    """How well it matches; above 0, and comparable within one search only."""

    snippets: tuple[str, ...]
    """Texts that match, best match first: at most five, of at most 160 characters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionCursor:
    """The position in a listing of sessions after which the next page starts."""

    namespace: str
    session_id: str

    updated_at: datetime | None = None
    """The last change of the session, in a listing by activity."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionPage:
    """A page of sessions, in the order of the listing."""

    sessions: tuple[SessionInfo, ...]

    next_cursor: SessionCursor | None
    """The cursor of the next page; None on the last page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentCursor:
    """The position in a collection after which the next page starts.

    It is a position in the order (creation_utc, id), not a document: it stays valid
    when its document is deleted. "" stands for a missing value.
    """

    creation_utc: str
    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentPage:
    """A page of documents, ordered by creation_utc and id."""

    documents: tuple[JSONObject, ...]

    has_more: bool
    """Whether documents that match come after this page."""

    next_cursor: DocumentCursor | None
    """The cursor of the next page; None on the last page and if the limit is 0."""

    total_count: int | None
    """The number of matches from the cursor on, up to the requested count; else None."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentInfo:
    """A document with its times."""

    document: JSONObject

    updated_at: datetime
    """When the document was last written."""

    expires_at: datetime | None
    """When the document expires; None: never."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredDocument:
    """A document read for a migration."""

    key: int
    """The primary key of the row."""

    text: str
    """The content of the row in the database, which must be unchanged at its replacement."""

    document: JSONObject


@dataclass(frozen=True, kw_only=True, slots=True)
class Replacement:
    """The new document for a stored one."""

    stored: StoredDocument

    document: JSONObject

    collection: str
    """The collection of the new document."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateResult:
    """The result of update_one."""

    matched: bool
    """Whether a document matched; False after an upsert that inserted."""

    document: JSONObject | None
    """The document after the update; None if no document matched and none was inserted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Protected:
    """A session or document that cannot be deleted, because a row of the project protects it."""

    kind: Literal["session", "document"]

    place: str
    """The session's namespace, or the document's collection."""

    id: str | None

    protected_by: str
    """Model and primary key of protecting rows, as "shop.Rating 7", or the database's error."""

    user_id: str | None = None
    """The session's owner."""

    document: JSONObject | None = None

    is_owner_known: bool = True
    """Whether ``user_id`` or ``document`` determine the owner."""

    def __str__(self) -> str:
        within = f" of {self.place!r}" if self.place else ""
        return f"{self.kind} {self.id!r}{within} is protected by {self.protected_by}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpireResult:
    """The number of deleted sessions and documents of one batch."""

    sessions: int
    documents: int

    protected: tuple[Protected, ...] = ()
    """Rows that are not deleted because rows of the project protect them."""

    items: int = 0
    """The number of deleted items of sessions that stay."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """A rule that selects sessions and documents, or the first items of sessions, for deletion.

    It needs ``older_than``, ``idle`` or both, which are then ANDed; or ``keep_last_items``,
    ``keep_last_turns`` or both, as the arguments of keep_latest. With a ``namespace`` it applies
    to sessions only, with a ``collection`` to documents only, else to both.
    """

    older_than: timedelta | None = None
    """The minimum time since the creation."""

    idle: timedelta | None = None
    """The minimum time since the last write."""

    namespace: str | None = None
    """The namespace of the sessions."""

    collection: str | None = None
    """The collection of the documents."""

    keep_last_items: int | None = None
    """Turns with so many of the latest items stay."""

    keep_last_turns: int | None = None
    """So many of the latest turns stay."""

    @property
    def trims(self) -> bool:
        """Whether it deletes items of sessions that stay."""
        return self.keep_last_items is not None or self.keep_last_turns is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpiredSession:
    """A session that would be deleted."""

    key: int
    """The primary key of the row."""

    namespace: str
    session_id: str
    item_count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpiredItems:
    """The first items of a session, which would be deleted."""

    key: int
    """The primary key of the session's row."""

    namespace: str
    session_id: str
    item_count: int
    """The number of the items."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpiredDocument:
    """A document that would be deleted."""

    key: int
    """The primary key of the row."""

    collection: str

    id: str | None
    """None if the document has no id, or one that is not text."""
