"""Snapshots of sessions in files."""

from parlant_store.backends.contract.operations import LoadSnapshot, SaveSnapshot
from parlant_store.backends.jsonfile.files import lines
from parlant_store.backends.jsonfile.files.lines import State
from parlant_store.backends.jsonfile.files.locked_session import Change, LockedSession
from parlant_store.backends.jsonfile.sessions import JsonFileSessions, latest_items
from parlant_store.backends.jsonfile.turns import Deletion, added, deleted, deletion, emptied
from parlant_store.types import Revision, Snapshot


class JsonFileSnapshots(JsonFileSessions):
    """The operations on whole sessions."""

    def _load_snapshot(self, load: LoadSnapshot) -> Snapshot | None:
        session, refresh = load
        with self.files.reading(session) as file:
            state = self._live(file)
            if file is None or state is None:
                return None
            snapshot = Snapshot(
                items=latest_items(file, session, None),
                state=file.state(),
                revision=revision_of(state),
            )
        self._prolong(session, state, refresh)
        return snapshot

    def _save_snapshot(self, snapshot: SaveSnapshot) -> Revision | None:
        def save(session: LockedSession) -> list[int] | None:
            splice, state = snapshot.splice, session.state
            if splice is not None and (state is None or revision_of(state) != splice.since):
                session.answer(None)
                return None
            expires_at = self._expires_at(session.now, snapshot.ttl)
            after = session.begin(expires_at, snapshot.user_id)
            file, gone = session.file.file, Deletion(after.items, 0, after.bytes)
            if splice is not None and file is not None:
                removed = after.items - splice.drop - splice.keep
                gone = deletion(file, after, removed, splice.drop)
            after = emptied(after) if splice is None else deleted(after, gone)
            after = added(after, snapshot.batch)
            revision = [*_revision(after)]
            session.save(
                Change(
                    "save",
                    after,
                    snapshot.batch.data,
                    removed=gone.removed,
                    removed_bytes=gone.removed_bytes,
                    dropped=gone.dropped,
                    state=lines.plain(snapshot.state),
                ),
                revision,
            )
            return revision

        saved = self._write(snapshot.session, snapshot.request, save)
        if saved is None:
            return None
        key, next_position, item_count = saved
        return Revision(key=key, next_position=next_position, item_count=item_count)


def revision_of(state: State) -> Revision:
    key, next_position, item_count = _revision(state)
    return Revision(key=key, next_position=next_position, item_count=item_count)


def _revision(state: State) -> tuple[int, int, int]:
    return state.key, state.next_position, state.items
