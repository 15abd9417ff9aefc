"""Expiry of sessions in files: passes over the directory."""

from collections.abc import Iterator
from datetime import datetime

from parlant_store.backends.contract.expiry import Expired
from parlant_store.backends.contract.retention import Place, Sweep
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.jsonfile.files import names
from parlant_store.backends.jsonfile.files.directory import translated
from parlant_store.backends.jsonfile.files.lines import State
from parlant_store.backends.jsonfile.files.locked_session import LockedSession
from parlant_store.backends.jsonfile.files.session_file import SessionFile
from parlant_store.backends.jsonfile.listings import JsonFileListings
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
            for folder_name, file_name, name, opened in self._files(sweep, after):
                examined += 1
                last = opened.find_last()
                state = None if last is None else last.after
                if state is not None and is_eligible(state, sweep):
                    found.append((name, state))
                if len(found) >= sweep.limit or examined >= sweep.examined:
                    return found, [folder_name, file_name]
        return found, None

    def _files(
        self, sweep: Sweep, after: Place
    ) -> Iterator[tuple[str, str, SessionName, SessionFile]]:
        """Yield the files after a place, in the order of their names."""
        rule_namespace = None if sweep.rule is None else sweep.rule.namespace
        last_folder, last_file = after or ["", ""]
        by_folder = sorted((folder, name) for name, folder in self._folders(rule_namespace))
        for folder_name, namespace in by_folder:
            if folder_name < last_folder:
                continue
            with self.files.directory.folder(folder_name) as folder:
                if folder is None:
                    continue
                for file_name in sorted(self.files.directory.file_names(folder)):
                    if folder_name == last_folder and file_name <= last_file:
                        continue
                    with self.files.opened(folder, file_name) as opened:
                        if opened is None:
                            continue
                        session_id = names.from_file(file_name)
                        if session_id is None:
                            session_id = opened.header().get("session_id")
                        if session_id and names.to_file(session_id) == file_name:
                            yield (
                                folder_name,
                                file_name,
                                SessionName(namespace, session_id),
                                opened,
                            )


def is_eligible(state: State, sweep: Sweep) -> bool:
    """Whether the pass deletes the session, or a file with answers only."""
    if not state.key or sweep.rule is None:
        return sweep.rule is None and (not state.key or state.has_expired(sweep.now))
    created, updated = map(datetime.fromisoformat, (state.created_at, state.updated_at))
    return (
        not state.has_expired(sweep.now)
        and (sweep.created_until is None or created <= sweep.created_until)
        and (sweep.updated_until is None or updated <= sweep.updated_until)
    )
