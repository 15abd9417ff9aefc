"""What an item says of itself: its role, the text a person would read, its tokens."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from parlant_store import codec
from parlant_store.exceptions import InvalidItem
from parlant_store.search import words
from parlant_store.types import JSONObject

MAX_TOKENS = 2**53


SEARCHED = ("user", "assistant")
"""The roles whose texts can be searched."""


class Batch(NamedTuple):
    """Items ready to be stored: lists of one length."""

    data: list[str]
    """The items as JSON text."""

    roles: list[str | None]
    texts: list[str | None]

    words: list[list[str] | None]
    """What the text can be found by (parlant_store.search)."""

    tokens: list[int | None]

    @property
    def total(self) -> int:
        """The tokens of all items."""
        return sum(filter(None, self.tokens))


def batch(items: Iterable[Any]) -> Batch:
    """Encode ``items``; raise InvalidItem naming the first that cannot be stored."""
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
        raise InvalidItem(f"items must be a list of dicts, not {type(items).__name__}")
    encoded = Batch([], [], [], [], [])
    for index, item in enumerate(items):
        encoded.data.append(codec.encode_object(item, f"items[{index}]"))
        role, text = role_of(item), text_of(item)
        encoded.roles.append(role)
        encoded.texts.append(text)
        encoded.words.append(words(text) if text and role in SEARCHED else None)
        encoded.tokens.append(tokens_of(item))
    return encoded


def role_of(item: Mapping[str, Any]) -> str | None:
    """A message's role, or the type of an item that is no message."""
    for field in ("role", "type"):
        value = item.get(field)
        if isinstance(value, str):
            return codec.printable(value)
    return None


def tokens_of(item: Mapping[str, Any]) -> int | None:
    """How many tokens the item's ``usage`` reports: in total, or of input and output."""
    usage = item.get("usage")
    if not isinstance(usage, Mapping):
        return None
    for names in (
        ("total_tokens",),
        ("input_tokens", "output_tokens"),
        ("prompt_tokens", "completion_tokens"),
    ):
        counts: list[Any] = [usage.get(name) for name in names]
        if all(type(count) is int and 0 <= count <= MAX_TOKENS for count in counts):
            return int(sum(counts))
    return None


def whole_turns(items: list[JSONObject]) -> list[JSONObject]:
    """``items`` from the first place on at which a model can begin to read.

    That is the first message of a user; where there is none, what follows outputs of tools
    whose calls were cut off.
    """
    for index, item in enumerate(items):
        if item.get("role") == "user":
            return items[index:]
    called: set[Any] = set()
    start = 0
    for index, item in enumerate(items):
        output = _output_of(item)
        if output is not None and output not in called:
            start = index + 1
        called.update(_calls_of(item))
    return items[start:]


def _calls_of(item: JSONObject) -> list[str]:
    """The ids of the calls that the item makes: one of its own, or a message's."""
    if str(item.get("type", "")).endswith("_call"):
        return [id_ for id_ in (item.get("call_id"), item.get("id")) if isinstance(id_, str)]
    calls = item.get("tool_calls")
    made = [call for call in calls if isinstance(call, Mapping)] if isinstance(calls, list) else []
    return [id_ for call in made if isinstance(id_ := call.get("id"), str)]


def _output_of(item: JSONObject) -> str | None:
    """The id of the call whose output the item is; "" when it does not say."""
    if str(item.get("type", "")).endswith("_call_output"):
        return str(item.get("call_id", ""))
    if item.get("role") == "tool":
        return str(item.get("tool_call_id") or "")
    return None


def text_of(item: Mapping[str, Any]) -> str | None:
    """The text of a message: its content, or the text of each part of it, in lines."""
    if not isinstance(item.get("role"), str):
        return None
    content = item.get("content")
    if isinstance(content, str):
        return codec.printable(content)
    if isinstance(content, (list, tuple)):
        texts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return codec.printable("\n".join(text for text in texts if isinstance(text, str)))
    return None
