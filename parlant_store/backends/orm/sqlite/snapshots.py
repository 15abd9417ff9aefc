"""Snapshots on SQLite."""

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import columns, full_names
from parlant_store.backends.contract.operations import AddItems, SaveSnapshot, Splice
from parlant_store.backends.orm.base.removed_items import REMOVED, removed, subtract_usage
from parlant_store.backends.orm.base.sessions import LIVE, Time
from parlant_store.backends.orm.base.snapshots import Snapshots
from parlant_store.backends.orm.database.statements import fetch, write
from parlant_store.backends.orm.sqlite.items import (
    counts_of,
    insert_items,
    item_rows,
)
from parlant_store.backends.orm.sqlite.sessions import SQLiteSessions
from parlant_store.content import codec
from parlant_store.types import Revision


class SQLiteSnapshots(Snapshots):
    sessions = SQLiteSessions()

    def save(
        self, connection: BaseDatabaseWrapper, snapshot: SaveSnapshot, time: Time
    ) -> Revision | None:
        session, batch, state, user_id, *_ = snapshot
        with write(connection):
            if snapshot.splice is None:
                addition = AddItems(session, batch, user_id, replace=True)
                self.sessions.put_items(connection, addition, time)
            elif not self._splice(connection, snapshot, snapshot.splice, time):
                return None
            ((key, next_position, item_count),) = fetch(
                connection,
                "UPDATE parlant_store_session SET state = %s"
                " WHERE namespace = %s AND session_id = %s"
                " RETURNING key, next_position, item_count",
                (state, *columns(session)),
            )
        return Revision(key=key, next_position=next_position, item_count=item_count)

    def _splice(
        self, connection: BaseDatabaseWrapper, snapshot: SaveSnapshot, splice: Splice, time: Time
    ) -> bool:
        name, batch, _, user_id, *_ = snapshot
        since, drop, keep = splice
        count, tokens, failed, turns = counts_of(batch)
        updated = fetch(
            connection,
            "UPDATE parlant_store_session SET next_position = next_position + %s, item_count = %s,"
            " tokens = COALESCE(tokens + %s, tokens, %s), failed_calls = failed_calls + %s,"
            " full_names = CASE WHEN user_id IS NULL THEN %s ELSE full_names END,"
            " user_id = COALESCE(user_id, %s),"
            " updated_at = %s, expires_at = COALESCE(%s, expires_at)"
            f" WHERE namespace = %s AND session_id = %s AND {LIVE}"
            " AND key = %s AND next_position = %s AND item_count = %s RETURNING next_turn",
            (
                *(count, keep + count, tokens, tokens, failed),
                *(full_names(name, user_id), user_id and codec.to_column(user_id), *time),
                *(*columns(name), time.now, since.key, since.next_position, since.item_count),
            ),
        )
        if not updated:
            return False
        turn = updated[0][0]
        _delete(connection, since.key, "", drop)
        first = _delete(connection, since.key, "DESC", since.item_count - drop - keep)
        if first is not None:
            turn = first - 1
        if turns or first is not None:
            sql = "UPDATE parlant_store_session SET next_turn = %s WHERE key = %s"
            fetch(connection, sql, (turn + turns, since.key))
        insert_items(connection, item_rows(since.key, since.next_position, turn, batch, time))
        return True


def _delete(connection: BaseDatabaseWrapper, key: int, direction: str, count: int) -> int | None:
    """Delete ``count`` items of the session from one end; return the number of their first turn."""
    if not count:
        return None
    deleted = fetch(
        connection,
        "DELETE FROM parlant_store_session_item WHERE session_key = %s AND position IN ("
        " SELECT position FROM parlant_store_session_item WHERE session_key = %s"
        f" ORDER BY position {direction} LIMIT %s) RETURNING {REMOVED}",
        (key, key, count),
    )
    turn, tokens, failed, usage = removed(deleted)
    fetch(
        connection,
        "UPDATE parlant_store_session SET tokens = NULLIF(tokens - %s, 0),"
        " failed_calls = failed_calls - %s WHERE key = %s",
        (tokens, failed, key),
    )
    subtract_usage(connection, key, usage)
    return turn
