"""Search in the texts of sessions in files."""

from collections.abc import Callable
from heapq import nsmallest
from typing import NamedTuple

from parlant_store.backends.columns import MAX_SNIPPETS
from parlant_store.backends.contract.operations import Search
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.jsonfile.files import lines
from parlant_store.backends.jsonfile.files.session_file import SessionFile
from parlant_store.backends.jsonfile.listings import JsonFileListings
from parlant_store.content.items import SEARCHED_ROLES, role_of, searched_text, text_of
from parlant_store.content.text_search import count_matches, snippet, stored_words, words
from parlant_store.content.tool_texts import tool_words
from parlant_store.types import JSONObject, SearchHit


class Match(NamedTuple):
    """A session that matches; the best one is the smallest."""

    negated_score: int
    session_id: str
    namespace: str
    snippets: tuple[str, ...]


class JsonFileSearch(JsonFileListings):
    """Search, which reads all texts of all sessions."""

    def _search(self, search: Search) -> list[SearchHit]:
        may_match = _prefilter(search.terms)
        best: list[Match] = []
        for entry in self._entries(search.namespace):
            with self.files.opened(entry.folder, entry.place.file) as file:
                if file is None or file.find_last() is None or self._live(file) is None:
                    continue
                match = _match(entry.name, file, search, may_match)
                best += [] if match is None else [match]
            if len(best) > 2 * search.limit + 1_000:
                best = nsmallest(search.limit, best)
        return [
            SearchHit(
                namespace=match.namespace,
                session_id=match.session_id,
                score=float(-match.negated_score),
                snippets=match.snippets,
            )
            for match in nsmallest(search.limit, best)
        ]


def _match(
    name: SessionName,
    file: SessionFile,
    search: Search,
    may_match: Callable[[bytes], bool],
) -> Match | None:
    total = 0
    texts: list[tuple[int, int, str]] = []
    for place, line in enumerate(file.items()):
        if not may_match(line):
            continue
        (item,) = lines.parse_items([line])
        score = 0 if item is None else _score(item, search)
        if item is not None and score:
            text = searched_text(item) if search.tools else text_of(item) or ""
            total += score
            # The best first, and of those alike the earliest.
            texts = sorted([*texts, (-score, -place, text)])[:MAX_SNIPPETS]
    if not total:
        return None
    return Match(
        -total,
        name.session_id,
        name.namespace,
        tuple(snippet(text, search.terms) for *_, text in texts),
    )


def _score(item: JSONObject, search: Search) -> int:
    has_text = role_of(item) in SEARCHED_ROLES
    text = text_of(item) if has_text else None
    found = words(text) if text else None
    others = tool_words(item, has_text=has_text) if search.tools else None
    stored = stored_words(found, others)
    return count_matches(stored, search.terms, others=search.tools) if stored else 0


def _prefilter(terms: list[list[str]]) -> Callable[[bytes], bool]:
    """Return a function that tells whether the line of an item may match, without decoding it.

    ASCII text is compared as it is in JSON, where nothing of a word is escaped.
    """
    first_words = [term[0] for term in terms]
    if not all(word.isascii() for word in first_words):
        return lambda line: True
    encoded = [word.encode() for word in first_words]

    def may_match(line: bytes) -> bool:
        if not line.isascii() or b"\\u" in line:
            return True
        lower = line.lower()
        return any(word in lower for word in encoded)

    return may_match
