"""What a checkpoint adds to the messages of the one before it, for the search by words."""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from parlant_store.content.thread_messages import MESSAGES
from parlant_store.types import ChannelValue, MessageChanges

MAX_STATES = 1_000
"""Limit on the checkpoints whose messages are cached."""

_PLAIN = ("msgpack", "json")
"""The formats that have words: neither encrypted nor pickle."""

_COMPARED = ("id", "content", "tool_calls")
_FIELDS = ("type", "content", "name", "tool_call_id", "tool_calls")

Place = tuple[str, str | None]
"""A thread_id and a checkpoint_id."""

State = list[Callable[[], Any]]
"""A function for each message that returns it, or None if it no longer exists."""


class MessageStates:
    """The messages of recently read and written checkpoints.

    A checkpoint is written after the one that the run has read. Without that one, all messages are
    written, which changes nothing where they are stored already. Messages have weak references, so
    that they exist no longer than without this cache.
    """

    def __init__(self) -> None:
        self._states: OrderedDict[Place, State] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, place: Place, values: Mapping[str, Any], versions: Mapping[str, Any]) -> None:
        """Add the state of a stored checkpoint."""
        messages = values.get(MESSAGES, None if MESSAGES in versions else [])
        if not isinstance(messages, list):
            return
        state = [*map(_reference, messages)]
        with self._lock:
            self._states[place] = state
            self._states.move_to_end(place)
            while len(self._states) > MAX_STATES:
                self._states.popitem(last=False)

    def changes(
        self, parent: Place, values: Mapping[str, Any], changed: Iterable[ChannelValue]
    ) -> MessageChanges:
        """Return what a state with these values has, and that of ``parent`` has not."""
        types = [each.value.type for each in changed if each.channel == MESSAGES]
        messages = values.get(MESSAGES)
        if not isinstance(messages, list) or not types or types[0] not in _PLAIN:
            return MessageChanges()
        before = self._states.get(parent) if parent[1] else []
        if before is None or not _begins_with(messages, before):
            return MessageChanges(added=[*map(_plain, messages)], is_whole=True)
        first = len(before)
        return MessageChanges(added=[*map(_plain, messages[first:])], first=first + 1)


def _reference(message: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(message)
    except TypeError:
        # A text, a tuple or a dict.
        return lambda: message


def _begins_with(messages: list[Any], before: State) -> bool:
    return len(before) <= len(messages) and all(map(_is_same, before, messages))


def _is_same(reference: Callable[[], Any], message: Any) -> bool:
    other = reference()
    if other is message:
        return True
    if not hasattr(message, "content"):
        return bool(other == message)
    return all(getattr(other, name, None) == getattr(message, name, None) for name in _COMPARED)


def _plain(message: Any) -> Any:
    """Return a message of LangChain as a dict; others are plain already."""
    if not hasattr(message, "content"):
        return message
    fields = {name: getattr(message, name, None) for name in _FIELDS}
    return {name: value for name, value in fields.items() if value}
