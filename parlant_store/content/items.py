"""Values of an item for its columns: role, text, search terms, tokens and failed calls."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from parlant_store.content import codec
from parlant_store.content.failures import failed_calls
from parlant_store.content.text_search import stored_words, tsvector, words
from parlant_store.content.tool_texts import tool_text, tool_words
from parlant_store.exceptions import InvalidItem

MAX_TOKENS = 2**53
"""Limit on the tokens of an item or of a run."""


USER = "user"
"""The role of the messages that open turns."""

SEARCHED_ROLES = (USER, "assistant")
"""The roles whose texts are those of messages; other texts are what tools said."""


class Batch(NamedTuple):
    """The columns of items: lists of the same length."""

    data: list[str]
    """The items as JSON text."""

    roles: list[str | None]
    texts: list[str | None]

    words: list[list[str] | None]
    """The words of the text for search (parlant_store.content.text_search)."""

    tokens: list[int | None]

    tool_words: list[list[str] | None]
    """The words of calls, outputs and files (parlant_store.content.tool_texts)."""

    failed: list[int | None]
    """The number of failed calls; None for none."""

    @property
    def total(self) -> int:
        """The sum of the tokens; 0 if none is known."""
        return sum(filter(None, self.tokens))

    @property
    def failed_total(self) -> int:
        """The sum of the failed calls."""
        return sum(filter(None, self.failed))

    @property
    def turns(self) -> int:
        """The number of turns that the items open."""
        return self.roles.count(USER)

    def tsvectors(self) -> list[str | None]:
        """Return the words of each item as PostgreSQL stores them."""
        return list(map(tsvector, self.words, self.tool_words))

    def stored_words(self) -> list[str | None]:
        """Return the words of each item as SQLite stores them."""
        return list(map(stored_words, self.words, self.tool_words))


def turn_starts(roles: Sequence[str | None], first_turn: int) -> dict[int, int]:
    """Return the place of the first item of each turn, by its number, from the roles of all items.

    Turn 0 is what comes before the first message of a user.
    """
    openers = [place for place, role in enumerate(roles) if role == USER]
    starts = dict(enumerate(openers, first_turn))
    return {0: 0, **starts} if roles and openers[:1] != [0] else starts


def batch(items: Iterable[Any]) -> Batch:
    """Encode ``items``; raise InvalidItem at the first that is invalid."""
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
        raise InvalidItem(f"items must be a list of dicts, not {type(items).__name__}")
    encoded = Batch([], [], [], [], [], [], [])
    for index, item in enumerate(items):
        encoded.data.append(codec.encode_object(item, f"items[{index}]"))
        is_plain = _is_plain(item)
        role = item["role"] if is_plain else role_of(item)
        text = text_of(item)
        encoded.roles.append(role)
        encoded.texts.append(text)
        has_text = is_plain or role in SEARCHED_ROLES
        encoded.words.append((words(text) or None) if text and has_text else None)
        encoded.tokens.append(None if is_plain else tokens_of(item))
        encoded.tool_words.append(None if is_plain else tool_words(item, has_text=has_text))
        encoded.failed.append(None if is_plain else failed_calls(item) or None)
    return encoded


def _is_plain(item: Mapping[str, Any]) -> bool:
    """Whether it is a message that is only a text, as most are."""
    return (
        len(item) == 2
        and type(item.get("content")) is str
        and type(item.get("role")) is str
        and item["role"] in SEARCHED_ROLES
    )


def searched_text(item: Mapping[str, Any]) -> str:
    """Return all texts of an item that a search of tools finds."""
    has_text = role_of(item) in SEARCHED_ROLES
    text = text_of(item) if has_text else None
    return "\n".join(filter(None, [text, tool_text(item, has_text=has_text)]))


def role_of(item: Mapping[str, Any]) -> str | None:
    """Return the role of a message, or the type of another item.

    A user's message of results of tools only, as in Anthropic's API, has the role "tool".
    """
    for field in ("role", "type"):
        value = item.get(field)
        if isinstance(value, str):
            is_user = field == "role" and value == USER
            return "tool" if is_user and _has_results_only(item) else codec.printable(value)
    return None


def _has_results_only(item: Mapping[str, Any]) -> bool:
    content = item.get("content")
    return (
        isinstance(content, (list, tuple))
        and bool(content)
        and all(
            isinstance(part, Mapping) and str(part.get("type")).endswith("tool_result")
            for part in content
        )
    )


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
    """Return the text of a message: its content, or the lines of its text parts.

    A refusal and the transcript of a recording are texts too.
    """
    if not isinstance(item.get("role"), str):
        return None
    content = item.get("content")
    if isinstance(content, str):
        return codec.printable(content)
    if isinstance(content, (list, tuple)):
        texts = [_text_of_part(part) for part in content if isinstance(part, Mapping)]
        return codec.printable("\n".join(text for text in texts if isinstance(text, str)))
    refusal = item.get("refusal")
    return codec.printable(refusal) if isinstance(refusal, str) else None


def _text_of_part(part: Mapping[str, Any]) -> Any:
    for field in ("text", "refusal", "transcript"):
        if isinstance(part.get(field), str):
            return part[field]
    return None
