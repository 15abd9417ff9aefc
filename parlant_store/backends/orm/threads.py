"""Threads of graphs in a database of this Django project."""

from functools import cached_property

from parlant_store.backends.channel_values import BaseCache
from parlant_store.backends.contract.checkpoint_operations import (
    CheckpointPlace,
    CopyThread,
    DeleteRuns,
    DeleteThread,
    GetHistory,
    ListCheckpointInfos,
    ListCheckpoints,
    ListThreads,
    PruneThreads,
    PutCheckpoint,
    PutWrites,
    SetThreadExpiry,
    ThreadName,
    WriteThreads,
)
from parlant_store.backends.contract.operations import Search
from parlant_store.backends.orm.base.search import search_messages
from parlant_store.backends.orm.calls import OrmCalls
from parlant_store.types import (
    ChannelHistory,
    CheckpointInfo,
    StoredCheckpoint,
    ThreadHit,
    ThreadInfo,
    ThreadRecord,
)


class OrmThreads(OrmCalls):
    """The operations on threads."""

    supports_checkpoints = True

    @cached_property
    def _bases(self) -> BaseCache:
        return BaseCache()

    def _put_checkpoint(self, put: PutCheckpoint) -> None:
        self._write(
            lambda on: on.tables.checkpoints.put_checkpoint(
                on.connection, put, on.time, self._bases
            ),
            put.ttl,
            put.request,
        )

    def _put_writes(self, put: PutWrites) -> None:
        self._write(
            lambda on: on.tables.checkpoints.put_writes(on.connection, put, on.time),
            put.ttl,
            put.request,
        )

    def _get_checkpoint(self, place: CheckpointPlace) -> StoredCheckpoint | None:
        return self._read(
            lambda on: on.tables.checkpoints.get_checkpoint(
                on.connection, place, on.time, self._bases
            )
        )

    def _list_checkpoints(self, listing: ListCheckpoints) -> list[StoredCheckpoint]:
        return self._read(
            lambda on: on.tables.checkpoints.list_checkpoints(on.connection, listing, on.time)
        )

    def _list_checkpoint_infos(self, listing: ListCheckpointInfos) -> list[CheckpointInfo]:
        return self._read(
            lambda on: on.tables.checkpoints.list_infos(on.connection, listing, on.time)
        )

    def _get_thread(self, thread: ThreadName) -> ThreadInfo | None:
        return self._read(
            lambda on: on.tables.checkpoints.get_thread(on.connection, thread, on.time)
        )

    def _set_thread_expiry(self, change: SetThreadExpiry) -> bool:
        return self._write(
            lambda on: on.tables.checkpoints.set_expiry(on.connection, change, on.time),
            request=change.request,
        )

    def _get_history(self, read: GetHistory) -> dict[str, ChannelHistory]:
        return self._read(
            lambda on: on.tables.checkpoints.get_history(on.connection, read, on.time)
        )

    def _delete_thread(self, deletion: DeleteThread) -> bool:
        return self._write(
            lambda on: on.tables.checkpoints.delete_thread(on.connection, deletion, on.time),
            request=deletion.request,
        )

    def _delete_runs(self, deletion: DeleteRuns) -> int:
        return self._write(
            lambda on: on.tables.checkpoints.delete_runs(
                on.connection, deletion.namespace, deletion.run_ids
            ),
            request=deletion.request,
        )

    def _copy_thread(self, copy: CopyThread) -> bool:
        return self._write(
            lambda on: on.tables.checkpoints.copy_thread(on.connection, copy, on.time),
            copy.ttl,
            copy.request,
        )

    def _prune_threads(self, prune: PruneThreads) -> list[int]:
        return self._write(
            lambda on: on.tables.checkpoints.prune_threads(on.connection, prune, on.time),
            request=prune.request,
        )

    def _list_threads(self, listing: ListThreads) -> list[ThreadInfo]:
        return self._read(
            lambda on: on.tables.checkpoints.list_threads(on.connection, listing, on.time)
        )

    def _search_threads(self, search: Search) -> list[ThreadHit]:
        return self._read(lambda on: search_messages(on.connection, search, on.time))

    def _read_threads(self, names: list[ThreadName]) -> list[ThreadRecord]:
        return self._read(
            lambda on: on.tables.thread_records.read_threads(on.connection, names, on.time)
        )

    def _write_threads(self, write: WriteThreads) -> list[bool]:
        return self._write(
            lambda on: on.tables.thread_records.write_threads(on.connection, write, on.time)
        )

    def _delete_expired_threads(self, limit: int) -> tuple[int, bool]:
        return self._write(
            lambda on: on.tables.checkpoints.delete_expired(on.connection, on.time, limit)
        )
