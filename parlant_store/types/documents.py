"""Documents of collections."""

from dataclasses import dataclass
from datetime import datetime

from parlant_store.types.json_values import JSONObject

PROMOTED = ("id", "version", "creation_utc", "session_id", "customer_id", "agent_id")
"""Fields of a document that are columns too; a column is null unless its field is text."""

OWNERS = "parlant_store.collections.metadata"
"""The collection with the table_prefix of each collection (adapters.parlant.ownership)."""

FAILED = "_failed_migrations"
"""The suffix of the names of collections with documents whose migration failed."""


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
