"""Whole sessions, their expiry, branches, listings and search: the same from every backend."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from parlant_store import signals
from parlant_store.exceptions import (
    InvalidFilter,
    InvalidInput,
    InvalidItem,
    InvalidLimit,
    InvalidName,
    SessionNotFound,
)
from parlant_store.text_search import count_matches
from parlant_store.text_search import terms as parse_query
from parlant_store.types import Revision
from tests.contract import turns
from tests.contract.sessions import IDS, NASTY, Timed, in_threads, numbered


def said(*texts: str, role: str = "user", **fields: Any) -> list[dict[str, Any]]:
    return [{"role": role, "content": text, **fields} for text in texts]


def used(*tokens: int) -> list[dict[str, Any]]:
    return [{"n": count, "usage": {"total_tokens": count}} for count in tokens]


def found(store, query: str, **options: Any) -> list[str]:
    return [hit.session_id for hit in store.search(query, **options)]


def may_end_with(term: list[str], other: list[str]) -> bool:
    """Whether the end of what ``term`` matches may be what ``other`` matches, and more."""
    *first, last = other
    end = term[len(term) - len(other) : -1]
    return len(term) > len(other) and end == first and last.startswith(term[-1])


class SnapshotContract(Timed):
    """Tests of whole sessions; a subclass gives the fixture ``make_store``."""

    def test_what_is_saved_is_loaded(self, store):
        state = {"summary": "\0 \ud800", "max": 20, "nested": {"a": [1.0]}}
        saved = store.save_snapshot("s", NASTY, state=state, namespace="n", user_id="ada")
        loaded = store.load_snapshot("s", namespace="n")
        assert (loaded.items, loaded.state, loaded.revision) == (NASTY, state, saved)
        assert store.get_items("s", namespace="n") == NASTY
        session = store.get_session("s", namespace="n")
        assert (session.user_id, session.item_count) == ("ada", len(NASTY))
        assert store.load_snapshot("s") is None

    def test_a_session_without_items(self, store):
        store.save_snapshot("s", [], state={"a": 1})
        loaded = store.load_snapshot("s")
        assert (loaded.items, loaded.state) == ([], {"a": 1})
        store.add_items("t", numbered(1))
        assert store.load_snapshot("t").state == {}

    def test_saving_takes_the_place_of_all(self, store):
        store.add_items("s", numbered(1, 2, 3))
        store.save_snapshot("s", numbered(4), state={})
        assert store.get_items("s") == numbered(4)
        assert store.get_session("s").item_count == 1

    @pytest.mark.parametrize("drop", [0, 1, 3])
    @pytest.mark.parametrize("keep", [0, 2])
    @pytest.mark.parametrize("added", [[], [7], [7, 8]])
    def test_only_what_changed_is_given(self, store, drop, keep, added):
        store.add_items("s", numbered(*range(5)))
        store.pop_item("s")
        store.add_items("s", numbered(5))
        items = [0, 1, 2, 3, 5]
        since = store.load_snapshot("s").revision
        state = {"drop": drop}
        saved = store.save_snapshot(
            "s", numbered(*added), state=state, since=since, drop=drop, keep=keep
        )
        loaded = store.load_snapshot("s")
        assert loaded.items == numbered(*items[drop : drop + keep], *added)
        assert (loaded.state, loaded.revision) == (state, saved)
        assert store.get_session("s").item_count == len(loaded.items) == saved.item_count

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.differing_executors,
        ],
    )
    @given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(0, 4)), max_size=6))
    def test_any_chain_of_changes(self, store, changes):
        items: list[dict[str, Any]] = []
        revision = store.save_snapshot("chain", items, state={})
        for number, (first, second, count) in enumerate(changes):
            drop = int(first * len(items))
            keep = int(second * (len(items) - drop))
            new = numbered(*range(number * 10, number * 10 + count))
            items = items[drop : drop + keep] + new
            revision = store.save_snapshot(
                "chain", new, state={"n": number}, since=revision, drop=drop, keep=keep
            )
            assert store.load_snapshot("chain").items == items
            assert revision.item_count == store.get_session("chain").item_count == len(items)

    @pytest.mark.parametrize(
        "change",
        [
            lambda store: store.add_items("s", numbered(9)),
            lambda store: store.pop_item("s"),
            lambda store: store.clear("s"),
            lambda store: store.replace_items("s", numbered(1, 2, 3)),
            lambda store: store.save_snapshot("s", numbered(1, 2, 3), state={}),
            lambda store: store.delete_session("s"),
        ],
    )
    def test_what_somebody_changed_is_left_alone(self, store, change):
        since = store.save_snapshot("s", numbered(1, 2, 3), state={"a": 1})
        change(store)
        before = store.load_snapshot("s")
        for drop, keep in ((0, 3), (1, 2), (0, 0)):
            saved = store.save_snapshot(
                "s", numbered(4), state={"b": 1}, since=since, drop=drop, keep=keep
            )
            assert saved is None
        assert store.load_snapshot("s") == before

    def test_a_new_life_is_another_revision(self, ttl_store, clock):
        since = ttl_store.save_snapshot("s", numbered(1), state={})
        clock.pass_(10)
        assert ttl_store.save_snapshot("s", [], state={}, since=since, keep=1) is None
        assert ttl_store.load_snapshot("s") is None
        ttl_store.save_snapshot("s", numbered(1), state={})
        assert ttl_store.save_snapshot("s", [], state={}, since=since, keep=1) is None

    @pytest.mark.parametrize(("drop", "keep"), [(-1, 0), (0, -1), (2, 2), (0, 4)])
    def test_parts_that_a_revision_does_not_have_are_refused(self, store, drop, keep):
        since = store.save_snapshot("s", numbered(1, 2, 3), state={})
        with pytest.raises(InvalidLimit, match="drop and keep"):
            store.save_snapshot("s", [], state={}, since=since, drop=drop, keep=keep)

    def test_what_cannot_be_kept_is_refused_before_anything_is_written(self, store):
        with pytest.raises(InvalidItem, match="state"):
            store.save_snapshot("s", [], state={"a": {1}})
        with pytest.raises(InvalidItem, match=r"items\[0\]"):
            store.save_snapshot("s", [{"a": {1}}], state={})
        assert not store.exists("s")

    def test_savers_at_once_leave_one_whole_snapshot(self, store):
        def save(number: int) -> None:
            for _ in range(5):
                items = [{"by": number, "n": n} for n in range(20)]
                store.save_snapshot("s", items, state={"by": number})

        in_threads(save, 6)
        loaded = store.load_snapshot("s")
        (writer,) = {item["by"] for item in loaded.items}
        assert loaded.state == {"by": writer}
        assert len(loaded.items) == 20

    def test_of_two_who_change_one_revision_one_succeeds(self, store):
        since = store.save_snapshot("s", numbered(1), state={})
        saved: list[Revision | None] = []

        def save(number: int) -> None:
            new = numbered(number + 10)
            saved.append(store.save_snapshot("s", new, state={}, since=since, keep=1))

        in_threads(save, 6)
        assert len([revision for revision in saved if revision]) == 1
        assert len(store.get_items("s")) == 2

    # Life

    def test_a_session_may_live_as_long_as_a_call_says(self, store, clock):
        store.add_items("a", numbered(1), ttl_seconds=5)
        store.replace_items("b", numbered(1), ttl_seconds=5)
        store.save_snapshot("c", numbered(1), state={}, ttl_seconds=5)
        store.branch("a", "d", ttl_seconds=5)
        for name in "abcd":
            assert store.get_session(name).expires_at == clock() + timedelta(seconds=5)
        clock.pass_(5)
        assert store.list_sessions().sessions == ()
        assert store.search("1") == []
        with pytest.raises(SessionNotFound):
            store.branch("a", "e")

    @pytest.mark.parametrize("ttl_seconds", [0, -1, True, "5", 10**30, float("nan")])
    def test_a_bad_life_is_refused(self, store, ttl_seconds):
        with pytest.raises(InvalidLimit, match="ttl_seconds"):
            store.add_items("s", numbered(1), ttl_seconds=ttl_seconds)

    def test_the_end_can_be_set(self, store, clock):
        store.add_items("s", numbered(1))
        assert store.set_expiry("s", clock() + timedelta(days=1))
        assert store.get_session("s").expires_at == clock() + timedelta(days=1)
        assert store.set_expiry("s", None)
        assert store.get_session("s").expires_at is None
        assert store.set_expiry("s", clock())
        assert not store.exists("s")
        assert not store.set_expiry("s", None)
        assert not store.set_expiry("none", None)
        with pytest.raises(InvalidInput, match="timezone"):
            store.set_expiry("s", clock().replace(tzinfo=None))

    # Branches

    @pytest.mark.parametrize("name", IDS)
    def test_a_branch_is_a_copy(self, store, name):
        owner = "o" * 4_096
        store.save_snapshot("s", NASTY, state={"a": "\0"}, namespace=name, user_id=owner)
        store.set_metadata("s", {"m": 1}, namespace=name)
        store.branch("s", name, namespace=name)
        assert store.load_snapshot(name, namespace=name).items == NASTY
        assert store.load_snapshot(name, namespace=name).state == {"a": "\0"}
        copied = store.get_session(name, namespace=name)
        assert (copied.user_id, copied.metadata, copied.item_count) == (owner, {"m": 1}, len(NASTY))
        store.add_items(name, numbered(1), namespace=name)
        assert store.get_items("s", namespace=name) == NASTY

    def test_a_branch_takes_the_place_of_what_was_there(self, store, clock):
        store.add_items("s", numbered(1))
        store.add_items("t", numbered(2), user_id="bob")
        clock.pass_(1)
        store.branch("s", "t")
        assert store.get_items("t") == numbered(1)
        session = store.get_session("t")
        assert (session.user_id, session.created_at) == (None, clock())
        store.branch("s", "s")
        assert store.get_items("s") == numbered(1)

    def test_there_must_be_something_to_branch_from(self, store):
        store.add_items("t", numbered(1))
        with pytest.raises(SessionNotFound, match="'s'"):
            store.branch("s", "t")
        assert store.get_items("t") == numbered(1)

    # Tokens and turns

    def test_tokens_are_summed_of_the_items_that_are_there(self, store):
        store.add_items("s", [*used(5, 7), {"usage": {"input_tokens": 1, "output_tokens": 2}}])
        assert store.get_session("s").tokens == 15
        store.add_items(
            "s", [{"usage": {"prompt_tokens": 1, "completion_tokens": 1}}, {"usage": 3}]
        )
        assert store.get_session("s").tokens == 17
        store.pop_item("s")
        store.pop_item("s")
        assert store.get_session("s").tokens == 15
        since = store.load_snapshot("s").revision
        store.save_snapshot("s", used(100), state={}, since=since, drop=1, keep=1)
        assert store.get_session("s").tokens == 107
        store.branch("s", "t")
        assert store.get_session("t").tokens == 107
        store.replace_items("s", used(3))
        assert store.get_session("s").tokens == 3
        store.save_snapshot("s", used(4), state={})
        assert store.get_session("s").tokens == 4
        store.clear("s")
        assert store.get_session("s").tokens == 0

    @pytest.mark.parametrize(
        "usage",
        [None, 5, [], {"total_tokens": -1}, {"total_tokens": True}, {"total_tokens": 2**70}],
    )
    def test_usage_that_says_nothing_counts_nothing(self, store, usage):
        store.add_items("s", [{"usage": usage}])
        assert store.get_session("s").tokens == 0

    def test_whole_turns_begin_with_a_user(self, store):
        call = {"type": "function_call", "call_id": "c1"}
        output = {"type": "function_call_output", "call_id": "c1"}
        items = [*said("one"), call, output, *said("a", role="assistant"), *said("two"), {"n": 1}]
        store.add_items("s", items)
        assert store.get_items("s", limit=4, whole_turns=True) == items[4:]
        assert store.get_items("s", limit=6, whole_turns=True) == items
        assert store.get_items("s", limit=7, whole_turns=True) == items
        assert store.get_items("s", whole_turns=True) == items

    def test_whole_turns_never_begin_with_an_output_whose_call_was_cut_off(self, store):
        items = [
            *said("go"),
            {"type": "function_call", "call_id": "c1"},
            {"type": "function_call_output", "call_id": "c1"},
            {"role": "assistant", "tool_calls": [{"id": "c2"}]},
            {"role": "tool", "tool_call_id": "c2"},
        ]
        store.add_items("s", items)
        assert store.get_items("s", limit=1, whole_turns=True) == []
        assert store.get_items("s", limit=2, whole_turns=True) == items[3:]
        assert store.get_items("s", limit=3, whole_turns=True) == items[3:]
        assert store.get_items("s", limit=4, whole_turns=True) == items[1:]

    @pytest.mark.parametrize("name", turns.NAMES)
    def test_whole_turns_part_no_pair(self, store, name):
        session = turns.joined(["a question", name, "an answer"])
        store.add_items("s", session.items)
        for limit in range(1, len(session.items) + 2):
            found = store.get_items("s", limit=limit, whole_turns=True)
            assert len(found) <= limit
            assert found == session.items[len(session.items) - len(found) :]
            assert not turns.parted(session, found)
        assert found == session.items

    def test_whole_turns_find_the_reasoning_of_a_long_response(self, store):
        calls = [turns.call(str(number)) for number in range(20)]
        outputs = [turns.output(str(number)) for number in range(20)]
        store.add_items("s", [*said("go"), turns.reasoning("1"), *calls, *outputs])
        for limit in (1, 20, 39, 40):
            assert store.get_items("s", limit=limit, whole_turns=True) == []
        assert len(store.get_items("s", limit=41, whole_turns=True)) == 41
        store.add_items("s", [turns.answer()])
        for limit in (1, 20, 40):
            assert store.get_items("s", limit=limit, whole_turns=True) == [turns.answer()]

    def test_whole_turns_drop_nothing_when_nothing_is_cut_off(self, store):
        items = [turns.output("gone"), {"role": "system", "content": "r"}, *said("a")]
        store.add_items("s", items)
        assert store.get_items("s", limit=3, whole_turns=True) == items
        store.add_items("s", [turns.answer()])
        assert store.get_items("s", limit=3, whole_turns=True) == [*items[1:], turns.answer()]

    # Listing

    def test_listing_by_what_the_id_begins_with(self, store):
        for name in ("a:1", "a:2", "a", "b", "a\ud800", "ab" * 600):
            store.add_items(name, numbered(1), namespace="n")
            store.add_items(name, numbered(1))
        for prefix in ("a:", "a", "a\ud800", "abab", "", "c"):
            page = store.list_sessions(prefix=prefix, namespace="n")
            names = [session.session_id for session in page.sessions]
            assert sorted(names) == sorted(
                name
                for name in ("a:1", "a:2", "a", "b", "a\ud800", "ab" * 600)
                if name.startswith(prefix)
            )

    def test_summaries_say_the_least_of_listings(self, store, clock):
        for number, name in enumerate(["a", "b\ud800", "c" * 4_000, "\x01"]):
            clock.pass_(0.123457)
            store.add_items(name, numbered(*range(number)) or numbered(1), namespace="n")
            clock.pass_(1.1)
            store.add_items(name, numbered(1), namespace="n")
        sessions = sorted(store.list_sessions().sessions, key=lambda session: session.created_at)
        assert [summary[1:] for summary in store.list_summaries()] == [
            (
                session.namespace,
                session.session_id,
                session.item_count,
                session.created_at.timestamp(),
                session.updated_at.timestamp(),
            )
            for session in sessions
        ]
        first = list(store.list_summaries(limit=2, prefix=""))
        rest = list(store.list_summaries(after=first[-1].key))
        assert first + rest == list(store.list_summaries())
        assert first == list(store.list_summaries(limit=2, namespace="n"))
        assert [*store.list_summaries(namespace="none"), *store.list_summaries(limit=0)] == []

    def test_summaries_say_times_to_the_microsecond(self, store, clock):
        first = clock.time.replace(month=12, day=31, hour=23, minute=59, second=59)
        edges = (0, 1, 499, 500, 999_499, 999_500, 999_501, 999_999, *range(7, 10**6, 20_011))
        times = [first + timedelta(microseconds=microseconds) for microseconds in edges]
        for number, clock.time in enumerate(times):
            store.add_items(f"session-{number}", numbered(1))
        said = [summary.created_at for summary in store.list_summaries()]
        assert said == [time.timestamp() for time in times]

    def test_long_prefixes_are_exact(self, store):
        names = ["x" * 100, "x" * 100 + "a", "x" * 600 + "b", "x" * 80 + "c", "é" * 300]
        for name in names:
            store.add_items(name, numbered(1))
        for prefix in ("x" * 99, "x" * 101, "x" * 440, "x" * 80 + "c", "é" * 220):
            found = [session.session_id for session in store.list_sessions(prefix=prefix).sessions]
            assert found == [name for name in sorted(names) if name.startswith(prefix)]
        with pytest.raises(InvalidName, match="prefix has more than 440 bytes"):
            store.list_sessions(prefix="x" * 441)

    def test_listing_what_was_written_since(self, store, clock):
        store.add_items("a", numbered(1))
        clock.pass_(5)
        store.add_items("b", numbered(1))
        page = store.list_sessions(updated_since=clock())
        assert [session.session_id for session in page.sessions] == ["b"]
        with pytest.raises(InvalidInput, match="timezone"):
            store.list_sessions(updated_since=clock().replace(tzinfo=None))

    def test_listing_by_metadata(self, store):
        store.set_metadata("a", {"topic": "x", "n": 1, "agent_id": "y"})
        store.set_metadata("b", {"topic": "y", "n": 2.5})
        store.set_metadata("c", {"n": 10**400})
        for where, names in (
            ({"topic": {"$eq": "x"}}, ["a"]),
            ({"topic": {"$in": ["x", "y"]}}, ["a", "b"]),
            ({"n": {"$gt": 1}}, ["b", "c"]),
            ({"n": {"$gt": 10**300}}, ["c"]),
            ({"topic": {"$eq": None}}, ["c"]),
            ({"agent_id": {"$eq": "y"}}, ["a"]),
            ({"a.b": {"$ne": 1}}, ["a", "b", "c"]),
        ):
            page = store.list_sessions(where=where)
            assert [session.session_id for session in page.sessions] == names, where
        with pytest.raises(InvalidFilter):
            store.list_sessions(where={"n": {"$like": 1}})

    # Search

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

    @given(
        st.lists(st.lists(st.sampled_from(["a", "b", "ab", "abc"]), max_size=9), max_size=5),
        st.lists(st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=3), max_size=3),
    )
    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
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

    @pytest.mark.parametrize("query", ["", "  ", "%", "-- ' \"", "\0", "😀"])
    def test_a_query_without_words_finds_nothing(self, store, query):
        store.add_items("s", said("anything % ' \" at all 😀"))
        assert store.search(query) == []

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

    def test_long_texts_and_long_words(self, store):
        store.add_items("s", said("x" * 100_000, " ".join(f"w{n}" for n in range(50_000))))
        assert found(store, "x" * 500) == ["s"]
        assert found(store, "w9999") == ["s"]

    @pytest.mark.parametrize("query", [None, 5, ["a"]])
    def test_a_query_is_text(self, store, query):
        with pytest.raises(InvalidInput, match="a query must be text"):
            store.search(query)
        with pytest.raises(InvalidName):
            store.search("a", namespace="\0")

    # Signals

    def test_signals_say_what_happened(self, store, clock):
        heard: list[tuple[Any, ...]] = []

        def hear(kind: str) -> Any:
            def receiver(sender: str, signal: Any, **said: Any) -> None:
                heard.append((kind, said["namespace"], said["session_id"], said["message_count"]))

            return receiver

        kinds = ("saved", "loaded", "expired", "deleted")
        receivers = {kind: hear(kind) for kind in kinds}
        for kind, receiver in receivers.items():
            getattr(signals, f"session_{kind}").connect(receiver, sender=store.alias)
        try:
            store.add_items("s", numbered(1, 2), namespace="n")
            store.add_items("s", numbered(3), namespace="n")
            store.get_items("s", namespace="n", limit=2)
            store.save_snapshot("s", numbered(1), state={}, namespace="n")
            store.load_snapshot("s", namespace="n")
            store.branch("s", "t", namespace="n")
            store.delete_session("s", namespace="n")
            store.delete_session("s", namespace="n")
            store.set_expiry("t", clock(), namespace="n")
            assert store.load_snapshot("t", namespace="n") is None
            assert store.expire().sessions == 1
        finally:
            for kind, receiver in receivers.items():
                getattr(signals, f"session_{kind}").disconnect(receiver, sender=store.alias)
        assert heard == [
            ("saved", "n", "s", 2),
            ("saved", "n", "s", 3),
            ("loaded", "n", "s", 2),
            ("saved", "n", "s", 1),
            ("loaded", "n", "s", 1),
            ("saved", "n", "t", 1),
            ("deleted", "n", "s", 1),
            ("expired", "n", "t", 1),
        ]

    def test_a_receiver_that_fails_harms_nobody(self, store, caplog):
        def fail(**said: Any) -> None:
            raise RuntimeError("no")

        signals.session_saved.connect(fail, sender=store.alias)
        try:
            store.add_items("s", numbered(1))
        finally:
            signals.session_saved.disconnect(fail, sender=store.alias)
        assert store.get_items("s") == numbered(1)
        assert "A receiver of a signal failed" in caplog.text
