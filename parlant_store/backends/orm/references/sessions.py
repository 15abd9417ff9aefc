"""Sessions to which tables of the project refer."""

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import Columns, columns
from parlant_store.backends.contract.expiry import Expired
from parlant_store.backends.contract.operations import (
    AddItems,
    SetExpiry,
    SetMetadata,
)
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.base.removed_items import REMOVED, subtract
from parlant_store.backends.orm.base.sessions import KEY, LIVE, Sessions, Time
from parlant_store.backends.orm.database.statements import Row, fetch
from parlant_store.backends.orm.references.deletion import delete, select_locked, writing
from parlant_store.backends.orm.references.registry import has_references
from parlant_store.content import codec
from parlant_store.types import JSONObject

_BY_NAME = (
    f"SELECT key, item_count, {LIVE} FROM parlant_store_session"
    " WHERE namespace = %s AND session_id = %s"
)
_LAST_ITEM = (
    f"SELECT key, session_key, data, {REMOVED}"
    f" FROM parlant_store_session_item WHERE session_key = {KEY} ORDER BY position DESC LIMIT 1"
)


class ReferencedSessions(Sessions):
    """Deletes by Django's ORM what the statements of ``tables`` would delete."""

    def __init__(self, tables: Sessions) -> None:
        self.tables = tables

    def seconds(self, connection: BaseDatabaseWrapper, column: str) -> str:
        return self.tables.seconds(connection, column)

    def add_items(self, connection: BaseDatabaseWrapper, addition: AddItems, time: Time) -> int:
        with writing(connection):
            delete_if_expired(connection, addition.session, time)
            if addition.replace:
                delete_items(connection, addition.session, time)
            return self.tables.add_items(connection, addition, time)

    def add_all(
        self, connection: BaseDatabaseWrapper, additions: Sequence[AddItems], time: Time
    ) -> list[int] | None:
        names = {columns(addition.session) for addition in additions}
        any_of = " OR ".join(["(namespace = %s AND session_id = %s)"] * len(names))
        sql = f"SELECT key FROM parlant_store_session WHERE expires_at <= %s AND ({any_of}) LIMIT 1"
        params = [time.now, *(column for name in names for column in name)]
        if fetch(connection, sql, params, prepare=None):
            return None
        return self.tables.add_all(connection, additions, time)

    def pop_text(self, connection: BaseDatabaseWrapper, columns: Columns, time: Time) -> str | None:
        from parlant_store.models import SessionItem

        if not has_references(SessionItem):
            return self.tables.pop_text(connection, columns, time)
        with writing(connection):
            lock_session(connection, columns, time)
            rows = select_locked(connection, _LAST_ITEM, (*columns, time.now))
            if not rows:
                return None
            ((item, session, text, *removed),) = rows
            what = f"the last item of the session {codec.unescape(columns.session_id)!r}"
            delete(connection, SessionItem, [item], what, lock=False)
            subtract(connection, session, [removed])
            fetch(
                connection,
                "UPDATE parlant_store_session SET updated_at = %s,"
                " expires_at = COALESCE(%s, expires_at) WHERE key = %s RETURNING key",
                (*time, session),
            )
            return text  # type: ignore[no-any-return]

    def clear(self, connection: BaseDatabaseWrapper, name: SessionName, time: Time) -> None:
        with writing(connection):
            delete_items(connection, name, time)
            self.tables.clear(connection, name, time)

    def delete_session(
        self, connection: BaseDatabaseWrapper, name: SessionName, time: Time
    ) -> int | None:
        with writing(connection):
            return remove(connection, name, time)

    def set_expiry(self, connection: BaseDatabaseWrapper, change: SetExpiry, time: Time) -> bool:
        return self.tables.set_expiry(connection, change, time)

    def set_metadata(
        self, connection: BaseDatabaseWrapper, change: SetMetadata, time: Time
    ) -> JSONObject:
        with writing(connection):
            delete_if_expired(connection, change.session, time)
            return self.tables.set_metadata(connection, change, time)

    def expire(self, connection: BaseDatabaseWrapper, time: Time, batch_size: int) -> Expired:
        raise NotImplementedError("referenced rows expire in steps, see retention.py")


def lock_session(connection: BaseDatabaseWrapper, name: Columns, time: Time) -> list[Row]:
    """Lock a session; return its key, the number of its items, and whether it has not expired.

    New rows may refer to it.
    """
    return select_locked(connection, _BY_NAME, (time.now, *name), "FOR NO KEY UPDATE")


def delete_if_expired(connection: BaseDatabaseWrapper, name: SessionName, time: Time) -> None:
    """Delete the session if it has expired, so that its id can be reused."""
    from parlant_store.models import Session

    for key, _, is_live in lock_session(connection, columns(name), time):
        if not is_live:
            what = f"the session {name.session_id!r}, which has expired,"
            delete(connection, Session, [key], what)


def delete_items(connection: BaseDatabaseWrapper, name: SessionName, time: Time) -> None:
    """Delete the items of a session, if tables refer to items."""
    from parlant_store.models import SessionItem

    if not has_references(SessionItem):
        return
    lock_session(connection, columns(name), time)
    sql = f"SELECT key FROM parlant_store_session_item WHERE session_key = {KEY} ORDER BY key"
    keys = [key for (key,) in select_locked(connection, sql, (*columns(name), time.now))]
    delete(connection, SessionItem, keys, f"an item of the session {name.session_id!r}", lock=False)


def remove(connection: BaseDatabaseWrapper, name: SessionName, time: Time) -> int | None:
    """Delete a session; return the number of its items, or None if it has expired or is missing."""
    from parlant_store.models import Session

    rows = select_locked(connection, _BY_NAME, (time.now, *columns(name)))
    if not rows:
        return None
    ((key, count, is_live),) = rows
    what = f"the session {name.session_id!r}" + ("" if is_live else ", which has expired,")
    delete(connection, Session, [key], what, lock=False)
    return count if is_live else None
