"""Whole sessions on PostgreSQL."""

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.arguments import SessionName
from parlant_store.backends.orm.connection import fetch
from parlant_store.backends.orm.postgresql.sessions import arrays, named
from parlant_store.backends.orm.sessions import Time
from parlant_store.backends.orm.snapshots import Snapshots
from parlant_store.backends.rows import columns, full_names
from parlant_store.backends.sessions import Splice
from parlant_store.items import Batch
from parlant_store.types import Revision

_SAVE = (
    "SELECT * FROM parlant_store_save(%s::text, %s::text, %s::text, %s::text, %s::text,"
    " %s::bigint, %s::bigint, %s::bigint, %s::bigint, %s::bigint,"
    " %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint,"
    " %s::timestamptz, %s::timestamptz)"
)
_BRANCH = (
    "SELECT parlant_store_branch(%s::text, %s::text, %s::text, %s::text,"
    " %s::timestamptz, %s::timestamptz)"
)


class PostgreSQLSnapshots(Snapshots):
    def save(
        self,
        connection: BaseDatabaseWrapper,
        name: SessionName,
        batch: Batch,
        state: str,
        user_id: str | None,
        time: Time,
        splice: Splice | None,
    ) -> Revision | None:
        kept: tuple[int | None, ...] = (None,) * 5
        if splice is not None:
            since = splice.since
            kept = (since.key, since.next_position, since.item_count, splice.drop, splice.keep)
        params = (*named(name, user_id), state, *kept, *arrays(batch), *time)
        ((key, next_position, item_count),) = fetch(connection, _SAVE, params)
        if key is None:
            return None
        return Revision(key=key, next_position=next_position, item_count=item_count)

    def branch(
        self, connection: BaseDatabaseWrapper, source: SessionName, target: SessionName, time: Time
    ) -> int | None:
        params = (*columns(source), columns(target).session_id, full_names(target), *time)
        ((count,),) = fetch(connection, _BRANCH, params)
        return count  # type: ignore[no-any-return]
