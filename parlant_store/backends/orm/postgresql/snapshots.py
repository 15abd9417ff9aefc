"""Snapshots on PostgreSQL."""

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import columns, full_names
from parlant_store.backends.contract.operations import Branch, SaveSnapshot
from parlant_store.backends.orm.base.sessions import Time
from parlant_store.backends.orm.base.snapshots import Snapshots
from parlant_store.backends.orm.postgresql.requests import fetch_once
from parlant_store.backends.orm.postgresql.sessions import arrays, named
from parlant_store.types import Revision

_SAVE = (
    "SELECT * FROM parlant_store_save(%s::text, %s::text, %s::text, %s::text, %s::text,"
    " %s::bigint, %s::bigint, %s::bigint, %s::bigint, %s::bigint,"
    " %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint,"
    " %s::timestamptz, %s::timestamptz)"
)
_BRANCH = (
    "SELECT items FROM parlant_store_branch(%s::text, %s::text, %s::text, %s::text,"
    " %s::timestamptz, %s::timestamptz) AS items WHERE items IS NOT NULL"
)


class PostgreSQLSnapshots(Snapshots):
    def save(
        self, connection: BaseDatabaseWrapper, snapshot: SaveSnapshot, time: Time
    ) -> Revision | None:
        owned = named(snapshot.session, snapshot.user_id)
        splice: tuple[int | None, ...] = (None,) * 5
        if snapshot.splice is not None:
            since, drop, keep = snapshot.splice
            splice = (since.key, since.next_position, since.item_count, drop, keep)
        params = (*owned, snapshot.state, *splice, *arrays(snapshot.batch), *time)
        ((key, next_position, item_count),) = fetch_once(connection, _SAVE, params)
        if key is None:
            return None
        return Revision(key=key, next_position=next_position, item_count=item_count)

    def branch(self, connection: BaseDatabaseWrapper, branch: Branch, time: Time) -> int | None:
        source, target = branch.source, branch.target
        params = (*columns(source), columns(target).session_id, full_names(target), *time)
        rows = fetch_once(connection, _BRANCH, params)
        return rows[0][0] if rows else None
