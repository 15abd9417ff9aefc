"""Conversion of items that the OpenAI Agents SDK wrote to messages of selectools.

Messages keep their role, text and images. Consecutive tool calls become one message of the
assistant, their outputs messages of the tool. Reasoning and other items that selectools cannot
represent are left out of a memory and stay in the session.
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
    """Messages as selectools' dicts, and the number of items up to the end of each."""

    dicts: list[JSONObject]
    ends: list[int]


def is_message(item: object) -> bool:
    """Whether ``item`` is a message as selectools writes it."""
    if not isinstance(item, dict):
        return False
    role, content = item.get("role"), item.get("content", "")
    return isinstance(content, str) and isinstance(role, str) and ROLES.get(role) == role


def messages_from_items(items: Sequence[object]) -> Messages:
    """Convert items; an item without a message counts to the message after it."""
    messages = Messages([], [])
    names: dict[str, str] = {}
    follows_call = False
    for end, item in enumerate(items, start=1):
        calls = is_call(item)
        message = _message(item, names)
        if message is None:
            continue
        if calls and follows_call:
            messages.dicts[-1]["tool_calls"] += message["tool_calls"]
            messages.ends[-1] = end
        else:
            messages.dicts.append(message)
            messages.ends.append(end)
        follows_call = calls
    if messages.ends:
        messages.ends[-1] = len(items)
    return messages


def is_call(item: object) -> bool:
    return isinstance(item, dict) and item.get("type") == "function_call"


def _message(item: object, names: dict[str, str]) -> JSONObject | None:
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
    """Return the field ``content_parts`` for content with images."""
    parts: list[JSONObject] = []
    for part in _parts(item.get("content")):
        if isinstance(part.get("image_url"), str):
            parts.append({"type": "image_url", "image_url": part["image_url"]})
        elif isinstance(part.get("text"), str):
            parts.append({"type": "text", "text": part["text"]})
    return {"content_parts": parts} if any(p["type"] == "image_url" for p in parts) else {}
