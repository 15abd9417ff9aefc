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
from parlant_store.content.items import SEARCHED_ROLES, role_of, text_of
from parlant_store.content.text_search import count_matches, snippet, words
from parlant_store.types import SearchHit


class Match(NamedTuple):
    """A session that matches; the best one is the smallest."""

    negated_score: int
    session_id: str
    namespace: str
    snippets: tuple[str, ...]


class JsonFileSearch(JsonFileListings):
    """Search, which reads all texts of all sessions."""

    def _search(self, search: Search) -> list[SearchHit]:
        terms, namespace, limit, _ = search
        may_match = _prefilter(terms)
        best: list[Match] = []
        for entry in self._entries(namespace):
            with self.files.opened(entry.folder, entry.place.file) as file:
                if file is None or file.find_last() is None or self._live(file) is None:
                    continue
                match = _match(entry.name, file, terms, may_match)
                best += [] if match is None else [match]
            if len(best) > 2 * limit + 1_000:
                best = nsmallest(limit, best)
        return [
            SearchHit(
                namespace=match.namespace,
                session_id=match.session_id,
                score=float(-match.negated_score),
                snippets=match.snippets,
            )
            for match in nsmallest(limit, best)
        ]


def _match(
    name: SessionName,
    file: SessionFile,
    terms: list[list[str]],
    may_match: Callable[[bytes], bool],
) -> Match | None:
    total = 0
    texts: list[tuple[int, int, str]] = []
    for place, line in enumerate(file.items()):
        if not may_match(line):
            continue
        (item,) = lines.parse_items([line])
        text = None if item is None or role_of(item) not in SEARCHED_ROLES else text_of(item)
        if text and (score := count_matches(" ".join(words(text)), terms)):
            total += score
            # The best first, and of those alike the earliest.
            texts = sorted([*texts, (-score, -place, text)])[:MAX_SNIPPETS]
    if not total:
        return None
    return Match(
        -total,
        name.session_id,
        name.namespace,
        tuple(snippet(text, terms) for *_, text in texts),
    )


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
