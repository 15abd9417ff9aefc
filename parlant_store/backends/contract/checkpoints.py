"""The contract of stores: threads of graphs, with their checkpoints."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

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
)
from parlant_store.backends.contract.checkpoint_validation import (
    check_checkpoint,
    check_short,
    check_text,
    check_texts,
    check_write,
    metadata_filter,
)
from parlant_store.backends.contract.validation import (
    MAX_LIMIT,
    check_cursor,
    check_limit,
    check_owner,
    check_request,
    check_time,
    check_ttl,
)
from parlant_store.backends.threads.async_methods import as_async
from parlant_store.content import codec
from parlant_store.content.thread_messages import (
    MESSAGES,
    MessageTexts,
    read_messages,
    texts_of,
)
from parlant_store.exceptions import InvalidLimit, NotSupported, SessionExists
from parlant_store.types import (
    ChannelHistory,
    ChannelValue,
    Checkpoint,
    CheckpointCursor,
    CheckpointInfo,
    MessageChanges,
    StoredCheckpoint,
    TaskWrite,
    ThreadCursor,
    ThreadInfo,
    ThreadPage,
)

MAX_PRUNED = 100
"""Limit on the threads that one call prunes."""


class CheckpointMethods:
    """The operations on threads.

    A thread_id is any text. Other ids, and the names of channels, have at most 512 bytes in UTF-8.
    """

    alias: str

    supports_checkpoints = False
    """Does this backend store the checkpoints of graphs?"""

    def put_checkpoint(
        self,
        thread_id: str,
        checkpoint: Checkpoint,
        values: Iterable[ChannelValue] = (),
        *,
        namespace: str = "",
        user_id: str | None = None,
        ttl_seconds: float | None = None,
        messages: MessageChanges | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Store ``checkpoint``, and the ``values`` of the channels that have changed.

        Create the thread if there is none. A checkpoint with the same id is replaced, except for
        its parent. ``user_id`` becomes the owner of a thread without one. The thread expires after
        ``ttl_seconds``; None: those of the store.

        ``search_threads`` finds the ``messages``; None: those of the value of the channel
        "messages" of the graph, all of which are read then, unless they are encrypted.
        """
        request = check_request(request_id, "put_checkpoint")
        thread = self._thread(thread_id, namespace)
        check_checkpoint(checkpoint)
        # The last one of each: a statement writes no row twice.
        changed = {(each.channel, each.version): each for each in values}
        self._put_checkpoint(
            PutCheckpoint(
                thread,
                checkpoint,
                codec.encode_document(checkpoint.metadata, "metadata"),
                [*changed.values()],
                check_owner(user_id),
                check_ttl(ttl_seconds),
                request,
                _message_texts(checkpoint, changed.values(), messages),
            )
        )

    aput_checkpoint = as_async(put_checkpoint)

    def put_writes(
        self,
        thread_id: str,
        checkpoint_id: str,
        writes: Iterable[TaskWrite],
        *,
        checkpoint_ns: str = "",
        namespace: str = "",
        user_id: str | None = None,
        ttl_seconds: float | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Store what tasks wrote after a checkpoint, which may be stored later.

        Of writes with the same task_id and idx, the first one stays, or the last one if idx is
        below 0. Without ``writes``, nothing happens.
        """
        request = check_request(request_id, "put_writes")
        thread = self._thread(thread_id, namespace)
        check_text(checkpoint_ns, "checkpoint_ns")
        check_short(checkpoint_id, "checkpoint_id")
        owner, ttl = check_owner(user_id), check_ttl(ttl_seconds)
        once: dict[tuple[str, int], TaskWrite] = {}
        for write in writes:
            check_write(write)
            if write.idx < 0 or (write.task_id, write.idx) not in once:
                once[write.task_id, write.idx] = write
        if once:
            self._put_writes(
                PutWrites(
                    *(thread, checkpoint_ns, checkpoint_id, [*once.values()], owner, ttl, request)
                )
            )

    aput_writes = as_async(put_writes)

    def get_checkpoint(
        self,
        thread_id: str,
        checkpoint_id: str | None = None,
        *,
        checkpoint_ns: str = "",
        namespace: str = "",
    ) -> StoredCheckpoint | None:
        """Return the checkpoint, or without an id the latest one; None if there is none.

        What it costs does not depend on the number of checkpoints.
        """
        return self._get_checkpoint(self._place(thread_id, checkpoint_ns, checkpoint_id, namespace))

    aget_checkpoint = as_async(get_checkpoint)

    def list_checkpoints(
        self,
        thread_id: str | None = None,
        *,
        checkpoint_ns: str | None = None,
        checkpoint_id: str | None = None,
        where: Mapping[str, Any] | None = None,
        before: str | None = None,
        limit: int | None = None,
        after: CheckpointCursor | None = None,
        namespace: str = "",
    ) -> list[StoredCheckpoint]:
        """Return at most ``limit`` checkpoints, the greatest id first.

        Without a thread_id, those of all threads of ``namespace``. The metadata has the values of
        ``where``: a dict or a list matches if it contains them. ``before`` is an id that is
        greater than all. The next page starts after the cursor ``after``.
        """
        namespace = codec.check_name(namespace, "namespace", empty=True)
        rows = check_limit(limit)
        if thread_id is not None:
            thread_id = self._thread(thread_id, namespace).thread_id
        self._checkpoints_supported()
        if checkpoint_ns is not None:
            check_text(checkpoint_ns, "checkpoint_ns")
        for id_ in (checkpoint_id, before):
            if id_ is not None:
                check_short(id_, "checkpoint_id")
        if rows == 0:
            return []
        return self._list_checkpoints(
            ListCheckpoints(
                *(namespace, thread_id, checkpoint_ns, checkpoint_id),
                metadata_filter(where),
                before,
                check_cursor(after, CheckpointCursor, "after"),
                MAX_LIMIT if rows is None else rows,
            )
        )

    alist_checkpoints = as_async(list_checkpoints)

    def list_checkpoint_infos(
        self,
        thread_id: str,
        *,
        limit: int = 100,
        after: CheckpointCursor | None = None,
        namespace: str = "",
    ) -> list[CheckpointInfo]:
        """Return at most ``limit`` checkpoints of all namespaces, the greatest id first.

        No values are read. The next page starts after the cursor ``after``.
        """
        thread, rows = self._thread(thread_id, namespace), check_limit(limit)
        if not rows:
            return []
        after = check_cursor(after, CheckpointCursor, "after")
        return self._list_checkpoint_infos(ListCheckpointInfos(thread, after, rows))

    alist_checkpoint_infos = as_async(list_checkpoint_infos)

    def get_channel_history(
        self,
        thread_id: str,
        channels: Sequence[str],
        checkpoint_id: str | None = None,
        *,
        checkpoint_ns: str = "",
        namespace: str = "",
    ) -> dict[str, ChannelHistory]:
        """Return what tasks wrote to each channel since its value was last stored.

        The writes are those after the ancestors of the checkpoint, from the nearest one with a
        value on; those after the checkpoint itself are not among them. Without an id, it is the
        latest checkpoint.
        """
        place = self._place(thread_id, checkpoint_ns, checkpoint_id, namespace)
        names = dict.fromkeys(check_texts(channels, "channels"))
        for name in names:
            check_short(name, "the name of a channel")
        return self._get_history(GetHistory(place, [*names])) if names else {}

    aget_channel_history = as_async(get_channel_history)

    def delete_thread(
        self, thread_id: str, *, namespace: str = "", request_id: str | UUID | None = None
    ) -> bool:
        """Delete the thread with all that belongs to it; return whether there was one."""
        request = check_request(request_id, "delete_thread")
        return self._delete_thread(DeleteThread(self._thread(thread_id, namespace), request))

    adelete_thread = as_async(delete_thread)

    def delete_runs(
        self,
        run_ids: Sequence[str],
        *,
        namespace: str = "",
        request_id: str | UUID | None = None,
    ) -> int:
        """Delete the checkpoints whose metadata has one of the run_ids; return their number.

        The writes after these checkpoints are deleted too, and the values that no other has.
        """
        request = check_request(request_id, "delete_runs")
        self._checkpoints_supported()
        namespace = codec.check_name(namespace, "namespace", empty=True)
        runs = check_texts(run_ids, "run_ids")
        return self._delete_runs(DeleteRuns(namespace, runs, request)) if runs else 0

    adelete_runs = as_async(delete_runs)

    def copy_thread(
        self,
        source_id: str,
        target_id: str,
        *,
        namespace: str = "",
        ttl_seconds: float | None = None,
        replace: bool = True,
        request_id: str | UUID | None = None,
    ) -> bool:
        """Copy a thread with its owner to ``target_id``; return False if there is no source.

        A thread with the id ``target_id`` is replaced; without ``replace``, raise SessionExists.
        """
        request = check_request(request_id, "copy_thread")
        source, target = self._thread(source_id, namespace), self._thread(target_id, namespace)
        return self._copy_thread(
            CopyThread(source, target, check_ttl(ttl_seconds), request, replace)
        )

    acopy_thread = as_async(copy_thread)

    def prune_thread(
        self,
        thread_id: str,
        *,
        keep: int = 1,
        namespace: str = "",
        request_id: str | UUID | None = None,
    ) -> int:
        """Delete all but the latest ``keep`` checkpoints of each namespace; return their number.

        Ancestors that have the value of a channel, or writes since then, stay if a checkpoint
        that stays lacks it (``counters_since_delta_snapshot`` of its metadata). All of a
        subgraph's call is deleted with the checkpoint of the graph that it started from. Raise
        InvalidLimit if ``keep`` is below 1.
        """
        request = check_request(request_id, "prune_thread")
        thread, count = self._thread(thread_id, namespace), _check_keep(keep)
        return self._prune_threads(PruneThreads([thread], count, request))[0]

    aprune_thread = as_async(prune_thread)

    def prune_threads(
        self,
        thread_ids: Sequence[str],
        *,
        keep: int = 1,
        namespace: str = "",
        request_id: str | UUID | None = None,
    ) -> int:
        """Prune up to MAX_PRUNED threads in one call; return the number of deleted checkpoints.

        Raise InvalidLimit if they are more, or if ``keep`` is below 1.
        """
        request = check_request(request_id, "prune_threads")
        self._checkpoints_supported()
        ids = codec.check_list(thread_ids, "thread_ids")
        threads = [*dict.fromkeys(self._thread(each, namespace) for each in ids)]
        if len(threads) > MAX_PRUNED:
            raise InvalidLimit(f"a call prunes at most {MAX_PRUNED} threads")
        prune = PruneThreads(threads, _check_keep(keep), request)
        return sum(self._prune_threads(prune)) if threads else 0

    aprune_threads = as_async(prune_threads)

    def list_threads(
        self,
        *,
        namespace: str | None = None,
        user_id: str | None = None,
        limit: int = 100,
        cursor: ThreadCursor | None = None,
    ) -> ThreadPage:
        """Return a page of threads, ordered by namespace and thread_id.

        ``namespace`` and ``user_id`` are filters; None matches any. Raise InvalidLimit if
        ``limit`` is below 1.
        """
        self._checkpoints_supported()
        if namespace is not None:
            codec.check_name(namespace, "namespace", empty=True)
        if check_limit(limit) in (0, None):
            raise InvalidLimit("limit must be 1 or more to list threads")
        cursor = check_cursor(cursor, ThreadCursor)
        after = None if cursor is None else self._thread(cursor.thread_id, cursor.namespace)
        # One more than the limit shows whether there are more.
        threads = self._list_threads(
            ListThreads(namespace, check_owner(user_id), min(limit + 1, MAX_LIMIT), after)
        )
        last = threads[limit - 1] if len(threads) > limit else None
        return ThreadPage(
            threads=tuple(threads[:limit]),
            next_cursor=None
            if last is None
            else ThreadCursor(namespace=last.namespace, thread_id=last.thread_id),
        )

    alist_threads = as_async(list_threads)

    def get_thread(self, thread_id: str, *, namespace: str = "") -> ThreadInfo | None:
        """Return the thread without its checkpoints; None if there is none."""
        return self._get_thread(self._thread(thread_id, namespace))

    aget_thread = as_async(get_thread)

    def set_thread_expiry(
        self,
        thread_id: str,
        expires_at: datetime | None,
        *,
        namespace: str = "",
        request_id: str | UUID | None = None,
    ) -> bool:
        """Set when the thread expires, None for never; return False if there is no thread.

        The next write sets it again if the store has a ttl_seconds.
        """
        request = check_request(request_id, "set_thread_expiry")
        thread, time = self._thread(thread_id, namespace), check_time(expires_at, "expires_at")
        return self._set_thread_expiry(SetThreadExpiry(thread, time, request))

    aset_thread_expiry = as_async(set_thread_expiry)

    def _put_checkpoint(self, put: PutCheckpoint) -> None:
        raise NotImplementedError

    def _put_writes(self, put: PutWrites) -> None:
        raise NotImplementedError

    def _get_checkpoint(self, place: CheckpointPlace) -> StoredCheckpoint | None:
        raise NotImplementedError

    def _list_checkpoints(self, listing: ListCheckpoints) -> list[StoredCheckpoint]:
        raise NotImplementedError

    def _list_checkpoint_infos(self, listing: ListCheckpointInfos) -> list[CheckpointInfo]:
        raise NotImplementedError

    def _get_thread(self, thread: ThreadName) -> ThreadInfo | None:
        raise NotImplementedError

    def _set_thread_expiry(self, change: SetThreadExpiry) -> bool:
        raise NotImplementedError

    def _get_history(self, read: GetHistory) -> dict[str, ChannelHistory]:
        raise NotImplementedError

    def _delete_thread(self, deletion: DeleteThread) -> bool:
        raise NotImplementedError

    def _delete_runs(self, deletion: DeleteRuns) -> int:
        raise NotImplementedError

    def _copy_thread(self, copy: CopyThread) -> bool:
        raise NotImplementedError

    def _prune_threads(self, prune: PruneThreads) -> list[int]:
        raise NotImplementedError

    def _list_threads(self, listing: ListThreads) -> list[ThreadInfo]:
        raise NotImplementedError

    def _checkpoints_supported(self) -> None:
        if not self.supports_checkpoints:
            raise NotSupported(
                f"the store {self.alias!r} has no checkpoints of graphs: they need a store in a "
                "database of the project, or in Supabase"
            )

    def _thread(self, thread_id: str, namespace: str) -> ThreadName:
        self._checkpoints_supported()
        codec.check_name(namespace, "namespace", empty=True)
        return ThreadName(namespace, check_text(thread_id, "thread_id"))

    def _place(
        self, thread_id: str, checkpoint_ns: str, checkpoint_id: str | None, namespace: str
    ) -> CheckpointPlace:
        thread = self._thread(thread_id, namespace)
        if checkpoint_id is not None:
            check_short(checkpoint_id, "checkpoint_id")
        return CheckpointPlace(thread, check_text(checkpoint_ns, "checkpoint_ns"), checkpoint_id)


def _message_texts(
    checkpoint: Checkpoint, values: Iterable[ChannelValue], changes: MessageChanges | None
) -> MessageTexts:
    if checkpoint.checkpoint_ns:
        return MessageTexts()
    if changes is not None:
        return texts_of(changes.added, changes.first, is_whole=changes.is_whole)
    found = [read_messages(each.value) for each in values if each.channel == MESSAGES]
    return texts_of(found[-1], is_whole=True) if found and found[-1] is not None else MessageTexts()


def _check_keep(keep: int) -> int:
    count = check_limit(keep, "keep")
    if not count:
        raise InvalidLimit("keep must be 1 or more: delete_thread deletes all checkpoints")
    return count


def thread_exists(thread: ThreadName) -> SessionExists:
    """Return the error for a copy that must not replace the thread."""
    return SessionExists(f"there is a thread {thread.thread_id!r} already")
