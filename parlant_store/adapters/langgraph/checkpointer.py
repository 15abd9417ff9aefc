"""The checkpointer of graphs, as ``builder.compile(checkpointer=...)`` takes it."""

import copy
import random
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from langgraph.checkpoint.base import BaseCheckpointSaver, get_checkpoint_id

from parlant_store.adapters.langgraph.arguments import (
    check_run_ids,
    check_thread_id,
    check_thread_ids,
    owner_of,
)
from parlant_store.adapters.langgraph.message_changes import MessageStates
from parlant_store.adapters.langgraph.serialization import Serialization
from parlant_store.adapters.langgraph.sync_calls import begin_run, in_run, submit
from parlant_store.adapters.langgraph.user_values import Names
from parlant_store.backends.contract.checkpoints import MAX_PRUNED
from parlant_store.backends.reads import primary_reads
from parlant_store.content.codec import check_name
from parlant_store.exceptions import UnreadableValue
from parlant_store.handler import stores
from parlant_store.types import CheckpointCursor, MessageChanges, StoredCheckpoint

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import (
        ChannelVersions,
        Checkpoint,
        CheckpointMetadata,
        CheckpointTuple,
        DeltaChannelHistory,
    )
    from langgraph.checkpoint.serde.base import SerializerProtocol

T = TypeVar("T")

PAGE = 100
"""The number of checkpoints that ``list`` reads at once."""


class Checkpointer(BaseCheckpointSaver[str]):
    """The checkpoints of graphs in a store.

    Any number of objects, event loops and processes may use one thread at once. Each method is one
    call of the store, and may raise the errors of parlant_store.exceptions; ``list`` makes a call
    for every hundred checkpoints, ``prune`` one for every hundred threads.

    ``configurable["user_id"]`` becomes the owner of a thread without one. A thread expires after
    the ``ttl_seconds`` of the store.
    """

    def __init__(
        self,
        store: str = "default",
        *,
        serde: "SerializerProtocol | None" = None,
        namespace: str = "",
    ) -> None:
        """
        store: alias in PARLANT_STORES.
        serde: what serializes values; None: LangGraph's JsonPlusSerializer.
        namespace: a tenant or application; the same id in another namespace is another thread.
        """
        super().__init__(serde=serde)
        self.namespace = check_name(namespace, "namespace", empty=True)
        self._store = stores[store]
        self._allowed: frozenset[Names] = frozenset()
        self._messages = MessageStates()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._store.alias!r}>"

    def setup(self) -> None:
        """Do nothing: ``manage.py migrate`` creates the tables."""

    def with_allowlist(self, extra_allowlist: Collection[Names]) -> Self:
        """Return a checkpointer that constructs these types too, also from values of users."""
        clone = copy.copy(self)
        clone.serde = super().with_allowlist(extra_allowlist).serde
        clone._allowed = self._allowed.union(extra_allowlist)
        return clone

    def get_next_version(self, current: str | int | None, channel: None) -> str:
        """Return a version that sorts after ``current`` and differs from that of other runs."""
        if current is None:
            number = 0
        else:
            number = current if isinstance(current, int) else int(current.split(".")[0])
        return f"{number + 1:032}.{random.random():016}"  # noqa: S311

    def get_tuple(self, config: "RunnableConfig") -> "CheckpointTuple | None":
        """Return the checkpoint of ``config``, or the latest one; None if there is none."""
        begin_run(self._store, config)
        stored = self._call(self._store.get_checkpoint, **self._place(config))
        return None if stored is None else self._read(stored)

    async def aget_tuple(self, config: "RunnableConfig") -> "CheckpointTuple | None":
        begin_run(self._store, config)
        with primary_reads():
            stored = await self._store.aget_checkpoint(**self._place(config))
        return None if stored is None else self._read(stored)

    def list(
        self,
        config: "RunnableConfig | None",
        *,
        filter: dict[str, Any] | None = None,
        before: "RunnableConfig | None" = None,
        limit: int | None = None,
    ) -> Iterator["CheckpointTuple"]:
        """Yield the checkpoints that match, the greatest id first.

        Without a config, those of all threads, except those of users that cannot be deserialized,
        which a user may have written so. The metadata must have the values of ``filter``; a
        dict or a list matches if it contains them. ``before`` has an id that is greater than all.
        """
        pages = _Pages(self._listing(config, filter, before), limit)
        while pages.size:
            page = self._call(self._store.list_checkpoints, **pages.options)
            yield from self._tuples_of(page, config)
            pages.turn(page)

    async def alist(
        self,
        config: "RunnableConfig | None",
        *,
        filter: dict[str, Any] | None = None,
        before: "RunnableConfig | None" = None,
        limit: int | None = None,
    ) -> AsyncIterator["CheckpointTuple"]:
        pages = _Pages(self._listing(config, filter, before), limit)
        while pages.size:
            with primary_reads():
                page = await self._store.alist_checkpoints(**pages.options)
            for found in self._tuples_of(page, config):
                yield found
            pages.turn(page)

    def put(
        self,
        config: "RunnableConfig",
        checkpoint: "Checkpoint",
        metadata: "CheckpointMetadata",
        new_versions: "ChannelVersions",
    ) -> "RunnableConfig":
        """Store a checkpoint, and the values of the channels in ``new_versions``."""
        arguments = self._checkpoint(config, checkpoint, metadata, new_versions)
        with in_run(config):
            self._call(self._store.put_checkpoint, **arguments)
        return self._stored(config, checkpoint)

    async def aput(
        self,
        config: "RunnableConfig",
        checkpoint: "Checkpoint",
        metadata: "CheckpointMetadata",
        new_versions: "ChannelVersions",
    ) -> "RunnableConfig":
        arguments = self._checkpoint(config, checkpoint, metadata, new_versions)
        await self._store.aput_checkpoint(**arguments)
        return self._stored(config, checkpoint)

    def put_writes(
        self,
        config: "RunnableConfig",
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store what a task wrote after the checkpoint of ``config``."""
        with in_run(config):
            self._call(
                self._store.put_writes,
                **self._owned(config),
                **_checkpoint_of(config),
                writes=self._values.writes_of(writes, task_id, task_path),
            )

    async def aput_writes(
        self,
        config: "RunnableConfig",
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        await self._store.aput_writes(
            **self._owned(config),
            **_checkpoint_of(config),
            writes=self._values.writes_of(writes, task_id, task_path),
        )

    def delete_thread(self, thread_id: str) -> None:
        """Delete the thread with all that belongs to it."""
        self._call(self._store.delete_thread, check_thread_id(thread_id), namespace=self.namespace)

    async def adelete_thread(self, thread_id: str) -> None:
        await self._store.adelete_thread(check_thread_id(thread_id), namespace=self.namespace)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints whose metadata has one of the run_ids, with their writes."""
        self._call(self._store.delete_runs, check_run_ids(run_ids), namespace=self.namespace)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await self._store.adelete_runs(check_run_ids(run_ids), namespace=self.namespace)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy the whole thread with its owner; a thread with the id of the target is replaced."""
        self._call(
            self._store.copy_thread,
            check_thread_id(source_thread_id),
            check_thread_id(target_thread_id),
            namespace=self.namespace,
        )

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await self._store.acopy_thread(
            check_thread_id(source_thread_id),
            check_thread_id(target_thread_id),
            namespace=self.namespace,
        )

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete all but the latest checkpoint of each namespace, or the threads ("delete").

        Ancestors that a DeltaChannel of the latest checkpoint needs stay.
        """
        ids = check_thread_ids(thread_ids, strategy)
        if strategy == "delete":
            for thread_id in ids:
                self._call(self._store.delete_thread, thread_id, namespace=self.namespace)
            return
        for batch in _batches(ids):
            self._call(self._store.prune_threads, batch, namespace=self.namespace)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        ids = check_thread_ids(thread_ids, strategy)
        if strategy == "delete":
            for thread_id in ids:
                await self._store.adelete_thread(thread_id, namespace=self.namespace)
            return
        for batch in _batches(ids):
            await self._store.aprune_threads(batch, namespace=self.namespace)

    def get_delta_channel_history(
        self, *, config: "RunnableConfig", channels: Sequence[str]
    ) -> Mapping[str, "DeltaChannelHistory"]:
        """Return the writes to each channel since an ancestor that has its value, and that value.

        It is one call of the store.
        """
        found = self._call(
            self._store.get_channel_history, **self._place(config), channels=channels
        )
        return self._values.histories_of(found)

    async def aget_delta_channel_history(
        self, *, config: "RunnableConfig", channels: Sequence[str]
    ) -> Mapping[str, "DeltaChannelHistory"]:
        with primary_reads():
            found = await self._store.aget_channel_history(**self._place(config), channels=channels)
        return self._values.histories_of(found)

    def _call(self, method: Callable[..., T], *args: Any, **options: Any) -> T:
        """Call the store on its own threads.

        LangGraph calls from threads that it starts for a run, which must not open connections of
        Django; and a transaction of the caller would lock the thread for them.
        """
        with primary_reads():
            return submit(self._store, partial(method, *args, **options))

    @property
    def _values(self) -> Serialization:
        # with_allowlist copies the object and replaces its serde.
        return Serialization(self.serde, self._allowed)

    def _read(self, stored: StoredCheckpoint) -> "CheckpointTuple":
        found = self._values.tuple_of(stored)
        if not stored.checkpoint.checkpoint_ns:
            place = stored.thread_id, stored.checkpoint.checkpoint_id
            state = found.checkpoint
            self._messages.add(place, state["channel_values"], state["channel_versions"])
        return found

    def _checkpoint(
        self,
        config: "RunnableConfig",
        checkpoint: "Checkpoint",
        metadata: "CheckpointMetadata",
        new_versions: "ChannelVersions",
    ) -> dict[str, Any]:
        """Return the arguments of ``put_checkpoint``."""
        arguments = self._values.checkpoint_of(config, checkpoint, metadata, new_versions)
        stored, messages = arguments["checkpoint"], MessageChanges()
        if not stored.checkpoint_ns:
            place = self._thread(config)["thread_id"], stored.parent_id
            values = checkpoint["channel_values"]
            messages = self._messages.changes(place, values, arguments["values"])
        return {**self._owned(config), **arguments, "messages": messages}

    def _stored(self, config: "RunnableConfig", checkpoint: "Checkpoint") -> "RunnableConfig":
        """Return the config of a checkpoint that was stored."""
        if not config["configurable"].get("checkpoint_ns"):
            place = self._thread(config)["thread_id"], checkpoint["id"]
            values = checkpoint["channel_values"]
            self._messages.add(place, values, checkpoint["channel_versions"])
        return _stored_config(config, checkpoint["id"])

    def _tuples_of(
        self, page: Sequence[StoredCheckpoint], config: "RunnableConfig | None"
    ) -> Iterator["CheckpointTuple"]:
        for stored in page:
            try:
                yield self._values.tuple_of(stored)
            except UnreadableValue:
                if config is not None:
                    raise

    def _place(self, config: "RunnableConfig") -> dict[str, Any]:
        """Return the arguments that say which checkpoint."""
        return {**self._thread(config), **_checkpoint_of(config)}

    def _thread(self, config: "RunnableConfig") -> dict[str, Any]:
        return {
            "thread_id": check_thread_id(config["configurable"].get("thread_id")),
            "namespace": self.namespace,
        }

    def _owned(self, config: "RunnableConfig") -> dict[str, Any]:
        """Return the arguments that say which thread, and its owner."""
        return {
            **self._thread(config),
            "user_id": owner_of(config["configurable"].get("user_id")),
        }

    def _listing(
        self,
        config: "RunnableConfig | None",
        filter: dict[str, Any] | None,
        before: "RunnableConfig | None",
    ) -> dict[str, Any]:
        """Return the arguments of a listing."""
        place: dict[str, Any] = {"namespace": self.namespace}
        if config is not None:
            place = self._thread(config) | {
                "checkpoint_ns": config["configurable"].get("checkpoint_ns"),
                "checkpoint_id": get_checkpoint_id(config) or None,
            }
        last = None if before is None else get_checkpoint_id(before) or None
        return {**place, "where": filter, "before": last}


class _Pages:
    """The pages of a listing."""

    def __init__(self, options: dict[str, Any], limit: int | None) -> None:
        self._options = options
        self._remaining = limit
        self._after: CheckpointCursor | None = None
        self.size = self._next_size()

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the next page."""
        return {**self._options, "limit": self.size, "after": self._after}

    def turn(self, page: Sequence[StoredCheckpoint]) -> None:
        """Go on after ``page``; the size of the next one is 0 if it was the last."""
        if self._remaining is not None:
            self._remaining -= len(page)
        if len(page) < self.size:
            self.size = 0
            return
        last = page[-1]
        self._after = CheckpointCursor(checkpoint_id=last.checkpoint.checkpoint_id, key=last.key)
        self.size = self._next_size()

    def _next_size(self) -> int:
        return PAGE if self._remaining is None else max(0, min(PAGE, self._remaining))


def _checkpoint_of(config: "RunnableConfig") -> dict[str, Any]:
    """Return the arguments that say which checkpoint of the thread."""
    return {
        "checkpoint_ns": config["configurable"].get("checkpoint_ns", ""),
        "checkpoint_id": get_checkpoint_id(config) or None,
    }


def _stored_config(config: "RunnableConfig", checkpoint_id: str) -> "RunnableConfig":
    configurable = config["configurable"]
    return {
        "configurable": {
            "thread_id": configurable["thread_id"],
            "checkpoint_ns": configurable.get("checkpoint_ns", ""),
            "checkpoint_id": checkpoint_id,
        }
    }


def _batches(thread_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(thread_ids), MAX_PRUNED):
        yield thread_ids[start : start + MAX_PRUNED]
