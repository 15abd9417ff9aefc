"""Whole sessions over Supabase: loading, saving what changed."""

from parlant_store.backends.columns import decode_all, decode_state
from parlant_store.backends.contract.operations import LoadSnapshot, SaveSnapshot, Splice
from parlant_store.backends.supabase.rest import shapes
from parlant_store.backends.supabase.sessions import (
    SupabaseSessions,
    item_arguments,
    name_arguments,
    owner_arguments,
)
from parlant_store.types import JSONObject, Revision, Snapshot


class SupabaseSnapshots(SupabaseSessions):
    """What a store does with whole sessions, each by one call."""

    def _load_snapshot(self, load: LoadSnapshot) -> Snapshot | None:
        session, refresh = load
        row = self._read_content(
            "load", shapes.optional(shapes.SNAPSHOT), refresh, **name_arguments(session)
        )
        if row is None:
            return None
        return Snapshot(
            items=decode_all(row["items"], session),
            state=decode_state(row["state"], session),
            revision=Revision(
                key=row["key"], next_position=row["next_position"], item_count=row["item_count"]
            ),
        )

    def _save_snapshot(self, snapshot: SaveSnapshot) -> Revision | None:
        saved = self.connection.write(
            "save",
            shapes.REVISION,
            snapshot.request,
            **owner_arguments(snapshot.session, snapshot.user_id),
            state=snapshot.state,
            **_splice(snapshot.splice),
            **item_arguments(snapshot.batch),
            **self._times(snapshot.ttl),
        )
        if saved["v_key"] is None:
            return None
        return Revision(
            key=saved["v_key"], next_position=saved["v_next"], item_count=saved["v_items"]
        )


def _splice(splice: Splice | None) -> JSONObject:
    if splice is None:
        return {}
    return {
        "key": splice.since.key,
        "next": splice.since.next_position,
        "count": splice.since.item_count,
        "drop": splice.drop,
        "keep": splice.keep,
    }
