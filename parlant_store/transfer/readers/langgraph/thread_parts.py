"""A thread, made of the checkpoints and writes of a saver."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from parlant_store.content.checkpoint_state import METADATA, VALUES, split_metadata
from parlant_store.content.codec import check_name
from parlant_store.exceptions import InvalidName
from parlant_store.transfer.readers.base import Unreadable, time_of
from parlant_store.transfer.readers.langgraph.serialized import dump
from parlant_store.types import (
    ChannelValue,
    Checkpoint,
    CheckpointRecord,
    JSONObject,
    ThreadRecord,
    TypedBytes,
    ValueRecord,
    Version,
    WriteRecord,
)


class SavedCheckpoint(NamedTuple):
    """A checkpoint as a saver has stored it."""

    checkpoint_ns: str
    checkpoint_id: str
    parent_id: str | None
    type: str
    """The serialization of its state, "msgpack" or "json"."""

    state: JSONObject
    """The fields of the checkpoint, with the values of channels that it contains."""

    metadata: JSONObject


class ThreadParts:
    """Collects the parts of a thread, the latest checkpoint first."""

    def __init__(self) -> None:
        self.writes: list[WriteRecord] = []
        self._checkpoints: list[CheckpointRecord] = []
        self._values: dict[tuple[str, str, str], TypedBytes] = {}
        self._versions: dict[tuple[str, str, str], Version] = {}
        self._times: list[datetime] = []
        self._user_id: str | None = None
        self.is_encrypted = False
        """Whether there are checkpoints that are encrypted as a whole."""

        self.has_unreadable = False
        """Whether there are others that cannot be read."""

    @property
    def has_checkpoints(self) -> bool:
        return bool(self._checkpoints)

    def add(self, saved: SavedCheckpoint) -> None:
        """Add a checkpoint; raise Unreadable if it has not the fields of one."""
        state = dict(saved.state)
        versions = versions_of(state.pop("channel_versions", {}))
        values = state.pop("channel_values", None) or {}
        if not isinstance(values, dict):
            raise Unreadable("its channel_values are not an object")
        others = self._share(saved, versions, values)
        metadata, more = split_metadata(saved.metadata)
        state |= {METADATA: more} if more else {}
        state |= {VALUES: others} if others else {}
        time = time_of(state.get("ts"))
        if time is not None:
            self._times.append(time)
        self._user_id = owner_of(metadata) or self._user_id
        checkpoint = Checkpoint(
            checkpoint_ns=saved.checkpoint_ns,
            checkpoint_id=saved.checkpoint_id,
            parent_id=saved.parent_id or None,
            value=dump(saved.type, state),
            versions=versions,
            metadata=metadata,
        )
        self._checkpoints.append(CheckpointRecord(checkpoint, time))

    def set_value(self, ns: str, channel: str, version: str, value: TypedBytes) -> None:
        """Set the value of a channel at a version, if a checkpoint has it; ``version`` is text."""
        place = (ns, channel, version)
        if place in self._versions:
            self._values[place] = value

    def record(self, namespace: str, thread_id: str) -> ThreadRecord:
        return ThreadRecord(
            namespace=namespace,
            thread_id=thread_id,
            user_id=self._user_id,
            checkpoints=self._checkpoints,
            values=[
                ValueRecord(
                    ns, ChannelValue(channel=channel, version=self._versions[place], value=value)
                )
                for place, value in self._values.items()
                for ns, channel, _ in [place]
            ],
            writes=self.writes,
            created_at=min(self._times, default=None),
            updated_at=max(self._times, default=None),
        )

    def _share(
        self, saved: SavedCheckpoint, versions: Mapping[str, Version], values: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Store the values for all checkpoints; return those that are not the ones of a version.

        A node may have changed a value without a new version; the latest checkpoint goes on with
        its own.
        """
        for channel, version in versions.items():
            self._versions[saved.checkpoint_ns, channel, str(version)] = version
        others = {}
        for channel, value in values.items():
            serialized = dump(saved.type, value)
            place = (saved.checkpoint_ns, channel, str(versions.get(channel)))
            if channel not in versions or self._values.setdefault(place, serialized) != serialized:
                others[channel] = value
        return others


def owner_of(metadata: Mapping[str, Any]) -> str | None:
    """Return the owner of a thread, which the configuration of a run names."""
    user_id = metadata.get("user_id")
    try:
        return None if user_id in (None, "") else check_name(str(user_id), "user_id")
    except InvalidName:
        return None


def versions_of(versions: Any) -> dict[str, Version]:
    """Return the versions of channels, which can be compared; raise Unreadable."""
    if not isinstance(versions, dict) or not all(isinstance(channel, str) for channel in versions):
        raise Unreadable("its channel_versions are not an object whose values can be compared")
    kinds = {type(version) for version in versions.values()}
    if kinds != {str} and not kinds <= {int, float}:
        raise Unreadable("its channel_versions are not an object whose values can be compared")
    return versions


def parse_metadata(metadata: object) -> JSONObject:
    """Return the metadata of a row, of which the text is JSON; raise Unreadable."""
    if metadata is None:
        return {}
    try:
        value = json.loads(metadata) if isinstance(metadata, (str, bytes)) else metadata
    except (ValueError, RecursionError) as exc:
        raise Unreadable(f"its metadata is no JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise Unreadable("its metadata is no JSON object")
    return value
