"""Whole turns: the latest items of a session, from an item that a model accepts as the first.

An output never comes without its call, nor a call without its reasoning, program or approval:
providers refuse such a history. The item types of all frameworks are supported, and new types of
tools by the suffixes of their names (``_call``, ``_call_output``).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from parlant_store.types import JSONObject

MISSING = -1
"""The index of a required item that is missing."""

MAX_RESPONSE = 64
"""Limit on the items before the window to search for the reasoning of its first item."""

_CONTEXT_ROLES = ("system", "developer")
_INPUT_ROLES = ("user", "tool", "function", *_CONTEXT_ROLES)
_CONTEXT_TYPES = ("additional_tools", "configuration_update", "mcp_list_tools")
_INPUT_TYPES = ("compaction", "compaction_trigger", "configuration_update")
_OTHER_CALLS = ("program", "mcp_approval_request")


def whole_turns(items: list[JSONObject], limit: int) -> list[JSONObject]:
    """Return at most the ``limit`` latest ``items``.

    They start with the first message of a user and the instructions right before it, or with a
    compaction; if no such item can be the first, with any item that can.
    """
    return items if len(items) <= limit else items[_start(items, limit) :]


def valid_items(items: list[JSONObject], limit: int) -> list[JSONObject]:
    """Return at most the ``limit`` latest ``items``, from one that can be the first."""
    if len(items) <= limit:
        return items
    starts = [*_starts(_needs(items), len(items) - limit)]
    return items[starts[-1] :] if starts else []


def is_inside_response(items: list[JSONObject], limit: int) -> bool:
    """Whether the window starts inside a response of the model that starts before ``items``."""
    if len(items) <= limit or _type(items[0]) == "reasoning":
        return False
    start = _start(items, limit)
    return start < len(items) and all(map(_is_from_model, items[: start + 1]))


def _start(items: list[JSONObject], limit: int) -> int:
    needs = _needs(items)
    earliest = len(items) - limit
    starts = [*_starts(needs, earliest)]
    turns = [
        place
        for place in starts
        if items[place].get("role") == "user" or _type(items[place]) == "compaction"
    ]
    if not turns:
        return starts[-1] if starts else len(items)
    turn = turns[-1]
    while turn > earliest and _is_context(items[turn - 1]) and needs[turn - 1] == turn - 1:
        turn -= 1
    return turn


def _starts(needs: list[int], earliest: int) -> Iterator[int]:
    """Yield the places from ``earliest`` on that need nothing before them, the last one first."""
    lowest = len(needs)
    for place in range(len(needs) - 1, earliest - 1, -1):
        lowest = min(lowest, needs[place])
        if lowest == place:
            yield place


def _needs(items: list[JSONObject]) -> list[int]:
    """Return for each item the lowest index that it requires: its own, a lower one or MISSING."""
    needs = []
    calls: dict[str, int] = {}
    reasoning: int | None = None
    reference: int | None = None
    for place, item in enumerate(items):
        calls.update(dict.fromkeys(_calls_of(item), place))
        need = place
        for names in _calls_needed(item):
            call = next((calls[name] for name in names if name in calls), reference)
            need = min(need, MISSING if call is None else call)
        after_reasoning = place > 0 and _type(items[place - 1]) == "reasoning"
        if reasoning is not None and (after_reasoning or _is_from_model(item)):
            need = min(need, reasoning)
        needs.append(need)
        if _type(item) == "reasoning" and not after_reasoning:
            reasoning = place
        elif _is_input(item):
            reasoning = None
        if _type(item) == "item_reference" or item.keys() == {"id"}:
            reference = place if reference is None else reference
        elif "role" in item:
            reference = None
    return needs


def _calls_of(item: JSONObject) -> Iterator[str]:
    """Return the keys by which outputs refer to calls in the item: ids, and the type of call."""
    type_ = _type(item)
    if type_.endswith("_call") or type_ in _OTHER_CALLS:
        yield from _texts(item.get("call_id"), item.get("id"))
        yield _kind(type_.removesuffix("_call"))
    for call in _objects(item.get("tool_calls")):
        yield from _texts(call.get("id"))
        yield _kind("tool")
    if isinstance(function_call := item.get("function_call"), Mapping):
        yield _kind("function", function_call.get("name"))
    for part in _objects(item.get("content")):
        if _type(part).endswith("tool_use"):
            yield from _texts(part.get("id"))


def _calls_needed(item: JSONObject) -> Iterator[list[str]]:
    """Return for each call that the item requires the keys that it may have."""
    type_ = _type(item)
    if type_.endswith("_output"):
        kind = _kind(type_.removesuffix("_output").removesuffix("_call"))
        # Without a call_id, the id is the call's (local_shell) or the output's own (tool_search).
        yield [*_texts(item.get("call_id"))] or [*_texts(item.get("id")), kind]
    elif item.get("role") == "tool":
        yield [*_texts(item.get("tool_call_id"))] or [_kind("tool")]
    elif item.get("role") == "function":
        yield [_kind("function", item.get("name"))]
    caller = item.get("caller")
    by_id = [item.get("approval_request_id")]
    by_id += [caller.get("caller_id")] if isinstance(caller, Mapping) else []
    by_id += [part.get("tool_use_id") for part in _objects(item.get("content"))]
    yield from ([id_] for id_ in _texts(*by_id))


def _is_from_model(item: JSONObject) -> bool:
    type_ = _type(item)
    is_call = type_.endswith("_call") or type_ in _OTHER_CALLS
    return item.get("role") == "assistant" or is_call or type_ == "reasoning"


def _is_input(item: JSONObject) -> bool:
    """Whether a model's response ends before the item."""
    type_ = _type(item)
    is_answer = type_.endswith(("_output", "_response")) or type_ in _INPUT_TYPES
    return item.get("role") in _INPUT_ROLES or is_answer


def _is_context(item: JSONObject) -> bool:
    return item.get("role") in _CONTEXT_ROLES or _type(item) in _CONTEXT_TYPES


def _type(item: Mapping[str, Any]) -> str:
    return str(item.get("type") or "")


def _kind(*names: object) -> str:
    """Return a key that differs from all ids, because it contains a NUL."""
    return "\0".join(["", *map(str, names)])


def _texts(*values: object) -> Iterator[str]:
    return (value for value in values if isinstance(value, str) and value)


def _objects(value: object) -> list[Mapping[str, Any]]:
    parts = value if isinstance(value, list) else []
    return [part for part in parts if isinstance(part, Mapping)]
