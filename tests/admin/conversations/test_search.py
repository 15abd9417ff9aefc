"""The search of conversations: by words, by names and by ids."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from parlant_store.admin.conversations.search import words
from parlant_store.models import Session, SessionItem
from tests.admin.conversations.cases import names, names_in, parlant, person, texts
from tests.admin.pages import CALL, SCRIPT, bulk, get, listing, message, viewer
from tests.admin.pages import client as client
from tests.backends.rows_read import analyze, work_of


@pytest.mark.parametrize(
    "item",
    [
        message("I want a refund now"),
        message([{"type": "output_text", "text": "I want a refund now"}], "assistant"),
        message("I want a refund now", tool_name=None, content_parts=[{"type": "text"}]),
    ],
    ids=["message", "OpenAI Agents", "selectools"],
)
def test_conversations_are_found_by_what_was_written(client, store, item):
    store.add_items("s", [message("before"), item, message("after")])
    store.add_items("other", [message("nothing")])
    html = get(client, listing("session", q="REFUND"))
    assert names_in(html) == ["s"]
    assert "I want a <mark>refund</mark> now" in html
    assert names(client, q="refu") == ["s"]
    assert names(client, q="efund") == []


def test_conversations_are_found_by_what_tools_wrote(client, store):
    output = {"type": "function_call_output", "call_id": "1", "output": "lost at sea"}
    store.add_items("s", [message("x"), CALL | {"arguments": '{"ship":"Titania"}'}, output])
    assert names(client, q="titania") == ["s"]
    html = get(client, listing("session", q="sea"))
    assert names_in(html) == ["s"]
    assert "<mark>sea</mark>" in html


def test_parlant_sessions_are_found_by_the_words_of_their_events(client, store):
    call = {
        "tool_calls": [
            {"tool_id": "t:find", "arguments": {"to": "Reykjavik"}, "result": {"data": "storm"}}
        ]
    }
    parlant(store, "talk", ("customer", "A flight, please"), ("ai_agent", call))
    parlant(store, "other", ("customer", "Nothing"))
    html = get(client, listing("session", q="flight"))
    assert names_in(html) == ["talk"]
    assert "A <mark>flight</mark>, please" in html
    assert names(client, q="reykjavik") == ["talk"]
    assert names(client, q="storm") == ["talk"]


def test_conversations_of_a_customer_are_found_by_name(client, store):
    parlant(store, "talk", ("customer", "x"), customer_id="c1")
    parlant(store, "other", ("customer", "y"), customer_id="c2")
    person(store, "c1", "Grace Hopper")
    for query in ("Grace Hopper", "hopper", "grace"):
        assert names(client, q=query) == ["talk"]
    assert names(client, q="grace", date="today") == ["talk"]
    assert names(client, q="grace", to="2026-01-01") == []


def test_names_and_words_are_found_together(client, store):
    store.add_items("refund", [message("x")])
    store.add_items("other", [message("a refund")], user_id="ann")
    store.add_items("third", [message("no")], user_id="refund")
    parlant(store, "talk", ("customer", "a refund"))
    parlant(store, "refund", ("customer", "x"), prefix="p_")
    assert set(names(client, q="refund")) == {"third", "other", "refund", "talk"}
    assert len(names(client, q="refund")) == 5
    assert names(client, q="refund", owner="ann") == ["other"]


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("one", {"one", "team/one", "a/b/one"}),
        ("team/one", {"team/one"}),
        ("a/b/one", {"a/b/one"}),
        ("ann", {"team/one"}),
        ("talk", {"talk"}),
        ("cust", {"talk"}),
        ("On", set()),
        ("o_e", set()),
        ("one' OR 1=1 --", {"talk"}),
        ("a" + "/" * 2_000, set()),
    ],
)
def test_conversations_are_found_by_their_whole_names(client, store, term, expected):
    for namespace, owner in (("", None), ("team", "ann"), ("a/b", "bob")):
        store.add_items("one", [message("x")], namespace=namespace, user_id=owner)
    store.add_items("another one", [message("x")])
    parlant(store, "talk", ("customer", "1 or"))
    assert set(names(client, q=term)) == expected


def test_all_words_are_required_unless_none_has_all(client, store):
    store.add_items("both", [message("red green")])
    store.add_items("one", [message("red")])
    store.add_items("two", [message("green")])
    parlant(store, "talk", ("customer", "red and green"))
    assert set(names(client, q="green red")) == {"both", "talk"}
    assert set(names(client, q="green blue")) == {"two", "both", "talk"}


@pytest.mark.parametrize("term", ["%", "'", '"', "***", "AND", "a OR", "(x", "\\", "\0", " ", ":*"])
def test_any_search_is_answered(client, store, term):
    store.add_items("s", [message("text")])
    assert names(client, q=term) in ([], ["s"])


def test_any_script_is_searched(client, store):
    store.add_items("s", [message("我想要退款,谢谢")])
    html = get(client, listing("session", q="退款"))
    assert names_in(html) == ["s"]
    assert "<mark>退款</mark>" in html
    assert names(client, q="款退") == []


def test_what_is_found_is_text(client, store):
    store.add_items("s", [message(f"refund <b>bold</b> {SCRIPT}")])
    parlant(store, "talk", ("customer", f"refund {SCRIPT}"))
    html = get(client, listing("session", q="refund"))
    assert "<b>" not in html
    assert SCRIPT not in html
    assert "<mark>refund</mark> &lt;b&gt;bold" in html


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("one two three", "two", "one <mark>two</mark> three"),
        ("Servers serve", "serv", "<mark>Servers</mark> <mark>serve</mark>"),
        ("a-b, a b", "a-b", "<mark>a-b</mark>, <mark>a b</mark>"),
        ("x & y", "y", "x &amp; <mark>y</mark>"),
        ("nothing", "else", "nothing"),
        ("Straße", "straße", "Straße"),
    ],
)
def test_what_matches_is_marked(text, query, expected):
    assert words.marked(text, words.text_search.terms(query)) == expected


def test_a_word_of_many_items_is_bounded_and_noted(client, store, monkeypatch):
    for number in range(6):
        store.add_items(f"s{number}", [message("common")])
    store.add_items("newest", [message("common")])
    assert "Many messages match" not in get(client, listing("session", q="common"))
    monkeypatch.setattr(words, "MAX_HITS", 3)
    html = get(client, listing("session", q="common"))
    assert "Many messages match" in html
    assert "newest" in names_in(html)
    assert len(names_in(html)) <= 7


@pytest.mark.parametrize("term", ["common", "rare", "common rare", "common nowhere"])
def test_a_search_reads_no_more_of_a_large_table(client, store, term, monkeypatch):
    def fill(count):
        session = Session.objects.create(session_id=f"s{count}")
        store.add_items(f"s{count}", [message(f"common text {n}") for n in range(count)])
        store.add_items(f"r{count}", [message("rare")])
        assert SessionItem.objects.filter(session=session).count() == count
        analyze()

    def work():
        return work_of(lambda: get(client, listing("session", q=term)))

    monkeypatch.setattr(words, "MAX_HITS", 500)
    monkeypatch.setattr(words, "MAX_NEWEST", 250)
    fill(1_000)
    small = work()
    fill(6_000)
    assert work() < 1.5 * small + 150


@pytest.mark.parametrize("term", ["s77", "team/s77", "u77"])
def test_a_search_for_a_name_uses_indexes(client, term):
    bulk(1_500, namespace="team")
    bulk(1_500, namespace="other")
    analyze()
    with CaptureQueriesContext(connection) as context:
        names(client, q=term)
    named = [query["sql"] for query in context if "parlant_store_session" in query["sql"]]
    assert len(named) >= 4
    with connection.cursor() as cursor:
        for sql in named:
            if sql.startswith(("SELECT set_config", "SELECT count(*) FROM sqlite_master")):
                continue
            explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
            cursor.execute(explain + sql)
            plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
            scan = r"(SCAN|Seq Scan on) parlant_store_session\b(?! USING)"
            assert not re.search(scan, plan), plan


def test_nobody_finds_words_of_what_may_not_be_read(client, store):
    store.add_items("s", [message("a secret")])
    parlant(store, "talk", ("customer", "a secret"))
    for models, expected in (
        (("session",), []),
        (("session", "sessionitem"), ["s"]),
        (("document",), ["talk"]),
    ):
        viewing = viewer(*models)
        html = get(viewing, listing("session", q="secret"))
        assert names_in(html) == expected
        assert ("a <mark>secret</mark>" in html) is bool(expected)
        assert texts(html, "last_message") == ["a secret"] * len(expected)
        viewing.get("/admin/logout/")
        from django.contrib.auth.models import User

        User.objects.filter(username="viewer").delete()
