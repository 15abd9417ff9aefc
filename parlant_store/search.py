"""What of a text can be searched for, and what a query asks: the same on every backend.

A text becomes words in lower case; in scripts that are written without spaces, each character
is a word. A query is terms by white space, of which any is enough. A term matches words that
follow each other as its own do, the last of which may go on: "serv" finds "server", and two
Chinese characters find each other in this order.
"""

import re
import unicodedata

MAX_WORDS = 10_000
"""How many words of one text can be found; the rest of a longer text cannot."""

MAX_WORD = 100
"""How many characters a word has at most; a longer one is several that follow each other."""

MAX_TERMS = 50
"""How many terms of a query are looked at."""

SNIPPET = 160
"""How many characters a snippet has at most."""

# Han, kana, and the scripts of Thailand, Laos, Cambodia, Myanmar and Tibet.
_ALONE = (
    "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"
)
# Marks go with the character that they stand on.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0903\u093a-\u094f"
)
_WORDS = re.compile(f"[{_ALONE}]|(?:(?![{_ALONE}])[\\w{_MARKS}]){{1,{MAX_WORD}}}")
_ASCII_WORDS = re.compile(f"\\w{{1,{MAX_WORD}}}", re.ASCII)


def words(text: str) -> list[str]:
    """The words of ``text`` in their order, as they are compared."""
    text = text[: MAX_WORDS * 20]
    if text.isascii():
        return _ASCII_WORDS.findall(text.lower())[:MAX_WORDS]
    return _WORDS.findall(unicodedata.normalize("NFKC", text).casefold())[:MAX_WORDS]


def terms(query: str) -> list[list[str]]:
    """The terms of ``query``, each as its words; what has no word is left out."""
    split = [words(term) for term in query.split()[:MAX_TERMS]]
    return [term for term in split if term]


def tsvector(words: list[str]) -> str:
    """``words`` as PostgreSQL writes a tsvector; none of them holds what would need a quote."""
    return " ".join([f"{word}:{place}" for place, word in enumerate(words, 1)])


def tsquery(terms: list[list[str]]) -> str:
    """Any of ``terms`` as a tsquery of PostgreSQL, each a phrase whose last word may go on."""
    phrases = [" <-> ".join(f"'{word}'" for word in words) for words in terms]
    return " | ".join(f"({phrase}:*)" for phrase in phrases)


def snippet(text: str, query: list[list[str]]) -> str:
    """``text`` around the first place that a term is at, SNIPPET characters at most."""
    if len(text) <= SNIPPET:
        return text
    lower = text.lower()
    places = [place for term in query if (place := lower.find(term[0])) >= 0]
    start = max(0, min(places, default=0) - SNIPPET // 4)
    end = start + SNIPPET - 6
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"
