"""Snapshots on PostgreSQL."""

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.contract.operations import SaveSnapshot
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
