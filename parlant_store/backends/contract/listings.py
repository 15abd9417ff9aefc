"""The contract of stores: lists and searches of sessions."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from parlant_store.backends.contract.operations import (
    ListSessions,
    ListSummaries,
    Search,
    SessionFilters,
)
from parlant_store.backends.contract.validation import (
    MAX_LIMIT,
    check_cursor,
    check_limit,
    check_number,
    check_owner,
    check_prefix,
    check_time,
    session_name,
)
from parlant_store.backends.threads.async_methods import as_async, as_async_iterator
from parlant_store.content import codec, query
from parlant_store.content.text_search import terms
from parlant_store.exceptions import InvalidInput, InvalidLimit
from parlant_store.types import (
    SearchHit,
    SessionCursor,
    SessionInfo,
    SessionPage,
    SessionSummary,
)

MAX_SUMMARIES = 10_000
"""The default of the limit of list_summaries."""


class ListingMethods(ABC):
    """The operations that list or search sessions."""

    def search(
        self,
        query: str,
        *,
        namespace: str | None = None,
        limit: int = 10,
        tools: bool = False,
    ) -> list[SearchHit]:
        """Return sessions with messages of users or assistants that match, best match first.

        With ``tools``, other messages, calls, their outputs, and names of files match too.

        ``query`` has terms, separated by white space, any of which may match
        (parlant_store.content.text_search). A query without words, or limit 0, matches nothing.
        """
        search = search_of(query, namespace, limit, tools=tools)
        return [] if search is None else self._search(search)

    asearch = as_async(search)

    def list_sessions(
        self,
        *,
        namespace: str | None = None,
        user_id: str | None = None,
        prefix: str = "",
        updated_since: datetime | None = None,
        where: Mapping[str, Any] | None = None,
        limit: int = 100,
        cursor: SessionCursor | None = None,
        order: Literal["name", "activity"] = "name",
    ) -> SessionPage:
        """Return a page of sessions, ordered by namespace and session_id.

        With the order "activity", the session that was written last comes first. The cursor of a
        page is for the same order. A session that is written meanwhile moves to the first page.

        ``namespace`` and ``user_id`` are filters; None matches any. ``prefix`` is the beginning of
        session_id, ``updated_since`` a time, ``where`` a filter on the metadata
        (parlant_store.content.query). Raise InvalidLimit if ``limit`` is below 1.
        """
        filters = filters_of(namespace, user_id, prefix, updated_since, where)
        if check_limit(limit) in (0, None):
            raise InvalidLimit("limit must be 1 or more to list sessions")
        if order not in ("name", "activity"):
            raise InvalidInput(f'order must be "name" or "activity", not {order!r}')
        # One more than the limit shows whether there are more.
        listing = ListSessions(filters, min(limit + 1, MAX_LIMIT), None, order == "activity")
        cursor = check_cursor(cursor, SessionCursor)
        if cursor is not None:
            listing = _after(listing, cursor)
        sessions = self._list_sessions(listing)
        last = sessions[limit - 1] if len(sessions) > limit else None
        return SessionPage(
            sessions=tuple(sessions[:limit]),
            next_cursor=None
            if last is None
            else SessionCursor(
                namespace=last.namespace,
                session_id=last.session_id,
                updated_at=last.updated_at if listing.by_activity else None,
            ),
        )

    alist_sessions = as_async(list_sessions)

    def list_summaries(
        self,
        *,
        namespace: str | None = None,
        user_id: str | None = None,
        prefix: str = "",
        updated_since: datetime | None = None,
        where: Mapping[str, Any] | None = None,
        limit: int = MAX_SUMMARIES,
        after: int = 0,
    ) -> Iterator[SessionSummary]:
        """Yield a few columns of sessions, for lists of thousands of them.

        It yields at most ``limit`` sessions, in the order of their creation, after the key
        ``after``. All rows are read at once.
        """
        filters = filters_of(namespace, user_id, prefix, updated_since, where)
        rows = check_limit(limit)
        return self._list_summaries(
            ListSummaries(
                filters, MAX_LIMIT if rows is None else rows, check_number(after, "after")
            )
        )

    alist_summaries = as_async_iterator(list_summaries, MAX_SUMMARIES)

    @abstractmethod
    def _search(self, search: Search) -> list[SearchHit]: ...

    @abstractmethod
    def _list_sessions(self, listing: ListSessions) -> list[SessionInfo]: ...

    @abstractmethod
    def _list_summaries(self, listing: ListSummaries) -> Iterator[SessionSummary]: ...


def search_of(query: str, namespace: str | None, limit: int, *, tools: bool) -> Search | None:
    """Return the search from its arguments; None if it matches nothing."""
    if not isinstance(query, str):
        raise InvalidInput(f"a query must be text, not {type(query).__name__}")
    if namespace is not None:
        codec.check_name(namespace, "namespace", empty=True)
    words, rows = terms(query), check_limit(limit)
    if not words or rows == 0:
        return None
    return Search(words, namespace, MAX_LIMIT if rows is None else rows, tools)


def _after(listing: ListSessions, cursor: SessionCursor) -> ListSessions:
    """Return the listing of the page after ``cursor``."""
    before = check_time(cursor.updated_at, "updated_at of the cursor")
    if listing.by_activity != (before is not None):
        raise InvalidLimit("the cursor is of a listing in another order")
    after = session_name(cursor.session_id, cursor.namespace)
    return listing._replace(after=after, before=before)


def filters_of(
    namespace: str | None = None,
    user_id: str | None = None,
    prefix: str = "",
    updated_since: datetime | None = None,
    where: Mapping[str, Any] | None = None,
) -> SessionFilters:
    """Return the filters of a listing from its arguments."""
    if namespace is not None:
        codec.check_name(namespace, "namespace", empty=True)
    return SessionFilters(
        namespace,
        check_owner(user_id),
        check_prefix(prefix),
        check_time(updated_since, "updated_since"),
        None if where is None else query.parse(where),
    )
