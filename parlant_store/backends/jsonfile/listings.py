"""Listings of the sessions in a directory."""

from collections.abc import Iterator
from datetime import datetime
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
from parlant_store.content.times import as_utc
from parlant_store.types import JSONObject, SessionInfo, SessionSummary


class Entry(NamedTuple):
    """A file of a session in an open folder."""

    folder: int
    place: Place
    name: SessionName


class JsonFileListings(JsonFileSessions):
    """Listings, which read the end of each file."""

    def _list_sessions(self, listing: ListSessions) -> list[SessionInfo]:
        found: list[SessionInfo] = []
        if listing.limit == 0:
            return found
        for name, state, metadata in self._select(listing.filters, listing.after):
            found.append(info(name, state, metadata))
            if len(found) == listing.limit:
                break
        return found

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
        since = None if filters.updated_since is None else as_utc(filters.updated_since)
        for entry in self._entries(filters.namespace, filters.prefix, after):
            state = self.files.state(entry.folder, entry.place)
            if state is None or not state.key or state.has_expired(now):
                continue
            if filters.user_id is not None and state.user_id != filters.user_id:
                continue
            if since is not None and datetime.fromisoformat(state.updated_at) < since:
                continue
            found: JSONObject = {}
            if state.metadata_at and (metadata or filters.metadata is not None):
                with self.files.opened(entry.folder, entry.place.file) as file:
                    write = None if file is None else file.find_last()
                    if file is None or write is None or not write.after.key:
                        continue
                    state, found = write.after, file.metadata()
            if filters.metadata is None or matches(filters.metadata, found):
                yield entry.name, state, found

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
            session_id = names.from_file(file)
            if session_id is None and names.is_shortened(file):
                session_id = self._header_name(folder, file, "session_id")
                if session_id is not None and names.to_file(session_id) != file:
                    continue
            if session_id is not None and session_id.startswith(prefix):
                found.append((session_id, file))
        return sorted(found)

    def _header_name(self, folder: int, file: str, field: str) -> str | None:
        with self.files.opened(folder, file) as opened:
            name: str | None = None if opened is None else opened.header().get(field)
            return name
