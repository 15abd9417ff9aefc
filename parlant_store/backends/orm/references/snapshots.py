"""Snapshots of sessions, in databases with tables that refer to sessions or items."""

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import columns
from parlant_store.backends.contract.operations import SaveSnapshot, Splice
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.base.removed_items import REMOVED, subtract
from parlant_store.backends.orm.base.sessions import LIVE, Time
from parlant_store.backends.orm.base.snapshots import Snapshots
from parlant_store.backends.orm.references.deletion import delete, select_locked, writing
from parlant_store.backends.orm.references.registry import has_references
from parlant_store.backends.orm.references.sessions import (
    delete_if_expired,
    delete_items,
)
from parlant_store.types import Revision

_UNCHANGED = (
    "SELECT key FROM parlant_store_session WHERE namespace = %s AND session_id = %s"
    f" AND {LIVE} AND key = %s AND next_position = %s AND item_count = %s"
)
_ITEMS = (
    f"SELECT key, {REMOVED}"
    " FROM parlant_store_session_item WHERE session_key = %s ORDER BY position {} LIMIT %s"
)


class ReferencedSnapshots(Snapshots):
    """Deletes by Django's ORM what the statements of ``tables`` would delete."""

    def __init__(self, tables: Snapshots) -> None:
        self.tables = tables

    def save(
        self, connection: BaseDatabaseWrapper, snapshot: SaveSnapshot, time: Time
    ) -> Revision | None:
        session, splice = snapshot.session, snapshot.splice
        with writing(connection):
            if splice is None:
                delete_if_expired(connection, session, time)
                delete_items(connection, session, time)
            else:
                splice = self._delete_dropped(connection, session, time, splice)
            return self.tables.save(connection, snapshot._replace(splice=splice), time)

    def _delete_dropped(
        self, connection: BaseDatabaseWrapper, name: SessionName, time: Time, splice: Splice
    ) -> Splice:
        """Delete the items outside ``splice``; return the splice of the remaining items."""
        from parlant_store.models import SessionItem

        since, drop, keep = splice
        dropped = since.item_count - keep
        if not dropped or not has_references(SessionItem):
            return splice
        params = (*columns(name), time.now, since.key, since.next_position, since.item_count)
        if not select_locked(connection, _UNCHANGED, params, "FOR NO KEY UPDATE"):
            return splice
        first = select_locked(connection, _ITEMS.format("ASC"), (since.key, drop))
        last = select_locked(connection, _ITEMS.format("DESC"), (since.key, dropped - drop))
        items = first + last
        what = f"an item of the session {name.session_id!r}"
        delete(connection, SessionItem, [key for key, *_ in items], what, lock=False)
        # Turns before those that are kept have no part in the number of the next turn.
        subtract(connection, since.key, [(None, *row[2:]) for row in first])
        subtract(connection, since.key, [row[1:] for row in last])
        revision = Revision(
            key=since.key,
            next_position=since.next_position,
            item_count=since.item_count - len(items),
        )
        return Splice(revision, 0, keep)
