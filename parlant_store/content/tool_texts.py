"""What tools, files and models say beside the messages: the texts that a search of tools finds.

These are all texts in an item or event except the text of a message, identifiers, and data that is
no text. In the arguments and results of calls, names and numbers count as texts, and nothing is
left out.
"""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any

from parlant_store.content.text_search import words

MAX_TOOL_WORDS = 2_000
"""Limit on the words of an item or event, without those of its message."""

_MAX_CHARACTERS = MAX_TOOL_WORDS * 20
_MAX_TEXTS = MAX_TOOL_WORDS
_MAX_DEPTH = 30

# The values of these fields are identifiers, states, settings, or binary or encrypted data.
_SKIPPED = frozenset(
    (
        "approval_request_id",
        "audio",
        "caller",
        "call_id",
        "container_id",
        "data",
        "detail",
        "encrypted_content",
        "file_data",
        "fingerprint",
        "format",
        "id",
        "image_base64",
        "input_schema",
        "item_id",
        "logprobs",
        "media_type",
        "phase",
        "response_id",
        "role",
        "signature",
        "status",
        "thought_signature",
        "tool_call_id",
        "tool_use_id",
        "top_logprobs",
        "type",
        "usage",
    )
)
# The values of these fields are written by a model or a tool.
_FREE = frozenset(("arguments", "input", "output", "parameters", "result", "tool_result"))
# The text of a message, which is not repeated among the others.
_MESSAGE = frozenset(("content", "text", "refusal", "transcript"))


def tool_words(item: Mapping[str, Any], *, has_text: bool) -> list[str] | None:
    """Return the words of an item without those of its message; None if there are none.

    ``has_text`` says whether the item is a message whose text is indexed as such.
    """
    if has_text and type(item.get("content")) is str and len(item) == 2:
        return None
    return _words(_texts_of(item, has_text))


def tool_text(item: Mapping[str, Any], *, has_text: bool) -> str:
    """Return the texts of ``tool_words``."""
    return "\n".join(_bounded(_texts_of(item, has_text)))


def words_in(*values: Any) -> list[str] | None:
    """Return the words of all texts, names and numbers in ``values``; None if there are none."""
    return _words(chain.from_iterable(_leaves(value, True, 0) for value in values))


def _texts_of(item: Mapping[str, Any], has_text: bool) -> Iterator[str]:
    is_image = item.get("type") == "image_generation_call"
    for field, value in item.items():
        if field in _SKIPPED or (is_image and field == "result"):
            continue
        if has_text and field in _MESSAGE:
            if field == "content" and isinstance(value, (list, tuple)):
                yield from _parts(value)
        elif field != "tool_result" or value != item.get("content"):
            yield from _leaves(value, field in _FREE and isinstance(value, Mapping), 0)


def _parts(parts: Any) -> Iterator[str]:
    """Yield the texts in the parts of a message, without those of the message."""
    for part in parts:
        if isinstance(part, Mapping):
            rest = {field: value for field, value in part.items() if field not in _MESSAGE}
            yield from _leaves(rest, False, 0)
            if "content" in part:
                yield from _leaves(part["content"], False, 0)


def _leaves(value: Any, is_free: bool, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        if value and not value.startswith("data:"):
            yield value
    elif depth >= _MAX_DEPTH:
        return
    elif isinstance(value, Mapping):
        for field, inner in value.items():
            if is_free:
                yield field
            if is_free or field not in _SKIPPED:
                is_inner_free = is_free or (field in _FREE and isinstance(inner, Mapping))
                yield from _leaves(inner, is_inner_free, depth + 1)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _leaves(inner, is_free, depth + 1)
    elif type(value) in (int, float) and is_free:
        yield str(value)


def _words(texts: Iterator[str]) -> list[str] | None:
    parts = _bounded(texts)
    return words(" ".join(parts)[:_MAX_CHARACTERS])[:MAX_TOOL_WORDS] or None if parts else None


def _bounded(texts: Iterator[str]) -> list[str]:
    parts: list[str] = []
    size = 0
    for text in islice(texts, _MAX_TEXTS):
        parts.append(text if len(text) <= _MAX_CHARACTERS else text[:_MAX_CHARACTERS])
        size += len(text) + 1
        if size >= _MAX_CHARACTERS:
            break
    return parts
