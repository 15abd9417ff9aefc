"""Turns, usage and branches of sessions over Supabase, each by one call."""

import json

from parlant_store.backends.columns import columns, full_names, parent_name, turns_of, usage_by_turn
from parlant_store.backends.contract.history import TailChange, no_place, not_found, session_exists
from parlant_store.backends.contract.operations import (
    AddUsage,
    Branch,
    ItemPlace,
    KeepLatest,
    ListTurns,
    ReplaceTail,
)
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.supabase.client import Conflict, time_of
from parlant_store.backends.supabase.rest import shapes
from parlant_store.backends.supabase.sessions import (
    SupabaseSessions,
    item_arguments,
    name_arguments,
    owner_arguments,
    session_info,
)
from parlant_store.content.usage import decode_usage, usage_of
from parlant_store.exceptions import AccessDenied
from parlant_store.types import JSONObject, Revision, SessionInfo, Turn, Usage


class SupabaseHistory(SupabaseSessions):
    """The operations on turns, usage and branches."""

    def _list_turns(self, listing: ListTurns) -> list[Turn]:
        rows = self._read_content(
            "list_turns",
            shapes.TURNS,
            listing.refresh,
            **name_arguments(listing.session),
            after=listing.after,
            newest=listing.newest_first,
            items=listing.with_items,
            limit=listing.limit,
        )
        return turns_of(rows, listing.session, time_of)

    def _replace_tail(self, change: ReplaceTail) -> TailChange | None:
        result = self.connection.write(
            "replace_tail",
            shapes.TAIL,
            change.request,
            **owner_arguments(change.session, change.user_id),
            turn=change.start.turn,
            position=change.start.position,
            **_revision(change.since),
            **item_arguments(change.batch),
            **self._times(change.ttl),
        )
        if result["items"] is None:
            raise not_found(change.session)
        if result["is_missing"]:
            raise no_place(change.session, change.start)
        return None if result["deleted"] is None else TailChange(result["deleted"], result["items"])

    def _keep_latest(self, keep: KeepLatest) -> int:
        deleted: int = self.connection.write(
            "keep_latest",
            shapes.integer,
            keep.request,
            **name_arguments(keep.session),
            items=keep.items,
            turns=keep.turns,
            now=self.clock(),
        )
        return deleted

    def _branch(self, branch: Branch) -> int:
        source, target, ttl, request, end, replace, usage = branch
        try:
            result = self.connection.write(
                "branch",
                shapes.BRANCHED,
                request,
                namespace=columns(source).namespace,
                source=columns(source).session_id,
                target=columns(target).session_id,
                names=full_names(target),
                parent=parent_name(source.session_id),
                turn=end.turn,
                position=end.position,
                replace=replace,
                usage=usage,
                **self._times(ttl),
            )
        except Conflict as exc:
            raise AccessDenied("the session to branch to belongs to another user") from exc
        if result["items"] is None:
            raise not_found(source)
        if result["is_missing"]:
            raise no_place(source, end)
        if result["is_taken"]:
            raise session_exists(target)
        return result["items"]  # type: ignore[no-any-return]

    def _list_branches(self, session: SessionName) -> list[SessionInfo]:
        rows = self.connection.read(
            "list_branches",
            shapes.list_of(shapes.SESSION),
            **name_arguments(session),
            now=self.clock(),
        )
        return [session_info(row) for row in rows]

    def _add_usage(self, addition: AddUsage) -> bool:
        result = self.connection.write(
            "add_usage",
            shapes.USAGE_ADDED,
            addition.request,
            **name_arguments(addition.session),
            usage=json.dumps(addition.usage),
            turn=addition.turn,
            replace=addition.replace,
            now=self.clock(),
        )
        if result["is_missing"]:
            place = ItemPlace(addition.turn, None, f"turn {addition.turn}")
            raise no_place(addition.session, place)
        return result["is_found"]  # type: ignore[no-any-return]

    def _get_usage(self, session: SessionName) -> Usage | None:
        row = self.connection.read(
            "get_usage",
            shapes.optional(shapes.USAGE),
            **name_arguments(session),
            now=self.clock(),
        )
        return None if row is None else usage_of(decode_usage(row[0]), row[1])

    def _get_usage_of_turns(self, session: SessionName) -> dict[int, Usage]:
        rows = self.connection.read(
            "get_usage_of_turns",
            shapes.USAGE_OF_TURNS,
            **name_arguments(session),
            now=self.clock(),
        )
        return usage_by_turn(rows)


def _revision(since: Revision | None) -> JSONObject:
    if since is None:
        return {}
    return {"key": since.key, "next": since.next_position, "count": since.item_count}
