"""Threads of graphs over Supabase, each operation by one call."""

from base64 import b64decode
from collections.abc import Iterable
from datetime import timedelta
from functools import cached_property
from typing import Any
from uuid import uuid5

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.channel_values import (
    BaseCache,
    EncodedValues,
    StoredValues,
    write_values,
)
from parlant_store.backends.columns import MAX_SNIPPETS
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
from parlant_store.backends.contract.checkpoints import thread_exists
from parlant_store.backends.contract.expiry import Pace
from parlant_store.backends.contract.operations import Search
from parlant_store.backends.supabase.client import Connection, is_overdue, time_of
from parlant_store.backends.supabase.rest import shapes
from parlant_store.backends.thread_columns import (
    CheckpointRow,
    InfoRow,
    ValueRow,
    WriteRow,
    WrittenRow,
    checkpoint_columns,
    checkpoint_infos,
    histories,
    message_columns,
    owner_of_thread,
    stored_checkpoints,
    thread_columns,
    thread_hits,
    thread_name_of,
    thread_names,
    title_of,
    write_columns,
)
from parlant_store.content import codec
from parlant_store.content.text_search import tsquery, tsvector
from parlant_store.content.thread_messages import MessageTexts
from parlant_store.exceptions import StoreUnavailable
from parlant_store.sql.functions import MAX_DELETED
from parlant_store.types import (
    ChannelHistory,
    CheckpointInfo,
    JSONObject,
    StoredCheckpoint,
    ThreadHit,
    ThreadInfo,
)


class SupabaseThreads(BaseBackend):
    """The operations on threads. The database marks the values that a user writes."""

    supports_checkpoints = True

    connection: Connection

    @cached_property
    def _bases(self) -> BaseCache:
        return BaseCache()

    def _put_checkpoint(self, put: PutCheckpoint) -> None:
        row = checkpoint_columns(put.checkpoint, put.metadata)
        requests = iter((put.request, put.request and uuid5(put.request, "whole")))
        messages = _messages(put.messages)

        def write(encoded: EncodedValues) -> bool:
            channels, versions, types, values = _columns(encoded.rows, 4)
            is_written: bool = self.connection.write(
                "put_checkpoint",
                shapes.boolean,
                next(requests),
                **_owned(put.thread, put.user_id),
                **row._replace(value=b"")._asdict() | {"value": _hex(row.value)},
                channels=channels,
                value_versions=versions,
                types=types,
                sizes=[*map(len, values)],
                values=_hex(b"".join(values)),
                **messages,
                **self._thread_times(put.ttl),
            )
            return is_written

        place = (*put.thread, put.checkpoint.checkpoint_ns)
        write_values(self._bases, place, put.values, write)

    def _put_writes(self, put: PutWrites) -> None:
        tasks, paths, indexes, channels, types, values = _columns(write_columns(put.writes), 6)
        self.connection.write(
            "put_writes",
            shapes.boolean,
            put.request,
            **_owned(put.thread, put.user_id),
            checkpoint_ns=codec.to_column(put.checkpoint_ns),
            checkpoint_id=codec.to_column(put.checkpoint_id),
            task_ids=tasks,
            task_paths=paths,
            indexes=indexes,
            channels=channels,
            types=types,
            sizes=[*map(len, values)],
            values=_hex(b"".join(values)),
            **self._thread_times(put.ttl),
        )

    def _get_checkpoint(self, place: CheckpointPlace) -> StoredCheckpoint | None:
        answer = self.connection.read(
            "get_checkpoint", shapes.CHECKPOINTS, **_place(place), now=self.clock()
        )
        found, values = _checkpoints(answer)
        if not found:
            return None
        bases = values.bases(found[0].values)
        self._bases.put((*place.thread, place.checkpoint_ns), bases)
        return found[0]

    def _list_checkpoints(self, listing: ListCheckpoints) -> list[StoredCheckpoint]:
        after = listing.after
        names = {
            "namespace": listing.namespace,
            "thread_id": listing.thread_id,
            "checkpoint_ns": listing.checkpoint_ns,
            "checkpoint_id": listing.checkpoint_id,
            "before": listing.before,
            "after_id": None if after is None else after.checkpoint_id,
        }
        answer = self.connection.read(
            "list_checkpoints",
            shapes.CHECKPOINTS,
            **{what: _column(name) for what, name in names.items()},
            filter=listing.filter,
            after_key=after and after.key,
            limit=listing.limit,
            now=self.clock(),
        )
        return _checkpoints(answer)[0]

    def _list_checkpoint_infos(self, listing: ListCheckpointInfos) -> list[CheckpointInfo]:
        answer = self.connection.read(
            "list_checkpoint_infos",
            shapes.CHECKPOINT_INFOS,
            **thread_columns(listing.thread)._asdict(),
            after_id=_column(None if listing.after is None else listing.after.checkpoint_id),
            after_key=listing.after and listing.after.key,
            limit=listing.limit,
            now=self.clock(),
        )
        infos = (InfoRow._make(row) for row in answer["checkpoints"])
        return checkpoint_infos(
            [row._replace(created_at=time_of(str(row.created_at))) for row in infos],
            [WrittenRow._make(row) for row in answer["written"]],
        )

    def _get_thread(self, thread: ThreadName) -> ThreadInfo | None:
        row = self.connection.read(
            "get_thread", shapes.THREAD, **thread_columns(thread)._asdict(), now=self.clock()
        )
        return None if row is None else _thread_info(*row)

    def _set_thread_expiry(self, change: SetThreadExpiry) -> bool:
        exists: bool = self.connection.write(
            "set_thread_expiry",
            shapes.boolean,
            change.request,
            **thread_columns(change.thread)._asdict(),
            expires_at=change.expires_at,
            now=self.clock(),
        )
        return exists

    def _get_history(self, read: GetHistory) -> dict[str, ChannelHistory]:
        answer = self.connection.read(
            "get_channel_history",
            shapes.CHANNEL_HISTORY,
            **_place(read.place),
            channels=[codec.to_column(name) for name in read.channels],
            now=self.clock(),
        )
        return histories(read.channels, _values(answer).by_channel(), _writes(answer))

    def _delete_thread(self, deletion: DeleteThread) -> bool:
        try:
            return self._delete_or_hide_thread("delete_thread", deletion)
        except StoreUnavailable as exc:
            if not is_overdue(exc):
                raise
        is_deleted = self._delete_or_hide_thread("hide_thread", deletion)
        self._delete_hidden_threads()
        return is_deleted

    def _delete_hidden_threads(self) -> None:
        """Delete what is left of threads that were hidden, and expired ones."""
        pace, has_more = Pace(MAX_DELETED, self.step_seconds), True
        while has_more:
            _, has_more = self._in_time(pace, self._delete_expired_threads)

    def _delete_or_hide_thread(self, function: str, deletion: DeleteThread) -> bool:
        is_deleted: bool = self.connection.write(
            function,
            shapes.boolean,
            deletion.request,
            **thread_columns(deletion.thread)._asdict(),
            now=self.clock(),
            until=deletion.written_until,
        )
        return is_deleted

    def _delete_expired_threads(self, limit: int) -> tuple[int, bool]:
        answer = self.connection.write(
            "expire_threads", shapes.EXPIRED_THREADS, now=self.clock(), limit=limit
        )
        return answer["v_threads"], answer["v_has_threads"]

    def _delete_runs(self, deletion: DeleteRuns) -> int:
        count: int = self.connection.write(
            "delete_runs",
            shapes.integer,
            deletion.request,
            namespace=codec.to_column(deletion.namespace),
            run_ids=[codec.to_column(run_id) for run_id in deletion.run_ids],
        )
        return count

    def _copy_thread(self, copy: CopyThread) -> bool:
        source, target = thread_columns(copy.source), thread_columns(copy.target)
        exists: bool | None = self.connection.write(
            "copy_thread",
            shapes.optional(shapes.boolean),
            copy.request,
            namespace=source.namespace,
            source=source.thread_id,
            target=target.thread_id,
            names=thread_names(copy.target),
            replace=copy.replace,
            **self._thread_times(copy.ttl),
        )
        if exists is None:
            raise thread_exists(copy.target)
        return exists

    def _prune_threads(self, prune: PruneThreads) -> list[int]:
        namespaces, thread_ids = _columns([*map(thread_columns, prune.threads)], 2)
        try:
            counts: list[int] = self.connection.write(
                "prune_threads",
                shapes.list_of(shapes.integer),
                prune.request,
                namespaces=namespaces,
                thread_ids=thread_ids,
                keep=prune.keep,
                is_dry_run=prune.is_dry_run,
                now=self.clock(),
            )
        except StoreUnavailable as exc:
            half = len(prune.threads) // 2
            if not (half and is_overdue(exc)):
                raise
            # Parts need no id of the request: pruning again changes nothing.
            parts = (prune.threads[:half], prune.threads[half:])
            pruned = (prune._replace(threads=part, request=None) for part in parts)
            return [count for part in pruned for count in self._prune_threads(part)]
        return counts

    def _search_threads(self, search: Search) -> list[ThreadHit]:
        rows = self.connection.read(
            "search_threads",
            shapes.list_of(shapes.HIT),
            query=tsquery(search.terms, others=search.tools),
            namespace=_column(search.namespace),
            limit=search.limit,
            texts=MAX_SNIPPETS,
            now=self.clock(),
        )
        return thread_hits(rows, search.terms)

    def _list_threads(self, listing: ListThreads) -> list[ThreadInfo]:
        after = None if listing.after is None else thread_columns(listing.after)
        rows = self.connection.read(
            "list_threads",
            shapes.THREADS,
            namespace=_column(listing.namespace),
            user_id=_column(listing.user_id),
            after_namespace=after and after.namespace,
            after_thread_id=after and after.thread_id,
            is_expired=listing.is_expired,
            limit=listing.limit,
            now=self.clock(),
        )
        return [_thread_info(*row) for row in rows]

    def _thread_times(self, ttl: timedelta | None) -> JSONObject:
        now = self.clock()
        return {"now": now, "expires_at": self._expires_at(now, ttl)}


def _owned(name: ThreadName, user_id: str | None) -> JSONObject:
    """The arguments that say which thread, and its owner."""
    return {
        **thread_columns(name)._asdict(),
        "names": thread_names(name, user_id),
        "user_id": _column(user_id),
    }


def _messages(messages: MessageTexts) -> JSONObject:
    names = ("digests", "numbers", "texts", "terms")
    columns = _columns(message_columns(messages, tsvector), len(names))
    return {
        **dict(zip(names, columns, strict=True)),
        "is_whole": messages.is_whole,
        "title": messages.title,
    }


def _place(place: CheckpointPlace) -> JSONObject:
    """The arguments that say which checkpoint."""
    return {
        **thread_columns(place.thread)._asdict(),
        "checkpoint_ns": codec.to_column(place.checkpoint_ns),
        "checkpoint_id": _column(place.checkpoint_id),
    }


def _column(name: str | None) -> str | None:
    return None if name is None else codec.to_column(name)


def _columns(rows: list[Any], count: int) -> Iterable[list[Any]]:
    """Return the columns of rows, of which there may be none."""
    return [[row[place] for row in rows] for place in range(count)]


def _hex(value: bytes) -> str:
    """Return bytes as PostgreSQL reads them."""
    return f"\\x{value.hex()}"


def _checkpoints(answer: Any) -> tuple[list[StoredCheckpoint], StoredValues]:
    rows = [CheckpointRow._make((*row, b64decode(value))) for *row, value in answer["checkpoints"]]
    values = _values(answer)
    return stored_checkpoints(rows, values, _writes(answer)), values


def _values(answer: Any) -> StoredValues:
    return StoredValues(
        ValueRow._make((*row, b64decode(value))) for *row, value in answer["values"]
    )


def _writes(answer: Any) -> list[WriteRow]:
    return [WriteRow._make((*row, b64decode(value))) for *row, value in answer["writes"]]


def _thread_info(
    namespace: str, thread_id: str, full: str | None, user_id: str | None, *columns: Any
) -> ThreadInfo:
    *times, title, waiting = columns
    created_at, updated_at, expires_at = map(time_of, times)
    return ThreadInfo(
        **thread_name_of(namespace, thread_id, full)._asdict(),
        user_id=owner_of_thread(user_id, full),
        created_at=created_at,
        updated_at=updated_at,
        expires_at=expires_at,
        title=title_of(title),
        waiting=waiting,
    )
