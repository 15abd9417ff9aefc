"""Conversion between the checkpoints of LangGraph and those of a store."""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import WRITES_IDX_MAP, CheckpointTuple, get_checkpoint_metadata

from parlant_store.adapters.langgraph import user_values
from parlant_store.content.checkpoint_state import METADATA, VALUES, split_metadata
from parlant_store.exceptions import UnreadableValue
from parlant_store.types import (
    USER_MARK,
    ChannelHistory,
    ChannelValue,
    Checkpoint,
    StoredCheckpoint,
    TaskWrite,
    TypedBytes,
)

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import (
        ChannelVersions,
        CheckpointMetadata,
        DeltaChannelHistory,
        PendingWrite,
    )
    from langgraph.checkpoint.base import Checkpoint as GraphCheckpoint
    from langgraph.checkpoint.serde.base import SerializerProtocol

_COLUMNS = ("channel_values", "channel_versions")
"""The fields of a checkpoint that are stored beside its value."""


class Serialization:
    """Reads and writes the values of checkpoints with a serializer.

    Values that users of Supabase wrote are read by ``user_values``, whatever the serializer is.
    """

    def __init__(
        self, serde: "SerializerProtocol", allowed: Collection[user_values.Names] = ()
    ) -> None:
        self._serde = serde
        self._allowed = allowed

    def checkpoint_of(
        self,
        config: "RunnableConfig",
        checkpoint: "GraphCheckpoint",
        metadata: "CheckpointMetadata",
        new_versions: "ChannelVersions",
    ) -> dict[str, Any]:
        """Return the arguments of ``put_checkpoint`` for the checkpoint."""
        configurable, values = config["configurable"], checkpoint["channel_values"]
        state = {name: each for name, each in checkpoint.items() if name not in _COLUMNS}
        plain, others = split_metadata(get_checkpoint_metadata(config, metadata))
        if others:
            state[METADATA] = others
        stored = Checkpoint(
            checkpoint_ns=configurable.get("checkpoint_ns", ""),
            checkpoint_id=checkpoint["id"],
            parent_id=configurable.get("checkpoint_id") or None,
            value=self._dump(state),
            versions=checkpoint["channel_versions"],
            metadata=plain,
        )
        changed = [
            ChannelValue(channel=name, version=version, value=self._dump(values[name]))
            for name, version in new_versions.items()
            if name in values
        ]
        return {"checkpoint": stored, "values": changed}

    def writes_of(
        self, writes: Iterable[tuple[str, Any]], task_id: str, task_path: str
    ) -> list[TaskWrite]:
        return [
            TaskWrite(
                task_id=task_id,
                idx=WRITES_IDX_MAP.get(channel, idx),
                channel=channel,
                value=self._dump(value),
                task_path=task_path,
            )
            for idx, (channel, value) in enumerate(writes)
        ]

    def tuple_of(self, stored: StoredCheckpoint) -> CheckpointTuple:
        checkpoint, parent_id = stored.checkpoint, stored.checkpoint.parent_id
        state = self._state_of(checkpoint.value)
        metadata = checkpoint.metadata | state.pop(METADATA, {})
        others = state.pop(VALUES, {})
        values = {
            name: self._load(value) for name, value in stored.values.items() if name not in others
        }
        return CheckpointTuple(
            config=_config(stored, checkpoint.checkpoint_id),
            checkpoint=state
            | {"channel_values": values | others, "channel_versions": {**checkpoint.versions}},
            metadata=metadata,
            parent_config=None if parent_id is None else _config(stored, parent_id),
            pending_writes=[*map(self._pending, stored.writes)],
        )

    def histories_of(self, found: Mapping[str, ChannelHistory]) -> dict[str, "DeltaChannelHistory"]:
        histories: dict[str, DeltaChannelHistory] = {}
        for channel, history in found.items():
            histories[channel] = {"writes": [*map(self._pending, history.writes)]}
            if history.seed is not None:
                histories[channel]["seed"] = self._load(history.seed)
        return histories

    def _pending(self, write: TaskWrite) -> "PendingWrite":
        return write.task_id, write.channel, self._load(write.value)

    def _dump(self, value: Any) -> TypedBytes:
        type_, data = self._serde.dumps_typed(value)
        return TypedBytes(type_, bytes(data))

    def _state_of(self, value: TypedBytes) -> Any:
        state = self._load(value)
        if value.type.startswith(USER_MARK) and not (
            isinstance(state, dict)
            and all(isinstance(state.get(name, {}), dict) for name in (METADATA, VALUES))
        ):
            raise UnreadableValue("a checkpoint that a user wrote is not a dict")
        return state

    def _load(self, value: TypedBytes) -> Any:
        if value.type.startswith(USER_MARK):
            return user_values.load(value, self._serde, self._allowed)
        return self._serde.loads_typed(value)


def _config(stored: StoredCheckpoint, checkpoint_id: str) -> "RunnableConfig":
    return {
        "configurable": {
            "thread_id": stored.thread_id,
            "checkpoint_ns": stored.checkpoint.checkpoint_ns,
            "checkpoint_id": checkpoint_id,
        }
    }
