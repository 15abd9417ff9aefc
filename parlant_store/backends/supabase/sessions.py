"""Sessions over Supabase."""

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid5

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.columns import (
    MAX_SNIPPETS,
    columns,
    decode_all,
    full_names,
    hits,
    name_of,
    owner_of,
    parent_of,
)
from parlant_store.backends.contract.operations import (
    AddItems,
    ClearSession,
    DeleteSession,
    GetItems,
    ListSessions,
    ListSummaries,
    PopItem,
    Search,
    SessionFilters,
    SetExpiry,
    SetMetadata,
)
from parlant_store.backends.contract.refresh import refresh_at
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.filter_trees import tree
from parlant_store.backends.supabase.client import Connection, is_read_only, time_of
from parlant_store.backends.supabase.rest import shapes
from parlant_store.backends.supabase.rest.shapes import Shape
from parlant_store.content import codec
from parlant_store.content.items import Batch
from parlant_store.content.text_search import tsquery
from parlant_store.exceptions import BackendError, StoreError, StoreUnavailable
from parlant_store.sql.functions import MAX_DELETED
from parlant_store.types import (
    JSONObject,
    SearchHit,
    SessionInfo,
    SessionSummary,
)

logger = logging.getLogger("parlant_store")


class SupabaseSessions(BaseBackend):
    """The operations on sessions, each by one call."""

    connection: Connection

    def _add_items(self, addition: AddItems) -> int:
        count: int = self.connection.write(
            "add_items",
            shapes.integer,
            addition.request,
            **owner_arguments(addition.session, addition.user_id),
            **item_arguments(addition.batch),
            **self._times(addition.ttl),
            replace=addition.replace,
        )
        return count

    def _get_items(self, read: GetItems) -> list[JSONObject]:
        name, limit, refresh = read
        window = limit
        while True:
            texts = self._read_content(
                "get_items",
                shapes.list_of(shapes.text),
                refresh,
                **name_arguments(name),
                limit=window,
            )
            items = decode_all(texts, name)
            if limit is None or window is None:
                return items
            # Damaged rows do not count: read more rows to return ``limit`` items.
            if len(items) >= limit or len(texts) < window:
                return items[-limit:]
            window *= 2

    def _pop_item(self, removal: PopItem) -> JSONObject | None:
        name, request = removal
        while True:
            text = self.connection.write(
                "pop_item",
                shapes.optional(shapes.text),
                request,
                **name_arguments(name),
                **self._times(),
            )
            if text is None:
                return None
            try:
                item: JSONObject = json.loads(text)
            except ValueError:
                logger.warning("Removed a damaged item of %r", name)
                request = request and uuid5(request, "next")
            else:
                return item

    def _clear(self, removal: ClearSession) -> None:
        name, request = removal
        self.connection.write(
            "clear", shapes.boolean, request, **name_arguments(name), **self._times()
        )

    def _delete_session(self, removal: DeleteSession) -> int | None:
        try:
            deleted = self._delete_or_hide(removal, MAX_DELETED)
        except StoreUnavailable as exc:
            if not self._is_overdue(exc):
                raise
            deleted = self._delete_or_hide(removal, 0)
        if deleted["v_is_hidden"]:
            # The session is hidden already, even if deleting its items fails.
            try:
                self.delete_hidden()
            except StoreError as exc:
                logger.warning("Items of %r are left for expire: %s", removal.session, exc)
        count: int | None = deleted["v_items"]
        return count

    def _delete_or_hide(self, removal: DeleteSession, items: int) -> Any:
        """Delete the session, or hide it if it has more items than the limit."""
        name, request = removal
        return self.connection.write(
            "delete_session",
            shapes.DELETED,
            request,
            **name_arguments(name),
            now=self.clock(),
            items=items,
        )

    def _get_session(self, session: SessionName) -> SessionInfo | None:
        row = self.connection.read(
            "get_session",
            shapes.optional(shapes.SESSION),
            **name_arguments(session),
            now=self.clock(),
        )
        return None if row is None else session_info(row)

    def _set_metadata(self, change: SetMetadata) -> JSONObject:
        text = self.connection.write(
            "set_metadata",
            shapes.document,
            change.request,
            **name_arguments(change.session),
            names=full_names(change.session),
            metadata=change.metadata,
            **self._times(),
            merge=change.merge,
        )
        return codec.decode_document(text)  # type: ignore[no-any-return]

    def _set_expiry(self, change: SetExpiry) -> bool:
        exists: bool = self.connection.write(
            "set_expiry",
            shapes.boolean,
            change.request,
            **name_arguments(change.session),
            expires_at=change.expires_at,
            now=self.clock(),
        )
        return exists

    def _search(self, search: Search) -> list[SearchHit]:
        terms, namespace, limit, tools = search
        rows = self.connection.read(
            "search",
            shapes.list_of(shapes.HIT),
            query=tsquery(terms, others=tools),
            namespace=None if namespace is None else codec.to_column(namespace),
            limit=limit,
            texts=MAX_SNIPPETS,
            tools=tools,
            now=self.clock(),
        )
        return hits(rows, terms, tools=tools)

    def _list_sessions(self, listing: ListSessions) -> list[SessionInfo]:
        after = None if listing.after is None else columns(listing.after)
        rows = self.connection.read(
            "list_sessions",
            shapes.list_of(shapes.SESSION),
            **self._filters(listing.filters),
            limit=listing.limit,
            after_namespace=after and after.namespace,
            after_session_id=after and after.session_id,
            by_activity=listing.by_activity,
            before=listing.before,
        )
        return [session_info(row) for row in rows]

    def _list_summaries(self, listing: ListSummaries) -> Iterator[SessionSummary]:
        rows = self.connection.read(
            "list_summaries",
            shapes.list_of(shapes.SUMMARY),
            **self._filters(listing.filters),
            limit=listing.limit,
            after=listing.after,
        )
        return (
            SessionSummary(
                key, *name_of(namespace, session_id, full), count, float(created), float(updated)
            )
            for key, namespace, session_id, count, created, updated, full in rows
        )

    def _times(self, ttl: timedelta | None = None) -> JSONObject:
        now = self.clock()
        return {"now": now, "expires_at": self._expires_at(now, ttl)}

    def _read_content(
        self, function: str, shape: Shape, refresh: timedelta | None, **arguments: Any
    ) -> Any:
        """Call a function that reads a session, or the one that also prolongs it by ``refresh``."""
        now = self.clock()
        read = partial(self.connection.read, **arguments, now=now)
        if refresh is None:
            return read(function, shape)
        try:
            times = refresh_at(now, refresh)._asdict()
            return read(f"{function}_and_refresh", shape, **times)
        except BackendError as exc:
            if not is_read_only(exc):
                raise
            return read(function, shape)

    def _filters(self, filters: SessionFilters) -> JSONObject:
        names = {"namespace": filters.namespace, "user_id": filters.user_id}
        return {
            **{
                what: None if name is None else codec.to_column(name)
                for what, name in names.items()
            },
            "prefix": codec.escape(filters.prefix),
            "since": filters.updated_since,
            "filter": None if filters.metadata is None else tree(filters.metadata, ()),
            "now": self.clock(),
        }


def name_arguments(name: SessionName) -> JSONObject:
    """The arguments that say which session."""
    return columns(name)._asdict()


def owner_arguments(name: SessionName, user_id: str | None) -> JSONObject:
    """The arguments that say which session, and its owner."""
    owner = None if user_id is None else codec.to_column(user_id)
    return {**name_arguments(name), "names": full_names(name, user_id), "user_id": owner}


def item_arguments(batch: Batch) -> JSONObject:
    """The arguments with the columns of items."""
    return {
        "data": batch.data,
        "roles": batch.roles,
        "texts": batch.texts,
        "terms": batch.tsvectors(),
        "tokens": batch.tokens,
        "failed": batch.failed if any(batch.failed) else None,
        "total": batch.total or None,
    }


def session_info(row: dict[str, Any]) -> SessionInfo:
    name = name_of(row["namespace"], row["session_id"], row["full_names"])
    times = {when: time_of(row[when]) for when in ("created_at", "updated_at", "expires_at")}
    return SessionInfo(
        namespace=name.namespace,
        session_id=name.session_id,
        user_id=owner_of(row["user_id"], row["full_names"]),
        item_count=row["item_count"],
        tokens=row["tokens"],
        metadata=codec.decode_document(row["metadata"]),
        parent_id=parent_of(row["parent_id"], row["parent_name"]),
        parent_position=row["parent_position"],
        **times,
    )
