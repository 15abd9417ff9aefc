"""Checks of the ids and names of checkpoints, which columns of limited length have."""

from collections.abc import Mapping, Sequence
from typing import Any

from parlant_store.content import codec
from parlant_store.exceptions import InvalidFilter, InvalidName
from parlant_store.types import Checkpoint, TaskWrite, Version


def check_text(value: str, what: str) -> str:
    if not isinstance(value, str):
        raise InvalidName(f"{what} must be text, not {type(value).__name__}")
    return value


def check_short(value: str, what: str) -> str:
    """Check a name whose column is never shortened."""
    if codec.is_long(check_text(value, what)):
        raise InvalidName(f"{what} has more than {codec.MAX_COLUMN_BYTES} bytes in UTF-8")
    return value


def check_texts(values: Sequence[str], what: str) -> list[str]:
    return [check_text(value, f"each of {what}") for value in codec.check_list(values, what)]


def metadata_filter(where: Mapping[str, Any] | None) -> str | None:
    """Return the filter as JSON; None if it matches all metadata."""
    if where is not None and not isinstance(where, Mapping):
        raise InvalidFilter(f"filter must be a dict, not {type(where).__name__}")
    return codec.encode_document(dict(where), "filter") if where else None


def check_checkpoint(checkpoint: Checkpoint) -> None:
    check_text(checkpoint.checkpoint_ns, "checkpoint_ns")
    check_short(checkpoint.checkpoint_id, "checkpoint_id")
    if checkpoint.parent_id is not None:
        check_short(checkpoint.parent_id, "parent_id")
    names = [*checkpoint.versions, *map(str, checkpoint.versions.values())]
    # One check of all names is enough for most checkpoints.
    if not {*map(type, names)} <= {str} or not codec.are_short(names):
        for channel, version in checkpoint.versions.items():
            check_channel(channel, version)


def check_channel(channel: str, version: Version) -> None:
    check_short(channel, "the name of a channel")
    check_short(str(version), "the version of a channel")


def check_write(write: TaskWrite) -> None:
    check_short(write.task_id, "task_id")
    check_text(write.task_path, "task_path")
    check_short(write.channel, "the name of a channel")
