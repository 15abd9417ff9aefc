"""What the address of a page asks a transcript for."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from django.http import QueryDict
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from parlant_store.content import text_search

MAX_FIND = 200
"""Limit on the characters of the words that are searched for."""

MAX_PLACE = 2**53

_ALONE = re.compile(f"[{text_search.ALONE}]")


class Options(NamedTuple):
    """The parameters: ``before``, ``after``, ``show``, ``calls``, ``source``, ``find``."""

    params: QueryDict
    before: int | None = None
    """The place that the page ends before; None for a page that begins after ``after``."""

    after: int | None = None
    messages_only: bool = False
    calls_open: bool = False
    source: bool = False
    """Whether Markdown is shown as it is written."""

    find: str = ""
    terms: Sequence[Sequence[str]] = ()
    """What is searched for, as the index has it (content.text_search)."""

    def url(self, anchor: str, after: int) -> str:
        """The address of an entry of another page, which begins behind ``after``."""
        params = self.params.copy()
        params.pop("before", None)
        params["after"] = str(after)
        return f"?{params.urlencode()}#{anchor}"


def options_of(params: QueryDict) -> Options:
    find = " ".join(params.get("find", "").replace("\0", " ").split())[:MAX_FIND]
    return Options(
        params,
        _place(params.get("before")),
        _place(params.get("after")),
        messages_only=params.get("show") == "messages",
        calls_open=params.get("calls") == "open",
        source=params.get("source") == "1",
        find=find,
        terms=text_search.terms(find),
    )


def _place(text: str | None) -> int | None:
    """A position or an offset; none when it is no number."""
    try:
        return None if text is None else max(-1, min(int(text), MAX_PLACE))
    except ValueError:
        return None


class Highlighter:
    """Finds the terms of a search in texts, and marks them."""

    def __init__(self, terms: Sequence[Sequence[str]]) -> None:
        self._patterns = [re.compile(_pattern(term), re.IGNORECASE) for term in terms]
        joined = "|".join(pattern.pattern for pattern in self._patterns)
        self._any = re.compile(joined, re.IGNORECASE) if joined else None

    def matches(self, text: str) -> bool:
        """Whether all terms are in ``text``."""
        return bool(self._patterns) and all(pattern.search(text) for pattern in self._patterns)

    def marks(self, text: str) -> bool:
        """Whether any term is."""
        return self._any is not None and self._any.search(text) is not None

    def mark(self, text: object) -> SafeString:
        """``text`` escaped, with the terms in it highlighted."""
        if self._any is None:
            return escape(text)
        shown, parts, end = str(text), [], 0
        for match in self._any.finditer(shown):
            parts += [escape(shown[end : match.start()]), f"<mark>{escape(match[0])}</mark>"]
            end = match.end()
        return mark_safe("".join([*parts, escape(shown[end:])]))  # noqa: S308 (escaped)


def _pattern(words: Sequence[str]) -> str:
    start = "" if _ALONE.match(words[0]) else r"(?<!\w)"
    return start + r"\W*?".join(map(re.escape, words))
