"""The contract of stores: whole sessions with their state."""

from abc import abstractmethod
from collections.abc import Iterable
from uuid import UUID

from parlant_store.backends.contract.operations import LoadSnapshot, SaveSnapshot, Splice
from parlant_store.backends.contract.sessions import SessionMethods
from parlant_store.backends.contract.validation import (
    check_owner,
    check_request,
    check_ttl,
    session_name,
)
from parlant_store.backends.threads.async_methods import as_async
from parlant_store.content import codec
from parlant_store.content.items import batch
from parlant_store.exceptions import InvalidLimit
from parlant_store.signals import session_loaded, session_saved
from parlant_store.types import JSONObject, Revision, Snapshot


class SnapshotMethods(SessionMethods):
    """The operations on whole sessions."""

    def load_snapshot(
        self, session_id: str, *, namespace: str = "", ttl_seconds: float | None = None
    ) -> Snapshot | None:
        """Return all items of the session with its state; None if there is no session.

        Damaged items are skipped; ``revision.item_count`` counts them. ``ttl_seconds`` is that of
        ``get_items``.
        """
        session = session_name(session_id, namespace)
        snapshot = self._load_snapshot(LoadSnapshot(session, self._refresh(ttl_seconds)))
        if snapshot is not None:
            self._send(session_loaded, session, len(snapshot.items))
        return snapshot

    aload_snapshot = as_async(load_snapshot)

    def save_snapshot(
        self,
        session_id: str,
        items: Iterable[JSONObject],
        *,
        state: JSONObject,
        namespace: str = "",
        user_id: str | None = None,
        ttl_seconds: float | None = None,
        since: Revision | None = None,
        drop: int = 0,
        keep: int = 0,
        request_id: str | UUID | None = None,
    ) -> Revision | None:
        """Save the state and the items of the session, and return the new revision.

        ``items`` replace all items. With ``since``, only the changes are saved: of that revision,
        the first ``drop`` items are deleted, the next ``keep`` are kept, those after them are
        deleted, and ``items`` are appended. If the session has changed since, nothing is written,
        and None is returned.
        """
        request = check_request(request_id, "save_snapshot")
        session = session_name(session_id, namespace)
        if since is not None and not (drop >= 0 and keep >= 0 and drop + keep <= since.item_count):
            raise InvalidLimit(
                f"drop and keep must be parts of {since.item_count} items, not {drop} and {keep}"
            )
        revision = self._save_snapshot(
            SaveSnapshot(
                session,
                batch(items),
                codec.encode_document(state, "state"),
                check_owner(user_id),
                check_ttl(ttl_seconds),
                None if since is None else Splice(since, drop, keep),
                request,
            )
        )
        if revision is not None:
            self._send(session_saved, session, revision.item_count)
        return revision

    asave_snapshot = as_async(save_snapshot)

    @abstractmethod
    def _load_snapshot(self, load: LoadSnapshot) -> Snapshot | None: ...

    @abstractmethod
    def _save_snapshot(self, snapshot: SaveSnapshot) -> Revision | None: ...
