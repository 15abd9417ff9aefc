"""Sessions over Supabase."""

import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from parlant_store import codec
from parlant_store.backends.arguments import SessionName
from parlant_store.backends.base import BaseBackend
from parlant_store.backends.rows import (
    MAX_SNIPPETS,
    columns,
    decode_all,
    decode_state,
    full_names,
    hits,
    name_of,
    owner_of,
)
from parlant_store.backends.sessions import Narrowed, Splice
from parlant_store.backends.supabase.connection import Conflict, Connection, time_of
from parlant_store.backends.supabase.filters import tree
from parlant_store.exceptions import AccessDenied
from parlant_store.items import Batch
from parlant_store.search import tsquery, tsvector
from parlant_store.types import (
    JSONObject,
    Revision,
    SearchHit,
    SessionInfo,
    SessionSummary,
    Snapshot,
)

logger = logging.getLogger("parlant_store")


class SupabaseSessions(BaseBackend):
    """What a store does with sessions, each by one call."""

    connection: Connection

    def _add_items(
        self, name: SessionName, batch: Batch, user_id: str | None, ttl: timedelta | None
    ) -> int:
        return self._add(name, batch, user_id, ttl, replace=False)

    def _replace_items(
        self, name: SessionName, batch: Batch, user_id: str | None, ttl: timedelta | None
    ) -> int:
        return self._add(name, batch, user_id, ttl, replace=True)

    def _add(
        self,
        name: SessionName,
        batch: Batch,
        user_id: str | None,
        ttl: timedelta | None,
        *,
        replace: bool,
    ) -> int:
        count: int = self.connection.write(
            "add_items",
            **_owned(name, user_id),
            **_items(batch),
            **self._times(ttl),
            replace=replace,
        )
        return count

    def _get_items(self, name: SessionName, limit: int | None) -> list[JSONObject]:
        window = limit
        while True:
            texts = self.connection.read(
                "get_items", **_named(name), limit=window, now=self.clock()
            )
            items = decode_all(texts, name)
            if limit is None or window is None:
                return items
            # Damaged rows do not count: look further back for as many as were asked for.
            if len(items) >= limit or len(texts) < window:
                return items[-limit:]
            window *= 2

    def _pop_item(self, name: SessionName) -> JSONObject | None:
        while True:
            text = self.connection.write("pop_item", **_named(name), **self._times())
            if text is None:
                return None
            try:
                item: JSONObject = json.loads(text)
            except ValueError:
                logger.warning("Removed a damaged item of %r", name)
            else:
                return item

    def _clear(self, name: SessionName) -> None:
        self.connection.write("clear", **_named(name), **self._times())

    def _delete_session(self, name: SessionName) -> int | None:
        count: int | None = self.connection.write(
            "delete_session", **_named(name), now=self.clock()
        )
        return count

    def _get_session(self, name: SessionName) -> SessionInfo | None:
        found = self.connection.read("get_session", **_named(name), now=self.clock())
        return None if found is None else _info(found)

    def _set_metadata(self, name: SessionName, metadata: str, merge: bool) -> JSONObject:
        text = self.connection.write(
            "set_metadata",
            **_named(name),
            names=full_names(name),
            metadata=metadata,
            **self._times(),
            merge=merge,
        )
        return codec.decode_document(text)  # type: ignore[no-any-return]

    def _set_expiry(self, name: SessionName, expires_at: datetime | None) -> bool:
        found: bool = self.connection.write(
            "set_expiry", **_named(name), expires_at=expires_at, now=self.clock()
        )
        return found

    def _load_snapshot(self, name: SessionName) -> Snapshot | None:
        found = self.connection.read("load", **_named(name), now=self.clock())
        if found is None:
            return None
        return Snapshot(
            items=decode_all(found.pop("items"), name),
            state=decode_state(found.pop("state"), name),
            revision=Revision(**found),
        )

    def _save_snapshot(
        self,
        name: SessionName,
        batch: Batch,
        state: str,
        user_id: str | None,
        ttl: timedelta | None,
        splice: Splice | None,
    ) -> Revision | None:
        kept = {}
        if splice is not None:
            since = splice.since
            kept = {
                "key": since.key,
                "next": since.next_position,
                "count": since.item_count,
                "drop": splice.drop,
                "keep": splice.keep,
            }
        saved = self.connection.write(
            "save",
            **_owned(name, user_id),
            state=state,
            **kept,
            **_items(batch),
            **self._times(ttl),
        )
        if saved["v_key"] is None:
            return None
        return Revision(
            key=saved["v_key"], next_position=saved["v_next"], item_count=saved["v_items"]
        )

    def _branch(
        self, source: SessionName, target: SessionName, ttl: timedelta | None
    ) -> int | None:
        try:
            count: int | None = self.connection.write(
                "branch",
                namespace=columns(source).namespace,
                source=columns(source).session_id,
                target=columns(target).session_id,
                names=full_names(target),
                **self._times(ttl),
            )
        except Conflict as exc:
            raise AccessDenied("the session to branch to belongs to somebody else") from exc
        return count

    def _search(self, terms: list[list[str]], namespace: str | None, limit: int) -> list[SearchHit]:
        rows = self.connection.read(
            "search",
            query=tsquery(terms),
            namespace=None if namespace is None else codec.to_column(namespace),
            limit=limit,
            texts=MAX_SNIPPETS,
            now=self.clock(),
        )
        return hits(rows, terms)

    def _list_sessions(
        self, narrowed: Narrowed, limit: int, after: SessionName | None
    ) -> list[SessionInfo]:
        place = None if after is None else columns(after)
        found = self.connection.read(
            "list_sessions",
            **self._narrowed(narrowed),
            limit=limit,
            after_namespace=place and place.namespace,
            after_session_id=place and place.session_id,
        )
        return [_info(session) for session in found]

    def _list_summaries(
        self, narrowed: Narrowed, limit: int, after: int
    ) -> Iterator[SessionSummary]:
        rows = self.connection.read(
            "list_summaries", **self._narrowed(narrowed), limit=limit, after=after
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

    def _narrowed(self, narrowed: Narrowed) -> JSONObject:
        names = {"namespace": narrowed.namespace, "user_id": narrowed.user_id}
        return {
            **{
                what: None if name is None else codec.to_column(name)
                for what, name in names.items()
            },
            "prefix": codec.escape(narrowed.prefix),
            "since": narrowed.updated_since,
            "filter": None if narrowed.metadata is None else tree(narrowed.metadata, ()),
            "now": self.clock(),
        }


def _named(name: SessionName) -> JSONObject:
    return columns(name)._asdict()


def _owned(name: SessionName, user_id: str | None) -> JSONObject:
    owner = None if user_id is None else codec.to_column(user_id)
    return {**_named(name), "names": full_names(name, user_id), "user_id": owner}


def _items(batch: Batch) -> JSONObject:
    return {
        "data": batch.data,
        "roles": batch.roles,
        "texts": batch.texts,
        "terms": [None if words is None else tsvector(words) for words in batch.words],
        "tokens": batch.tokens,
        "total": batch.total,
    }


def _info(found: dict[str, Any]) -> SessionInfo:
    name = name_of(found["namespace"], found["session_id"], found["full_names"])
    times = {when: time_of(found[when]) for when in ("created_at", "updated_at", "expires_at")}
    return SessionInfo(
        namespace=name.namespace,
        session_id=name.session_id,
        user_id=owner_of(found["user_id"], found["full_names"]),
        item_count=found["item_count"],
        tokens=found["tokens"],
        metadata=codec.decode_document(found["metadata"]),
        **times,
    )
