"""What a search finds in documents: in memories, and in Parlant's events, customers, sessions."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from parlant_store.content import codec
from parlant_store.content.failures import failed_data_calls
from parlant_store.content.memories import memory_words
from parlant_store.content.related_documents import SESSIONS
from parlant_store.content.text_search import words
from parlant_store.content.tool_texts import words_in
from parlant_store.types import MEMORIES

EVENTS = "events"
"""The suffix of the names of collections with Parlant's events."""

CUSTOMERS = "customers"
"""The suffix of the names of collections with Parlant's customers."""

_RESULTS = ("data", "metadata", "canned_responses", "canned_response_fields")


class Searched(NamedTuple):
    """The values of a document for its columns ``terms`` and ``failed_calls``."""

    words: list[str] | None
    """The words of a message, a name, a title or a memory."""

    tool_words: list[str] | None
    """The words of tools, errors and custom events."""

    failed_calls: int | None
    """The number of failed calls; None for none."""


NOTHING = Searched(None, None, None)


def is_searched(collection: str) -> bool:
    """Whether a search finds documents of the collection."""
    return collection == MEMORIES or collection.endswith((EVENTS, CUSTOMERS, SESSIONS))


def searched(collection: str, document: Mapping[str, Any]) -> Searched | None:
    """Return the values of a document, or of changes to it; None if nothing of it is searched."""
    if collection == MEMORIES:
        has_value = "value" in document
        return Searched(memory_words(document["value"]), None, None) if has_value else None
    if collection.endswith(EVENTS):
        return _of_event(document["data"]) if "data" in document else None
    field = "name" if collection.endswith(CUSTOMERS) else "title"
    if field in document and (field == "name" or collection.endswith(SESSIONS)):
        return Searched(_words(document[field]), None, None)
    return None


def event_text(data: Any) -> str | None:
    """Return the text of a message, given the ``data`` of its event."""
    message = data.get("message") if isinstance(data, Mapping) else None
    return codec.printable(message) if isinstance(message, str) else None


def _of_event(data: Any) -> Searched:
    if not isinstance(data, Mapping):
        return Searched(None, words_in(data), None)
    if "message" in data:
        return Searched(_words(data["message"]), None, None)
    calls = data.get("tool_calls")
    if isinstance(calls, (list, tuple)):
        return Searched(None, words_in(*map(_of_call, calls)), failed_data_calls(data) or None)
    if "status" in data:
        details = data.get("data")
        error = details.get("exception") if isinstance(details, Mapping) else None
        return Searched(None, words_in(error), None)
    return Searched(None, words_in(data), None)


def _of_call(call: Any) -> list[Any]:
    if not isinstance(call, Mapping):
        return []
    result = call.get("result")
    values = [result.get(name) for name in _RESULTS] if isinstance(result, Mapping) else [result]
    return [call.get("tool_id"), call.get("arguments"), *values]


def _words(text: Any) -> list[str] | None:
    return words(codec.printable(text)) or None if isinstance(text, str) else None
