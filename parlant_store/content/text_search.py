"""The words of texts and queries for full-text search: the same on every backend.

A text is split into words in lower case; in scripts that are written without spaces, each
character is a word. A query consists of terms, separated by white space, any of which may match.
A term matches consecutive words, of which the last may be a prefix: "serv" finds "server", and
two Chinese characters find the same two characters in this order.

The score of a session is the number of matches, at most MAX_MATCHES in each item. The frequency
of a word in other sessions does not count.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from parlant_store.exceptions import InvalidInput

MAX_WORDS = 10_000
"""Limit on the words of a text that are indexed."""

MAX_WORD = 100
"""Limit on the characters of a word; longer words are split."""

MAX_TERMS = 50
"""Limit on the terms of a query; the rest is ignored."""

MAX_MATCHES = 100
"""Limit on the matches in one item. PostgreSQL stores up to 255 positions of a word."""

MAX_SEARCHED = 20_000
"""Limit on the characters of an item from which the results of a search are taken."""

SEPARATOR = "\x1f"
"""Between the words of a message and others, in the form of SQLite."""

MAX_SNIPPET = 160
"""Limit on the characters of a snippet."""

# Han, kana, and the scripts of Thailand, Laos, Cambodia, Myanmar and Tibet.
ALONE = (
    "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"
)
# Combining marks belong to the word of the character before them.
MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0903\u093a-\u094f"
)
_ALONE = re.compile(f"[{ALONE}]")
_WORDS = re.compile(f"[{ALONE}]|(?:(?![{ALONE}])[\\w{MARKS}]){{1,{MAX_WORD}}}")
_ASCII_WORDS = re.compile(f"\\w{{1,{MAX_WORD}}}", re.ASCII)


def words(text: str) -> list[str]:
    """Return the words of ``text`` in order, normalized for comparison."""
    text = text[: MAX_WORDS * 20]
    if text.isascii():
        return _ASCII_WORDS.findall(text.lower())[:MAX_WORDS]
    return _WORDS.findall(unicodedata.normalize("NFKC", text).casefold())[:MAX_WORDS]


def terms(query: str) -> list[list[str]]:
    """Return the terms of ``query``, each as a list of words.

    Terms without words are left out, and terms that match only where another one does. Raise
    InvalidInput unless ``query`` is text.
    """
    if not isinstance(query, str):
        raise InvalidInput(f"a search must be text, not {type(query).__name__}")
    split = [words(term) for term in query.split()[:MAX_TERMS]]
    result: list[list[str]] = []
    for term in sorted(filter(None, split), key=lambda term: (len(term), len(term[-1]))):
        if not any(_contains(term, other) for other in result):
            result.append(term)
    return result


def _contains(term: list[str], other: list[str]) -> bool:
    """Whether ``other`` matches inside ``term``."""
    *whole, last = other
    size = len(whole)
    return any(
        term[start : start + size] == whole and term[start + size].startswith(last)
        for start in range(len(term) - size)
    )


def is_alone(word: str) -> bool:
    """Whether the word is a character of a script without spaces between words."""
    return _ALONE.fullmatch(word) is not None


def stored_words(words: list[str] | None, others: list[str] | None = None) -> str | None:
    """Return words for ``count_matches``: those of a message, and after SEPARATOR others."""
    if not others:
        return " ".join(words) if words else None
    return " ".join([*(words or ()), SEPARATOR, *others])


def count_matches(text: str, terms: list[list[str]], *, others: bool = False) -> int:
    """Count the matches of ``terms`` in ``text``, from ``stored_words``.

    Words after SEPARATOR only count with ``others``.
    """
    text = f" {text if others else text.partition(SEPARATOR)[0]}"
    return min(sum(_count(text, f" {' '.join(term)}") for term in terms), MAX_MATCHES)


def _count(text: str, part: str) -> int:
    # Unlike str.count, it counts overlapping matches, as PostgreSQL does.
    count, place = 0, text.find(part)
    while place >= 0 and count < MAX_MATCHES:
        count, place = count + 1, text.find(part, place + 1)
    return count


def tsvector(words: list[str] | None, others: list[str] | None = None) -> str | None:
    """Return words as a tsvector of PostgreSQL; words contain no character to quote.

    ``words`` have the weight D, ``others`` the weight A.
    """
    if not others:
        return (
            " ".join([f"{word}:{place}" for place, word in enumerate(words, 1)]) if words else None
        )
    parts = [f"{word}:{place}" for place, word in enumerate(words or (), 1)]
    # No match spans both.
    parts += [f"{word}:{place}A" for place, word in enumerate(others, len(parts) + 3)]
    return " ".join(parts)


def tsquery(terms: list[list[str]], *, others: bool = False) -> str:
    """Return ``terms`` as a tsquery of PostgreSQL: phrases whose last word may be a prefix.

    Words with the weight A only match with ``others``.
    """
    weight = "" if others else "D"
    return " | ".join(f"({_phrase(words, weight)})" for words in terms)


def fts5_query(terms: list[list[str]]) -> str:
    """Return ``terms`` as a query of FTS5."""
    return " OR ".join(f'"{" ".join(words)}" *' for words in terms)


def _phrase(words: list[str], weight: str) -> str:
    *whole, last = words
    parts = [f"'{word}':{weight}" if weight else f"'{word}'" for word in whole]
    return " <-> ".join([*parts, f"'{last}':*{weight}"])


def texts_by_owner(rows: Iterable[Sequence[Any]]) -> dict[Any, list[tuple[str, int]]]:
    """Return the texts and places of a search by the names and the score, in order."""
    found: dict[Any, list[tuple[str, int]]] = {}
    for *owner, text, place in rows:
        found.setdefault(tuple(owner), []).append((text, place))
    return found


def snippet(text: str, query: list[list[str]]) -> str:
    """Return at most MAX_SNIPPET characters of ``text`` around the first match."""
    if len(text) <= MAX_SNIPPET:
        return text
    lower = text.lower()
    places = [place for term in query if (place := lower.find(term[0])) >= 0]
    start = max(0, min(places, default=0) - MAX_SNIPPET // 4)
    end = start + MAX_SNIPPET - 6
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"
