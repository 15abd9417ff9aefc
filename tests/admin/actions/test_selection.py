"""Actions on sessions and Parlant sessions that are selected in one list."""

import json
import re

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.db.models import Q

from parlant_store import stores
from parlant_store.models import Document, Session
from tests.admin.actions.action_forms import (
    DAY,
    allow,
    end_of,
    ends,
    hidden,
    live,
    messages_after,
    names,
    parlant,
    sentences,
    session,
    sessions,
)
from tests.admin.pages import client as client
from tests.admin.pages import get, listing, message, messages_of, superuser, viewer


def values(*rows):
    return [row.pk if isinstance(row, Session) else f"document-{row.pk}" for row in rows]


def ask(client, action, *rows, **data):
    data = {"action": action, "_selected_action": values(*rows)} | data
    return client.post(listing("session"), data, follow=True)


def do(client, action, *rows, **answer):
    return client.post(listing("session"), hidden(ask(client, action, *rows)) | answer)


@pytest.fixture
def rows(store):
    """Two sessions, and a Parlant session with three events."""
    return [*sessions(store, "a", "b"), parlant(store)]


def test_one_confirmation_counts_both(client, store, rows):
    response = ask(client, "expire", *rows)
    assert sentences(response) == [
        "3 conversations expire now: from then on no agent sees them, and the next sweep removes "
        "them.",
        "They have 4 items in all.",
        "3 documents that belong to Parlant sessions go along, as their events do.",
    ]
    assert names(response) == ["b", "a", "p_sessions/s"]
    assert len(live(store)) == 4
    response = client.post(listing("session"), hidden(response))
    assert messages_after(client, response) == [
        "3 conversations have expired.",
        "3 documents of Parlant sessions went along.",
    ]
    assert store.list_sessions().sessions == ()
    assert live(store) == ["os"]
    assert live(store, "p_sessions") == []
    entries = LogEntry.objects.order_by("pk")
    assert list(entries.values_list("content_type__model", "object_repr", "change_message")) == [
        ("session", "a", "Expired now."),
        ("session", "b", "Expired now."),
        ("session", "2 sessions", "Expired now."),
        ("document", "p_sessions/s", "Expired now. Documents that went along: 3."),
    ]


def test_all_actions_but_branch_are_for_both(client, store, rows):
    for row in rows:
        ends(row, DAY)
    before = [end_of(row) for row in rows]
    do(client, "extend", *rows, by="7")
    assert [end_of(row) for row in rows] == [end + 7 * DAY for end in before]
    response = do(client, "keep", *rows)
    assert messages_after(client, response)[0] == "3 conversations are kept for ever."
    assert [end_of(row) for row in rows] == [None] * 3
    response = ask(client, "branch", rows[0], rows[2])
    assert messages_of(response) == ["A conversation of Parlant cannot be branched."]
    response = do(client, "remove", *rows)
    assert messages_after(client, response) == [
        "3 conversations were deleted.",
        "3 documents of Parlant sessions went along.",
    ]
    assert Session.objects.count() == 0
    assert live(store) == ["os"]
    assert LogEntry.objects.filter(action_flag=DELETION).count() == 4


def test_both_are_exported_in_one_file_with_the_events(client, store, rows):
    parlant(store, session_id="t")
    response = do(client, "export", *rows)
    assert 'filename="sessions-' in response["Content-Disposition"]
    lines = [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]
    assert [line["session_id"] for line in lines[:2]] == ["a", "b"]
    exported = [(line["collection"], line["document"]["id"]) for line in lines[2:]]
    assert exported == [("p_sessions", "s"), *(("p_events", f"s{n}") for n in range(3))]
    assert LogEntry.objects.filter(action_flag=CHANGE, object_id__isnull=False).count() == 3


def test_parlant_sessions_alone(client, store, rows):
    response = ask(client, "expire", rows[2])
    assert sentences(response)[0].startswith("1 conversation expires now")
    assert names(response) == ["p_sessions/s"]
    response = client.post(listing("session"), hidden(response))
    assert messages_after(client, response)[0] == "1 conversation has expired."
    assert store.exists("a")
    assert end_of(rows[2]) is not None


def test_those_that_are_gone_or_not_eligible_are_counted_together(client, store, rows):
    second = parlant(store, session_id="t")
    data = hidden(ask(client, "expire", *rows, second))
    store.delete_session("a")
    ends(rows[1], -DAY)
    ends(second, -DAY)
    response = client.post(listing("session"), data)
    assert messages_after(client, response) == [
        "1 conversation has expired.",
        "3 documents of Parlant sessions went along.",
        "2 that were selected have expired already and stay as they are.",
        "1 of those you confirmed was there no more.",
    ]
    assert LogEntry.objects.get().object_repr == "p_sessions/s"


def test_a_document_that_is_no_parlant_session_is_left_alone(client, store, rows):
    event = Document.objects.get(document_id="s1")
    response = ask(client, "remove", event)
    assert messages_of(response) == ["What was selected is there no more."]
    data = {"action": "remove", "_selected_action": f"document-{event.pk}", "confirmed": "yes"}
    client.post(listing("session"), data | {"document_keys": event.pk})
    assert len(live(store)) == 4


def test_nothing_is_done_that_was_not_asked(client, store, rows):
    ask(client, "remove", *rows, confirmed="yes")
    assert Session.objects.count() == 2
    assert live(store, "p_sessions") == ["s"]


def test_it_is_all_or_nothing(client, store, rows, monkeypatch):
    data = hidden(ask(client, "remove", *rows))
    monkeypatch.setattr(LogEntry.objects.__class__, "log_actions", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        client.post(listing("session"), data)
    assert Session.objects.count() == 2
    assert live(store, "p_sessions") == ["s"]


@pytest.mark.parametrize("lacking", ["session", "document"])
def test_it_needs_the_permission_on_both(store, rows, lacking):
    reader = viewer("session", "document")
    other = {"session": "document", "document": "session"}[lacking]
    allow(User.objects.get(), f"remove_{lacking}", f"expire_{other}")
    refused = ["You may not do this to every conversation that you selected. Nothing was changed."]
    assert messages_of(ask(reader, "expire", *rows)) == refused
    data = {"keys": rows[0].pk, "document_keys": rows[2].pk, "confirmed": "yes"}
    response = ask(reader, "expire", *rows, **data)
    assert messages_of(response) == refused
    is_expired = Q(expires_at__isnull=False)
    assert not Session.objects.filter(is_expired).exists()
    assert not Document.objects.filter(is_expired).exists()
    allowed = rows[2:] if lacking == "session" else rows[:2]
    assert "expire" in ask(reader, "expire", *allowed).content.decode()
    assert messages_after(reader, do(reader, "expire", *allowed))[0].endswith("expired.")


@pytest.mark.parametrize(
    "value", ["", "x", "document-", "document-x", "document-1-9", "1-9", "-1", "9" * 19, "٣", "\0"]
)
def test_forged_values_are_refused(client, store, rows, value):
    data = {"action": "remove", "_selected_action": [value], "confirmed": "yes", "keys": "1-99"}
    assert client.post(listing("session"), data).status_code == 400
    if value != "1-9":
        data = {"action": "remove", "_selected_action": rows[0].pk, "document_keys": value}
        assert client.post(listing("session"), data).status_code == 400
    assert Session.objects.count() == 2


@pytest.mark.parametrize("hidden_model", ["session", "document"])
def test_what_may_not_be_viewed_is_not_changed(store, rows, hidden_model):
    reader = viewer({"session": "document", "document": "session"}[hidden_model])
    allow(User.objects.get(), "expire_session", "expire_document")
    data = {"keys": rows[0].pk, "document_keys": rows[2].pk, "confirmed": "yes"}
    ask(reader, "expire", *rows, **data)
    ask(reader, "expire", *(rows[2:] if hidden_model == "document" else rows[:2]), **data)
    assert [end_of(row) for row in rows] == [None] * 3
    assert LogEntry.objects.count() == 0


def test_the_checkboxes_of_the_list_select_both(client, store, rows):
    html = get(client, listing("session"))
    boxes = re.findall(r'name="_selected_action" value="([^"]*)"', html)
    assert sorted(boxes) == sorted(map(str, values(*rows)))
    data = {"action": "expire", "_selected_action": boxes}
    response = client.post(listing("session"), data)
    assert sentences(response)[0].startswith("3 conversations expire now")


def test_all_that_a_filter_finds(client, store, rows):
    parlant(store, session_id="t")
    for row in (rows[0], rows[2]):
        ends(row, DAY / 2)
    url = listing("session", state="expiring")
    data = {"action": "keep", "_selected_action": rows[0].pk, "select_across": "1"}
    response = client.post(url, data)
    assert sentences(response)[0].startswith("2 conversations are kept for ever")
    assert names(response) == ["a", "p_sessions/s"]
    response = client.post(url, hidden(response))
    assert response.url == url
    assert [end_of(row) for row in rows] == [None] * 3


def test_who_sees_only_parlants_sessions_may_act_on_them(store, rows):
    reader = viewer("document")
    assert 'value="expire"' not in get(reader, listing("session"))
    allow(User.objects.get(), "expire_document", "export_document")
    html = get(reader, listing("session"))
    assert 'value="expire"' in html
    assert 'value="remove"' not in html
    assert messages_after(reader, do(reader, "expire", rows[2])) == [
        "1 conversation has expired.",
        "3 documents of Parlant sessions went along.",
    ]
    assert live(store, "p_sessions") == []


@pytest.mark.any_database
@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_rows_of_another_database_cannot_be_selected(store, settings):
    settings.PARLANT_STORES = {"default": {}, "other": {"OPTIONS": {"using": "other"}}}
    sessions(store, "a")
    stores["other"].add_items("b", [message("x")])
    html = get(superuser(), listing("session"))
    assert "Select b" not in html
    assert re.findall('name="_selected_action" value="([^"]*)"', html) == [str(session("a").pk)]
