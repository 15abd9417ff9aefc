"""Turns with their messages and tools, as AdvancedSQLiteSession returns them."""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from parlant_store.content.items import USER, role_of
from parlant_store.types import JSONObject

TypedItem = tuple[str, str | None]
"""The type of an item, and the name of its tool."""

_TOOL_SEARCH = "tool_search"
_MCP = ("mcp_call", "mcp_approval_request")
_NAMED_BY_TYPE = (
    "computer_call",
    "file_search_call",
    "web_search_call",
    "code_interpreter_call",
    "shell_call",
    "apply_patch_call",
)
_CALLS = (
    *("tool_call", "function_call", "custom_tool_call", "tool_search_call"),
    *(*_MCP, *_NAMED_BY_TYPE),
)


def described(
    messages: Iterable[tuple[int, str | None, JSONObject | None]], max_length: int = sys.maxsize
) -> list[JSONObject]:
    """Describe turns by their numbers, the times and the messages; ``content`` is shortened."""
    # There may be thousands: no calls for a short text.
    return [
        {
            "turn": turn,
            "content": content
            if type(content) is str and len(content) <= max_length
            else _preview(content, max_length),
            "full_content": content,
            "timestamp": created_at,
            "can_branch": True,
        }
        for turn, created_at, item in messages
        for content in ["" if item is None else item.get("content", "")]
    ]


def matching(turns: Iterable[JSONObject], search_term: str) -> Iterator[JSONObject]:
    """Yield the described turns with the term in a text, whatever the case of ASCII letters."""
    search = re.compile(re.escape(search_term), re.IGNORECASE | re.ASCII).search
    for turn in turns:
        if any(search(text) for text in _texts(turn["full_content"])):
            yield turn


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        text = part.get("text", "") if isinstance(part, dict) else None
        if isinstance(text, str):
            yield text


def _preview(content: Any, max_length: int) -> str:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return text if len(text) <= max_length else text[:max_length] + "..."


def by_turns(items: Iterable[Mapping[str, Any]], first_turn: int = 1) -> dict[int, list[TypedItem]]:
    """Return the items of each turn; ``first_turn`` is the number of the first one with a message.

    Items before the first message of a user are turn 0.
    """
    turns: dict[int, list[TypedItem]] = {}
    turn = 0
    for item in items:
        if role_of(item) == USER:
            turn = turn + 1 if turn else first_turn
        turns.setdefault(turn, []).append((type_of(item), tool_name(item)))
    return turns


def count_tools(turn: Iterable[TypedItem]) -> Counter[str | None]:
    """Return how often each tool is called; a search of tools counts once with its output."""
    items = list(turn)
    calls = Counter(name for type_, name in items if type_ in _CALLS)
    if _TOOL_SEARCH not in calls:
        outputs = sum(type_ == "tool_search_output" for type_, _ in items)
        calls.update({_TOOL_SEARCH: outputs} if outputs else {})
    return calls


def type_of(item: Mapping[str, Any]) -> str:
    role = item.get("role")
    return role if role in ("user", "assistant") else str(item.get("type") or "other")


def tool_name(item: Mapping[str, Any]) -> str | None:
    type_, name = item.get("type"), item.get("name")
    if type_ in _MCP and "server_label" in item:
        return ".".join(str(part) for part in (item["server_label"], name) if part) or None
    if type_ in _NAMED_BY_TYPE:
        return str(type_)
    if type_ in ("tool_search_call", "tool_search_output"):
        return _TOOL_SEARCH
    if name is None:
        return None
    namespace = item.get("namespace")
    # A tool that was loaded later, without a namespace, has its own name as one.
    is_bare = not name or not namespace or namespace == name
    return str(name) if is_bare else f"{namespace}.{name}"
