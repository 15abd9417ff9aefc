"""Hashes of messages and dicts, by which a save finds what changed."""

import json
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from parlant_store.types import JSONObject


class MemoryHashes:
    """Hashes of the messages of memories.

    A message may have been changed in place. Those that equal the ones of the last call are not
    hashed again: comparing takes less time.
    """

    def __init__(self) -> None:
        self._last: WeakKeyDictionary[Any, tuple[_Values, array[int]]] = WeakKeyDictionary()

    def of(self, memory: Any, messages: Sequence[Any]) -> "array[int]":
        """Return a hash of each of ``messages``, which are those of ``memory``."""
        values = _values(messages)
        last, hashes = self._last.get(memory, _NOTHING)
        if values.first(len(hashes)) == last:
            new = values.after(len(hashes))
            hashes = hashes + new.hashes()
        else:
            new, hashes = values, values.hashes()
        if new.are_immutable():
            self._last[memory] = values, hashes
        else:
            self._last.pop(memory, None)
        return hashes


def message_hashes(messages: Sequence[Any]) -> "array[int]":
    """Return a hash of each message."""
    return _values(messages).hashes()


def dict_hashes(items: Sequence[JSONObject]) -> "array[int]":
    """Return a hash of each dict."""
    return array("q", map(_dict_hash, items))


class _Hash(int):
    """The hash of a message that has more than a role and a content."""


class _Values(NamedTuple):
    """The values of messages that make a difference."""

    roles: list[Any]

    contents: list[Any]
    """The content of each message, or its _Hash."""

    def first(self, count: int) -> "_Values":
        return _Values(self.roles[:count], self.contents[:count])

    def after(self, count: int) -> "_Values":
        return _Values(self.roles[count:], self.contents[count:])

    def are_immutable(self) -> bool:
        return {*map(type, self.contents)} <= {str, _Hash}

    def hashes(self) -> "array[int]":
        return array(
            "q",
            [
                hash((role._value_, content))
                if type(content) is str
                else _hash_of(role._value_, content)
                for role, content in zip(self.roles, self.contents, strict=True)
            ],
        )


_NOTHING = _Values([], []), array("q")


def _values(messages: Sequence[Any]) -> _Values:
    roles = [message.role for message in messages]
    contents = [
        message.content
        if message.tool_calls is None
        and message.tool_name is None
        and message.tool_result is None
        and message.tool_call_id is None
        and message.content_parts is None
        and message.image_base64 is None
        else _Hash(_message_hash(message))
        for message in messages
    ]
    return _Values(roles, contents)


def _hash_of(role: str, content: Any) -> int:
    return content if type(content) is _Hash else _json_hash([role, content])


def _message_hash(message: Any) -> int:
    if message.tool_calls or message.content_parts:
        return _json_hash(message.to_dict())
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
        return _json_hash(message.to_dict())


def _dict_hash(item: JSONObject) -> int:
    for value in item.values():
        if type(value) is not str and value is not None:
            return _json_hash(item)
    return hash(tuple(item.items()))


def _json_hash(value: object) -> int:
    try:
        return hash(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        # The store refuses it later, with an error; until then it equals no other item.
        return hash(object())
