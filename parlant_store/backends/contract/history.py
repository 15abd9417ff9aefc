"""The contract of stores: turns, usage, and branches of sessions.

A message of a user opens a turn, which ends before the next one. Turns are counted from 1; what
comes before the first message of a user is turn 0.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, overload
from uuid import UUID

from parlant_store.backends.contract.operations import (
    AddUsage,
    Branch,
    ItemPlace,
    KeepLatest,
    ListTurns,
    ListUserMessages,
    ReplaceTail,
)
from parlant_store.backends.contract.snapshots import SnapshotMethods
from parlant_store.backends.contract.validation import (
    MAX_LIMIT,
    SessionName,
    check_limit,
    check_number,
    check_owner,
    check_request,
    check_ttl,
    session_name,
)
from parlant_store.backends.threads.async_methods import as_async
from parlant_store.content.items import batch
from parlant_store.content.times import utc_text
from parlant_store.content.usage import parse_usage
from parlant_store.exceptions import InvalidInput, SessionExists, SessionNotFound
from parlant_store.signals import session_saved
from parlant_store.types import JSONObject, Revision, SessionInfo, Turn, Usage, UserMessages


class TailChange(NamedTuple):
    """The numbers of items that were deleted, and that the session now has."""

    deleted: int
    items: int


class HistoryMethods(SnapshotMethods):
    """The operations on turns, usage and branches."""

    def list_turns(
        self,
        session_id: str,
        *,
        namespace: str = "",
        limit: int | None = 100,
        after: int | None = None,
        newest_first: bool = False,
        with_items: bool = False,
        ttl_seconds: float | None = None,
    ) -> list[Turn]:
        """Return at most ``limit`` turns, oldest or newest first; without a session, none.

        The next page starts after the turn with the number ``after``, in the same order. Without a
        limit, return all turns. With ``with_items``, turns have the messages that open them.
        ``ttl_seconds`` is that of ``get_items``.
        """
        session, rows = session_name(session_id, namespace), check_limit(limit)
        refresh = self._refresh(ttl_seconds)
        if rows == 0:
            return []
        number = None if after is None else check_number(after, "after")
        rows = MAX_LIMIT if rows is None else rows
        return self._list_turns(ListTurns(session, rows, number, newest_first, with_items, refresh))

    alist_turns = as_async(list_turns)

    def list_user_messages(
        self, session_id: str, *, namespace: str = "", ttl_seconds: float | None = None
    ) -> UserMessages:
        """Return the messages that open turns, oldest first; without a session, none.

        In a database, this is faster than ``list_turns``, which also counts the items of each turn.
        ``ttl_seconds`` is that of ``get_items``.
        """
        refresh = self._refresh(ttl_seconds)
        return self._list_user_messages(
            ListUserMessages(session_name(session_id, namespace), refresh)
        )

    alist_user_messages = as_async(list_user_messages)

    def truncate(
        self,
        session_id: str,
        *,
        before_turn: int | None = None,
        after_position: int | None = None,
        namespace: str = "",
        ttl_seconds: float | None = None,
        since: Revision | None = None,
        request_id: str | UUID | None = None,
    ) -> int | None:
        """Delete the items from the turn ``before_turn`` on, or after the given position.

        Return the number of deleted items. The usage of deleted turns is deleted with them. With
        ``since``, if the session has changed since, delete nothing and return None. Raise
        SessionNotFound, or InvalidInput if there is no such turn or position.
        """
        request = check_request(request_id, "truncate")
        if (before_turn is None) == (after_position is None):
            raise InvalidInput("truncate needs one of before_turn and after_position")
        start = _place(before_turn, after_position, "after_position")
        change = self._change_tail(
            session_name(session_id, namespace), start, (), None, ttl_seconds, since, request
        )
        return None if change is None else change.deleted

    atruncate = as_async(truncate)

    def replace_tail(
        self,
        session_id: str,
        position: int,
        items: Iterable[JSONObject],
        *,
        namespace: str = "",
        user_id: str | None = None,
        ttl_seconds: float | None = None,
        since: Revision | None = None,
        request_id: str | UUID | None = None,
    ) -> int | None:
        """Replace the item at ``position`` and all after it by ``items``, in one step.

        Return the number of deleted items. ``since`` and the errors are those of ``truncate``.
        """
        request = check_request(request_id, "replace_tail")
        start = ItemPlace(None, check_number(position, "position"), f"position {position}")
        change = self._change_tail(
            session_name(session_id, namespace), start, items, user_id, ttl_seconds, since, request
        )
        return None if change is None else change.deleted

    areplace_tail = as_async(replace_tail)

    def keep_latest(
        self,
        session_id: str,
        *,
        items: int | None = None,
        turns: int | None = None,
        namespace: str = "",
        request_id: str | UUID | None = None,
    ) -> int:
        """Delete all but the latest turns, and return the number of deleted items.

        Kept are the latest ``turns``, or the turns that have the latest ``items``: a turn is kept
        or deleted as a whole. With both, what either keeps is kept. Without a session, delete
        nothing. The time of the last write and the expiry of the session stay.
        """
        request = check_request(request_id, "keep_latest")
        session = session_name(session_id, namespace)
        if items is None and turns is None:
            raise InvalidInput("keep_latest needs items or turns")
        limits = check_limit(items, "items"), check_limit(turns, "turns")
        return self._keep_latest(KeepLatest(session, *limits, request))

    akeep_latest = as_async(keep_latest)

    def branch(
        self,
        source_id: str,
        new_id: str,
        *,
        before_turn: int | None = None,
        at_position: int | None = None,
        namespace: str = "",
        ttl_seconds: float | None = None,
        replace: bool = True,
        with_usage: bool = True,
        request_id: str | UUID | None = None,
    ) -> None:
        """Copy a session, its items, usage, state, metadata and owner, to ``new_id``.

        With ``before_turn``, copy the items before that turn; with ``at_position``, those up to
        that position. A session with the id ``new_id`` is replaced; without ``replace``, raise
        SessionExists. Without ``with_usage``, the copied turns have no usage. Raise SessionNotFound
        if there is no source, and InvalidInput if it has no such turn or position.
        """
        request = check_request(request_id, "branch")
        source, target = session_name(source_id, namespace), session_name(new_id, namespace)
        if before_turn is not None and at_position is not None:
            raise InvalidInput("branch takes one of before_turn and at_position")
        end = _place(before_turn, at_position, "at_position")
        if source == target and not end.is_end:
            raise InvalidInput(
                f"a part of the session {source_id!r} cannot be branched to itself: "
                "use truncate, or another new_id"
            )
        ttl = check_ttl(ttl_seconds)
        count = self._branch(Branch(source, target, ttl, request, end, replace, with_usage))
        if count is None:
            raise not_found(source)
        self._send(session_saved, target, count)

    abranch = as_async(branch)

    def list_branches(self, session_id: str, *, namespace: str = "") -> list[SessionInfo]:
        """Return the sessions that are branches of the session, in the order of their creation.

        Branches of branches are not among them. Without a session, return an empty list.
        """
        return self._list_branches(session_name(session_id, namespace))

    alist_branches = as_async(list_branches)

    def add_usage(
        self,
        session_id: str,
        usage: int | Mapping[str, Any],
        *,
        turn: int | None = None,
        replace: bool = False,
        namespace: str = "",
        request_id: str | UUID | None = None,
    ) -> bool:
        """Add the usage of a run to a turn and to the session; return False if there is no session.

        ``usage`` is a number of tokens, or has ``requests``, ``input_tokens``, ``output_tokens``,
        ``total_tokens`` and details, like the usage of a run of the OpenAI Agents SDK. If it has
        none, nothing is added. ``turn`` is a number, None for the last turn. With ``replace``, it
        replaces the usage of the turn. Raise InvalidInput if there is no such turn.
        """
        request = check_request(request_id, "add_usage")
        session, counts = session_name(session_id, namespace), parse_usage(usage)
        number = None if turn is None else check_number(turn, "turn")
        if not any(counts.values()) and not replace:
            return self._get_session(session) is not None
        return self._add_usage(AddUsage(session, counts, number, replace, request))

    aadd_usage = as_async(add_usage)

    @overload
    def get_usage(
        self, session_id: str, *, by: Literal["session"] = "session", namespace: str = ""
    ) -> Usage | None: ...

    @overload
    def get_usage(
        self, session_id: str, *, by: Literal["turn"], namespace: str = ""
    ) -> dict[int, Usage]: ...

    def get_usage(
        self, session_id: str, *, by: str = "session", namespace: str = ""
    ) -> Usage | dict[int, Usage] | None:
        """Return the usage of the session, or that of each turn by its number.

        Turns without known usage are left out; that of an unknown session is None. The total of
        the session also has the tokens that its items report.
        """
        session = session_name(session_id, namespace)
        if by == "session":
            return self._get_usage(session)
        if by == "turn":
            return self._get_usage_of_turns(session)
        raise InvalidInput(f'by must be "session" or "turn", not {by!r}')

    aget_usage = as_async(get_usage)

    def _change_tail(
        self,
        session: SessionName,
        start: ItemPlace,
        items: Iterable[JSONObject],
        user_id: str | None,
        ttl_seconds: float | None,
        since: Revision | None,
        request: UUID | None,
    ) -> TailChange | None:
        owner, ttl = check_owner(user_id), check_ttl(ttl_seconds)
        change = self._replace_tail(
            ReplaceTail(session, start, batch(items), owner, ttl, since, request)
        )
        if change is not None:
            self._send(session_saved, session, change.items)
        return change

    @abstractmethod
    def _list_turns(self, listing: ListTurns) -> list[Turn]: ...

    def _list_user_messages(self, listing: ListUserMessages) -> UserMessages:
        session, refresh = listing
        turns = self._list_turns(ListTurns(session, MAX_LIMIT, 0, False, True, refresh))
        return UserMessages(
            turns=[turn.number for turn in turns],
            created_at=[utc_text(turn.created_at) for turn in turns],
            items=[turn.item for turn in turns],
        )

    @abstractmethod
    def _replace_tail(self, change: ReplaceTail) -> TailChange | None:
        """Return None if the session has changed; raise SessionNotFound or InvalidInput."""

    @abstractmethod
    def _keep_latest(self, keep: KeepLatest) -> int:
        """Return the number of deleted items."""

    @abstractmethod
    def _branch(self, branch: Branch) -> int | None:
        """Return the number of items of the branch; None if there is no source."""

    @abstractmethod
    def _list_branches(self, session: SessionName) -> list[SessionInfo]: ...

    @abstractmethod
    def _add_usage(self, addition: AddUsage) -> bool: ...

    @abstractmethod
    def _get_usage(self, session: SessionName) -> Usage | None: ...

    @abstractmethod
    def _get_usage_of_turns(self, session: SessionName) -> dict[int, Usage]: ...


def not_found(session: SessionName) -> SessionNotFound:
    """Return the error for a session that does not exist."""
    return SessionNotFound(f"there is no session {session.session_id!r}")


def session_exists(session: SessionName) -> SessionExists:
    """Return the error for a branch that must not replace the session."""
    return SessionExists(f"there is a session {session.session_id!r} already")


def no_place(session: SessionName, place: ItemPlace) -> InvalidInput:
    """Return the error for a turn or a position that the session does not have."""
    return InvalidInput(f"the session {session.session_id!r} has no {place.label}")


def _place(turn: int | None, last: int | None, name: str) -> ItemPlace:
    """Return the start of ``turn``, or the place after ``last``, a position."""
    if turn is not None:
        return ItemPlace(check_number(turn, "before_turn"), None, f"turn {turn}")
    if last is not None:
        return ItemPlace(None, check_number(last, name) + 1, f"position {last}")
    return ItemPlace()
