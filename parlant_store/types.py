"""The values that stores take and return. All are frozen and keyword-only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

JSONObject = dict[str, Any]
"""A JSON object as Python says it: text keys; any JSON value."""

PROMOTED = ("id", "version", "creation_utc", "session_id", "customer_id", "agent_id")
"""Fields of a document that are columns too; a column is null unless its field is text."""

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

    metadata: JSONObject
    """What the application said about the session."""

    created_at: datetime
    """When the session was first written."""

    updated_at: datetime
    """When the session was last written."""

    expires_at: datetime | None
    """When the session ends; None when it never does."""


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
