"""The values that stores take and return. All are frozen and keyword-only."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

JSONObject = dict[str, Any]
"""A JSON object as Python says it: text keys; any JSON value."""

PROMOTED = ("id", "version", "creation_utc", "session_id", "customer_id", "agent_id")
"""Fields of a document that are columns too; a column is null unless its field is text."""

FAILED = "_failed_migrations"
"""What the name of a collection ends with that holds what could not be migrated."""

Direction = Literal["asc", "desc"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionInfo:
    """One session as listings show it, without its items."""

    namespace: str
    """The tenant or application the session belongs to; "" when none was given."""

    session_id: str
    """The id within the namespace, exactly as it was given."""

    user_id: str | None
    """The owner; None when the session is nobody's."""

    item_count: int
    """How many items the session holds now."""

    tokens: int
    """The sum of what its items report of their usage."""

    metadata: JSONObject
    """What the application said about the session."""

    created_at: datetime
    """When the session was first written."""

    updated_at: datetime
    """When the session was last written."""

    expires_at: datetime | None
    """When the session ends; None when it never does."""


class SessionSummary(NamedTuple):
    """The least that a listing of very many sessions says of each."""

    key: int
    """Where it is in the order in which sessions began."""

    namespace: str
    session_id: str
    item_count: int

    created_at: float
    """In seconds since 1970, as is updated_at."""

    updated_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """What the items of a session were at one moment: any write to them changes it.

    That of a transaction which is rolled back may come again, for other items.
    """

    key: int
    next_position: int
    item_count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A session as a framework keeps it: items, and what it keeps beside them."""

    items: list[JSONObject]

    state: JSONObject

    revision: Revision


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchHit:
    """A session that a search found."""

    namespace: str

    session_id: str

    score: float
    """How well it matches; above 0, and comparable within one search only."""

    snippets: tuple[str, ...]
    """The places that match, the best first: at most five, of at most 160 characters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionCursor:
    """The place in a listing of sessions after which the next page starts."""

    namespace: str
    session_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionPage:
    """A page of sessions, ordered by namespace and session_id."""

    sessions: tuple[SessionInfo, ...]

    next_cursor: SessionCursor | None
    """Where the next page starts; None on the last page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentCursor:
    """The place in a collection after which the next page starts.

    It names a position in the order (creation_utc, id), not a document: it stays
    good when its document is deleted. "" stands for a missing value.
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
    """Where the next page starts; None on the last page and when limit is 0."""

    total_count: int | None
    """How many documents match from the cursor on, as far as that was asked for; else None."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentInfo:
    """A document with what the store knows of it."""

    document: JSONObject

    updated_at: datetime
    """When it was last written to."""

    expires_at: datetime | None
    """When it ends; None: never."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredDocument:
    """A document as it was read for a migration."""

    key: int
    """Which row it is."""

    text: str
    """The row's content as the backend keeps it: what it must be still when it is replaced."""

    document: JSONObject


@dataclass(frozen=True, kw_only=True, slots=True)
class Replacement:
    """What is to take the place of a stored document."""

    stored: StoredDocument

    document: JSONObject

    collection: str
    """Where the document is from then on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateResult:
    """What update_one did."""

    matched: bool
    """Whether a document matched; False after an upsert that inserted."""

    document: JSONObject | None
    """The document as it is now; None when nothing matched and nothing was inserted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpireResult:
    """How much was removed because its time had come."""

    sessions: int
    documents: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """A rule that says which sessions and documents are kept no longer.

    It needs ``older_than`` or ``idle``; with both, both must be true. It is about sessions
    alone with a ``namespace``, about documents alone with a ``collection``, else about both.
    """

    older_than: timedelta | None = None
    """How long ago it began, at least."""

    idle: timedelta | None = None
    """How long ago it was last written to, at least."""

    namespace: str | None = None
    """The one that the sessions are in."""

    collection: str | None = None
    """The one that the documents are in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpiredSession:
    """A session that would be removed."""

    key: int
    """Which row it is."""

    namespace: str
    session_id: str
    item_count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpiredDocument:
    """A document that would be removed."""

    key: int
    """Which row it is."""

    collection: str

    id: str | None
    """None when it has none, or one that is no text."""
