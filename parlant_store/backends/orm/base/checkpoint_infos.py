"""Listings of checkpoints without values, on both databases."""

from abc import ABC

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.contract.checkpoint_operations import ListCheckpointInfos
from parlant_store.backends.orm.base.sessions import LIVE, Time, aware
from parlant_store.backends.orm.database.statements import fetch
from parlant_store.backends.thread_columns import (
    InfoRow,
    WrittenRow,
    checkpoint_infos,
    thread_columns,
)
from parlant_store.content import codec
from parlant_store.types import CheckpointInfo

THREAD_KEY = (
    f"(SELECT key FROM parlant_store_thread WHERE namespace = %s AND thread_id = %s AND {LIVE})"
)
_LISTED = (
    "WITH c AS MATERIALIZED (SELECT * FROM parlant_store_checkpoint"
    f" WHERE thread_key = {THREAD_KEY}"
    "{after} ORDER BY checkpoint_id DESC, key DESC LIMIT %s)"
)
_AFTER = " AND (checkpoint_id, key) < (%s, %s)"
_INFOS = (
    " SELECT c.key, c.checkpoint_ns, c.full_ns, c.checkpoint_id, c.parent_id, c.created_at,"
    " CAST(c.metadata AS text), CAST(c.versions AS text), CAST(p.versions AS text),"
    " CAST(NULL AS bigint), CAST(NULL AS bigint), CAST(NULL AS bigint)"
    " FROM c LEFT JOIN parlant_store_checkpoint p ON p.thread_key = c.thread_key"
    " AND p.checkpoint_ns = c.checkpoint_ns AND p.checkpoint_id = c.parent_id"
)
_WRITTEN = (
    " UNION ALL SELECT c.key, w.task_id, w.channel, NULL, NULL, NULL, NULL, NULL, NULL,"
    " count(*), min(w.idx), max(w.idx) FROM c {write} GROUP BY c.key, w.task_id, w.channel"
)


class CheckpointInfos(ABC):
    """One statement: checkpoints with the versions of their parents, and what was written."""

    joined_rows: str
    """A join with any number of rows of {table} that match {condition}."""

    def list_infos(
        self, connection: BaseDatabaseWrapper, listing: ListCheckpointInfos, time: Time
    ) -> list[CheckpointInfo]:
        after, params = "", [*thread_columns(listing.thread), time.now]
        if listing.after is not None:
            after = _AFTER
            params += [codec.to_column(listing.after.checkpoint_id), listing.after.key]
        params.append(listing.limit)
        written_rows = _WRITTEN.format(write=self.writes_of("c"))
        sql = _LISTED.format(after=after) + _INFOS + written_rows
        infos, written = list[InfoRow](), list[WrittenRow]()
        for row in fetch(connection, sql, params, prepare=None):
            if row[-1] is None:
                info = InfoRow(*row[:-3])
                infos.append(info._replace(created_at=aware(connection, info.created_at)))
            else:
                written.append(WrittenRow(*row[:3], *row[-3:]))
        return checkpoint_infos(infos, written)

    def writes_of(self, row: str, condition: str = "") -> str:
        """Return the join of the row of a checkpoint with the writes ``w`` after it."""
        return self.joined_rows.format(
            table="parlant_store_checkpoint_write",
            name="w",
            condition=f"w.thread_key = {row}.thread_key AND w.checkpoint_ns = {row}.checkpoint_ns"
            f" AND w.checkpoint_id = {row}.checkpoint_id{condition}",
        )
