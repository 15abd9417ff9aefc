"""Listings of the sessions in a directory."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from heapq import heappop, heappush
from math import inf
from operator import itemgetter
from typing import NamedTuple

from parlant_store.backends.contract.operations import (
    ListSessions,
    ListSummaries,
    SessionFilters,
)
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.jsonfile.files import names
from parlant_store.backends.jsonfile.files.directory import translated
from parlant_store.backends.jsonfile.files.lines import State
from parlant_store.backends.jsonfile.files.session_files import Place
from parlant_store.backends.jsonfile.sessions import JsonFileSessions, info
from parlant_store.content.query import matches
from parlant_store.content.times import as_utc, microseconds
from parlant_store.types import JSONObject, SessionInfo, SessionSummary

SLACK, SLACK_OF_SECONDS = 20_000, 2_000_000
"""How many microseconds later than the time of its file a session may have been written: by the
system's clock for files, or if a copy of the file has a time in seconds."""


class Entry(NamedTuple):
    """A file of a session in an open folder."""

    folder: int
    place: Place
    name: SessionName


class TimedPlace(NamedTuple):
    """The place of a session, and the latest time at which it may have been written."""

    latest: float
    """In microseconds since 1970."""

    namespace: str
    place: Place


class ActivityPage:
    """The sessions of a page by activity, of those that were read."""

    def __init__(self, listing: ListSessions) -> None:
        after, before, since = listing.after, listing.before, listing.filters.updated_since
        self._limit = listing.limit
        self._after = None if after is None or before is None else (microseconds(before), *after)
        self._since = -inf if since is None else microseconds(since)
        self._found: list[tuple[tuple[int, str, str], SessionInfo]] = []

    @property
    def earliest(self) -> float:
        """The earliest time of a session that may belong to the page."""
        return self._found[0][0][0] if len(self._found) == self._limit else self._since

    def has(self, name: SessionName, state: State) -> bool:
        """Whether a session belongs to the page, of those that were read."""
        activity = _activity(name, state)
        if self._after is not None and activity >= self._after:
            return False
        return len(self._found) < self._limit or activity > self._found[0][0]

    def add(self, name: SessionName, state: State, metadata: JSONObject) -> None:
        heappush(self._found, (_activity(name, state), info(name, state, metadata)))
        if len(self._found) > self._limit:
            heappop(self._found)

    def sessions(self) -> list[SessionInfo]:
        return [session for _, session in sorted(self._found, key=itemgetter(0), reverse=True)]


class JsonFileListings(JsonFileSessions):
    """Listings, which read the end of each file, or by activity those of the first files."""

    def _list_sessions(self, listing: ListSessions) -> list[SessionInfo]:
        if listing.by_activity:
            return self._list_by_activity(listing)
        found: list[SessionInfo] = []
        if listing.limit == 0:
            return found
        for name, state, metadata in self._select(listing.filters, listing.after):
            found.append(info(name, state, metadata))
            if len(found) == listing.limit:
                break
        return found

    def _list_by_activity(self, listing: ListSessions) -> list[SessionInfo]:
        """Read the files that were changed last, until others cannot be in the page.

        A file has the time of the last write of its session. It has a later one if it was copied
        without its time.
        """
        page, filters, now = ActivityPage(listing), listing.filters, self._now()
        for latest, namespace, place in self._timed_places(filters.namespace):
            if latest < page.earliest:
                break
            with self._opened_place(namespace, place, filters) as entry:
                state = None if entry is None else self._state(entry, filters, now)
                if entry is None or state is None or not page.has(entry.name, state):
                    continue
                found = self._with_metadata(entry, state, filters)
            if found is not None and page.has(*found[:2]):
                page.add(*found)
        return page.sessions()

    def _timed_places(self, namespace: str | None) -> list[TimedPlace]:
        """Return the files of sessions, those first that may have been written last."""
        found = []
        now = time.time_ns()
        with translated():
            for name, folder_name in self._folders(namespace):
                with self.files.directory.folder(folder_name) as folder:
                    files = [] if folder is None else self.files.directory.file_times(folder)
                found += [
                    TimedPlace(_latest(changed, now), name, Place(folder_name, file))
                    for file, changed in files
                ]
        found.sort(key=itemgetter(0), reverse=True)
        return found

    @contextmanager
    def _opened_place(
        self, namespace: str, place: Place, filters: SessionFilters
    ) -> Iterator[Entry | None]:
        """Open the folder of a session; return None if its id does not match."""
        with translated(), self.files.directory.folder(place.folder) as folder:
            session_id = None if folder is None else self._session_id(folder, place.file)
            if folder is None or session_id is None or not session_id.startswith(filters.prefix):
                yield None
            else:
                yield Entry(folder, place, SessionName(namespace, session_id))

    def _list_summaries(self, listing: ListSummaries) -> Iterator[SessionSummary]:
        found = [
            SessionSummary(
                state.key,
                *name,
                state.items,
                datetime.fromisoformat(state.created_at).timestamp(),
                datetime.fromisoformat(state.updated_at).timestamp(),
            )
            for name, state, _ in self._select(listing.filters, metadata=False)
            if state.key > listing.after
        ]
        found.sort(key=itemgetter(0))
        return iter(found[: listing.limit])

    def _select(
        self, filters: SessionFilters, after: SessionName | None = None, *, metadata: bool = True
    ) -> Iterator[tuple[SessionName, State, JSONObject]]:
        """Yield the sessions that match with their metadata, in the order of their names."""
        now = self._now()
        for entry in self._entries(filters.namespace, filters.prefix, after):
            state = self._state(entry, filters, now)
            if state is None:
                continue
            found = self._with_metadata(entry, state, filters, metadata=metadata)
            if found is not None:
                yield found

    def _state(self, entry: Entry, filters: SessionFilters, now: datetime) -> State | None:
        """Return the state of the session in a file; None if it does not match."""
        state = self.files.state(entry.folder, entry.place)
        if state is None or not state.key or state.expires_by(now):
            return None
        if filters.user_id is not None and state.user_id != filters.user_id:
            return None
        since = None if filters.updated_since is None else as_utc(filters.updated_since)
        if since is not None and datetime.fromisoformat(state.updated_at) < since:
            return None
        return state

    def _with_metadata(
        self, entry: Entry, state: State, filters: SessionFilters, *, metadata: bool = True
    ) -> tuple[SessionName, State, JSONObject] | None:
        """Return the session of a file with its metadata; None if they do not match."""
        found: JSONObject = {}
        if state.metadata_at and (metadata or filters.metadata is not None):
            with self.files.opened(entry.folder, entry.place.file) as file:
                write = None if file is None else file.find_last()
                if file is None or write is None or not write.after.key:
                    return None
                state, found = write.after, file.metadata()
        if filters.metadata is None or matches(filters.metadata, found):
            return entry.name, state, found
        return None

    def _entries(
        self, namespace: str | None, prefix: str = "", after: SessionName | None = None
    ) -> Iterator[Entry]:
        """Yield the files of sessions in the order of their names."""
        with translated():
            for found, folder_name in self._folders(namespace):
                if after is not None and found < after.namespace:
                    continue
                first = after.session_id if after and found == after.namespace else None
                with self.files.directory.folder(folder_name) as folder:
                    if folder is None:
                        continue
                    for session_id, file in self._session_ids(folder, prefix):
                        if first is None or session_id > first:
                            place = Place(folder_name, file)
                            yield Entry(folder, place, SessionName(found, session_id))

    def _folders(self, namespace: str | None) -> list[tuple[str, str]]:
        """Return namespaces with their folders, in order."""
        if namespace is not None:
            return [(namespace, names.to_folder(namespace))]
        found = []
        for folder_name in self.files.directory.namespaces():
            name = names.from_folder(folder_name)
            if name is None and names.is_shortened(folder_name):
                name = self._namespace_of(folder_name)
            if name is not None:
                found.append((name, folder_name))
        return sorted(found)

    def _namespace_of(self, folder_name: str) -> str | None:
        """Return the namespace of a folder with a shortened name, from one of its files."""
        with self.files.directory.folder(folder_name) as folder:
            if folder is not None:
                for file in self.files.directory.file_names(folder):
                    namespace = self._header_name(folder, file, "namespace")
                    if namespace is not None and names.to_folder(namespace) == folder_name:
                        return namespace
        return None

    def _session_ids(self, folder: int, prefix: str) -> list[tuple[str, str]]:
        """Return session ids with their files, in order."""
        found = []
        for file in self.files.directory.file_names(folder):
            session_id = self._session_id(folder, file)
            if session_id is not None and session_id.startswith(prefix):
                found.append((session_id, file))
        return sorted(found)

    def _session_id(self, folder: int, file: str) -> str | None:
        session_id = names.from_file(file)
        if session_id is None and names.is_shortened(file):
            session_id = self._header_name(folder, file, "session_id")
            if session_id is not None and names.to_file(session_id) != file:
                return None
        return session_id

    def _header_name(self, folder: int, file: str, field: str) -> str | None:
        with self.files.opened(folder, file) as opened:
            name: str | None = None if opened is None else opened.header().get(field)
            return name


def _activity(name: SessionName, state: State) -> tuple[int, str, str]:
    return microseconds(datetime.fromisoformat(state.updated_at)), *name


def _latest(changed: int, now: int) -> float:
    """Return the latest time of the last write to a file, from that of the file in nanoseconds.

    A time in the future may be the last one that the file system has.
    """
    if changed > now:
        return inf
    return changed / 1_000 + (SLACK if changed % 10**9 else SLACK_OF_SECONDS)
