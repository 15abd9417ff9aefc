"""Turns, usage and branches on SQLite."""

import json
from contextlib import suppress
from datetime import UTC
from functools import partial

from django.db import DataError
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import (
    are_objects,
    columns,
    decode_joined,
    full_names,
    parent_columns,
    turns_of,
)
from parlant_store.backends.contract.history import TailChange
from parlant_store.backends.contract.operations import (
    AddUsage,
    Branch,
    KeepLatest,
    ListTurns,
    ReplaceTail,
)
from parlant_store.backends.contract.validation import MAX_LIMIT, SessionName
from parlant_store.backends.orm.base.history import (
    USER_MESSAGES,
    History,
    position_of,
    start_of_latest,
)
from parlant_store.backends.orm.base.removed_items import REMOVED, removed, subtract, subtract_usage
from parlant_store.backends.orm.base.sessions import LIVE, PLAIN, KeyColumn, Time, time_of
from parlant_store.backends.orm.database.sqlite_functions import create_function
from parlant_store.backends.orm.database.statements import Row, fetch, write
from parlant_store.backends.orm.sqlite.items import (
    counts_of,
    delete_rows,
    insert_items,
    item_rows,
    stored_rows,
)
from parlant_store.content import codec
from parlant_store.content.times import utc_text
from parlant_store.content.usage import TOTAL, decode_usage, encode_usage, sum_usage
from parlant_store.types import Turn, UserMessages

_ITEMS = "parlant_store_session_item WHERE session_key = (SELECT key FROM session)"
_LIST_TURNS = f"""
WITH session AS (
    SELECT key FROM parlant_store_session WHERE namespace = %s AND session_id = %s AND {LIVE}
), opener AS NOT MATERIALIZED (
    SELECT turn, position, text, usage, created_at, CASE WHEN %s THEN data END AS data
    FROM {_ITEMS} AND {{page}} LIMIT %s
)
SELECT turn, position, text, usage, CAST(created_at AS text), (
    SELECT count(*) FROM {_ITEMS} AND position >= opener.position AND position < COALESCE((
        SELECT position FROM {_ITEMS} AND turn > opener.turn ORDER BY turn LIMIT 1
    ), {MAX_LIMIT})
), data FROM opener
UNION ALL
SELECT 0, min(position), NULL, max(usage), min(created_at), count(*), NULL FROM {_ITEMS}
AND position < COALESCE((
    SELECT position FROM {_ITEMS} AND turn > 0 ORDER BY turn LIMIT 1
), {MAX_LIMIT})
AND %s AND (SELECT count(*) FROM opener) < %s
HAVING count(*) > 0
"""
_OLDEST_FIRST = _LIST_TURNS.format(page="turn > %s ORDER BY turn")
_NEWEST_FIRST = _LIST_TURNS.format(page="turn < %s ORDER BY turn DESC")
_SESSION = (
    "SELECT key, next_position, next_turn, item_count, full_names FROM parlant_store_session"
    f" WHERE namespace = %s AND session_id = %s AND {LIVE}"
)
# One row for any number of messages, because fetching rows one by one takes longer.
_JOINED_MESSAGES = (
    "SELECT count(*), group_concat(turn), group_concat(COALESCE(created_at, '')),"
    f" group_concat(data) FROM ({USER_MESSAGES})"
)
# The first item of the turn, by the index of turns, and not by that of positions from the first on.
_USAGE_OF_TURN = (
    "SELECT session.key, session.usage, COALESCE(%s, next_turn), item.key, item.usage"
    " FROM parlant_store_session AS session LEFT JOIN parlant_store_session_item AS item"
    " ON item.session_key = session.key AND item.turn = COALESCE(%s, next_turn)"
    f" WHERE namespace = %s AND session_id = %s AND {LIVE}"
)
_USAGE_OF_TURN_0 = (
    "SELECT key, usage FROM (SELECT key, usage, turn FROM parlant_store_session_item"
    " WHERE session_key = %s ORDER BY position LIMIT 1) WHERE turn IS NULL"
)
_COPIED = "position, turn, role, text, data, terms, tokens, failed_calls, created_at"


class SQLiteHistory(History):
    """Each write is a transaction that starts by taking the lock for writes."""

    def list_turns(
        self,
        connection: BaseDatabaseWrapper,
        listing: ListTurns,
        time: Time,
        key: KeyColumn = PLAIN,
    ) -> list[Turn]:
        session, limit, after, newest_first, with_items, _ = listing
        # In the page: the last one of the oldest turns may make place for turn 0.
        has_turn_0 = (after is None or after > 0) if newest_first else after is None
        edge = after if after is not None else MAX_LIMIT if newest_first else 0
        sql = _NEWEST_FIRST if newest_first else _OLDEST_FIRST
        room = limit if newest_first else MAX_LIMIT
        params = (*columns(session), time.now, with_items, edge, limit, has_turn_0, room)
        rows = sorted(fetch(connection, sql, params), reverse=newest_first)
        zone = "+00:00" if connection.timezone is UTC else ""
        return turns_of(rows[:limit], session, lambda text: time_of(connection, text + zone))

    def list_user_messages(
        self,
        connection: BaseDatabaseWrapper,
        name: SessionName,
        time: Time,
        key: KeyColumn = PLAIN,
    ) -> UserMessages:
        sql = _JOINED_MESSAGES.format(time=self.utc_text(connection, "created_at"), key=key.sql)
        # The text may be too long for SQLite.
        with suppress(DataError):
            (columns_of_all,) = fetch(connection, sql, (*columns(name), time.now))
            messages = _split(*columns_of_all)
            if messages is not None:
                return messages
        return super().list_user_messages(connection, name, time, key)

    def utc_text(self, connection: BaseDatabaseWrapper, column: str) -> str:
        if connection.timezone is UTC:
            return f"substr({column}, 1, 19)"
        create_function(connection, "parlant_store_utc_text", 1, partial(_utc_text, connection))
        return f"parlant_store_utc_text(CAST({column} AS text))"

    def replace_tail(
        self, connection: BaseDatabaseWrapper, change: ReplaceTail, time: Time
    ) -> TailChange | None:
        with write(connection):
            key, next_position, next_turn, item_count, *_ = _find(connection, change.session, time)
            since = change.since
            if since is not None and (key, next_position, item_count) != (
                *(since.key, since.next_position, since.item_count),
            ):
                return None
            start = position_of(connection, key, next_position, change.start)
            deleted = fetch(
                connection,
                "DELETE FROM parlant_store_session_item WHERE session_key = %s AND position >= %s"
                f" RETURNING {REMOVED}",
                (key, start),
            )
            first, tokens, failed, usage = removed(deleted)
            turn = next_turn if first is None else first - 1
            counts = counts_of(change.batch)
            items = item_count - len(deleted) + counts.items
            fetch(
                connection,
                "UPDATE parlant_store_session SET next_position = next_position + %s,"
                " next_turn = %s, item_count = %s, tokens = NULLIF(COALESCE(tokens, 0) + %s, 0),"
                " failed_calls = failed_calls + %s,"
                " full_names = CASE WHEN user_id IS NULL THEN %s ELSE full_names END,"
                " user_id = COALESCE(user_id, %s),"
                " updated_at = %s, expires_at = COALESCE(%s, expires_at) WHERE key = %s",
                (
                    *(counts.items, turn + counts.turns, items),
                    *((counts.tokens or 0) - tokens, counts.failed_calls - failed),
                    full_names(change.session, change.user_id),
                    *(change.user_id and codec.to_column(change.user_id), *time, key),
                ),
            )
            subtract_usage(connection, key, usage)
            insert_items(connection, item_rows(key, next_position, turn, change.batch, time))
        return TailChange(len(deleted), items)

    def keep_latest(self, connection: BaseDatabaseWrapper, keep: KeepLatest, time: Time) -> int:
        with write(connection):
            try:
                key, end, _, count, *_ = _find(connection, keep.session, time)
            except LookupError:
                return 0
            deleted = fetch(
                connection,
                "DELETE FROM parlant_store_session_item WHERE session_key = %s AND position < %s"
                f" RETURNING {REMOVED}",
                (key, start_of_latest(connection, key, end, count, keep)),
            )
            # The turns after them keep their numbers.
            subtract(connection, key, [(None, *row[1:]) for row in deleted])
            return len(deleted)

    def branch(self, connection: BaseDatabaseWrapper, branch: Branch, time: Time) -> int:
        source, target = branch.source, branch.target
        with write(connection):
            key, next_position, _, count, full = _find(connection, source, time)
            if source == target:
                return count  # type: ignore[no-any-return]
            end = next_position
            if not branch.end.is_end:
                end = position_of(connection, key, next_position, branch.end)
            stored = stored_rows(connection, target, time)
            if not branch.replace and any(items is not None for _, items in stored):
                raise LookupError(target)
            delete_rows(connection, stored)
            owner = None if full is None else json.loads(full).get("user_id")
            (copy,) = fetch(
                connection,
                "INSERT INTO parlant_store_session (namespace, session_id, full_names, user_id,"
                " metadata, state, next_position, next_turn, item_count, tokens, usage,"
                " failed_calls, parent_id, parent_name, created_at, updated_at, expires_at)"
                " SELECT namespace, %s, %s, user_id, metadata, state, %s, next_turn, item_count,"
                " tokens, usage, failed_calls, %s, %s, %s, %s, COALESCE(%s, expires_at)"
                " FROM parlant_store_session WHERE key = %s"
                " RETURNING key, item_count, tokens, usage, failed_calls",
                (
                    *(columns(target).session_id, full_names(target, owner), end),
                    *(*parent_columns(source.session_id), time.now, *time, key),
                ),
            )
            fetch(
                connection,
                f"INSERT INTO parlant_store_session_item (session_key, {_COPIED}, usage) SELECT %s,"
                f" {_COPIED}, CASE WHEN %s THEN usage END FROM parlant_store_session_item"
                " WHERE session_key = %s AND position < %s",
                (copy[0], branch.usage, key, end),
            )
            return _count_copied(connection, copy, with_usage=branch.usage)

    def add_usage(self, connection: BaseDatabaseWrapper, addition: AddUsage, time: Time) -> bool:
        with write(connection):
            name = columns(addition.session)
            rows = fetch(connection, _USAGE_OF_TURN, (*[addition.turn] * 2, *name, time.now))
            if not rows:
                return False
            key, total, turn, item, stored = rows[0]
            if turn == 0:
                first = fetch(connection, _USAGE_OF_TURN_0, (key,))
                item, stored = first[0] if first else (None, None)
            elif item is None and addition.turn is not None:
                raise LookupError(turn)
            before = decode_usage(stored) if addition.replace else None
            if item is not None:
                kept = None if addition.replace else decode_usage(stored)
                usage = encode_usage(sum_usage([kept, addition.usage]))
                sql = "UPDATE parlant_store_session_item SET usage = %s WHERE key = %s"
                fetch(connection, sql, (usage, item))
            tokens = addition.usage.get(TOTAL, 0) - (before or {}).get(TOTAL, 0)
            total = encode_usage(sum_usage([decode_usage(total), addition.usage], [before]))
            fetch(
                connection,
                "UPDATE parlant_store_session SET usage = %s,"
                " tokens = NULLIF(COALESCE(tokens, 0) + %s, 0) WHERE key = %s",
                (total, tokens, key),
            )
            return True


def _split(
    count: int, turns: str | None, times: str | None, texts: str | None
) -> UserMessages | None:
    """Return ``count`` messages whose columns are joined by commas; None if one is damaged."""
    if turns is None or times is None or texts is None:
        return UserMessages(turns=[], created_at=[], items=[])
    created_at, items = times.split(","), decode_joined(texts, count)
    if items is None or not are_objects(items) or len(created_at) != count:
        return None
    return UserMessages(
        turns=json.loads(f"[{turns}]"),
        created_at=[*created_at] if all(created_at) else [text or None for text in created_at],
        items=[*items],
    )


def _utc_text(connection: BaseDatabaseWrapper, text: str) -> str | None:
    return utc_text(time_of(connection, text))


def _find(connection: BaseDatabaseWrapper, name: SessionName, time: Time) -> Row:
    """Return the columns of ``_SESSION``; raise LookupError without a session."""
    rows = fetch(connection, _SESSION, (*columns(name), time.now))
    if not rows:
        raise LookupError(name)
    return rows[0]


def _count_copied(connection: BaseDatabaseWrapper, copy: Row, *, with_usage: bool) -> int:
    """Set the counters of a branch, which are those of its source, to those of its items.

    ``copy`` is the row of the branch: its key and these counters.
    """
    key, count, tokens, source_usage, failed = copy
    usage = decode_usage(source_usage) or {}
    of_items = "FROM parlant_store_session_item WHERE session_key = %s"
    # The insert of the items is the latest change.
    ((items, last, turn),) = fetch(
        connection,
        f"SELECT changes(), (SELECT max(position) {of_items}),"
        f" (SELECT max(turn) {of_items} AND turn > 0)",
        (key, key),
    )
    if failed or (tokens or 0) != usage.get(TOTAL, 0):
        sql = f"SELECT COALESCE(sum(tokens), 0), COALESCE(sum(failed_calls), 0) {of_items}"
        ((tokens, failed),) = fetch(connection, sql, (key,))
    else:
        tokens = failed = 0
    if items == count and (with_usage or source_usage is None):
        sql = "UPDATE parlant_store_session SET parent_position = %s WHERE key = %s"
        fetch(connection, sql, (last, key))
        return items  # type: ignore[no-any-return]
    if with_usage and usage:
        rows = fetch(connection, f"SELECT usage {of_items} AND usage IS NOT NULL", (key,))
        usage = sum_usage(decode_usage(stored) for (stored,) in rows)
    else:
        usage = {}
    fetch(
        connection,
        "UPDATE parlant_store_session SET parent_position = %s, next_turn = %s, item_count = %s,"
        " tokens = NULLIF(%s, 0), failed_calls = %s, usage = %s WHERE key = %s",
        (last, turn or 0, items, tokens + usage.get(TOTAL, 0), failed, encode_usage(usage), key),
    )
    return items  # type: ignore[no-any-return]
