"""Search in sessions: the same from every backend."""

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from parlant_store.content.text_search import MAX_MATCHES, count_matches
from parlant_store.content.text_search import terms as parse_query
from parlant_store.exceptions import (
    InvalidInput,
    InvalidName,
)
from parlant_store.types import SessionRecord
from tests.contract.snapshot_values import said
from tests.contract.stores import Timed


def found(store, query: str, **options: Any) -> list[str]:
    return [hit.session_id for hit in store.search(query, **options)]


def may_end_with(term: list[str], other: list[str]) -> bool:
    """Whether the end of what ``term`` matches may be what ``other`` matches, and more."""
    *first, last = other
    end = term[len(term) - len(other) : -1]
    return len(term) > len(other) and end == first and last.startswith(term[-1])


class SearchContract(Timed):
    """Tests of search; a subclass gives the fixture ``make_store``."""

    def test_any_term_is_enough_and_the_best_comes_first(self, store):
        store.add_items("a", said("the cat sat on the mat"))
        store.add_items("b", said("a cat and a dog, and the cat again"), namespace="n")
        store.add_items("c", said("nothing of the kind", role="assistant"))
        assert set(found(store, "CAT bird")) == {"a", "b"}
        assert found(store, "kind") == ["c"]
        hits = store.search("cat dog")
        assert (hits[0].session_id, hits[0].namespace) == ("b", "n")
        assert hits[0].score > hits[1].score > 0
        assert hits[0].snippets == ("a cat and a dog, and the cat again",)
        assert found(store, "cat", namespace="n") == ["b"]
        assert found(store, "cat", namespace="") == ["a"]
        assert len(found(store, "cat", limit=1)) == 1
        assert found(store, "cat", limit=0) == []

    def test_more_matches_rank_higher_however_rare_a_word_is(self, store):
        for number in range(20):
            store.add_items(f"other {number}", said("an order"))
        store.add_items("rare", said("a zebra"))
        store.add_items("messages", said("the order", "an order", "order it", "nothing"))
        store.add_items("places", said("order, order, order and ordered"))
        store.add_items("terms", said("my order", "a lamp, a lamp and a lamp"))
        hits = store.search("zebra order lamp", limit=30)
        assert [(hit.session_id, hit.score) for hit in hits[:5]] == [
            ("places", 4),
            ("terms", 4),
            ("messages", 3),
            ("other 0", 1),
            ("other 1", 1),
        ]
        assert hits[1].snippets == ("a lamp, a lamp and a lamp", "my order")

    @pytest.mark.values
    @pytest.mark.parametrize(
        ("text", "query", "score"),
        [
            ("server serve serving", "serv", 3),
            ("server serve", "serv server SERV serve", 2),
            ("foo-bar, bar-foo, foo-bar-foo", "foo-bar", 2),
            ("foo-bar-foo", "foo-bar bar-foo", 2),
            ("foo-bar foo", "foo-bar bar", 1),
            ("哈哈哈哈", "哈哈", 3),
            ("a " * 1_000, "a", 100),
            ("a b " * 1_000, "a-b", 100),
            ("b a c a b", "a-b c", 2),
        ],
    )
    def test_a_score_is_how_many_places_match(self, store, text, query, score):
        store.add_items("s", said(text))
        assert [hit.score for hit in store.search(query)] == [score]

    @pytest.mark.values
    @given(
        st.lists(st.lists(st.sampled_from(["a", "b", "ab", "abc"]), max_size=9), max_size=5),
        st.lists(st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=3), max_size=3),
    )
    @settings(max_examples=60)
    def test_scores_are_the_same_everywhere(self, store, messages, terms):
        # PostgreSQL does not count a match around another one.
        assume(not any(may_end_with(one, other) for one in terms for other in terms))
        query = " ".join("-".join(term) for term in terms)
        scores = {}
        try:
            for number, message in enumerate(messages):
                store.replace_items(f"s{number}", said("-".join(message)))
                if score := count_matches(" ".join(message), parse_query(query)):
                    scores[f"s{number}"] = score
            ranked = sorted(scores.items(), key=lambda found: (-found[1], found[0]))
            hits = store.search(query)
            assert [(hit.session_id, hit.score) for hit in hits] == ranked
        finally:
            for number in range(len(messages)):
                store.delete_session(f"s{number}")

    @pytest.mark.values
    @pytest.mark.parametrize("query", ["", "  ", "%", "-- ' \"", "\0", "😀"])
    def test_a_query_without_words_finds_nothing(self, store, query):
        store.add_items("s", said("anything % ' \" at all 😀"))
        assert store.search(query) == []

    @pytest.mark.values
    @pytest.mark.parametrize(
        ("text", "query"),
        [
            ("我爱北京天安门", "北京"),
            ("我爱北京天安门", "爱北京天"),
            ("Un café crème, s'il vous plaît", "CAFÉ"),
            ("un cafe\u0301", "café"),
            ("Привет, МИР", "мир"),
            ("Straßenbahn", "STRASSEN"),
            ("हिन्दी में", "हिन्दी"),
            ("ภาษาไทย", "ไทย"),
            ("한국어 문장", "한국"),
            ("the server is down", "serv"),
            ("snake_case_name", "snake_case"),
            ("foo-bar", "foo-bar"),
            ("it's", "it's"),
            ("AND OR NOT NEAR", "not"),
            ("order #17 & 18 | (x)", "#17"),
            ("a:b* <-> 'quoted'", "'quoted'"),
            ("tab\tand\nline", "line"),
            ("x\0hidden \ud800", "hidden"),
        ],
    )
    def test_every_script_and_every_sign(self, store, text, query):
        store.add_items("s", said(text))
        store.add_items("other", said("unrelated words"))
        assert found(store, query) == ["s"]

    @pytest.mark.values
    @pytest.mark.parametrize("query", ["京北", "afé", "dow server", "bar-foo", "NEAR(x", "oo*"])
    def test_what_does_not_match(self, store, query):
        store.add_items("s", said("北京", "café", "server down", "foo-bar"))
        assert found(store, query.replace(" ", "-") if "dow" in query else query) == []

    def test_only_what_users_and_assistants_said_is_found(self, store):
        store.add_items("s", [*said("hidden", role="system"), {"type": "x", "content": "hidden"}])
        assert store.search("hidden") == []
        parts = [{"type": "input_text", "text": "in a part"}]
        store.add_items("s", [{"role": "user", "content": parts}])
        assert found(store, "part") == ["s"]

    def test_a_search_of_tools_finds_what_they_said(self, store):
        call = {"type": "function_call", "name": "track_parcel", "arguments": '{"order": "5512"}'}
        output = {"type": "function_call_output", "output": '{"depot": "Westquay"}'}
        store.add_items("calls", [{"role": "user", "content": "Where?"}, call, output])
        store.add_items("says", said("In Westquay", role="assistant"), namespace="n")
        assert found(store, "westquay") == ["says"]
        assert set(found(store, "westquay", tools=True)) == {"calls", "says"}
        assert found(store, "westquay", tools=True, namespace="n") == ["says"]
        (hit,) = store.search("track_parcel 5512", tools=True)
        assert (hit.session_id, hit.score) == ("calls", 2)
        assert "track_parcel" in hit.snippets[0]
        assert found(store, "track_parcel") == []
        assert found(store, "where-track_parcel", tools=True) == []
        store.add_items("many", [{"type": "x_output", "output": "kiln " * 5_000}])
        (hit,) = store.search("kiln", tools=True)
        assert (hit.score, len(hit.snippets)) == (MAX_MATCHES, 1)

    def test_what_a_message_and_its_tools_said_counts_together(self, store):
        calls = [{"name": "find", "parameters": {"town": "Lisbon", "days": 17}}]
        message = {"role": "assistant", "content": "Lisbon, then", "tool_calls": calls}
        store.add_items("s", [message])
        assert [hit.score for hit in store.search("lisbon 17")] == [1]
        assert [hit.score for hit in store.search("lisbon 17", tools=True)] == [3]
        assert found(store, "then-find", tools=True) == []

    def test_what_tools_said_is_found_no_more_when_it_goes(self, store, clock):
        output = {"type": "function_call_output", "output": "kiln"}
        store.add_items("s", [output, *said("one")])
        store.branch("s", "t")
        assert found(store, "kiln", tools=True) == ["s", "t"]
        store.replace_items("s", said("two"))
        since = store.load_snapshot("t").revision
        store.save_snapshot("t", said("three"), state={}, since=since, drop=1, keep=1)
        assert found(store, "kiln", tools=True) == []
        assert found(store, "three", tools=True) == ["t"]
        store.add_items("s", [output])
        store.delete_session("s")
        store.add_items("s", said("four"))
        assert found(store, "kiln", tools=True) == []
        store.write_sessions([SessionRecord(session_id="u", items=[output])])
        assert found(store, "kiln", tools=True) == ["u"]

    def test_what_goes_is_found_no_more(self, store, clock):
        store.add_items("s", said("one", "two"))
        store.pop_item("s")
        assert (found(store, "one"), found(store, "two")) == (["s"], [])
        store.replace_items("s", said("three"))
        assert (found(store, "one"), found(store, "three")) == ([], ["s"])
        store.branch("s", "t")
        assert found(store, "three") == ["s", "t"]
        store.clear("s")
        assert found(store, "three") == ["t"]
        since = store.load_snapshot("t").revision
        store.save_snapshot("t", said("four"), state={}, since=since, drop=1)
        assert (found(store, "three"), found(store, "four")) == ([], ["t"])
        store.set_expiry("t", clock())
        assert found(store, "four") == []
        store.expire()
        store.add_items("t", said("five"))
        assert (found(store, "four"), found(store, "five")) == ([], ["t"])
        store.delete_session("t")
        assert found(store, "five") == []

    def test_snippets_are_short_and_few(self, store):
        long = "word " * 200
        store.add_items("s", said(*(f"{long} needle {number} {long}" for number in range(9))))
        (hit,) = store.search("needle")
        assert len(hit.snippets) == 5
        assert all(len(snippet) <= 160 and "needle" in snippet for snippet in hit.snippets)

    @pytest.mark.values
    def test_long_texts_and_long_words(self, store):
        store.add_items("s", said("x" * 100_000, " ".join(f"w{n}" for n in range(50_000))))
        assert found(store, "x" * 500) == ["s"]
        assert found(store, "w9999") == ["s"]

    @pytest.mark.values
    @pytest.mark.parametrize("query", [None, 5, ["a"]])
    def test_a_query_is_text(self, store, query):
        with pytest.raises(InvalidInput, match="a query must be text"):
            store.search(query)
        with pytest.raises(InvalidName):
            store.search("a", namespace="\0")

    # Signals
