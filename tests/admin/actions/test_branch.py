"""Branching a session from the admin."""

from django.contrib.admin.models import ADDITION, LogEntry

from parlant_store.admin.actions.local_rows import LocalRows
from parlant_store.models import Session
from tests.admin.actions.action_forms import (
    DAY,
    ask,
    do,
    ends,
    hidden,
    messages_after,
    session,
    sessions,
)
from tests.admin.pages import LONG, SCRIPT, listing, message, page
from tests.admin.pages import client as client


def test_a_branch_is_a_whole_copy(client, store):
    store.save_snapshot("s", [message("a")], state={"n": 1.0}, namespace="team", user_id="ann")
    row = session()
    response = ask(client, "branch", row)
    assert 'value="s-copy"' in response.content.decode()
    response = do(client, "branch", row, new_id="t", from_page="yes")
    copy = session("t")
    assert response.url == page(copy)
    assert messages_after(client, response) == ["The conversation was copied to t."]
    assert store.load_snapshot("t", namespace="team").state == {"n": 1.0}
    assert store.get_items("t", namespace="team") == [message("a")]
    assert copy.user_id == "ann"
    entry = LogEntry.objects.get()
    assert (entry.action_flag, entry.object_id) == (ADDITION, str(copy.pk))
    assert entry.change_message == "Branched from s."


def test_a_branch_needs_an_id_that_is_free(client, store):
    row, _taken = sessions(store, "s", "taken")
    data = hidden(ask(client, "branch", row))
    for new_id, error in (
        ("taken", "There is a conversation of this id already."),
        ("s", "There is a conversation of this id already."),
        ("", "This field is required."),
        ("a\0b", "Null characters are not allowed."),
        ("x" * 5_000, "at most 4096 characters"),
    ):
        response = client.post(listing("session"), data | {"new_id": new_id})
        assert error in response.content.decode()
    assert Session.objects.count() == 2


def test_a_branch_never_takes_the_place_of_another_session(client, store, monkeypatch):
    (row,) = sessions(store, "s")
    data = hidden(ask(client, "branch", row)) | {"new_id": "t"}
    sessions(store, "t", items=5)
    monkeypatch.setattr(LocalRows, "is_taken", lambda *_: False)  # it began after the look
    response = client.post(listing("session"), data)
    assert messages_after(client, response) == ["There is a conversation of this id already."]
    assert len(store.get_items("t")) == 5
    ends(session("t"), -DAY)
    client.post(listing("session"), data)
    assert len(store.get_items("t")) == 2


def test_what_cannot_be_branched(client, store):
    first, second = sessions(store, "a", "b")
    assert (
        "Choose one conversation to branch."
        in ask(client, "branch", first, second).content.decode()
    )
    data = hidden(ask(client, "branch", first)) | {"new_id": "c"}
    ends(first, -DAY)
    assert "A conversation that has expired cannot be branched." in (
        ask(client, "branch", first).content.decode()
    )
    client.post(listing("session"), data)
    assert not Session.objects.filter(session_id="c")


def test_long_names_are_branched_whole(client, store):
    store.add_items(LONG, [message("x")], namespace=LONG, user_id=LONG)
    do(client, "branch", Session.objects.get(), new_id=f"{LONG}2")
    info = store.get_session(f"{LONG}2", namespace=LONG)
    assert (info.session_id, info.namespace, info.user_id) == (f"{LONG}2", LONG, LONG)


def test_an_id_of_any_characters_is_branched(client, store):
    store.add_items("\ud800", [message("x")])
    do(client, "branch", Session.objects.get(), new_id=SCRIPT)
    assert store.get_items(SCRIPT) == [message("x")]
    assert LogEntry.objects.get().change_message == "Branched from \ufffd."


def test_without_a_store_of_this_database_it_is_branched_too(client, store, settings):
    (row,) = sessions(store, "s")
    settings.PARLANT_STORES = {}
    do(client, "branch", row, new_id="t")
    do(client, "remove", row)
    assert [found.session_id for found in Session.objects.all()] == ["t"]
    assert session("t").item_count == 2
