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

_PLACES = "SELECT position FROM parlant_store_session_item WHERE session_key = %s ORDER BY position"


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
            "UPDATE parlant_store_session SET next_position = next_position + %s,"
            " next_turn = next_turn + %s, item_count = %s,"
            " tokens = COALESCE(tokens + %s, tokens, %s), failed_calls = failed_calls + %s,"
            " full_names = CASE WHEN user_id IS NULL THEN %s ELSE full_names END,"
            " user_id = COALESCE(user_id, %s),"
            " updated_at = %s, expires_at = COALESCE(%s, expires_at)"
            f" WHERE namespace = %s AND session_id = %s AND {LIVE}"
            " AND key = %s AND next_position = %s AND item_count = %s RETURNING next_turn",
            (
                *(count, turns, keep + count, tokens, tokens, failed),
                *(full_names(name, user_id), user_id and codec.to_column(user_id), *time),
                *(*columns(name), time.now, since.key, since.next_position, since.item_count),
            ),
        )
        if not updated:
            return False
        turn = updated[0][0] - turns
        last = since.item_count - drop - keep
        if drop or last:
            first = _delete_ends(connection, since.key, drop, last, turns)
            turn = turn if first is None else first - 1
        insert_items(connection, item_rows(since.key, since.next_position, turn, batch, time))
        return True


def _delete_ends(
    connection: BaseDatabaseWrapper, key: int, drop: int, last: int, turns: int
) -> int | None:
    """Delete the first ``drop`` and the ``last`` items; return the first turn of the last ones.

    ``turns`` is the number of turns that items after them open.
    """
    deleted = fetch(
        connection,
        "DELETE FROM parlant_store_session_item WHERE session_key = %s AND position IN ("
        f" SELECT * FROM ({_PLACES} LIMIT %s) UNION ALL"
        f" SELECT * FROM ({_PLACES} DESC LIMIT %s)) RETURNING position, {REMOVED}",
        (key, key, drop, key, last),
    )
    deleted.sort()
    # The turns after the first items keep their numbers.
    columns_of_all = [(None, *row[2:]) for row in deleted[:drop]]
    columns_of_all += [row[1:] for row in deleted[drop:]]
    turn, tokens, failed, usage = removed(columns_of_all)
    fetch(
        connection,
        "UPDATE parlant_store_session SET tokens = NULLIF(tokens - %s, 0),"
        " failed_calls = failed_calls - %s, next_turn = COALESCE(%s - 1 + %s, next_turn)"
        " WHERE key = %s",
        (tokens, failed, turn, turns, key),
    )
    subtract_usage(connection, key, usage)
    return turn
