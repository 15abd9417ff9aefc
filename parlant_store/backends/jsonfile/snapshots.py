"""Snapshots and branches of sessions in files."""

from itertools import islice

from parlant_store.backends.contract.history import not_found
from parlant_store.backends.contract.operations import Branch, SaveSnapshot
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.jsonfile.files import lines
from parlant_store.backends.jsonfile.files.lines import State
from parlant_store.backends.jsonfile.files.locked_session import Change, LockedSession, new_key
from parlant_store.backends.jsonfile.files.session_file import LARGEST_BLOCK, SessionFile
from parlant_store.backends.jsonfile.sessions import JsonFileSessions, added, latest_items
from parlant_store.content import codec
from parlant_store.content.items import tokens_of
from parlant_store.types import Revision, Snapshot


class JsonFileSnapshots(JsonFileSessions):
    """The operations on whole sessions."""

    def _load_snapshot(self, session: SessionName) -> Snapshot | None:
        with self.files.reading(session) as file:
            state = self._live(file)
            if file is None or state is None:
                return None
            return Snapshot(
                items=latest_items(file, session, None),
                state=file.state(),
                revision=revision_of(state),
            )

    def _save_snapshot(self, snapshot: SaveSnapshot) -> Revision | None:
        def save(session: LockedSession) -> list[int] | None:
            splice, state = snapshot.splice, session.state
            if splice is not None and (state is None or revision_of(state) != splice.since):
                session.answer(None)
                return None
            expires_at = self._expires_at(session.now, snapshot.ttl)
            after = session.begin(expires_at, snapshot.user_id)
            dropped = 0 if splice is None else splice.drop
            removed = after.items - dropped - (0 if splice is None else splice.keep)
            tokens, size = _deleted(session.file.file, state, removed, dropped)
            after = added(after, snapshot.batch, removed + dropped, tokens)
            revision = [*_revision(after)]
            session.save(
                Change(
                    "save",
                    after,
                    snapshot.batch.data,
                    removed=removed,
                    removed_bytes=size,
                    dropped=dropped,
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

    def _branch(self, branch: Branch) -> int | None:
        source, target = branch.source, branch.target

        def copy(session: LockedSession) -> int:
            with self.files.reading(source) as file:
                state = self._live(file)
                if file is None or state is None:
                    # Raised before an answer is stored.
                    raise not_found(source)
                if source == target:
                    session.answer(state.items)
                    return state.items
                expires_at = self._expires_at(session.now, branch.ttl)
                after = session.touched(
                    State(
                        key=new_key(),
                        items=state.items,
                        next_position=state.next_position,
                        tokens=state.tokens,
                        user_id=state.user_id,
                        created_at=session.now.isoformat(),
                        expires_at=state.expires_at,
                    ),
                    expires_at,
                )
                session.put(
                    file.timed_items(),
                    after,
                    _text(file.metadata()) if state.metadata_at else None,
                    _text(file.state()) if state.state_at else None,
                    state.items,
                )
                return state.items

        return self._write(target, branch.request, copy)


def revision_of(state: State) -> Revision:
    key, next_position, item_count = _revision(state)
    return Revision(key=key, next_position=next_position, item_count=item_count)


def _revision(state: State) -> tuple[int, int, int]:
    return state.key, state.next_position, state.items


def _text(value: dict[str, object]) -> str:
    return codec.encode(value, "document")


def _deleted(
    file: SessionFile | None, state: State | None, removed: int, dropped: int
) -> tuple[int, int]:
    """Return the tokens of the items that are deleted, and the size of the last ones' lines."""
    if file is None or state is None or removed + dropped == 0:
        return 0, 0
    if removed + dropped == state.items:
        return state.tokens, state.bytes
    item_lines = file.items(LARGEST_BLOCK if dropped and state.tokens else removed * 256 + 4_096)
    last = list(islice(item_lines, removed))
    size = sum(len(line) + 1 for line in last)
    if not state.tokens:
        return 0, size
    if dropped:
        # The first items are known only after all others.
        last += list(islice(item_lines, state.items - removed))[-dropped:]
    items = lines.parse_items(last)
    return sum(tokens_of(item) or 0 for item in items if item is not None), size
