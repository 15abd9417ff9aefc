"""Items that the OpenAI Agents SDK wrote, as selectools says messages.

Messages keep their role, text and images; calls of tools that follow each other become one
message of the assistant, their outputs messages of the tool. Reasoning and whatever else
selectools has no words for is left out of a memory, and stays in the session.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from parlant_store.types import JSONObject

ROLES = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
}


class Messages(NamedTuple):
    """Messages in selectools' words, and how many items there are up to the end of each."""

    dicts: list[JSONObject]
    ends: list[int]


def is_message(item: object) -> bool:
    """Whether ``item`` is a message in selectools' own words."""
    if not isinstance(item, dict):
        return False
    role, content = item.get("role"), item.get("content", "")
    return isinstance(content, str) and isinstance(role, str) and ROLES.get(role) == role


def translate(items: Sequence[object]) -> Messages:
    """``items`` as messages; those that are none belong to the message after them."""
    found = Messages([], [])
    names: dict[str, str] = {}
    joins = False
    for end, item in enumerate(items, start=1):
        calls = is_call(item)
        message = _translated(item, names)
        if message is None:
            continue
        if calls and joins:
            found.dicts[-1]["tool_calls"] += message["tool_calls"]
            found.ends[-1] = end
        else:
            found.dicts.append(message)
            found.ends.append(end)
        joins = calls
    if found.ends:
        found.ends[-1] = len(items)
    return found


def is_call(item: object) -> bool:
    return isinstance(item, dict) and item.get("type") == "function_call"


def _translated(item: object, names: dict[str, str]) -> JSONObject | None:
    if not isinstance(item, dict):
        return None
    if is_message(item):
        return item
    if is_call(item):
        call_id, name = str(item.get("call_id", "")), str(item.get("name", ""))
        names[call_id] = name
        call = {"name": name, "parameters": _parameters(item.get("arguments")), "id": call_id}
        return {"role": "assistant", "content": "", "tool_calls": [call]}
    if item.get("type") == "function_call_output":
        call_id, output = str(item.get("call_id", "")), item.get("output")
        content = output if isinstance(output, str) else _text(output) or json.dumps(output)
        return {
            "role": "tool",
            "content": content,
            "tool_call_id": call_id,
            "tool_name": names.get(call_id),
        }
    role = item.get("role")
    if isinstance(role, str) and role in ROLES:
        return {"role": ROLES[role], "content": _text(item.get("content")), **_images(item)}
    return None


def _parameters(arguments: object) -> JSONObject:
    try:
        parameters = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        parameters = None
    return parameters if isinstance(parameters, dict) else {}


def _parts(content: object) -> list[Mapping[str, Any]]:
    parts = content if isinstance(content, (list, tuple)) else ()
    return [part for part in parts if isinstance(part, Mapping)]


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    texts = [part.get("text", part.get("refusal")) for part in _parts(content)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _images(item: Mapping[str, Any]) -> JSONObject:
    """The field ``content_parts``, for content that has images."""
    parts: list[JSONObject] = []
    for part in _parts(item.get("content")):
        if isinstance(part.get("image_url"), str):
            parts.append({"type": "image_url", "image_url": part["image_url"]})
        elif isinstance(part.get("text"), str):
            parts.append({"type": "text", "text": part["text"]})
    return {"content_parts": parts} if any(p["type"] == "image_url" for p in parts) else {}
