"""Expiring, extending, keeping and deleting from the admin, and what agents see then."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from parlant_store.admin.actions import local_rows
from parlant_store.models import Document, Session, SessionItem
from parlant_store.signals import session_deleted, session_expired
from tests.admin.actions.action_forms import (
    DAY,
    ask,
    do,
    document,
    end_of,
    ends,
    hidden,
    live,
    made,
    messages_after,
    names,
    parlant,
    sentences,
    sessions,
)
from tests.admin.pages import client as client
from tests.admin.pages import listing

# Expiring and what undoes it


def test_expiring_hides_a_session_from_agents_at_once(client, store):
    first, second, third = sessions(store, "a", "b", "c")
    response = ask(client, "expire", first, second)
    assert sentences(response) == [
        "2 conversations expire now: from then on no agent sees them, and the next sweep removes "
        "them.",
        "They have 4 items in all.",
    ]
    assert names(response) == ["b", "a"]
    assert store.exists("a")
    assert LogEntry.objects.count() == 0
    assert messages_after(client, do(client, "expire", first, second)) == [
        "2 conversations have expired."
    ]
    assert store.get_items("a") == store.get_items("b") == []
    assert len(store.get_items("c")) == 2
    assert SessionItem.objects.count() == 6
    assert store.expire().sessions == 2
    assert end_of(third) is None


def test_what_has_expired_comes_back_by_extending_or_keeping(client, store):
    first, second = sessions(store, "a", "b")
    do(client, "expire", first, second)
    response = ask(client, "extend", first)
    assert "1 of them has expired, but was not removed yet: it comes back to life." in sentences(
        response
    )
    do(client, "extend", first, by="30")
    do(client, "keep", second)
    assert len(store.get_items("a")) == len(store.get_items("b")) == 2
    assert abs(end_of(first) - timezone.now() - 30 * DAY) < timedelta(minutes=1)
    assert end_of(second) is None


@pytest.mark.parametrize("days", [1, 7, 30, 90])
def test_extending_counts_from_the_present_end(client, store, days):
    (row,) = sessions(store, "s")
    ends(row, 5 * DAY)
    before = end_of(row)
    do(client, "extend", row, by=str(days))
    assert end_of(row) == before + days * DAY
    assert LogEntry.objects.get().change_message == f"Extended by {days} day{'s'[: days > 1]}."


def test_extending_until_a_date_never_shortens_a_life(client, store, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    rows = sessions(store, "soon", "late", "never", "gone")
    for row, after in zip(rows, (DAY, 900 * DAY, None, -DAY), strict=True):
        ends(row, after)
    late = end_of(rows[1])
    until = (timezone.localtime() + 300 * DAY).replace(second=0, microsecond=0)
    response = do(client, "extend", *rows, by="date", until=until.strftime("%Y-%m-%dT%H:%M"))
    assert messages_after(client, response) == [
        "2 conversations expire later now.",
        "1 that was selected expires later anyway, or never, and stays as it is.",
    ]
    assert end_of(rows[0]) == end_of(rows[3]) == until
    assert end_of(rows[1]) == late
    assert end_of(rows[2]) is None


def test_a_session_that_never_expires_is_not_extended(client, store):
    first, second = sessions(store, "a", "b")
    response = client.post(
        listing("session"), {"action": "extend", "_selected_action": [first.pk, second.pk]}
    )
    assert messages_after(client, response) == [
        "Nothing is to be done: what was selected never expires."
    ]
    ends(second, timedelta(days=365 * 200))
    before = end_of(second)
    ask(client, "extend", second)
    data = {"action": "extend", "_selected_action": second.pk, "keys": second.pk}
    client.post(listing("session"), data | {"confirmed": "yes", "by": "90"})
    assert end_of(second) == before


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({}, "This field is required."),
        ({"by": "5"}, "Select a valid choice."),
        ({"by": "date"}, "Say until when."),
        ({"by": "date", "until": "soon"}, "Enter a valid date/time."),
        ({"by": "date", "until": "2020-01-01T00:00"}, "This must be in the future."),
        ({"by": "date", "until": "9999-12-31T00:00"}, "more than a hundred years away"),
        ({"by": "7", "until": "2100-01-01T00:00"}, "choose one of the two"),
    ],
)
def test_bad_answers_are_asked_again(client, store, answer, error):
    row = made(store, "session")
    before = end_of(row)
    data = hidden(ask(client, "extend", row))
    response = client.post(listing("session"), data | answer)
    html = response.content.decode()
    assert error in html
    assert "<title>Error:" in html
    assert 'aria-invalid="true"' in html
    assert hidden(response) | {"csrfmiddlewaretoken": ""} == data | {"csrfmiddlewaretoken": ""}
    assert end_of(row) == before
    client.post(listing("session"), hidden(response) | {"by": "1"})
    assert end_of(row) == before + DAY


def test_a_store_that_moves_ends_by_itself_is_named(client, store, settings):
    row = made(store, "session")
    note = "The store moves the end of a conversation at each write: the next one moves it again."
    assert note not in sentences(ask(client, "keep", row))
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"ttl_seconds": 60}}}
    assert note in sentences(ask(client, "keep", row))
    assert note not in sentences(ask(client, "expire", row))


def test_a_wrong_setting_hides_no_store_after_it(client, store, settings):
    row = made(store, "session")
    settings.PARLANT_STORES = {
        "wrong": {"OPTIONS": {"using": "nowhere"}},
        "right": {"OPTIONS": {"ttl_seconds": 60}},
    }
    note = "The store moves the end of a conversation at each write: the next one moves it again."
    assert note in sentences(ask(client, "keep", row))
    settings.PARLANT_STORES = "wrong"
    assert note not in sentences(ask(client, "keep", row))


def test_what_an_action_is_not_for_is_counted_apart(client, store):
    rows = sessions(store, "a", "b", "c")
    ends(rows[0], -DAY)
    ends(rows[1], DAY)
    assert sentences(ask(client, "expire", *rows))[2:] == [
        "1 that was selected has expired already and stays as it is."
    ]
    assert names(ask(client, "keep", *rows)) == ["b", "a"]
    assert sentences(ask(client, "keep", *rows))[0].startswith("2 conversations are kept for ever")
    before = end_of(rows[0])
    do(client, "expire", *rows)
    assert end_of(rows[0]) == before


# Deleting


def test_deleting_takes_items_and_tells_the_application(client, store):
    first, second = sessions(store, "a", "b", items=3)
    heard = []

    def listener(sender, signal, **given):
        heard.append((sender, given["session_id"], given["namespace"], given["message_count"]))

    session_deleted.connect(listener)
    session_expired.connect(listener)
    try:
        do(client, "expire", second)
        assert heard == []
        response = do(client, "remove", first, second)
    finally:
        session_deleted.disconnect(listener)
        session_expired.disconnect(listener)
    assert messages_after(client, response) == ["2 conversations were deleted."]
    assert sorted(heard) == [("default", "a", "", 3), ("default", "b", "", 3)]
    assert Session.objects.count() == SessionItem.objects.count() == 0


def test_all_or_nothing_is_deleted(client, store, monkeypatch):
    monkeypatch.setattr(local_rows, "BATCH", 1)
    rows = sessions(store, "a", "b")
    data = hidden(ask(client, "remove", *rows))
    monkeypatch.setattr(LogEntry.objects.__class__, "log_actions", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        client.post(listing("session"), data)
    assert Session.objects.count() == 2
    assert SessionItem.objects.count() == 4


# Parlant's sessions


@pytest.mark.parametrize("prefix", ["p_", "", "p%_"])
def test_the_events_of_a_parlant_session_go_along(client, store, prefix):
    row = parlant(store, prefix)
    parlant(store, "other_", "s")
    events = f"{prefix}events"
    assert sentences(ask(client, "expire", row)) == [
        "1 document expires now: from then on no agent sees it, and the next sweep removes it.",
        "3 documents that belong to Parlant sessions go along, as their events do.",
    ]
    response = do(client, "expire", row)
    assert "1 document has expired." in messages_after(client, response)
    assert live(store, events) == ["os"]
    assert live(store, f"{prefix}sessions") == []
    assert len(live(store, "other_events")) == 4
    do(client, "extend", row, by="1")
    assert live(store, events) == ["os", "s0", "s1", "s2"]
    ends = Document.objects.filter(collection=events, session_id="s")
    assert set(ends.values_list("expires_at", flat=True)) == {end_of(row)}
    do(client, "keep", row)
    assert set(ends.values_list("expires_at", flat=True)) == {None}
    do(client, "remove", row)
    assert live(store, events) == ["os"]
    assert Document.objects.filter(collection=events).count() == 1


@pytest.mark.parametrize("collection", ["sessions", "parlant_sessions"])
@pytest.mark.parametrize("action", ["expire", "remove"])
def test_a_session_takes_nothing_along_of_a_longer_prefix(client, store, collection, action):
    parlant(store, "parlant_sessions_")
    before = live(store, "parlant_sessions_events")
    assert before
    store.insert_one(collection, {"id": "s", "customer_id": "eve"})
    row = document("s", collection)
    assert len(sentences(ask(client, "expire", row))) == 1
    do(client, action, row)
    assert live(store, collection) == []
    assert live(store, "parlant_sessions_events") == before
    assert live(store, "parlant_sessions_sessions") == ["s"]


def test_events_that_were_chosen_with_their_session_count_once(client, store):
    row = parlant(store)
    rows = [row, document("s0", "p_events"), document("s1", "p_events")]
    assert sentences(ask(client, "remove", *rows)) == [
        "3 documents are deleted. They cannot be brought back.",
        "1 document that belongs to a Parlant session goes along, as its events do.",
    ]
    assert messages_after(client, do(client, "remove", *rows)) == [
        "3 documents were deleted.",
        "1 document of a Parlant session went along.",
    ]
    assert live(store) == ["os"]


def test_one_event_is_changed_alone(client, store):
    parlant(store)
    event = document("s1", "p_events")
    assert len(sentences(ask(client, "expire", event))) == 1
    do(client, "expire", event)
    assert live(store) == ["os", "s0", "s2"]
    assert live(store, "p_sessions") == ["s"]
