"""Sessions in files."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar
from uuid import UUID

from django.conf import settings

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.contract.operations import (
    AddItems,
    ClearSession,
    DeleteSession,
    GetItems,
    PopItem,
    SetExpiry,
    SetMetadata,
)
from parlant_store.backends.contract.refresh import refresh_at
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.jsonfile.files import lines
from parlant_store.backends.jsonfile.files.lines import State
from parlant_store.backends.jsonfile.files.locked_session import Change, LockedSession
from parlant_store.backends.jsonfile.files.session_file import FIRST_BLOCK, SessionFile
from parlant_store.backends.jsonfile.files.session_files import SessionFiles
from parlant_store.backends.jsonfile.turns import added, deleted, deletion, emptied
from parlant_store.content import codec
from parlant_store.content.times import as_utc, without_zone
from parlant_store.exceptions import StoreUnavailable
from parlant_store.types import JSONObject, SessionInfo

logger = logging.getLogger("parlant_store")

T = TypeVar("T")


class JsonFileSessions(BaseBackend):
    """The operations on one session."""

    files: SessionFiles

    def _add_items(self, addition: AddItems) -> int:
        def add(session: LockedSession) -> int:
            expires_at = self._expires_at(session.now, addition.ttl)
            after = session.begin(expires_at, addition.user_id)
            removed = after.items if addition.replace else 0
            after = added(emptied(after) if addition.replace else after, addition.batch)
            did = "replace" if addition.replace else "add"
            session.save(Change(did, after, addition.batch.data, removed), after.items)
            return after.items

        return self._write(addition.session, addition.request, add)

    def _get_items(self, read: GetItems) -> list[JSONObject]:
        name, limit, refresh = read
        with self.files.reading(name) as file:
            state = self._live(file)
            items = [] if file is None or state is None else latest_items(file, name, limit)
        self._prolong(name, state, refresh)
        return items

    def _pop_item(self, removal: PopItem) -> JSONObject | None:
        def pop(session: LockedSession) -> JSONObject | None:
            state, file = session.state, session.file.file
            if state is None or file is None or not state.items:
                session.answer(None)
                return None
            item, removed, size = last_item(file, removal.session)
            gone = deletion(file, state, removed)
            after = deleted(session.touched(state, self._expires_at(session.now)), gone)
            session.save(Change("pop", after, removed=removed, removed_bytes=size), item)
            return item

        return self._write(removal.session, removal.request, pop)

    def _clear(self, removal: ClearSession) -> None:
        def clear(session: LockedSession) -> None:
            state = session.state
            if state is None:
                session.answer(None)
                return
            after = session.touched(state, self._expires_at(session.now))
            session.save(Change("clear", emptied(after), removed=state.items))

        self._write(removal.session, removal.request, clear)

    def _delete_session(self, removal: DeleteSession) -> int | None:
        def delete(session: LockedSession) -> int | None:
            if session.state is None:
                session.answer(None)
                return None
            count = session.state.items
            session.delete(count)
            return count

        return self._write(removal.session, removal.request, delete)

    def _get_session(self, session: SessionName) -> SessionInfo | None:
        with self.files.reading(session) as file:
            state = self._live(file)
            return None if file is None or state is None else info(session, state, file.metadata())

    def _set_metadata(self, change: SetMetadata) -> JSONObject:
        def set_metadata(session: LockedSession) -> JSONObject:
            after = session.begin(self._expires_at(session.now))
            metadata: JSONObject = codec.decode_document(change.metadata)
            if change.merge and session.state is not None and session.file.file is not None:
                metadata = session.file.file.metadata() | metadata
            text = codec.encode(metadata, "metadata")
            session.save(Change("set_metadata", after, metadata=text), metadata)
            return metadata

        return self._write(change.session, change.request, set_metadata)

    def _set_expiry(self, change: SetExpiry) -> bool:
        def set_expiry(session: LockedSession) -> bool:
            if session.state is None:
                session.answer(False)
                return False
            time = change.expires_at
            after = session.state._replace(
                expires_at=None if time is None else as_utc(time).isoformat()
            )
            session.save(Change("set_expiry", after), True)
            return True

        return self._write(change.session, change.request, set_expiry)

    def _prolong(self, name: SessionName, state: State | None, refresh: timedelta | None) -> None:
        """Prolong a session after it was read, if its ``state`` is due and its file is not locked.

        If the file cannot be written, the session stays as it is.
        """
        if refresh is None or state is None:
            return
        expires_at, due = refresh_at(self.clock(), refresh)
        if not state.expires_by(due):
            return
        try:
            with self.files.locked(name, timeout=0) as file:
                session = LockedSession(file, self._now(), None)
                if session.state is not None and session.state.expires_by(due):
                    after = session.state._replace(expires_at=expires_at.isoformat())
                    session.save(Change("refresh", after))
        except StoreUnavailable as exc:
            logger.debug("The session %r is read, but not prolonged: %s", name, exc)

    def _write(
        self, name: SessionName, request: UUID | None, write: Callable[[LockedSession], T]
    ) -> T:
        """Return the result of ``write``, or the stored one of the same request."""
        with self.files.locked(name) as file:
            session = LockedSession(file, self._now(), request)
            stored = session.stored_answer()
            if stored is not None:
                return stored.answer  # type: ignore[no-any-return]
            return write(session)

    def _now(self) -> datetime:
        return as_utc(self.clock())

    def _live(self, file: SessionFile | None) -> State | None:
        """Return the state of the session in the file; None if it has expired or there is none."""
        state = None if file is None or file.last is None else file.last.after
        if state is None or not state.key or state.expires_by(self._now()):
            return None
        return state


def latest_items(file: SessionFile, name: SessionName, limit: int | None) -> list[JSONObject]:
    """Return the latest items, oldest first; skip damaged ones with a warning."""
    assert file.last is not None
    state = file.last.after
    count = state.items if limit is None else min(limit, state.items)
    size = state.bytes * count // max(1, state.items) + FIRST_BLOCK
    item_lines = file.items(size)
    found: list[JSONObject] = []
    while len(found) < count:
        window = list(islice(item_lines, count - len(found)))
        if not window:
            break
        items = [item for item in lines.parse_items(window) if item is not None]
        if len(items) < len(window):
            warn_of_damage(len(window) - len(items), name)
        found += items
    found.reverse()
    return found


def timed_items(
    file: SessionFile, name: SessionName, limit: int | None = None
) -> list[tuple[JSONObject | None, datetime]]:
    """Return the latest items and their times, oldest first; None, with a warning, if damaged."""
    stored = file.timed_items(limit)[::-1]
    items = lines.parse_items([line for line, _ in stored])
    warn_of_damage(items.count(None), name)
    return [(item, time_of(at)) for item, (_, at) in zip(items, stored, strict=True)]


def last_item(file: SessionFile, name: SessionName) -> tuple[JSONObject | None, int, int]:
    """Return the latest item, and the number and size of lines with it and damaged ones after."""
    count = size = 0
    for line in file.items():
        count, size = count + 1, size + len(line) + 1
        (item,) = lines.parse_items([line])
        if item is not None:
            return item, count, size
        logger.warning("Removed a damaged item of %r", name)
    return None, count, size


def warn_of_damage(count: int, name: SessionName) -> None:
    for _ in range(count):
        logger.warning("Skipped a damaged item of %r", name)


def info(name: SessionName, state: State, metadata: JSONObject) -> SessionInfo:
    return SessionInfo(
        namespace=name.namespace,
        session_id=name.session_id,
        user_id=state.user_id,
        item_count=state.items,
        tokens=state.tokens or None,
        metadata=metadata,
        created_at=time_of(state.created_at),
        updated_at=time_of(state.updated_at),
        expires_at=None if state.expires_at is None else time_of(state.expires_at),
        parent_id=state.parent_id,
        parent_position=state.parent_position,
    )


def time_of(text: str) -> datetime:
    """Return the time as Django returns times: naive if USE_TZ is False."""
    time = datetime.fromisoformat(text)
    return time if settings.USE_TZ else without_zone(time)
