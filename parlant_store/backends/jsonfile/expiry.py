"""Expiry of sessions in files: passes over the directory."""

from collections.abc import Iterator
from datetime import datetime

from parlant_store.backends.contract.expiry import Expired
from parlant_store.backends.contract.retention import Place, Sweep
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.jsonfile.files.directory import translated
from parlant_store.backends.jsonfile.files.lines import State
from parlant_store.backends.jsonfile.files.locked_session import LockedSession
from parlant_store.backends.jsonfile.files.session_files import Place as FilePlace
from parlant_store.backends.jsonfile.listings import Entry, JsonFileListings
from parlant_store.types import ExpiredDocument, ExpiredSession, ExpireResult


class JsonFileExpiry(JsonFileListings):
    """Each batch is a step of a pass over the files, by folder and file."""

    def _expire_all(self, batch_size: int) -> Iterator[ExpireResult]:
        yield from self._retire_all(self._sweeps(None, batch_size))
        with translated():
            self.files.directory.sweep()

    def _expire(self, batch_size: int) -> Expired:
        (sweep,) = self._sweeps(None, batch_size)
        after: Place = None
        while True:
            expired, after = self._retire(sweep, after)
            if expired.sessions or after is None:
                return expired

    def _retire(self, sweep: Sweep, after: Place) -> tuple[Expired, Place]:
        found, after = self._step(sweep, after)
        deleted = []
        for name, _ in found:
            with self.files.locked(name) as file:
                session = LockedSession(file, sweep.now, None)
                state = None if file.last is None else file.last.after
                # It may have been written since.
                if state is None or not is_eligible(state, sweep):
                    continue
                if state.key:
                    session.delete()
                    deleted.append((name, state.items))
                else:
                    session.delete_old_answers()
        return Expired(deleted, 0), after

    def _list_expired(
        self, sweep: Sweep, after: Place
    ) -> tuple[list[ExpiredSession | ExpiredDocument], Place]:
        found, after = self._step(sweep, after)
        return [
            ExpiredSession(key=state.key, item_count=state.items, **name._asdict())
            for name, state in found
            if state.key
        ], after

    def _step(self, sweep: Sweep, after: Place) -> tuple[list[tuple[SessionName, State]], Place]:
        """Return the eligible sessions of a step, and where the next one starts."""
        found: list[tuple[SessionName, State]] = []
        examined = 0
        with translated():
            for entry in self._files_after(sweep, after):
                examined += 1
                state = self.files.state(entry.folder, entry.place)
                if state is not None and is_eligible(state, sweep):
                    found.append((entry.name, state))
                if len(found) >= sweep.limit or examined >= sweep.examined:
                    return found, [*entry.place]
        return found, None

    def _files_after(self, sweep: Sweep, after: Place) -> Iterator[Entry]:
        """Yield the files after a place, in the order of their names."""
        namespace = None if sweep.rule is None else sweep.rule.namespace
        last_folder, last_file = after or ["", ""]
        folders = sorted((folder, name) for name, folder in self._folders(namespace))
        for folder_name, found in folders:
            if folder_name < last_folder:
                continue
            with self.files.directory.folder(folder_name) as folder:
                if folder is None:
                    continue
                files = sorted((file, id_) for id_, file in self._session_ids(folder, ""))
                for file, session_id in files:
                    if folder_name > last_folder or file > last_file:
                        place = FilePlace(folder_name, file)
                        yield Entry(folder, place, SessionName(found, session_id))


def is_eligible(state: State, sweep: Sweep) -> bool:
    """Whether the pass deletes the session, or a file with answers only."""
    if not state.key or sweep.rule is None:
        return sweep.rule is None and (not state.key or state.expires_by(sweep.now))
    created, updated = map(datetime.fromisoformat, (state.created_at, state.updated_at))
    return (
        not state.expires_by(sweep.now)
        and (sweep.created_until is None or created <= sweep.created_until)
        and (sweep.updated_until is None or updated <= sweep.updated_until)
    )
