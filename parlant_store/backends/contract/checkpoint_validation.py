"""Checks of the ids and names of checkpoints, which columns of limited length have."""

from parlant_store.content import codec
from parlant_store.exceptions import InvalidName
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
    check_short(write.channel, "the name of a channel")
