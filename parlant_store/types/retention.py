"""Rules of retention, and what they delete."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from parlant_store.types.json_values import JSONObject


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
    """The number of deleted sessions, documents and threads of one batch."""

    sessions: int
    documents: int

    protected: tuple[Protected, ...] = ()
    """Rows that are not deleted because rows of the project protect them."""

    items: int = 0
    """The number of deleted items of sessions that stay."""

    threads: int = 0

    checkpoints: int = 0
    """The number of deleted checkpoints of threads that stay."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """A rule that selects sessions, documents and threads, or first parts of them, for deletion.

    It needs ``older_than``, ``idle`` or both, which are then ANDed; or ``keep_last_items``,
    ``keep_last_turns`` or both, as the arguments of keep_latest; or ``keep_checkpoints``, as the
    argument of prune_thread. With a ``namespace`` it applies to sessions and threads only, with a
    ``collection`` to documents only, else to all.
    """

    older_than: timedelta | None = None
    """The minimum time since the creation."""

    idle: timedelta | None = None
    """The minimum time since the last write."""

    namespace: str | None = None
    """The namespace of the sessions and threads."""

    collection: str | None = None
    """The collection of the documents."""

    keep_last_items: int | None = None
    """Turns with so many of the latest items stay."""

    keep_last_turns: int | None = None
    """So many of the latest turns stay."""

    keep_checkpoints: int | None = None
    """So many of the latest checkpoints of each namespace of a thread stay."""

    @property
    def trims(self) -> bool:
        """Whether it deletes parts of sessions or threads that stay."""
        return self.trims_sessions or self.keep_checkpoints is not None

    @property
    def trims_sessions(self) -> bool:
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


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpiredThread:
    """A thread that would be deleted."""

    namespace: str
    thread_id: str

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the thread."""
        return self.namespace, self.thread_id


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpiredCheckpoints:
    """Checkpoints of a thread, which would be deleted."""

    namespace: str
    thread_id: str
    checkpoint_count: int

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the thread."""
        return self.namespace, self.thread_id
