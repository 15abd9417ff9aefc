"""The page of a conversation: its head, then its messages, then its fields."""

import re

from django.contrib.auth.models import User
from django.urls import reverse

from parlant_store.admin.conversations.header import MAX_BRANCHES
from parlant_store.models import Document, Session
from tests.admin.conversations.cases import failed_call, names, names_in, parlant, person
from tests.admin.pages import CALL, OUTPUT, expire, get, listing, message, page, text_of, viewer
from tests.admin.pages import client as client


def facts(html):
    """The head of the page, by its labels."""
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html, re.DOTALL)
    return {text_of(label): text_of(value) for label, value in found}


def test_the_page_begins_with_its_head_and_its_messages(client, store):
    error = "An error occurred while running the tool. Please try again. Error: x"
    usage = {"total_tokens": 1_234}
    items = [message("hello"), CALL, OUTPUT | {"output": error}, message("no", usage=usage)]
    store.add_items("s", items, namespace="shop", user_id="ann")
    store.add_items("other", [message("x")], user_id="ann")
    html = get(client, page(Session.objects.get(session_id="s")))
    head = facts(html)
    assert head | {"Duration": ""} == {
        "Owner": "ann",
        "Namespace": "shop",
        "Framework": "OpenAI Agents",
        "Started": "just now",
        "Last activity": "just now",
        "Duration": "",
        "Length": "4 items",
        "Tokens": "1,234",
        "Expires": "never",
        "State": "1 failed call",
    }
    places = [html.index(part) for part in ("<dl>", 'id="items"', "parlant-details")]
    assert places == sorted(places)
    person_url = reverse("admin:parlant_store_session_person", query={"user": "ann"})
    assert f'href="{person_url}"' in html
    (others,) = re.findall(r'<a href="([^"]*)">All conversations of this person', html)
    assert set(names_in(get(client, others))) == {"shop/s", "other"}


def test_branches_and_their_parent_are_a_step_apart(client, store):
    store.add_items("s", [message("x")], namespace="shop")
    store.add_items("b", [message("other")])
    for name in ("b", "c<i>"):
        store.branch("s", name, namespace="shop")
    html = get(client, page(Session.objects.get(session_id="s")))
    assert facts(html)["Branches"] == "b , c<i>"
    assert "Branch of" not in facts(html)
    branch = Session.objects.get(namespace="shop", session_id="b")
    assert f'href="{page(branch)}"' in html
    html = get(client, page(branch))
    assert facts(html)["Branch of"] == "s"
    assert "Branches" not in facts(html)
    assert f'href="{page(Session.objects.get(session_id="s"))}"' in html
    store.delete_session("s", namespace="shop")
    assert facts(get(client, page(branch)))["Branch of"] == "s"


def test_many_branches_are_not_all_named(client, store):
    store.add_items("s", [message("x")])
    for number in range(MAX_BRANCHES + 1):
        store.branch("s", f"b{number}")
    named = facts(get(client, page(Session.objects.get(session_id="s"))))["Branches"]
    assert named.endswith(f"b{MAX_BRANCHES - 1} , …")


def test_what_is_not_known_is_not_zero(client, store):
    store.add_items("s", [message("x")])
    html = get(client, page(Session.objects.get()))
    assert facts(html)["Tokens"] == "unknown"
    assert "Owner" not in facts(html)
    assert "of this person" not in html


def test_a_parlant_session_has_the_same_page(client, store):
    parlant(store, "talk", ("customer", "A flight"), ("ai_agent", failed_call()))
    person(store, "cust", "Grace Hopper")
    person(store, "agent", "Travel helper", "agents")
    document = Document.objects.get(document_id="talk")
    html = get(client, page(document))
    head = facts(html)
    assert head["Customer"] == "Grace Hopper"
    assert head["Agent"] == "Travel helper"
    assert head["Framework"] == "Parlant"
    assert head["Length"] == "1 message"
    assert head["State"] == "1 failed call"
    assert html.index("<dl>") < html.index("A flight") < html.index("parlant-details")
    assert page(document) in get(client, listing("session"))


def test_other_documents_have_no_head(client, store):
    store.insert_one("parlant_customers", {"id": "c", "name": "Ann"})
    html = get(client, page(Document.objects.get(document_id="c")))
    assert "<dl>" not in html
    assert "parlant-details" not in html


def test_an_expired_conversation_says_so(client, store):
    store.add_items("s", [message("x")])
    expire("s", -60)
    html = get(client, page(Session.objects.get()))
    assert "agents no longer see it" in html


def test_forms_are_not_nested(client, store):
    store.add_items("s", [message("x")])
    parlant(store, "talk", ("customer", "x"))
    for row in (Session.objects.get(), Document.objects.get(document_id="talk")):
        depth = 0
        for tag in re.findall(r"<form|</form", get(client, page(row))):
            depth += 1 if tag == "<form" else -1
            assert depth in (0, 1)


def test_the_list_has_what_the_user_may_see(store):
    store.add_items("s", [message("x")])
    parlant(store, "talk", ("customer", "x"))
    for models, expected in (
        (("session",), {"s"}),
        (("document",), {"talk"}),
        (("session", "document"), {"s", "talk"}),
    ):
        assert set(names(viewer(*models))) == expected
        User.objects.all().delete()
    response = viewer("sessionitem").get(listing("session"))
    assert response.status_code == 403


def test_those_who_see_documents_only_find_the_list(store):
    parlant(store, "talk", ("customer", "x"))
    client = viewer("document")
    html = get(client, reverse("admin:app_list", args=["parlant_store"]))
    assert f'href="{listing("session")}"' in html
    assert "Find a conversation" in html
    store.add_items("s", [message("x")])
    assert client.get(page(Session.objects.get())).status_code == 403


def test_an_action_on_all_is_about_sessions_of_parlant_too(client, store):
    for number in range(3):
        store.add_items(f"s{number}", [message("x")], user_id="ann")
        parlant(store, f"p{number}", ("customer", "x"), customer_id="ann")
    store.add_items("other", [message("x")])
    key = Session.objects.get(session_id="s0").pk
    data = {"action": "expire", "_selected_action": key, "select_across": "1"}
    html = client.post(listing("session", owner="ann"), data).content.decode()
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html))
    client.post(listing("session", owner="ann"), form)
    assert set(names(client, state="live")) == {"other"}


def test_the_first_conversation_of_the_app_is_two_steps_away(client, store):
    """A customer's name and a date in the search of the app's page, then the conversation."""
    parlant(store, "talk", ("customer", "Hello"), ("ai_agent", "Your flight is at noon."))
    person(store, "cust", "Grace Hopper")
    html = get(client, reverse("admin:app_list", args=["parlant_store"]))
    (action,) = re.findall(r'<form class="parlant-search" method="get" action="([^"]*)"', html)
    html = get(client, f"{action}?q=Grace+Hopper&date=today")
    assert names_in(html) == ["talk"]
    (url,) = re.findall(r'<th class="field-conversation"><a href="([^"]*)"', html)
    assert "Your flight is at noon." in get(client, url.replace("&amp;", "&"))
