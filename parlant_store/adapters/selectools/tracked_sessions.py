"""Sessions of one store, of which a save writes the changes."""

from collections.abc import Sequence
from typing import Any

from parlant_store.adapters.selectools.change_tracking import SavedState, SavedStates, overlap
from parlant_store.adapters.selectools.serialization import Serialized, deserialize
from parlant_store.backends.base import BaseBackend
from parlant_store.backends.contract.validation import SessionName
from parlant_store.exceptions import InvalidInput, SessionNotFound
from parlant_store.types import Revision


class TrackedSessions:
    """Saves, loads, copies and deletes sessions, and keeps their saved states in a cache.

    Where a method takes several names, a text may be the key of any of these sessions: the
    first that exists counts.
    """

    def __init__(self, store: BaseBackend) -> None:
        self._store = store
        self.states = SavedStates()

    def target(self, names: Sequence[SessionName]) -> SessionName:
        """Return the session to which ``save`` writes."""
        return self.states.origin(names[0]) if len(names) > 1 else names[0]

    def save(self, name: SessionName, content: Serialized, options: dict[str, Any]) -> None:
        saved = self.states.get(name)
        written = None if saved is None else self._save_changes(saved, content, options)
        self.states.put(written or self._save_all(name, content, options))

    def _save_changes(
        self, saved: SavedState, content: Serialized, options: dict[str, Any]
    ) -> SavedState | None:
        """Write the changes since ``saved``; return None if it is out of date or shares nothing."""
        first, count = overlap(saved.hashes, content.hashes)
        if not count:
            return None
        drop, end = saved.items_before(first), saved.items_before(first + count)
        splice = {"since": saved.revision, "drop": drop, "keep": end - drop}
        new = content.parts[count:]
        revision = self._write(saved.name, new, content, options | splice)
        if revision is None:
            return None
        ends = None
        if saved.ends is not None:
            ends = [saved.ends[message] - drop for message in range(first, first + count)]
            ends += range(ends[-1] + 1, ends[-1] + 1 + len(new))
        return SavedState(name=saved.name, revision=revision, hashes=content.hashes, ends=ends)

    def _save_all(
        self, name: SessionName, content: Serialized, options: dict[str, Any]
    ) -> SavedState:
        revision = self._write(name, content.parts, content, options)
        assert revision is not None
        return SavedState(name=name, revision=revision, hashes=content.hashes)

    def _write(
        self, name: SessionName, parts: Sequence[Any], content: Serialized, options: dict[str, Any]
    ) -> Revision | None:
        return self._store.save_snapshot(
            name.session_id,
            [content.item_of(part) for part in parts],
            state=content.state,
            namespace=name.namespace,
            **options,
        )

    def load(self, names: Sequence[SessionName], ttl_seconds: float | None = None) -> Any:
        """Return the memory or dict of the first session that exists, or None."""
        for name in names:
            snapshot = self._store.load_snapshot(
                name.session_id, namespace=name.namespace, ttl_seconds=ttl_seconds
            )
            if snapshot is None:
                continue
            loaded = deserialize(snapshot, name)
            if len(snapshot.items) == snapshot.revision.item_count:
                state = SavedState(
                    name=name, revision=snapshot.revision, hashes=loaded.hashes, ends=loaded.ends
                )
                self.states.put(state)
            else:
                self.states.forget(name)
            self.states.set_origin(names[0], name)
            return loaded.value
        self.states.set_origin(names[0], None)
        return None

    def find(self, names: Sequence[SessionName]) -> SessionName | None:
        """Return the name of the first session that exists, or None."""
        for name in names:
            if self._store.exists(name.session_id, namespace=name.namespace):
                return name
        return None

    def delete(self, names: Sequence[SessionName]) -> bool:
        """Delete the first session that exists; return whether there is one."""
        self.states.set_origin(names[0], None)
        for name in names:
            if self._store.delete_session(name.session_id, namespace=name.namespace):
                self.states.forget(name)
                return True
        return False

    def branch(
        self,
        sources: Sequence[SessionName],
        targets: Sequence[SessionName],
        ttl_seconds: float | None,
        before_turn: int | None = None,
        at_position: int | None = None,
    ) -> None:
        """Copy a session, within its namespace if one of ``targets`` is in it."""
        source = (self.find(sources) if len(sources) > 1 else None) or sources[0]
        siblings = [name for name in targets if name.namespace == source.namespace]
        target = siblings[0] if siblings else targets[0]
        if target.namespace != source.namespace:
            if before_turn is not None or at_position is not None:
                raise InvalidInput("a part of a session can be branched within its namespace only")
            self._copy(source, target, ttl_seconds)
        else:
            self._store.branch(
                source.session_id,
                target.session_id,
                before_turn=before_turn,
                at_position=at_position,
                namespace=source.namespace,
                ttl_seconds=ttl_seconds,
            )

    def _copy(self, source: SessionName, target: SessionName, ttl_seconds: float | None) -> None:
        """Branch into another namespace, which a store does not support."""
        snapshot = self._store.load_snapshot(
            source.session_id, namespace=source.namespace, ttl_seconds=ttl_seconds
        )
        session = self._store.get_session(source.session_id, namespace=source.namespace)
        if snapshot is None or session is None:
            raise SessionNotFound(f"there is no session {source.session_id!r} to branch from")
        self._store.delete_session(target.session_id, namespace=target.namespace)
        self._store.save_snapshot(
            target.session_id,
            snapshot.items,
            state=snapshot.state,
            namespace=target.namespace,
            user_id=session.user_id,
            ttl_seconds=ttl_seconds,
        )
        if session.metadata:
            self._store.set_metadata(
                target.session_id, session.metadata, namespace=target.namespace
            )
