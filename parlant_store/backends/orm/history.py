"""Turns, usage and branches in a database of this Django project."""

from collections.abc import Iterator
from contextlib import contextmanager

from parlant_store.backends.contract.history import TailChange, no_place, not_found, session_exists
from parlant_store.backends.contract.operations import (
    AddUsage,
    Branch,
    ItemPlace,
    KeepLatest,
    ListTurns,
    ListUserMessages,
    ReplaceTail,
)
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.calls import OrmCalls
from parlant_store.backends.orm.tables import Target
from parlant_store.types import SessionInfo, Turn, Usage, UserMessages


class OrmHistory(OrmCalls):
    """The operations on turns, usage and branches."""

    def _list_turns(self, listing: ListTurns) -> list[Turn]:
        return self._read_content(
            lambda on: on.tables.history.list_turns(on.connection, listing, on.time, on.key),
            listing.refresh,
            listing.session,
        )

    def _list_user_messages(self, listing: ListUserMessages) -> UserMessages:
        return self._read_content(
            lambda on: on.tables.history.list_user_messages(
                on.connection, listing.session, on.time, on.key
            ),
            listing.refresh,
            listing.session,
        )

    def _replace_tail(self, change: ReplaceTail) -> TailChange | None:
        def replace(on: Target) -> list[int] | None:
            with self._missing(on, change.session, change.start):
                result = on.tables.history.replace_tail(on.connection, change, on.time)
            return None if result is None else [*result]

        numbers = self._write(replace, change.ttl, change.request)
        return None if numbers is None else TailChange(*numbers)

    def _keep_latest(self, keep: KeepLatest) -> int:
        return self._write(
            lambda on: on.tables.history.keep_latest(on.connection, keep, on.time),
            request=keep.request,
        )

    def _branch(self, branch: Branch) -> int:
        def copy(on: Target) -> int:
            new = None if branch.replace else branch.target
            with self._missing(on, branch.source, branch.end, new):
                return on.tables.history.branch(on.connection, branch, on.time)

        return self._write(copy, branch.ttl, branch.request)

    def _list_branches(self, session: SessionName) -> list[SessionInfo]:
        return self._read(
            lambda on: on.tables.history.list_branches(on.connection, session, on.time)
        )

    def _add_usage(self, addition: AddUsage) -> bool:
        def add(on: Target) -> bool:
            place = ItemPlace(addition.turn, None, f"turn {addition.turn}")
            with self._missing(on, addition.session, place):
                return on.tables.history.add_usage(on.connection, addition, on.time)

        return self._write(add, request=addition.request)

    def _get_usage(self, session: SessionName) -> Usage | None:
        return self._read(lambda on: on.tables.history.get_usage(on.connection, session, on.time))

    def _get_usage_of_turns(self, session: SessionName) -> dict[int, Usage]:
        return self._read(
            lambda on: on.tables.history.get_usage_of_turns(on.connection, session, on.time)
        )

    @contextmanager
    def _missing(
        self, on: Target, session: SessionName, place: ItemPlace, new: SessionName | None = None
    ) -> Iterator[None]:
        """Raise the contract's error, in the transaction, so that no answer is stored.

        ``new`` is the name that no session may have.
        """
        try:
            yield
        except LookupError:
            get_session = on.tables.sessions.get_session
            if get_session(on.connection, session, on.time) is None:
                raise not_found(session) from None
            if new is not None and get_session(on.connection, new, on.time) is not None:
                raise session_exists(new) from None
            raise no_place(session, place) from None
