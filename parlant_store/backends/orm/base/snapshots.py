"""Statements for snapshots."""

from abc import ABC, abstractmethod

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import columns, decode_all, decode_state
from parlant_store.backends.contract.operations import SaveSnapshot
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.base.sessions import LIVE, PLAIN, KeyColumn, Time
from parlant_store.backends.orm.database.statements import fetch
from parlant_store.types import Revision, Snapshot

# The first row is that of the session, the others are its items.
_LOAD = f"""
WITH session AS (
    SELECT {{key}}, next_position, item_count, state FROM parlant_store_session
    WHERE namespace = %s AND session_id = %s AND {LIVE}
)
SELECT -1 AS place, CAST(state AS text), key, next_position, item_count FROM session
UNION ALL
SELECT position, data, NULL, NULL, NULL FROM parlant_store_session_item
WHERE session_key = (SELECT key FROM session)
ORDER BY place
"""


class Snapshots(ABC):
    """The operations on snapshots, for one kind of database."""

    def load(
        self,
        connection: BaseDatabaseWrapper,
        name: SessionName,
        time: Time,
        key: KeyColumn = PLAIN,
    ) -> Snapshot | None:
        params = (*key.params, *columns(name), time.now)
        rows = fetch(connection, _LOAD.format(key=key.sql), params)
        if not rows:
            return None
        _, state, *revision = rows[0]
        session_key, next_position, item_count = revision
        return Snapshot(
            items=decode_all([row[1] for row in rows[1:]], name),
            state=decode_state(state, name),
            revision=Revision(key=session_key, next_position=next_position, item_count=item_count),
        )

    @abstractmethod
    def save(
        self, connection: BaseDatabaseWrapper, snapshot: SaveSnapshot, time: Time
    ) -> Revision | None: ...
