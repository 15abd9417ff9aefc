"""Threads of LangGraph in the list of conversations, with its filters and actions."""

import json
import os
import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape
from langchain_core.messages import AIMessage, HumanMessage

from parlant_store.models import ChannelValue, Checkpoint, CheckpointWrite, Session, Thread
from tests.admin.actions.action_forms import hidden
from tests.admin.conversations.cases import names, names_in, parlant, texts, titles
from tests.admin.pages import (
    SCRIPT,
    get,
    listing,
    message,
    messages_of,
    page,
    rows,
    viewer,
)
from tests.admin.pages import client as client
from tests.admin.remote_stores import allowed
from tests.admin.threads import ask_to_pay, paying, put
from tests.admin.views.overview_pages import URL as OVERVIEW
from tests.admin.views.overview_pages import charts
from tests.contract.checkpoints import checkpoint

DAY = timedelta(days=1)


def listed(client, **params):
    return get(client, listing("session", **params))


def act(client, action, *threads, **data):
    """Select the threads in the list, and confirm the action."""
    selection = {"action": action, "_selected_action": [f"thread-{one.pk}" for one in threads]}
    response = client.post(listing("session"), selection | data, follow=True)
    form = hidden(response) | data
    return client.post(listing("session"), form, follow=True)


def three(store):
    """Store a thread that waits, one of another namespace, and one that has expired."""
    ask_to_pay(paying(), "waits")
    store.put_checkpoint("other", checkpoint(1), namespace="shop", user_id="grace")
    put(store, [HumanMessage("old")], thread_id="gone")
    store.set_thread_expiry("gone", timezone.now() - DAY)
    store.set_thread_expiry("other", timezone.now() + DAY / 2, namespace="shop")


def test_threads_are_among_the_conversations(client, store):
    store.add_items("session", [message("a session")])
    ask_to_pay(paying(), title=None)
    parlant(store, "talk", ("customer", "hello"))
    html = listed(client)
    assert set(names_in(html)) == {"t", "session", "talk"}
    (row,) = [row for row in zip(*[iter(rows(html))] * 8, strict=True) if "/thread/" in row[0]]
    shown = [cell.partition(">")[2] for cell in row]
    assert "Please pay" in shown[0]
    assert "user=ada" in shown[1]
    assert "LangGraph" in shown[2]
    assert "2" in shown[3]
    assert "Please pay" in shown[4]
    assert "1 interrupt waiting" in shown[7]


def link_of(html):
    (link,) = re.findall(r'href="([^"]*/thread/[^"]*)"', html)
    return unescape(link)


def test_threads_are_found_by_words(client, store):
    messages = [HumanMessage(f"message {number}") for number in range(150)]
    messages[20] = AIMessage(f"A refund {SCRIPT} was <b>made</b>")
    put(store, messages)
    put(store, [HumanMessage("nothing")], thread_id="other")
    html = listed(client, q="refund")
    assert names_in(html) == ["t"]
    assert "A <mark>refund</mark>" in html
    assert SCRIPT not in html
    assert link_of(html).endswith("#item-21")
    html = get(client, link_of(html))
    assert "message 19" in html
    assert "message 149" not in html
    assert "<mark>refund</mark>" in html
    assert names(client, q="refund nothing") == ["other", "t"]
    assert names(client, q="message 149", framework="openai") == []
    assert names(allowed("view_thread"), q="refund") == []
    assert names(allowed("view_thread", "view_checkpoint"), q="refund") == ["t"]
    store.delete_thread("t")
    assert names(client, q="refund") == []


def test_titles(client, store):
    graph = paying()
    ask_to_pay(graph, "titled", title="About money")
    ask_to_pay(graph, "named", name=SCRIPT)
    put(store, [AIMessage("x"), HumanMessage([{"type": "text", "text": "in blocks"}])])
    put(store, thread_id="none", plan=["x"])
    html = listed(client, order="creation")
    assert titles(html) == ["none", "in blocks", escape(SCRIPT), "About money"]
    assert texts(html, "length") == ["-", "2 messages", "2 messages", "2 messages"]
    assert texts(html, "last_message")[:2] == ["-", "in blocks"]


def test_long_messages_are_read_in_part(client, store):
    put(store, [HumanMessage("first"), *(AIMessage(os.urandom(1_000).hex()) for _ in range(300))])
    html = listed(client)
    assert texts(html, "length") == ["301 messages"]
    assert texts(html, "last_message") == ["-"]


def test_messages_that_are_stored_as_differences(client, store):
    words = ["first", *(os.urandom(40).hex() for _ in range(60)), "last"]
    for number in range(55, len(words) + 1):
        put(store, [HumanMessage(text) for text in words[:number]])
    assert ChannelValue.objects.filter(type__startswith="diff:").exists()
    html = listed(client)
    assert titles(html) == ["first"]
    assert texts(html, "length") == ["62 messages"]
    assert texts(html, "last_message") == ["last"]
    long = [HumanMessage(os.urandom(1_000).hex()) for _ in range(200)]
    for number in (198, 199, 200):
        put(store, [HumanMessage("first"), *long[:number]], thread_id="long")
    html = listed(client)
    assert titles(html) == ["first"] * 2
    assert texts(html, "length") == ["201 messages", "62 messages"]
    assert texts(html, "last_message") == ["-", "last"]


FILTERS = {
    "framework": ({"framework": "langgraph"}, {"waits", "other", "gone"}),
    "another framework": ({"framework": "openai"}, {"session"}),
    "owner": ({"owner": "GRA"}, {"other"}),
    "namespace": ({"agent": "sho"}, {"other"}),
    "live": ({"state": "live", "framework": "langgraph"}, {"waits", "other"}),
    "expiring": ({"state": "expiring"}, {"other"}),
    "expired": ({"state": "expired"}, {"gone"}),
    "expired of an owner": ({"state": "expired", "owner": "ada"}, {"gone"}),
    "today": ({"date": "today", "framework": "langgraph"}, {"waits", "other", "gone"}),
    "yesterday": ({"date": "yesterday"}, set()),
    "id": ({"q": "waits"}, {"waits"}),
    "id with namespace": ({"q": "shop/other"}, {"other"}),
    "id of an owner": ({"q": "grace"}, {"other"}),
    "words": ({"q": "pay"}, {"waits"}),
    "a tool failed": ({"failed": "yes"}, set()),
    "store": ({"store": "default", "framework": "langgraph"}, {"waits", "other", "gone"}),
}


def test_filters(client, store):
    three(store)
    store.add_items("session", [message("a session")])
    found = {name: names(client, **params) for name, (params, _) in FILTERS.items()}
    ids = {name: {one.rpartition("/")[2] for one in each} for name, each in found.items()}
    assert ids == {name: threads for name, (_, threads) in FILTERS.items()}


def test_orders(client, store):
    put(store, ["x"] * 9, thread_id="first")
    store.add_items("short", [message("x")])
    store.add_items("long", [message("x")] * 5)
    put(store, ["x"], thread_id="last")
    assert names(client, order="creation") == ["last", "long", "short", "first"]
    assert names(client, order="length") == ["long", "short", "last", "first"]
    Thread.objects.filter(thread_id="first").update(updated_at=timezone.now() + DAY)
    assert names(client)[0] == "first"


def test_the_number_of_statements(client, store):
    counts = []
    for number in range(6):
        put(store, ["x"], thread_id=f"t{number}")
        if number in (0, 5):
            with CaptureQueriesContext(connection) as context:
                listed(client, framework="langgraph")
            counts.append(len(context))
    assert counts[0] == counts[1] <= 15


def test_who_sees_threads(store):
    put(store, [HumanMessage("hello")])
    store.add_items("session", [message("x")])
    assert names(viewer("session")) == ["session"]
    html = listed(allowed("view_thread"))
    assert names_in(html) == ["t"]
    assert "hello" not in html
    assert "hello" in listed(allowed("view_thread", "view_checkpoint"))
    thread = page(Thread.objects.get())
    assert allowed("view_session").get(thread).status_code == 403
    assert allowed("view_checkpoint").get(listing("session")).status_code == 403


def test_the_list_of_threads_is_that_of_conversations(client, store):
    response = client.get(listing("thread", state="expired"))
    assert response.url == listing("session", state="expired", framework="langgraph")
    index = get(client, "/admin/parlant_store/")
    assert listing("thread") not in index


def test_expiry_is_set(client, store):
    three(store)
    threads = {one.thread_id: one for one in Thread.objects.all()}
    response = act(client, "expire", threads["waits"], threads["gone"])
    assert "1 conversation has expired." in messages_of(response)
    assert store.get_thread("waits") is None
    before = threads["other"].expires_at
    act(client, "extend", threads["other"], by="7")
    assert Thread.objects.get(thread_id="other").expires_at == before + 7 * DAY
    act(client, "keep", *threads.values())
    assert set(Thread.objects.values_list("expires_at", flat=True)) == {None}
    assert store.get_thread("gone") is not None
    assert LogEntry.objects.filter(content_type__model="thread").count() == 6


def test_a_thread_is_branched_from_its_page(client, store):
    put(store, [HumanMessage("hello")], thread_id="t")
    store.put_checkpoint("t", checkpoint(1), namespace="x" * 600, user_id="u" * 600)
    thread = Thread.objects.get(namespace="")
    html = get(client, page(thread))
    form = {"action": "branch", "_selected_action": f"thread-{thread.pk}", "from_page": "yes"}
    assert f'value="thread-{thread.pk}"' in html
    assert f'action="{listing("session")}"' in html
    question = client.post(listing("session"), form)
    response = client.post(listing("session"), hidden(question) | {"new_id": "t"}, follow=True)
    assert "There is a conversation of this id already." in response.content.decode()
    response = client.post(listing("session"), hidden(question) | {"new_id": "copy"}, follow=True)
    copy = Thread.objects.get(thread_id="copy")
    assert response.redirect_chain[-1][0] == page(copy)
    assert copy.user_id == "ada"
    assert "hello" in response.content.decode()
    long = Thread.objects.exclude(namespace="").get()
    act(client, "branch", long, new_id="copy")
    assert store.get_thread("copy", namespace="x" * 600).user_id == "u" * 600


def test_threads_are_exported(client, store):
    three(store)
    selection = {"action": "export", "_selected_action": "thread-0", "select_across": "1"}
    question = client.post(listing("session", framework="langgraph"), selection)
    response = client.post(listing("session"), hidden(question))
    lines = [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]
    threads = [line for line in lines if line["kind"] == "thread"]
    assert {line["thread_id"] for line in threads} == {"waits", "other", "gone"}
    assert sum(line["kind"] == "checkpoint" for line in lines) == Checkpoint.objects.count()


def test_threads_are_deleted_with_sessions(client, store):
    three(store)
    store.add_items("session", [message("x")])
    other = Thread.objects.get(thread_id="other")
    selection = [f"thread-{one.pk}" for one in Thread.objects.exclude(pk=other.pk)]
    selection.append(str(Session.objects.get().pk))
    data = {"action": "remove", "_selected_action": selection}
    question = client.post(listing("session"), data)
    response = client.post(listing("session"), hidden(question), follow=True)
    assert messages_of(response) == ["3 conversations were deleted."]
    assert (Thread.objects.get(), Session.objects.count()) == (other, 0)
    for model in (Checkpoint, ChannelValue, CheckpointWrite):
        assert not model.objects.exclude(thread=other).exists()


@pytest.mark.parametrize(
    ("action", "permission"),
    [
        ("expire", "expire_thread"),
        ("extend", "extend_thread"),
        ("keep", "extend_thread"),
        ("branch", "branch_thread"),
        ("export", "export_thread"),
        ("remove", "delete_thread"),
    ],
)
def test_each_action_needs_its_permission(store, action, permission):
    put(store, ["x"])
    store.set_thread_expiry("t", timezone.now() + DAY)
    thread = Thread.objects.get()
    others = [f"{one}_session" for one in ("expire", "extend", "branch", "export", "delete")]
    few = allowed("view_thread", "view_session", *others)
    assert "from_page" not in get(few, page(thread))
    form = {"action": action, "_selected_action": f"thread-{thread.pk}"}
    for confirmation in ({}, {"confirmed": "yes", "thread_keys": str(thread.pk), "by": "7"}):
        response = few.post(listing("session"), form | confirmation, follow=True)
        assert "You may not do this" in response.content.decode()
    assert Thread.objects.get().expires_at == thread.expires_at
    able = allowed("view_thread", permission)
    assert f'name="action" value="{action}"' in get(able, page(thread))
    response = act(able, action, thread, new_id="copy", by="7")
    assert response.status_code == 200
    if action == "export":
        assert b'"kind": "thread"' in b"".join(response.streaming_content)
    else:
        assert LogEntry.objects.count() == 1


def test_a_person_has_threads(client, store):
    put(store, [HumanMessage("hello")])
    store.put_checkpoint("other", checkpoint(1), user_id="grace")
    html = get(client, reverse("admin:parlant_store_session_person", query={"user": "ada"}))
    assert f'<a href="{page(Thread.objects.get(thread_id="t"))}"><bdi>hello</bdi>' in html
    assert "LangGraph" in html
    assert "other" not in html
    assert "hello" not in get(
        allowed("view_thread"), reverse("admin:parlant_store_session_person") + "?user=ada"
    )
    people = reverse("admin:parlant_store_session_people")
    for query in ("", "?q=gra", "?q=race"):
        assert "user=grace" in get(client, people + query)
    assert "user=grace" in get(allowed("view_thread"), people)


def test_the_overview_counts_threads(client, store):
    three(store)
    html = get(client, OVERVIEW)
    assert charts(html)["Conversations: LangGraph"][-1] == "3"
    assert f'href="{listing("thread", state="expired")}"' in html
    assert "Threads" in get(allowed("view_thread"), OVERVIEW)


def test_odd_selections_are_refused(client, store):
    put(store, ["x"])
    for value in ("thread-", "thread-x", "thread-99999999999999999999", "thread-1;"):
        data = {"action": "remove", "_selected_action": value}
        assert client.post(listing("session"), data).status_code == 400
    data = {"action": "remove", "_selected_action": "thread-1", "thread_keys": "1-99999"}
    assert client.post(listing("session"), data | {"confirmed": "yes"}).status_code == 400
    assert Thread.objects.count() == 1
