"""Checks of the arguments of a checkpointer, of which LangGraph checks none."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from parlant_store.exceptions import InvalidName


def check_thread_id(thread_id: Any) -> str:
    """Return the id as text; raise InvalidName if it is None, as that of a missing login."""
    if thread_id is None:
        raise InvalidName(
            'a checkpointer needs the id of a thread: config["configurable"]["thread_id"] is '
            "missing or None"
        )
    return str(thread_id)


def owner_of(user_id: Any) -> str | None:
    """Return the id of the user as text; raise InvalidName for other objects, such as a User."""
    if user_id is None or user_id == "":
        return None
    if isinstance(user_id, bool) or not isinstance(user_id, (str, int, UUID)):
        raise InvalidName(
            'config["configurable"]["user_id"] must be text, a whole number or a UUID, not '
            f"{type(user_id).__name__}"
        )
    return str(user_id)


def check_run_ids(run_ids: Sequence[Any]) -> list[str]:
    return [*map(str, _sequence(run_ids, "run_ids"))]


def check_thread_ids(thread_ids: Sequence[Any], strategy: str) -> list[str]:
    """Check the arguments of ``prune``."""
    if strategy not in ("keep_latest", "delete"):
        raise ValueError(f'strategy must be "keep_latest" or "delete", not {strategy!r}')
    return [*map(check_thread_id, _sequence(thread_ids, "thread_ids"))]


def _sequence(ids: Sequence[Any], what: str) -> Sequence[Any]:
    if isinstance(ids, str):
        raise TypeError(f"{what} must be a sequence of ids, not text")
    return ids
