"""Who may do what from the admin, to whom it is done, and what the log says."""

import re

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from parlant_store.admin.actions import confirmation as action_log
from parlant_store.admin.actions.selection import MAX_ROWS, format_keys, parse_keys
from parlant_store.models import Document, Session
from tests.admin.actions.action_forms import (
    DAY,
    allow,
    ask,
    do,
    document,
    end_of,
    ends,
    hidden,
    made,
    messages_after,
    model_of,
    names,
    parlant,
    sentences,
    session,
    sessions,
)
from tests.admin.pages import LONG, SCRIPT, bulk, get, listing, message, page, superuser, viewer
from tests.admin.pages import client as client

NEEDS = {
    "expire": "expire",
    "extend": "extend",
    "keep": "extend",
    "branch": "branch",
    "export": "export",
    "remove": "delete",
}
BOTH = ["expire", "extend", "keep", "export", "remove"]


# Choosing


@pytest.mark.parametrize("keys", [[1], [1, 2, 3], [5, 1, 2, 9, 10], [2**63 - 1]])
def test_keys_are_carried(keys):
    assert parse_keys(format_keys(keys)) == sorted(keys)


@pytest.mark.parametrize("text", ["", "x", "1;2", "9-1", "1-99999", "99999999999999999999", "١"])
def test_forged_keys_are_refused(client, store, text):
    row = made(store, "session")
    data = {"action": "expire", "_selected_action": row.pk, "keys": text, "confirmed": "yes"}
    assert client.post(listing("session"), data).status_code == 400
    assert store.exists("s")


def test_nothing_is_done_that_was_not_asked(client, store):
    row = made(store, "session")
    ask(client, "remove", row, confirmed="yes")
    assert store.exists("s")
    assert client.get(listing("session", action="remove", keys=row.pk)).status_code == 302
    assert store.exists("s")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="root"))
    data = {"action": "remove", "_selected_action": row.pk, "keys": row.pk, "confirmed": "yes"}
    assert strict.post(listing("session"), data).status_code == 403
    assert store.exists("s")


def test_all_that_a_filter_finds(client, store):
    rows = sessions(store, *(f"s{n}" for n in range(12)))
    for row in rows[:11]:
        ends(row, DAY / 2)
    url = listing("session", state="expiring")
    data = {"action": "expire", "_selected_action": rows[0].pk, "select_across": "1"}
    response = client.post(url, data)
    assert sentences(response)[0].startswith("11 conversations expire now")
    assert len(names(response)) == 10
    assert "<li>and 1 more</li>" in response.content.decode()
    sessions(store, "new")
    ends(session("new"), DAY / 2)
    response = client.post(url, hidden(response))
    assert response.url == url
    assert [info.session_id for info in store.list_sessions().sessions] == ["new", "s11"]


def test_those_that_are_gone_meanwhile_are_counted(client, store):
    rows = sessions(store, "a", "b", "c")
    data = hidden(ask(client, "expire", *rows))
    store.delete_session("a")
    store.set_expiry("b", timezone.now())
    response = client.post(listing("session"), data)
    assert messages_after(client, response) == [
        "1 conversation has expired.",
        "1 that was selected has expired already and stays as it is.",
        "1 of those you confirmed was there no more.",
    ]


def test_10_000_are_done_and_one_more_is_refused(client, store):
    bulk(MAX_ROWS + 1)
    first = Session.objects.first()
    data = {"action": "expire", "_selected_action": first.pk, "select_across": "1"}
    response = client.post(listing("session"), data)
    (text,) = messages_after(client, response)
    assert text.startswith("More than 10,000 conversations were selected.")
    assert "manage.py store_expire" in text
    first.delete()
    response = client.post(listing("session"), data)
    assert "10,000 conversations expire now" in response.content.decode()
    assert "and 9,990 more" in response.content.decode()
    client.post(listing("session"), hidden(response))
    assert Session.objects.filter(expires_at=None).count() == 0
    assert LogEntry.objects.count() == action_log.MAX_ENTRIES + 1
    response = client.post(listing("session"), data | {"action": "remove"})
    with CaptureQueriesContext(connection) as queries:
        client.post(listing("session"), hidden(response))
    assert len(queries) < 300
    assert Session.objects.count() == 0


# Permissions


@pytest.mark.any_database
@pytest.mark.parametrize("model", ["session", "document"])
@pytest.mark.parametrize("action", NEEDS)
def test_each_action_needs_its_permission(store, model, action):
    if action == "branch" and model == "document":
        return
    row = made(store, model)
    url = listing(model) if model == "session" else listing(model, collection=row.collection)
    reader = viewer(model, "sessionitem")
    user = User.objects.get()
    others = set(NEEDS.values()) - {NEEDS[action]} | {"add", "change"}
    allow(user, *(f"{other}_{model}" for other in others))
    assert f'value="{action}"' not in get(reader, url)
    assert f'value="{action}"' not in get(reader, page(row))
    answer = {"by": "7", "new_id": "t", "keys": row.pk, "confirmed": "yes"}
    before = end_of(row)
    for data in ({}, answer):
        response = ask(reader, action, row, **data)
        assert "No action selected." in response.content.decode()
    assert end_of(row) == before
    assert LogEntry.objects.count() == 0
    allow(user, f"{NEEDS[action]}_{model}")
    assert f'value="{action}"' in get(reader, url)
    assert f'value="{action}"' in get(reader, page(row))
    assert ask(reader, action, row, **answer).status_code == 200
    assert LogEntry.objects.count() == 1
    assert LogEntry.objects.get().user == user


@pytest.mark.parametrize("model", ["session", "document"])
def test_who_may_only_view_sees_no_action(store, model):
    row = made(store, model)
    reader = viewer(model)
    for html in (get(reader, listing(model)), get(reader, page(row))):
        assert 'name="action"' not in html
    assert "History" in get(reader, page(row))


@pytest.mark.parametrize("model", ["session", "document"])
def test_who_may_not_view_may_do_nothing(store, model):
    row = made(store, model)
    other = viewer()
    allow(User.objects.get(), *(f"{need}_{model}" for need in NEEDS.values()))
    for action in BOTH:
        assert ask(other, action, row, keys=row.pk, confirmed="yes").status_code == 403
    assert type(row).objects.get() == row
    delete = reverse(f"admin:parlant_store_{model}_delete", args=[row.pk])
    assert superuser().post(delete, {"post": "yes"}).status_code == 403


# The page of one


def tools(client, row):
    return re.findall(r'<button name="action" value="(\w+)">', get(client, page(row)))


def test_a_page_offers_what_is_for_it(client, store):
    row = made(store, "session")
    assert tools(client, row) == ["expire", "extend", "keep", "branch", "export", "remove"]
    ends(row, None)
    assert tools(client, row) == ["expire", "branch", "export", "remove"]
    ends(row, -DAY)
    assert tools(client, row) == ["extend", "keep", "export", "remove"]
    assert tools(client, made(store, "document")) == BOTH


@pytest.mark.parametrize("model", ["session", "document"])
def test_an_action_leads_back_to_the_page_it_came_from(client, store, model):
    row = made(store, model)
    form = get(client, page(row)).partition('<form class="parlant-actions"')[2].partition("</form")
    data = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[0]))
    url = re.search('action="([^"]*)"', form[0])[1]
    response = client.post(url, data | {"action": "keep"})
    assert f'<a class="button cancel-link" href="{page(row)}">' in response.content.decode()
    response = client.post(url, hidden(response))
    assert response.url == page(row)
    assert "kept for ever" in " ".join(messages_after(client, response))
    response = client.post(url, hidden(client.post(url, data | {"action": "remove"})))
    assert response.url == listing(model)


# The log


def test_the_log_says_what_was_done(client, store):
    rows = sessions(store, "a", "b")
    do(client, "expire", *rows)
    do(client, "keep", rows[0])
    do(client, "remove", rows[1])
    found = LogEntry.objects.order_by("pk")
    assert (
        list(found.values_list("object_repr", "object_id", "action_flag", "change_message"))
        == [
            ("b", str(rows[1].pk), CHANGE, "Expired now."),
            ("a", str(rows[0].pk), CHANGE, "Expired now."),
            ("2 sessions", None, CHANGE, "Expired now."),
            ("a", str(rows[0].pk), CHANGE, "Kept for ever."),
            ("b", str(rows[1].pk), DELETION, "Deleted."),
        ]
        or found[0].object_repr == "a"
    )
    html = get(client, reverse("admin:parlant_store_session_history", args=[rows[0].pk]))
    assert "Expired now." in html
    assert "Kept for ever." in html
    assert "Deleted." not in html
    get(client, "/admin/")


def test_the_log_says_what_went_along(client, store):
    do(client, "expire", parlant(store))
    assert LogEntry.objects.get().change_message == "Expired now. Documents that went along: 3."


def test_the_log_has_an_entry_each_up_to_a_bound(client, store, monkeypatch):
    monkeypatch.setattr(action_log, "MAX_ENTRIES", 3)
    rows = sessions(store, *"abcde")
    do(client, "expire", *rows)
    assert LogEntry.objects.filter(object_id__isnull=False).count() == 3
    assert LogEntry.objects.get(object_id=None).object_repr == "5 sessions"


# Names, queries


@pytest.mark.any_database
@pytest.mark.parametrize("name", [SCRIPT, "\ud800", LONG, "a/b\nc", "'\"; drop table"])
def test_names_of_any_kind_are_text(client, store, name):
    store.add_items(name, [message("x")], namespace=name, user_id=name)
    store.insert_one("p_sessions", {"id": name})
    store.insert_one("p_events", {"id": "e", "session_id": name})
    for row in (
        Session.objects.get(),
        document(Document.objects.first().document_id, "p_sessions"),
    ):
        ends(row, DAY)
        for action in ("extend", "keep", "expire"):
            assert SCRIPT not in ask(client, action, row).content.decode()
            do(client, action, row)
        history = reverse(f"admin:parlant_store_{model_of(row)}_history", args=[row.pk])
        for url in (listing(model_of(row)), page(row), history, "/admin/"):
            html = get(client, url)
            assert SCRIPT not in html
            assert "\x01" not in html
        do(client, "remove", row)
    assert Session.objects.count() == Document.objects.count() == 0
    assert LogEntry.objects.count() == 8


@pytest.mark.parametrize("action", ["expire", "extend", "keep", "remove"])
@pytest.mark.parametrize("model", ["session", "document"])
def test_300_cost_as_many_queries_as_3(client, store, model, action):
    ContentType.objects.get_for_models(Session, Document)  # Django keeps them
    counts = []
    for count in (3, 300):
        Session.objects.all().delete()
        Document.objects.all().delete()
        soon = timezone.now() + DAY
        if model == "session":
            bulk(count, expires_at=soon)
        else:
            Document.objects.bulk_create(
                Document(collection="p_sessions", document_id=f"s{n}", data={}, expires_at=soon)
                for n in range(count)
            )
        (first, *_) = rows = list((Session if model == "session" else Document).objects.all())
        data = {"action": action, "_selected_action": first.pk, "select_across": "1"}
        with CaptureQueriesContext(connection) as asking:
            response = client.post(listing(model), data)
        assert len(rows) == count
        with CaptureQueriesContext(connection) as doing:
            client.post(listing(model), hidden(response) | {"by": "7"})
        inserts = [each for each in doing if "INSERT INTO" in each["sql"]]
        deletes = [each for each in doing if "DELETE FROM" in each["sql"]]
        counts.append((len(asking), len(doing) - len(inserts) - len(deletes)))
        assert len(inserts) <= 7
        assert len(deletes) <= 5
    assert counts[0] == counts[1]
    assert max(counts[0]) <= 16


def test_a_page_of_a_list_costs_no_more_for_its_actions(client, store, django_assert_num_queries):
    bulk(100)
    get(client, listing("session"))
    with django_assert_num_queries(5):
        get(client, listing("session"))
