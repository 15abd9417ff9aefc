"""Values of an item for its columns: role, text, search terms and tokens."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from parlant_store.content import codec
from parlant_store.content.text_search import words
from parlant_store.exceptions import InvalidItem

MAX_TOKENS = 2**53


SEARCHED_ROLES = ("user", "assistant")
"""The roles whose texts are indexed for search."""


class Batch(NamedTuple):
    """The columns of items: lists of the same length."""

    data: list[str]
    """The items as JSON text."""

    roles: list[str | None]
    texts: list[str | None]

    words: list[list[str] | None]
    """The words of the text for search (parlant_store.content.text_search)."""

    tokens: list[int | None]

    @property
    def total(self) -> int:
        """The sum of the tokens."""
        return sum(filter(None, self.tokens))


def batch(items: Iterable[Any]) -> Batch:
    """Encode ``items``; raise InvalidItem at the first that is invalid."""
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
        raise InvalidItem(f"items must be a list of dicts, not {type(items).__name__}")
    encoded = Batch([], [], [], [], [])
    for index, item in enumerate(items):
        encoded.data.append(codec.encode_object(item, f"items[{index}]"))
        role, text = role_of(item), text_of(item)
        encoded.roles.append(role)
        encoded.texts.append(text)
        encoded.words.append(words(text) if text and role in SEARCHED_ROLES else None)
        encoded.tokens.append(tokens_of(item))
    return encoded


def role_of(item: Mapping[str, Any]) -> str | None:
    """Return the role of a message, or the type of another item."""
    for field in ("role", "type"):
        value = item.get(field)
        if isinstance(value, str):
            return codec.printable(value)
    return None


def tokens_of(item: Mapping[str, Any]) -> int | None:
    """Return the tokens in the item's ``usage``: the total, or the sum of input and output."""
    usage = item.get("usage")
    if usage is None or not isinstance(usage, Mapping):
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


def text_of(item: Mapping[str, Any]) -> str | None:
    """Return the text of a message: its content, or the lines of its text parts."""
    if not isinstance(item.get("role"), str):
        return None
    content = item.get("content")
    if isinstance(content, str):
        return codec.printable(content)
    if isinstance(content, (list, tuple)):
        texts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return codec.printable("\n".join(text for text in texts if isinstance(text, str)))
    return None
