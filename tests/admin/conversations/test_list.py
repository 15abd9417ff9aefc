"""The list of conversations: its columns, its order, its pages."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from parlant_store.admin import options
from parlant_store.admin.conversations import rows
from parlant_store.admin.conversations.search import streams
from parlant_store.admin.formatting import ago, expiry
from parlant_store.models import Session
from tests.admin.conversations.cases import (
    created,
    failed_call,
    names,
    names_in,
    parlant,
    person,
    texts,
    titles,
)
from tests.admin.pages import CALL, OUTPUT, bulk, expire, get, listing, message
from tests.admin.pages import client as client

DAY = 24 * 60 * 60


def test_conversations_of_all_frameworks_are_in_one_list(client, store):
    store.add_items("first", [message("How are you?")], namespace="team", user_id="ann")
    store.save_snapshot("memory", [message("a"), message("b")], state={"selectools": "memory"})
    parlant(store, "talk", ("customer", "A flight, please"), ("ai_agent", "To Paris?"))
    person(store, "cust", "Grace Hopper")
    person(store, "agent", "Travel helper", "agents")
    expire("first", 3 * DAY + 60)
    Session.objects.update(updated_at=timezone.now() - timedelta(minutes=3))
    Session.objects.filter(session_id="first").update(
        updated_at=timezone.now() - timedelta(hours=2)
    )
    html = get(client, listing("session"))
    assert re.findall(r'<t[hd] class="field-(\w+)', html)[:8] == [
        "conversation",
        "person",
        "agent",
        "length",
        "last_message",
        "last_activity",
        "expiry",
        "outcome",
    ]
    assert names_in(html) == ["talk", "memory", "team/first"]
    assert titles(html) == ["A flight, please", "a", "How are you?"]
    assert texts(html, "person") == ["Grace Hopper cust", "-", "ann"]
    assert texts(html, "agent") == ["Travel helper Parlant", "selectools", "team OpenAI Agents"]
    assert texts(html, "length") == ["2 messages", "2 items", "1 item"]
    assert texts(html, "last_message") == ["To Paris?", "b", "How are you?"]
    assert texts(html, "last_activity") == ["just now", "3 minutes ago", "2 hours ago"]
    assert texts(html, "expiry")[1:] == ["Expires: never", "Expires: in 3 days"]


def test_failed_calls_and_waiting_approvals_are_counted(client, store):
    error = "An error occurred while running the tool. Please try again. Error: x"
    request = {"type": "mcp_approval_request", "id": "m1", "name": "x", "arguments": "{}"}
    answer = {"type": "mcp_approval_response", "approval_request_id": "m1", "approve": True}
    store.add_items("failed", [CALL, OUTPUT | {"output": error}])
    store.add_items("waiting", [request, request | {"id": "m2"}, answer])
    parlant(store, "talk", ("customer", "a"), ("ai_agent", failed_call()))
    html = get(client, listing("session"))
    states = dict(zip(names_in(html), texts(html, "outcome"), strict=True))
    assert states == {
        "failed": "1 failed call",
        "waiting": "1 approval waiting",
        "talk": "1 failed call",
    }


def test_the_title_is_that_of_the_metadata_or_the_first_words_of_the_user(client, store):
    store.add_items("given", [message("words")])
    store.set_metadata("given", {"title": "A title", "other": 1})
    store.add_items("words", [message("hello", "assistant"), message("x" * 500)])
    store.add_items("none", [CALL])
    parlant(store, "talk", ("customer", "words"), title="Parlant's title")
    html = get(client, listing("session"))
    found = dict(zip(names_in(html), titles(html), strict=True))
    assert found == {
        "given": "A title",
        "words": "x" * 79 + "…",
        "none": "none",
        "talk": "Parlant&#x27;s title",
    }


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (30, "in less than a minute"),
        (2 * 3_600 + 30, "in 2 hours"),
        (40 * DAY, "in 1 month"),
        (-5, "expired just now"),
        (-2 * 3_600 - 5, "expired 2 hours ago"),
    ],
)
def test_the_expiry_is_relative(after, expected):
    time = timezone.now() + timedelta(seconds=after)
    html = expiry(time)
    assert re.sub("<.*?>", "", html).replace("\xa0", " ") == expected
    assert f'datetime="{time.isoformat()}"' in html


@pytest.mark.parametrize(("after", "expected"), [(0, "just now"), (-3_700, "1 hour ago")])
def test_the_last_activity_is_relative(after, expected):
    html = ago(timezone.now() + timedelta(seconds=after))
    assert re.sub("<.*?>", "", html).replace("\xa0", " ") == expected


def test_the_expiry_is_in_the_language_of_the_reader():
    with translation.override("de"):
        assert "in 3 Tagen" in expiry(timezone.now() + timedelta(days=3, minutes=5))


def test_the_last_message_is_the_latest_with_a_text(client, store):
    store.add_items("s", [message("old"), message("x" * 500, "assistant"), CALL, OUTPUT])
    store.add_items("none", [CALL, message("")])
    store.add_items("far", [message("far away"), *[CALL] * rows.MAX_LAST])
    html = get(client, listing("session"))
    found = dict(zip(names_in(html), texts(html, "last_message"), strict=True))
    assert found == {"far": "-", "none": "-", "s": "x" * 79 + "…"}


def test_a_list_costs_the_same_for_few_and_many(client, store, django_assert_num_queries):
    for count in (3, 24):
        for number in range(count):
            store.add_items(f"s{count}-{number}", [message("hello")])
            parlant(store, f"p{count}-{number}", ("customer", "hello"))
        get(client, listing("session"))
        # login, user, rows, count, sessions, Parlant sessions, customers and agents
        with django_assert_num_queries(7) as queries:
            html = get(client, listing("session"))
    assert texts(html, "last_message") == ["hello"] * 50
    columns = next(query["sql"] for query in queries if "first_message" in query["sql"] or 1)
    for name in ("state", "full_names"):
        assert f'"{name}"' not in columns.partition(" FROM ")[0]


def test_a_list_counts_no_further_than_its_limit(client, monkeypatch):
    assert streams.MAX_ROWS == 10_000
    monkeypatch.setattr(streams, "MAX_ROWS", 500)
    bulk(520)
    with CaptureQueriesContext(connection) as context:
        html = get(client, listing("session"))
    (count,) = (query["sql"] for query in context if "count(" in query["sql"])
    assert "LIMIT 501" in count
    assert "There are more than 500: only the first 500 are listed" in html
    assert "?p=10" in html
    assert "?p=11" not in html
    assert len(names(client, p=10)) == 50
    response = client.get(listing("session", p=11))
    assert (response.status_code, response.headers["location"][-4:]) == (302, "?e=1")


def test_a_list_below_its_limit_is_counted_exactly(client):
    bulk(3)
    assert re.search(r"\b3 conversations", get(client, listing("session")))


def test_pages_have_every_conversation_once(client, store, monkeypatch):
    from parlant_store.admin.sessions import SessionAdmin

    monkeypatch.setattr(SessionAdmin, "list_per_page", 4)
    for number in range(7):
        store.add_items(f"s{number}", [message("x")] * (number % 3 + 1))
        parlant(store, f"p{number}", *[("customer", "x")] * (number % 2 + 1))
        created(number, session_id=f"s{number}")
        created(number + 0.5, document_id=f"p{number}")
    for order in ("activity", "creation", "length"):
        found = [name for page in range(1, 5) for name in names(client, order=order, p=page)]
        assert sorted(found) == sorted(f"{kind}{n}" for kind in "sp" for n in range(7)), order


def test_orders(client, store):
    for name, length, age in (("long", 9, 1), ("old", 1, 30), ("new", 2, 0)):
        store.add_items(name, [message("x")] * length)
        created(age, session_id=name)
    Session.objects.filter(session_id="old").update(
        updated_at=timezone.now() + timedelta(minutes=5)
    )
    parlant(store, "talk", *[("customer", "x")] * 5)
    created(10, document_id="talk")
    assert names(client, order="length") == ["long", "talk", "new", "old"]
    assert names(client)[0] == names(client, order="nonsense")[0] == "old"
    html = get(client, listing("session", order="length", state="live"))
    assert '<strong aria-current="true">Length</strong>' in html
    assert '<a href="?state=live">Last activity</a>' in html.replace("&amp;", "&")


def test_no_address_sorts_by_what_no_index_has(client, store):
    for number in range(3):
        store.add_items(f"s{number}", [message("x")])
    for number in range(1, 9):
        assert names(client, o=f"-{number}") == ["s2", "s1", "s0"]


def test_choices_are_never_counted(client, store):
    store.add_items("s", [message("x")])
    with CaptureQueriesContext(connection) as plain:
        get(client, listing("session", state="live"))
    with CaptureQueriesContext(connection) as faceted:
        get(client, listing("session", state="live", _facets="True"))
    assert len(plain) == len(faceted)


def test_facets_stay_off():
    assert options.StoreAdmin.show_facets.name == "NEVER"


def test_an_empty_list_says_how_it_is_filled(client):
    assert "they appear here when an agent writes to a store" in get(client, listing("session"))
    assert "No conversation matches." in get(client, listing("session", owner="nobody"))
