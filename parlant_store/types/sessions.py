"""Sessions, their turns and usage, and lists of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from parlant_store.types.json_values import JSONObject


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

    item: JSONObject | None = None
    """The user's message, if the listing is one with items; None for turn 0, and if damaged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UserMessages:
    """The messages that open turns, which iteration returns as (turn, created_at, item).

    They are stored as columns, because an object for each of thousands takes longer.
    """

    turns: list[int]
    """The numbers of the turns."""

    created_at: list[str | None]
    """When they were written, in UTC, as "2026-01-31 12:00:00"; None: unknown."""

    items: list[JSONObject | None]
    """The messages; None for a damaged one."""

    def __len__(self) -> int:
        return len(self.turns)

    def __iter__(self) -> Iterator[tuple[int, str | None, JSONObject | None]]:
        return zip(self.turns, self.created_at, self.items, strict=True)


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
class SessionHistory:
    """The turns, the usage and the parent of a session, for copies to another store."""

    first_turn: int = 1
    """The number of the first turn that an item opens; without one, that of the next turn."""

    usage: Usage | None = None
    """What all runs used, without the tokens that items report; None: unknown."""

    turn_usage: dict[int, Usage] = field(default_factory=dict)
    """What the runs in a turn used, by its number; part of ``usage``."""

    parent_id: str | None = None
    """The id of the session, in the same namespace, of which it is a branch; None if it is none."""

    parent_position: int | None = None
    """The position of the last item that was copied from the parent; None if none was copied.

    It is that of the store in which the branch was made.
    """


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

    history: SessionHistory | None = None
    """None: unknown."""

    damaged_items: int = 0
    """The number of stored items that cannot be read, and are not in ``items``."""


class TimedItem(NamedTuple):
    """An item, and when it was written."""

    item: JSONObject

    written_at: datetime | None
    """None: unknown."""


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
