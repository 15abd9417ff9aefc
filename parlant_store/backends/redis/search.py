"""Search in Redis: the best sessions of all shards, and then their texts."""

from collections.abc import Callable

from parlant_store.backends.contract.operations import Search
from parlant_store.backends.redis.keys import decode_name
from parlant_store.backends.redis.listings import RedisListings
from parlant_store.backends.redis.server.requests import Command, call
from parlant_store.backends.redis.values import decode_item, term_buckets
from parlant_store.content import codec
from parlant_store.content.items import searched_text, text_of
from parlant_store.content.text_search import count_matches, snippet, words
from parlant_store.content.times import microseconds
from parlant_store.types import JSONObject, SearchHit

MAX_HITS = 1_000
"""Limit on the sessions of one shard that a search returns."""


class RedisSearch(RedisListings):
    """Each shard is asked for its best sessions."""

    def _search(self, search: Search) -> list[SearchHit]:
        terms, namespace, limit, tools = search
        start = b"" if namespace is None else f"{codec.escape(namespace)}\0".encode()
        arguments: list[str | bytes] = []
        for term in terms:
            arguments += [" ".join(term), term_buckets(term)]
        now = microseconds(self.clock())
        answers = self.connection.read(
            *(
                call(
                    "search",
                    [shard.created, shard.words, *([shard.tools] if tools else [])],
                    *(shard.sessions, shard.texts, now, start, min(limit, MAX_HITS)),
                    *arguments,
                )
                for shard in self.keyspace.shards
            )
        )
        found = [
            (-score, *reversed(decode_name(name)), shard.items + name, places)
            for shard, rows in zip(self.keyspace.shards, answers, strict=True)
            for name, score, places in rows
        ]
        found.sort(key=lambda hit: hit[:3])
        del found[limit:]
        places = [(items, place) for *_, items, places in found for place in places]
        texts = iter(self._texts(places, searched_text if tools else text_of))
        return [
            SearchHit(
                namespace=namespace,
                session_id=session_id,
                score=float(-score),
                snippets=_snippets([next(texts) for _ in places], terms),
            )
            for score, session_id, namespace, _, places in found
        ]

    def _texts(
        self, places: list[tuple[bytes, int]], text: Callable[[JSONObject], str | None]
    ) -> list[str]:
        """Return the texts of the items at these places of lists."""
        if not places:
            return []
        items = self.connection.read(
            *(Command(key, ("LINDEX", key, place)) for key, place in places)
        )
        return [text(decode_item(item or b"") or {}) or "" for item in items]


def _snippets(texts: list[str], terms: list[list[str]]) -> tuple[str, ...]:
    # The session may have changed since the search.
    return tuple(
        snippet(text, terms) for text in texts if count_matches(" ".join(words(text)), terms)
    )
