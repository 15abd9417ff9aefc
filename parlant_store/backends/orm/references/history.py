"""Turns, usage and branches, in databases with tables that refer to sessions or items."""

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import columns
from parlant_store.backends.contract.history import TailChange
from parlant_store.backends.contract.operations import (
    AddUsage,
    Branch,
    ItemPlace,
    KeepLatest,
    ListTurns,
    ReplaceTail,
)
from parlant_store.backends.orm.base.history import History, position_of, start_of_latest
from parlant_store.backends.orm.base.removed_items import REMOVED, subtract
from parlant_store.backends.orm.base.sessions import LIVE, PLAIN, KeyColumn, Time
from parlant_store.backends.orm.references.deletion import delete, select_locked, writing
from parlant_store.backends.orm.references.registry import has_references
from parlant_store.backends.orm.references.sessions import lock_session, remove
from parlant_store.types import Turn

_REVISION = (
    "SELECT key, next_position, item_count FROM parlant_store_session"
    f" WHERE namespace = %s AND session_id = %s AND {LIVE}"
)
_TAIL = (
    f"SELECT key, {REMOVED} FROM parlant_store_session_item"
    " WHERE session_key = %s AND position >= %s ORDER BY key"
)
_HEAD = (
    f"SELECT key, {REMOVED} FROM parlant_store_session_item"
    " WHERE session_key = %s AND position < %s ORDER BY key"
)


class ReferencedHistory(History):
    """Deletes by Django's ORM what the statements of ``tables`` would delete."""

    def __init__(self, tables: History) -> None:
        self.tables = tables

    def list_turns(
        self,
        connection: BaseDatabaseWrapper,
        listing: ListTurns,
        time: Time,
        key: KeyColumn = PLAIN,
    ) -> list[Turn]:
        return self.tables.list_turns(connection, listing, time, key)

    def utc_text(self, connection: BaseDatabaseWrapper, column: str) -> str:
        return self.tables.utc_text(connection, column)

    def replace_tail(
        self, connection: BaseDatabaseWrapper, change: ReplaceTail, time: Time
    ) -> TailChange | None:
        from parlant_store.models import SessionItem

        if not has_references(SessionItem):
            return self.tables.replace_tail(connection, change, time)
        with writing(connection):
            rows = select_locked(
                connection, _REVISION, (*columns(change.session), time.now), "FOR NO KEY UPDATE"
            )
            if not rows:
                raise LookupError(change.session)
            (revision,) = rows
            since = change.since
            if since is not None and revision != (
                *(since.key, since.next_position, since.item_count),
            ):
                return None
            key, end, _ = revision
            start = position_of(connection, key, end, change.start)
            tail = select_locked(connection, _TAIL, (key, start))
            what = f"an item of the session {change.session.session_id!r}"
            delete(connection, SessionItem, [item for item, *_ in tail], what, lock=False)
            subtract(connection, key, [removed for _, *removed in tail])
            rest = change._replace(start=ItemPlace(None, end), since=None)
            appended = self.tables.replace_tail(connection, rest, time)
            return appended and appended._replace(deleted=len(tail))

    def keep_latest(self, connection: BaseDatabaseWrapper, keep: KeepLatest, time: Time) -> int:
        from parlant_store.models import SessionItem

        if not has_references(SessionItem):
            return self.tables.keep_latest(connection, keep, time)
        with writing(connection):
            rows = select_locked(
                connection, _REVISION, (*columns(keep.session), time.now), "FOR NO KEY UPDATE"
            )
            for key, end, count in rows:
                start = start_of_latest(connection, key, end, count, keep)
                items = select_locked(connection, _HEAD, (key, start))
                what = f"an item of the session {keep.session.session_id!r}"
                delete(connection, SessionItem, [item for item, *_ in items], what, lock=False)
                subtract(connection, key, [(None, *row[2:]) for row in items])
                return len(items)
            return 0

    def branch(self, connection: BaseDatabaseWrapper, branch: Branch, time: Time) -> int:
        source, target = branch.source, branch.target
        with writing(connection):
            rows = lock_session(connection, columns(source), time)
            if rows and rows[0][-1] and source != target:
                remove(connection, target, time)
            return self.tables.branch(connection, branch, time)

    def add_usage(self, connection: BaseDatabaseWrapper, addition: AddUsage, time: Time) -> bool:
        return self.tables.add_usage(connection, addition, time)
