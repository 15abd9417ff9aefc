"""Turns, usage and branches on PostgreSQL, by functions of sql/functions/history.sql."""

import json
from functools import partial

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import columns, full_names, parent_name, turns_of
from parlant_store.backends.contract.history import TailChange
from parlant_store.backends.contract.operations import (
    AddUsage,
    Branch,
    KeepLatest,
    ListTurns,
    ReplaceTail,
)
from parlant_store.backends.orm.base.history import History
from parlant_store.backends.orm.base.sessions import KEY_OF, PLAIN, KeyColumn, Time, time_of
from parlant_store.backends.orm.database.statements import fetch
from parlant_store.backends.orm.postgresql.requests import fetch_once
from parlant_store.backends.orm.postgresql.sessions import arrays, named
from parlant_store.types import Turn

_LIST_TURNS = (
    "SELECT parlant_store_list_turns(%s::text, %s::text, %s::bigint, %s::boolean, %s::boolean,"
    " %s::bigint, %s::timestamptz)::text"
)
# An error changes nothing, and its answer is not stored.
_REPLACE_TAIL = (
    "SELECT deleted, items FROM parlant_store_replace_tail(%s::text, %s::text, %s::text,"
    " %s::text, %s::bigint, %s::bigint, %s::bigint, %s::bigint, %s::bigint,"
    " %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint,"
    " %s::timestamptz, %s::timestamptz) WHERE items IS NOT NULL AND NOT is_missing"
)
_KEEP_LATEST = (
    "SELECT parlant_store_keep_latest(%s::text, %s::text, %s::bigint, %s::bigint, %s::timestamptz)"
)
_BRANCH = (
    "SELECT items FROM parlant_store_branch(%s::text, %s::text, %s::text, %s::text, %s::text,"
    " %s::bigint, %s::bigint, %s::boolean, %s::boolean, %s::timestamptz, %s::timestamptz)"
    " WHERE items IS NOT NULL AND NOT is_missing AND NOT is_taken"
)
_ADD_USAGE = (
    "SELECT is_found FROM parlant_store_add_usage(%s::text, %s::text, %s::text, %s::bigint,"
    " %s::boolean, %s::timestamptz) WHERE NOT is_missing"
)


class PostgreSQLHistory(History):
    def list_turns(
        self,
        connection: BaseDatabaseWrapper,
        listing: ListTurns,
        time: Time,
        key: KeyColumn = PLAIN,
    ) -> list[Turn]:
        sql, name = _LIST_TURNS, columns(listing.session)
        page = listing.after, listing.newest_first, listing.with_items, listing.limit
        params = [*name, *page, time.now]
        if key != PLAIN:
            sql = f"{sql}, {KEY_OF.format(key=key.sql)}"
            params += [*key.params, *name, time.now]
        ((text, *_),) = fetch(connection, sql, params)
        return turns_of(json.loads(text), listing.session, partial(time_of, connection))

    def utc_text(self, connection: BaseDatabaseWrapper, column: str) -> str:
        return f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"

    def replace_tail(
        self, connection: BaseDatabaseWrapper, change: ReplaceTail, time: Time
    ) -> TailChange | None:
        start, since = change.start, change.since
        revision = (
            (None,) * 3 if since is None else (since.key, since.next_position, since.item_count)
        )
        params = (
            *named(change.session, change.user_id),
            *(start.turn, start.position, *revision),
            *(*arrays(change.batch), *time),
        )
        rows = fetch_once(connection, _REPLACE_TAIL, params)
        if not rows:
            raise LookupError(start.label)
        ((deleted, items),) = rows
        return None if deleted is None else TailChange(deleted, items)

    def keep_latest(self, connection: BaseDatabaseWrapper, keep: KeepLatest, time: Time) -> int:
        params = (*columns(keep.session), keep.items, keep.turns, time.now)
        ((deleted,),) = fetch_once(connection, _KEEP_LATEST, params)
        return deleted  # type: ignore[no-any-return]

    def branch(self, connection: BaseDatabaseWrapper, branch: Branch, time: Time) -> int:
        source, target, end = branch.source, branch.target, branch.end
        params = (
            *(*columns(source), columns(target).session_id, full_names(target)),
            *(parent_name(source.session_id), end.turn, end.position),
            *(branch.replace, branch.usage, *time),
        )
        rows = fetch_once(connection, _BRANCH, params)
        if not rows:
            raise LookupError(end.label)
        return rows[0][0]  # type: ignore[no-any-return]

    def add_usage(self, connection: BaseDatabaseWrapper, addition: AddUsage, time: Time) -> bool:
        usage = json.dumps(addition.usage)
        params = (*columns(addition.session), usage, addition.turn, addition.replace, time.now)
        rows = fetch_once(connection, _ADD_USAGE, params)
        if not rows:
            raise LookupError(addition.turn)
        return rows[0][0]  # type: ignore[no-any-return]
