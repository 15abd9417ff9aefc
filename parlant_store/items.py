"""What an item says of itself: its role, and the text a person would read."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from parlant_store import codec
from parlant_store.exceptions import InvalidItem


class Batch(NamedTuple):
    """Items ready to be stored: three lists of one length."""

    data: list[str]
    """The items as JSON text."""

    roles: list[str | None]
    texts: list[str | None]


def batch(items: Iterable[Any]) -> Batch:
    """Encode ``items``; raise InvalidItem naming the first that cannot be stored."""
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
        raise InvalidItem(f"items must be a list of dicts, not {type(items).__name__}")
    encoded = Batch([], [], [])
    for index, item in enumerate(items):
        encoded.data.append(codec.encode_object(item, f"items[{index}]"))
        encoded.roles.append(role_of(item))
        encoded.texts.append(text_of(item))
    return encoded


def role_of(item: Mapping[str, Any]) -> str | None:
    """A message's role, or the type of an item that is no message."""
    for field in ("role", "type"):
        value = item.get(field)
        if isinstance(value, str):
            return codec.printable(value)
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
