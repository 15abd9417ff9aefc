"""The messages of a LangGraph thread as plain data, and their words for search.

Messages are those of LangChain (langchain_core.messages), whatever serializer has written them.
Nothing that stored bytes name is imported or called.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from parlant_store.content import codec, messagepack
from parlant_store.content.items import SEARCHED_ROLES, USER, role_of, searched_text, text_of
from parlant_store.content.text_search import MAX_SEARCHED, words
from parlant_store.content.tool_texts import tool_words
from parlant_store.types import USER_MARK, TypedBytes

MESSAGES = "messages"
"""The channel of the messages (langgraph.graph.message.MessagesState)."""

MAX_VALUES = 1_000
"""Limit on the values that are read of a message."""

MAX_TITLE = 200
"""Limit on the characters of a title."""

_ROLES = {"human": USER, "ai": "assistant", "system": "system", "developer": "developer"}
_CALL_BLOCKS = ("tool_use", "tool_call", "function_call", "tool_call_chunk", "input_json_delta")
"""The blocks of content that are calls, which are in ``tool_calls`` too."""


class MessageText(NamedTuple):
    """What a search finds of a message."""

    digest: int
    """A checksum of the role and the text, of 64 bits."""

    number: int
    """The place of the message in the state, from 1."""

    text: str
    words: list[str] | None
    tool_words: list[str] | None


class MessageTexts(NamedTuple):
    """How the texts of a thread change."""

    texts: Sequence[MessageText] = ()
    """Each digest once."""

    is_whole: bool = False
    """Whether they are those of all messages: other texts are deleted."""

    title: str | None = None
    """The beginning of the first text of a user, for a thread without a title."""


def texts_of(messages: Iterable[Any], first: int = 1, *, is_whole: bool = False) -> MessageTexts:
    """Return the texts of messages as plain data, of which the first has the number ``first``."""
    found: dict[int, MessageText] = {}
    title = None
    for number, message in enumerate(messages, first):
        item = item_of(message)
        text = _text_of(item, number)
        if text is None:
            continue
        found[text.digest] = text
        if title is None and item.get("role") == USER:
            title = " ".join((text_of(item) or "").split())[:MAX_TITLE] or None
    return MessageTexts([*found.values()], is_whole, title)


def _text_of(item: Mapping[str, Any], number: int) -> MessageText | None:
    role = role_of(item)
    has_text = role in SEARCHED_ROLES
    text = codec.printable(searched_text(item))[:MAX_SEARCHED]
    if not text:
        return None
    digest = blake2b(f"{role}\n{text}".encode(), digest_size=8).digest()
    message = text_of(item) if has_text else None
    return MessageText(
        int.from_bytes(digest, signed=True),
        number,
        text,
        (words(message) or None) if message else None,
        tool_words(item, has_text=has_text),
    )


def read_messages(value: TypedBytes) -> list[Any] | None:
    """Return the messages of a channel; None if its value is no list, or cannot be read."""
    type_ = value.type.removeprefix(USER_MARK)
    if type_ == "msgpack":
        found = messagepack.elements(value.data)
        if found is None:
            return None
        return [messagepack.decode(part, max_values=MAX_VALUES) for part in found.parts]
    if type_ != "json":
        return None
    try:
        messages = json.loads(value.data)
    except (ValueError, RecursionError):
        return None
    return messages if isinstance(messages, list) else None


def item_of(value: Any) -> Mapping[str, Any]:
    """Return a message of LangChain as the item of a session that says the same."""
    match value:
        case str(text):
            return {"role": USER, "content": text}
        case [str(role), str(text)]:
            return {"role": _ROLES.get(role, role), "content": text}
    fields = fields_of(value)
    kind = _text(fields.get("type")).removesuffix("MessageChunk").lower()
    if kind == "tool" or fields.get("role") == "tool":
        return {**_only(fields, ("content", "name", "tool_call_id")), "role": "tool"}
    role = _ROLES.get(kind) or _text(fields.get("role"))
    if not role:
        return {"type": kind or "message", **fields} if fields else {"content": value}
    item = {**_only(fields, ("content", "name", "tool_calls")), "role": role}
    content = item.get("content")
    if item.get("tool_calls") and isinstance(content, list):
        item["content"] = [part for part in content if not _is_call(part)]
    return item


def fields_of(value: Any) -> Mapping[str, Any]:
    """Return the fields of a message, of which the serialized object may be around them."""
    match value:
        case {"class": str(), "arguments": {**fields}} | {"lc": int(), "kwargs": {**fields}}:
            return _named(fields)
        case {**fields}:
            return _named(fields)
    return {}


def _named(fields: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if isinstance(name, str)}


def _only(fields: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: fields[name] for name in names if fields.get(name)}


def _is_call(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in _CALL_BLOCKS


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
