"""Snapshots on SQLite."""

import json

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import columns, full_names
from parlant_store.backends.contract.operations import AddItems, Branch, SaveSnapshot, Splice
from parlant_store.backends.orm.base.sessions import LIVE, Time
from parlant_store.backends.orm.base.snapshots import Snapshots
from parlant_store.backends.orm.database.statements import fetch, write
from parlant_store.backends.orm.sqlite.items import (
    counts_of,
    delete_session,
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

    def branch(self, connection: BaseDatabaseWrapper, branch: Branch, time: Time) -> int | None:
        source, target = branch.source, branch.target
        with write(connection):
            rows = fetch(
                connection,
                "SELECT key, full_names, item_count FROM parlant_store_session"
                f" WHERE namespace = %s AND session_id = %s AND {LIVE}",
                (*columns(source), time.now),
            )
            if not rows:
                return None
            ((key, full, count),) = rows
            if source == target:
                return count  # type: ignore[no-any-return]
            delete_session(connection, target, time)
            owner = None if full is None else json.loads(full).get("user_id")
            ((new,),) = fetch(
                connection,
                "INSERT INTO parlant_store_session (namespace, session_id, full_names, user_id,"
                " metadata, state, next_position, item_count, tokens, failed_calls,"
                " created_at, updated_at, expires_at)"
                " SELECT namespace, %s, %s, user_id, metadata, state, next_position, item_count,"
                " tokens, failed_calls, %s, %s, COALESCE(%s, expires_at)"
                " FROM parlant_store_session WHERE key = %s RETURNING key",
                (columns(target).session_id, full_names(target, owner), time.now, *time, key),
            )
            fetch(
                connection,
                "INSERT INTO parlant_store_session_item"
                " (session_key, position, role, text, data, terms, tokens, failed_calls,"
                " created_at) SELECT %s, position, role, text, data, terms, tokens, failed_calls,"
                " created_at"
                " FROM parlant_store_session_item WHERE session_key = %s",
                (new, key),
            )
        return count  # type: ignore[no-any-return]

    def _splice(
        self, connection: BaseDatabaseWrapper, snapshot: SaveSnapshot, splice: Splice, time: Time
    ) -> bool:
        name, batch, _, user_id, *_ = snapshot
        since, drop, keep = splice
        count, tokens, failed = counts_of(batch)
        updated = fetch(
            connection,
            "UPDATE parlant_store_session SET next_position = next_position + %s, item_count = %s,"
            " tokens = COALESCE(tokens + %s, tokens, %s), failed_calls = failed_calls + %s,"
            " full_names = CASE WHEN user_id IS NULL THEN %s ELSE full_names END,"
            " user_id = COALESCE(user_id, %s),"
            " updated_at = %s, expires_at = COALESCE(%s, expires_at)"
            f" WHERE namespace = %s AND session_id = %s AND {LIVE}"
            " AND key = %s AND next_position = %s AND item_count = %s RETURNING key",
            (
                *(count, keep + count, tokens, tokens, failed),
                *(full_names(name, user_id), user_id and codec.to_column(user_id), *time),
                *(*columns(name), time.now, since.key, since.next_position, since.item_count),
            ),
        )
        if not updated:
            return False
        if drop + keep < since.item_count or drop:
            deleted = fetch(
                connection,
                "DELETE FROM parlant_store_session_item WHERE session_key = %s AND position IN ("
                f" SELECT * FROM ({_PLACES} LIMIT %s) UNION ALL"
                f" SELECT * FROM ({_PLACES} DESC LIMIT %s))"
                " RETURNING COALESCE(tokens, 0), COALESCE(failed_calls, 0)",
                (since.key, since.key, drop, since.key, since.item_count - drop - keep),
            )
            fetch(
                connection,
                "UPDATE parlant_store_session SET tokens = NULLIF(tokens - %s, 0),"
                " failed_calls = failed_calls - %s WHERE key = %s",
                (*map(sum, zip(*deleted, strict=True)), since.key)
                if deleted
                else (0, 0, since.key),
            )
        insert_items(connection, item_rows(since.key, since.next_position, batch, time))
        return True
