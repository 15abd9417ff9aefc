"""A memory, or a dict, as the items and the state of a snapshot, and back.

A memory's messages are the items, as ``Message.to_dict`` says them without what is None; its
limits and its summary are the state. Of a dict, the list ``messages`` is the items if it
holds dicts alone; the rest is the state.
"""

import json
import logging
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from selectools.memory import ConversationMemory
from selectools.types import Message

from parlant_store.adapters.selectools.foreign import is_message, translate
from parlant_store.types import JSONObject, Snapshot

logger = logging.getLogger("parlant_store")

FORM = "selectools"
"""The state's field that says what was saved: "memory" or "dict"."""

NO_LIMIT = sys.maxsize
"""max_messages of a session that no memory was saved to: what others wrote is not dropped."""


class Content(NamedTuple):
    """What is to be saved."""

    state: JSONObject
    parts: Sequence[Any]
    marks: "array[int]"
    """A number for each of ``parts``, another one as soon as it is another one."""

    item_of: Callable[[Any], JSONObject]
    """Says one of ``parts`` as an item."""


class Loaded(NamedTuple):
    """What was saved, and its marks (parlant_store.adapters.selectools.remembered)."""

    value: Any
    marks: "array[int]"
    ends: list[int] | None


def content_of(saved: Any) -> Content:
    """What ``saved`` holds at this moment. Raises TypeError when it is no memory and no dict."""
    if isinstance(saved, ConversationMemory):
        messages = saved.get_history()
        state = {
            FORM: "memory",
            "max_messages": saved.max_messages,
            "max_tokens": saved.max_tokens,
            "summary": saved.summary,
        }
        return Content(state, messages, _marks(_message_mark, messages), _item_of)
    if not isinstance(saved, dict):
        raise TypeError(f"a ConversationMemory or a dict can be saved, not {type(saved).__name__}")
    items = saved.get("messages")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return Content({FORM: "dict", "data": saved}, [], array("q"), dict)
    rest = {name: value for name, value in saved.items() if name != "messages"}
    state = {FORM: "dict", "data": rest, "messages": True}
    return Content(state, list(items), _marks(_dict_mark, items), _same)


def loaded_from(snapshot: Snapshot, name: object) -> Loaded:
    """What was saved as ``snapshot``; a memory when no dict was."""
    state, items = snapshot.state, snapshot.items
    data = state.get("data")
    if state.get(FORM) != "dict" or not isinstance(data, dict):
        return _memory(items, state, name)
    if "messages" not in data and (items or state.get("messages")):
        dicts = [item for item in items if isinstance(item, dict)]
        known = dicts if len(dicts) == len(items) else []
        return Loaded({**data, "messages": dicts}, _marks(_dict_mark, known), None)
    return Loaded(data, array("q"), None)


def _memory(items: list[Any], state: JSONObject, name: object) -> Loaded:
    dicts, ends = (items, None) if all(map(is_message, items)) else translate(items)
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
    # It leaves out answers of tools at the beginning, whose calls were cut off.
    marks = array("q", bytes(8 * (len(dicts) - len(messages))))
    return Loaded(memory, marks + _marks(_message_mark, messages), ends)


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


def _marks(mark: Callable[[Any], int], parts: Sequence[Any]) -> "array[int]":
    return array("q", map(mark, parts))


def _message_mark(message: Any) -> int:
    if message.tool_calls or message.content_parts:
        return _json_mark(message.to_dict())
    fields = (
        message.role._value_,
        message.content,
        message.tool_name,
        message.tool_result,
        message.tool_call_id,
        message.image_base64,
    )
    try:
        return hash(fields)
    except TypeError:
        return _json_mark(message.to_dict())


def _dict_mark(item: JSONObject) -> int:
    for value in item.values():
        if type(value) is not str and value is not None:
            return _json_mark(item)
    return hash(tuple(item.items()))


def _json_mark(item: JSONObject) -> int:
    try:
        return hash(json.dumps(item))
    except (TypeError, ValueError, RecursionError):
        # It cannot be stored, and the store will say why; until then it is like no other.
        return hash(object())
