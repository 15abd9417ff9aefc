"""Statements for turns, usage and branches of sessions."""

from abc import ABC, abstractmethod

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import columns, decode_items, usage_by_turn
from parlant_store.backends.contract.history import TailChange
from parlant_store.backends.contract.operations import (
    AddUsage,
    Branch,
    ItemPlace,
    KeepLatest,
    ListTurns,
    ReplaceTail,
)
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.base.sessions import (
    INFO,
    KEY_OF,
    LIVE,
    PLAIN,
    KeyColumn,
    Time,
    session_info,
)
from parlant_store.backends.orm.database.statements import fetch
from parlant_store.content.usage import decode_usage, usage_of
from parlant_store.types import SessionInfo, Turn, Usage, UserMessages

_SESSION = f"FROM parlant_store_session WHERE namespace = %s AND session_id = %s AND {LIVE}"

# A branch that is older than the session is one of an earlier session with the same id.
_BRANCHES = (
    f"{INFO} AND namespace = %s AND parent_id = %s AND created_at >= (SELECT created_at {_SESSION})"
    " ORDER BY created_at, key"
)
USER_MESSAGES = (
    "SELECT turn, {time} AS created_at, data FROM parlant_store_session_item"
    f" WHERE session_key = {KEY_OF} AND turn > 0 ORDER BY turn"
)
_USAGE = f"SELECT usage, tokens {_SESSION}"
_USAGE_OF_TURNS = f"""
WITH session AS (SELECT key {_SESSION})
SELECT turn, usage FROM parlant_store_session_item
WHERE session_key = (SELECT key FROM session) AND turn > 0 AND usage IS NOT NULL
UNION ALL
SELECT 0, usage FROM (
    SELECT turn, usage FROM parlant_store_session_item
    WHERE session_key = (SELECT key FROM session) ORDER BY position LIMIT 1
) AS first_item WHERE turn IS NULL AND usage IS NOT NULL
"""

_START = (
    "SELECT position FROM parlant_store_session_item WHERE session_key = %s AND turn = %s LIMIT 1"
)
_LATEST_TURN = (
    "SELECT position FROM parlant_store_session_item WHERE session_key = %s AND turn > 0"
    " ORDER BY turn DESC LIMIT 1 OFFSET %s"
)
_TURN_OF = (
    "SELECT position FROM parlant_store_session_item WHERE session_key = %s AND turn > 0"
    " AND position <= (SELECT position FROM parlant_store_session_item WHERE session_key = %s"
    " ORDER BY position DESC LIMIT 1 OFFSET %s) ORDER BY turn DESC LIMIT 1"
)


class History(ABC):
    """The operations on turns, usage and branches, for one kind of database."""

    @abstractmethod
    def list_turns(
        self,
        connection: BaseDatabaseWrapper,
        listing: ListTurns,
        time: Time,
        key: KeyColumn = PLAIN,
    ) -> list[Turn]: ...

    def list_user_messages(
        self,
        connection: BaseDatabaseWrapper,
        name: SessionName,
        time: Time,
        key: KeyColumn = PLAIN,
    ) -> UserMessages:
        sql = USER_MESSAGES.format(time=self.utc_text(connection, "created_at"), key=key.sql)
        rows = fetch(connection, sql, (*key.params, *columns(name), time.now))
        turns, times, texts = map(list, zip(*rows, strict=True)) if rows else ([], [], [])
        return UserMessages(turns=turns, created_at=times, items=decode_items(texts, name))

    @abstractmethod
    def utc_text(self, connection: BaseDatabaseWrapper, column: str) -> str:
        """Return SQL for the time in ``column`` in the form of ``UserMessages.created_at``."""

    @abstractmethod
    def replace_tail(
        self, connection: BaseDatabaseWrapper, change: ReplaceTail, time: Time
    ) -> TailChange | None:
        """Return None if the session has changed.

        Raise LookupError if there is no such session, turn or position.
        """

    @abstractmethod
    def keep_latest(self, connection: BaseDatabaseWrapper, keep: KeepLatest, time: Time) -> int:
        """Return the number of deleted items."""

    @abstractmethod
    def branch(self, connection: BaseDatabaseWrapper, branch: Branch, time: Time) -> int:
        """Return the number of items of the branch.

        Raise LookupError if there is no such session, turn or position, or if there is a session
        that it must not replace.
        """

    @abstractmethod
    def add_usage(self, connection: BaseDatabaseWrapper, addition: AddUsage, time: Time) -> bool:
        """Return whether the session exists; raise LookupError if there is no such turn."""

    def list_branches(
        self, connection: BaseDatabaseWrapper, name: SessionName, time: Time
    ) -> list[SessionInfo]:
        names = columns(name)
        rows = fetch(connection, _BRANCHES, (time.now, *names, *names, time.now))
        return [session_info(connection, row) for row in rows]

    def get_usage(
        self, connection: BaseDatabaseWrapper, name: SessionName, time: Time
    ) -> Usage | None:
        rows = fetch(connection, _USAGE, (*columns(name), time.now))
        return usage_of(decode_usage(rows[0][0]), rows[0][1]) if rows else None

    def get_usage_of_turns(
        self, connection: BaseDatabaseWrapper, name: SessionName, time: Time
    ) -> dict[int, Usage]:
        return usage_by_turn(fetch(connection, _USAGE_OF_TURNS, (*columns(name), time.now)))


def start_of_latest(
    connection: BaseDatabaseWrapper, key: int, end: int, count: int, keep: KeepLatest
) -> int:
    """Return the position of the first item to keep, in a session of ``count`` items."""
    starts = []
    if keep.turns is not None:
        rows = fetch(connection, _LATEST_TURN, (key, keep.turns - 1)) if keep.turns else [(end,)]
        starts += [position for (position,) in rows] or [0]
    if keep.items is not None and keep.items < count:
        rows = fetch(connection, _TURN_OF, (key, key, keep.items - 1)) if keep.items else [(end,)]
        starts += [position for (position,) in rows] or [0]
    elif keep.items is not None:
        starts.append(0)
    return int(min(starts))


def position_of(connection: BaseDatabaseWrapper, key: int, end: int, place: ItemPlace) -> int:
    """Return the position of ``place`` in the session with ``key`` that ends at ``end``."""
    position = place.position
    if place.turn == 0:
        position = 0
    elif place.turn is not None:
        rows = fetch(connection, _START, (key, place.turn))
        position = rows[0][0] if rows else None
    if position is None or position > end:
        raise LookupError(place.label)
    return position
