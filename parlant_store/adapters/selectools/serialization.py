"""Conversion between memories or dicts and the items and state of a snapshot.

The messages of a memory become items: ``Message.to_dict`` without the fields that are None. Its
limits and summary become the state. In a dict, the list ``messages`` becomes the items if it
contains only dicts; the rest becomes the state.
"""

import logging
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from selectools.memory import ConversationMemory
from selectools.types import Message

from parlant_store.adapters.selectools.message_hashes import (
    MemoryHashes,
    dict_hashes,
    message_hashes,
)
from parlant_store.adapters.selectools.openai_items import is_message, messages_from_items
from parlant_store.types import JSONObject, Snapshot

logger = logging.getLogger("parlant_store")

FORM = "selectools"
"""The field of the state with the saved type: "memory" or "dict"."""

NO_LIMIT = sys.maxsize
"""max_messages of a session that another framework wrote, so that no message is dropped."""


class Serialized(NamedTuple):
    """The state and the items of a snapshot to save."""

    state: JSONObject
    parts: Sequence[Any]
    hashes: "array[int]"
    """A hash of each of ``parts``."""

    item_of: Callable[[Any], JSONObject]
    """Converts one of ``parts`` to an item."""


class Deserialized(NamedTuple):
    """A memory or dict, and the hashes of its messages (see change_tracking.SavedState)."""

    value: Any
    hashes: "array[int]"
    ends: list[int] | None


def serialize(value: Any, hashes: MemoryHashes) -> Serialized:
    """Return the current content of a memory or dict; raise TypeError for other types."""
    if isinstance(value, ConversationMemory):
        messages = value.get_history()
        state = {
            FORM: "memory",
            "max_messages": value.max_messages,
            "max_tokens": value.max_tokens,
            "summary": value.summary,
        }
        return Serialized(state, messages, hashes.of(value, messages), _item_of)
    if not isinstance(value, dict):
        raise TypeError(f"a ConversationMemory or a dict can be saved, not {type(value).__name__}")
    items = value.get("messages")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return Serialized({FORM: "dict", "data": value}, [], array("q"), dict)
    rest = {name: value for name, value in value.items() if name != "messages"}
    state = {FORM: "dict", "data": rest, "messages": True}
    return Serialized(state, list(items), dict_hashes(items), _same)


def deserialize(snapshot: Snapshot, name: object) -> Deserialized:
    """Return the dict that was saved as ``snapshot``, or else a memory."""
    state, items = snapshot.state, snapshot.items
    data = state.get("data")
    if state.get(FORM) != "dict" or not isinstance(data, dict):
        return _memory(items, state, name)
    if "messages" not in data and (items or state.get("messages")):
        dicts = [item for item in items if isinstance(item, dict)]
        hashed = dicts if len(dicts) == len(items) else []
        return Deserialized({**data, "messages": dicts}, dict_hashes(hashed), None)
    return Deserialized(data, array("q"), None)


def _memory(items: list[Any], state: JSONObject, name: object) -> Deserialized:
    dicts, ends = (items, None) if all(map(is_message, items)) else messages_from_items(items)
    try:
        memory = _memory_of(dicts, state)
    except (LookupError, TypeError, ValueError, AttributeError):
        places = [place for place, message in enumerate(dicts) if _is_readable(message)]
        logger.warning("Skipped %d damaged messages of %r", len(dicts) - len(places), name)
        ends = [place + 1 if ends is None else ends[place] for place in places]
        if ends:
            ends[-1] = len(items)
        memory = _memory_of([dicts[place] for place in places], state)
        dicts = [dicts[place] for place in places]
    messages = memory.get_history()
    # get_history() leaves out tool results at the start whose calls are not in the memory.
    hashes = array("q", bytes(8 * (len(dicts) - len(messages))))
    return Deserialized(memory, hashes + message_hashes(messages), ends)


def _memory_of(dicts: Sequence[JSONObject], state: JSONObject) -> Any:
    summary = state.get("summary")
    return ConversationMemory.from_dict(
        {
            "max_messages": _limit(state.get("max_messages")) or NO_LIMIT,
            "max_tokens": _limit(state.get("max_tokens")),
            "messages": dicts,
            "summary": summary if isinstance(summary, str) else None,
        }
    )


def _limit(value: object) -> int | None:
    return value if type(value) is int and value > 0 else None


def _is_readable(message: JSONObject) -> bool:
    try:
        Message.from_dict(message)
    except (LookupError, TypeError, ValueError, AttributeError):
        return False
    return True


def _item_of(message: Any) -> JSONObject:
    return {name: value for name, value in message.to_dict().items() if value is not None}


def _same(item: JSONObject) -> JSONObject:
    return item
