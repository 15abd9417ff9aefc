"""The sessions of a store that is elsewhere: listed, shown and changed through the contract."""

import html as markup
import json
import re

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, DELETION
from django.urls import reverse
from django.utils import timezone

from parlant_store.admin.conversations import remote as conversations
from parlant_store.admin.views import stores as store_sweep
from parlant_store.backends.orm import OrmBackend
from parlant_store.exceptions import StoreUnavailable
from tests.admin.pages import CALL, OUTPUT, SCRIPT, UNPRINTABLE, entries, get, message, messages_of
from tests.admin.pages import patience as patience
from tests.admin.remote_stores import (
    DAY,
    MARKS,
    NASTY,
    act,
    listed,
    log,
    next_page,
    url,
    without,
)
from tests.admin.remote_stores import client as client
from tests.admin.remote_stores import filled as filled
from tests.admin.remote_stores import remote as remote

pytestmark = MARKS


def fill(remote, count):
    for number in range(count):
        remote.add_items(
            f"s{number}", [message("x")] * (number + 1), namespace="team", user_id="ann"
        )


def pages_of(client, **params):
    html = get(client, url("stores_sessions", **params))
    while html:
        yield listed(html)
        following = next_page(html)
        html = get(client, following) if following else None


def test_few_conversations_are_sorted(client, remote, monkeypatch):
    monkeypatch.setattr(conversations, "PAGE", 3)
    fill(remote, 7)
    newest = [["team/s6", "team/s5", "team/s4"], ["team/s3", "team/s2", "team/s1"], ["team/s0"]]
    for order in ("activity", "creation", "length"):
        assert list(pages_of(client, order=order)) == newest
    remote.add_items("s2", [message("x")] * 20, namespace="team")
    assert next(pages_of(client))[0] == "team/s2"
    assert next(pages_of(client, order="creation"))[0] == "team/s6"
    assert next(pages_of(client, order="length"))[0] == "team/s2"


def test_many_conversations_are_listed_by_name(client, remote, monkeypatch):
    monkeypatch.setattr(conversations, "PAGE", 3)
    monkeypatch.setattr(conversations, "MAX_SORTED", 3)
    fill(remote, 7)
    by_name = [["team/s0", "team/s1", "team/s2"], ["team/s3", "team/s4", "team/s5"], ["team/s6"]]
    assert list(pages_of(client)) == by_name
    html = get(client, url("stores_sessions"))
    assert "First" not in html
    assert "they are sorted by name" in html
    remote.add_items("s", [message("x")], namespace="other", user_id="bob")
    assert list(pages_of(client, owner="bob")) == [["other/s"]]
    assert list(pages_of(client, agent="other")) == [["other/s"]]


@pytest.mark.parametrize("limit", [1, 1_000])
def test_filters_apply_to_every_page(client, remote, monkeypatch, limit):
    monkeypatch.setattr(conversations, "PAGE", 1)
    monkeypatch.setattr(conversations, "MAX_SORTED", limit)
    for namespace, session_id, owner in (
        ("", "a1", "ann"),
        ("team", "a1", "ann"),
        ("team", "a2", "ann"),
        ("team", "b1", "ann"),
        ("team", "a3", None),
    ):
        remote.add_items(session_id, [message("x")], namespace=namespace, user_id=owner)
    for name in ("agent", "namespace"):
        found = pages_of(client, **{name: "team"}, owner="ann", prefix="a")
        assert sorted(found) == [["team/a1"], ["team/a2"]]
    html = get(client, url("stores_sessions", prefix="a"))
    assert 'name="prefix" value="a"' in html
    assert "There are no such conversations." in get(client, url("stores_sessions", owner="bob"))


def test_few_conversations_are_found_by_a_part_of_a_name_and_by_date(client, remote):
    remote.add_items("s", [message("x")], namespace="team", user_id="Ann Lee")
    remote.set_expiry("s", timezone.now() + DAY / 2, namespace="team")
    for params in ({"owner": "lee"}, {"agent": "ea"}, {"date": "today"}, {"state": "expiring"}):
        assert list(pages_of(client, **params)) == [["team/s"]], params
    for params in ({"owner": "bob"}, {"date": "yesterday"}, {"to": "2026-01-01"}, {"agent": "x"}):
        assert list(pages_of(client, **params)) == [[]], params


def test_parlant_sessions_are_listed_with_their_customers(client, remote):
    for name, customer in (("p1", "ada"), ("p2", "ben")):
        document = {"id": name, "customer_id": customer, "agent_id": "shop", "title": "A title"}
        remote.insert_one("x_sessions", document | {"creation_utc": "2026-01-01T00:00:00+00:00"})
    remote.add_items("s", [message("x")])
    html = get(client, url("stores_sessions", owner="ada"))
    assert listed(html) == ["A title p1"]
    assert url("stores_document", document='["x_sessions","p1"]').replace("&", "&amp;") in html
    assert len(listed(get(client, url("stores_sessions")))) == 3
    assert listed(get(client, url("stores_sessions", framework="openai"))) == ["s"]
    assert listed(get(without("view_document"), url("stores_sessions"))) == ["s"]


def test_sessions_are_found_by_what_was_said(client, remote):
    remote.add_items("one", [message(f"I want a refund {SCRIPT}")], namespace="team")
    remote.add_items("two", [message("nothing")])
    html = get(client, url("stores_sessions", q="REFUND"))
    assert listed(html) == ["team/one"]
    assert "I want a <mark>refund</mark>" in html
    assert SCRIPT not in html
    assert listed(get(client, url("stores_sessions", q="refund", namespace="x"))) == []


@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_a_session_of_any_name_is_listed_shown_and_changed(client, remote, name):
    remote.add_items(name, [message(name)], namespace=name, user_id=name)
    html = get(client, url("stores_sessions"))
    (link,) = re.findall(r'<th scope="row"><a href="([^"]*)"', html)
    (value,) = re.findall(r'name="session" value="([^"]*)"', html)
    assert SCRIPT not in html
    page = get(client, link.replace("&amp;", "&"))
    assert SCRIPT not in page
    assert len(entries(page)) == 1
    assert json.loads(markup.unescape(value)) == [name, name]
    act(client, "delete", [name, name])
    assert not remote.exists(name, namespace=name)
    assert log()[0][0] == DELETION


def test_the_page_of_a_session_shows_what_was_said(client, remote):
    remote.add_items("s", [message("hello"), CALL, OUTPUT, UNPRINTABLE], namespace="n")
    remote.set_metadata("s", {"model": "gpt"}, namespace="n")
    html = get(client, url("stores_session", session=["n", "s"]))
    assert "hello" in html
    assert "&quot;model&quot;: &quot;gpt&quot;" in html
    _first, second, third = entries(html)
    assert "weather" in second
    assert "rain &lt;b&gt;all&lt;/b&gt; day" in second
    assert "Its call is missing." in third
    assert client.get(url("stores_session", session=["", "s"])).status_code == 404


def test_the_latest_items_are_shown_and_more_on_demand(client, remote, monkeypatch):
    monkeypatch.setattr(conversations, "FEW", 3)
    monkeypatch.setattr(conversations, "MANY", 5)
    remote.add_items("s", [message(f"text {number}") for number in range(4)])
    html = get(client, url("stores_session", session=["", "s"]))
    assert re.findall(r"text \d", html) == ["text 1", "text 2", "text 3"]
    assert re.findall(r'<li id="item-(\d+)"', html) == ["2", "3", "4"]
    assert "Only the latest 3 items are shown." in html
    html = get(client, url("stores_session", session=["", "s"], more="1"))
    assert len(entries(html)) == 4
    assert "Only the latest" not in html
    remote.add_items("s", [message("more")] * 4)
    html = get(client, url("stores_session", session=["", "s"], more="1"))
    assert "Only the latest 5 items are shown." in html
    assert "Show the latest" not in html


def test_an_expired_session_is_not_shown(client, remote):
    remote.add_items("s", [message("x")])
    remote.set_expiry("s", timezone.now() - DAY)
    assert client.get(url("stores_session", session=["", "s"])).status_code == 404
    assert listed(get(client, url("stores_sessions"))) == []


def test_titles_say_what_is_asked_and_of_which_session(client, remote):
    remote.add_items("s", [message("x")], namespace="team")
    html = act(client, "delete", ["team", "s"], confirmed="").content.decode()
    assert "<title>Delete" in html
    assert "<title>team/s" in get(client, url("stores_session", session=["team", "s"]))


def test_nothing_happens_before_it_is_confirmed(client, remote):
    for name in ("a", "b"):
        remote.add_items(name, [message("x")], ttl_seconds=3_600)
    for action, question in (
        ("expire", "2 conversations expire now"),
        ("extend", "2 conversations expire later."),
        ("keep", "2 conversations are kept for ever: they never expire."),
        ("delete", "2 conversations are deleted with all their items."),
    ):
        response = act(client, action, ["", "a"], ["", "b"], confirmed="", days="7")
        html = response.content.decode()
        assert question in html
        assert html.count('<input type="hidden" name="session"') == 2
        assert f'name="action" value="{action}"' in html
    assert len(remote.list_sessions().sessions) == 2
    assert log() == []


def test_sessions_are_expired_extended_kept_and_deleted(client, remote):
    for name in ("a", "b", "c", "d", "e"):
        remote.add_items(name, [message("x")], ttl_seconds=3_600)
    before = remote.get_session("b").expires_at
    assert messages_of(act(client, "expire", ["", "a"])) == ["1 conversation has expired."]
    assert not remote.exists("a")
    act(client, "extend", ["", "b"], days="30")
    assert remote.get_session("b").expires_at == before + 30 * DAY
    response = act(client, "keep", ["", "c"], ["", "d"])
    assert messages_of(response) == ["2 conversations are kept for ever."]
    assert remote.get_session("c").expires_at is None
    act(client, "delete", ["", "e"])
    assert not remote.exists("e")
    assert log() == [
        (DELETION, "e", "Store remote: Deleted."),
        (CHANGE, "d", "Store remote: Kept for ever."),
        (CHANGE, "c", "Store remote: Kept for ever."),
        (CHANGE, "b", "Store remote: Extended by 30 days."),
        (CHANGE, "a", "Store remote: Expired now."),
    ]
    html = get(client, reverse("admin:index"))
    assert "Recent actions" in html


def test_a_session_is_branched(client, remote):
    remote.save_snapshot("s", [message("x")], state={"n": 1.0}, namespace="n", user_id="ann")
    remote.add_items("taken", [message("y")], namespace="n")
    html = act(client, "branch", ["n", "s"], confirmed="").content.decode()
    assert "1 conversation is copied" in html
    assert 'value="s-copy"' in html
    change = url("stores_sessions_change")
    data = {"action": "branch", "session": json.dumps(["n", "s"]), "confirmed": "yes"}
    response = client.post(change, data | {"new_id": "taken"})
    assert "There is a conversation of this id already." in response.content.decode()
    assert len(remote.get_items("taken", namespace="n")) == 1
    response = client.post(change, data | {"new_id": "t"}, follow=True)
    assert messages_of(response) == ["The conversation was copied to t."]
    assert remote.load_snapshot("t", namespace="n").state == {"n": 1.0}
    assert remote.get_session("t", namespace="n").user_id == "ann"
    assert log() == [(ADDITION, "n/t", "Store remote: Branched from s.")]
    both = act(client, "branch", ["n", "s"], ["n", "t"])
    assert messages_of(both) == ["Choose one conversation to branch."]
    gone = client.post(change, data | {"session": '["n","gone"]', "new_id": "u"}, follow=True)
    assert messages_of(gone) == ["What was selected is there no more."]


def test_sessions_are_exported(client, remote):
    remote.save_snapshot("s", [UNPRINTABLE], state={"n": 2.0}, namespace="n", user_id="ann")
    remote.set_metadata("s", {"m": "\0"}, namespace="n")
    remote.add_items("t", [message("x")] * 2, ttl_seconds=60)
    names = (["n", "s"], ["", "t"], ["", "gone"])
    response = act(client, "export", *names, confirmed="")
    assert "2 conversations are downloaded with all their items" in response.content.decode()
    assert log() == []
    response = act(client, "export", *names)
    assert response["Content-Disposition"].startswith('attachment; filename="sessions-20')
    lines = [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]
    info = remote.get_session("s", namespace="n")
    assert lines[0] == {
        "namespace": "n",
        "session_id": "s",
        "user_id": "ann",
        "metadata": {"m": "\0"},
        "state": {"n": 2.0},
        "created_at": info.created_at.isoformat(),
        "updated_at": info.updated_at.isoformat(),
        "expires_at": None,
        "parent_id": None,
        "parent_position": None,
        "usage": None,
        "items": [UNPRINTABLE],
        "turn_usage": {},
    }
    assert len(lines) == 2
    assert lines[1]["expires_at"] == remote.get_session("t").expires_at.isoformat()
    assert [(name, text) for _flag, name, text in log()] == [
        ("t", "Store remote: Exported."),
        ("n/s", "Store remote: Exported."),
    ]


def test_what_never_expires_or_is_gone_is_left(client, remote):
    remote.add_items("s", [message("x")])
    response = act(client, "extend", ["", "s"], ["", "gone"], days="3")
    assert messages_of(response) == [
        "1 that was selected expires later anyway, or never, and stays as it is.",
        "1 of those you confirmed was there no more.",
    ]
    assert remote.get_session("s").expires_at is None
    assert log() == []


@pytest.mark.parametrize("days", ["", "0", "-1", "x", "1.5", "99999", "1" * 5_000])
def test_a_wrong_number_of_days_is_refused(client, remote, days):
    remote.add_items("s", [message("x")], ttl_seconds=60)
    before = remote.get_session("s").expires_at
    response = act(client, "extend", ["", "s"], days=days)
    error = "The number of days must be from 1 to 36,500." if days else "This field is required."
    assert error in response.content.decode()
    assert "<title>Error:" in response.content.decode()
    assert remote.get_session("s").expires_at == before
    assert log() == []


def test_days_without_end_are_refused(client, remote):
    remote.add_items("s", [message("x")])
    late = timezone.now().replace(year=9990)
    remote.set_expiry("s", late)
    assert messages_of(act(client, "extend", ["", "s"], days="36500")) == [
        "1 that was selected expires later anyway, or never, and stays as it is."
    ]
    assert remote.get_session("s").expires_at == late


def test_actions_that_are_none(client, remote):
    remote.add_items("s", [message("x")])
    assert messages_of(act(client, "drop", ["", "s"])) == ["No action was selected."]
    assert messages_of(act(client, "delete")) == ["No conversation was selected."]
    assert messages_of(act(client, "delete", on="document")) == ["No document was selected."]
    for on in ("session", "document"):
        assert client.get(url(f"stores_{on}s_change")).status_code == 405
        forged = {"action": "delete", on: "x"}
        assert client.post(url(f"stores_{on}s_change"), forged).status_code == 400
    many = [["", f"s{number}"] for number in range(101)]
    assert act(client, "delete", *many).status_code == 400
    assert remote.exists("s")


def test_it_stops_where_the_store_fails(client, remote, monkeypatch):
    for name in ("a", "b", "c"):
        remote.add_items(name, [message("x")])

    def fail_at_b(self, deletion, original=OrmBackend._delete_session):
        if deletion.session.session_id == "b":
            raise StoreUnavailable("it broke")
        return original(self, deletion)

    monkeypatch.setattr(OrmBackend, "_delete_session", fail_at_b)
    response = act(client, "delete", ["", "a"], ["", "b"], ["", "c"])
    assert messages_of(response) == [
        "Stopped at b: it broke",
        "1 conversation was deleted.",
        "2 conversations were left as they were.",
    ]
    assert [entry[1] for entry in log()] == ["a"]
    assert remote.exists("c")


def test_what_has_expired_is_removed_after_asking(client, remote):
    for name in ("a", "b"):
        remote.add_items(name, [message("x")])
        remote.set_expiry(name, timezone.now() - DAY)
    remote.add_items("c", [message("x")])
    page = get(client, url("stores_sweep"))
    assert "2 conversations and documents have expired and will be removed." in page
    assert len(list(remote.list_expired())) == 2
    response = client.post(url("stores_sweep"), follow=True)
    assert messages_of(response) == ["Removed as expired: conversations 2, documents 0."]
    assert list(remote.list_expired()) == []
    assert remote.exists("c")
    assert "Nothing has expired." in get(client, url("stores_sweep"))
    ((flag, name, text),) = log()
    assert (flag, name) == (DELETION, "remote")
    assert text == "Store remote: Removed as expired: 2 sessions, 0 documents."


def test_a_sweep_takes_so_much_at_once(client, remote, monkeypatch):
    monkeypatch.setattr(store_sweep, "BATCH", 2)
    monkeypatch.setattr(store_sweep, "BATCHES", 2)
    for number in range(5):
        remote.add_items(f"s{number}", [message("x")])
        remote.set_expiry(f"s{number}", timezone.now() - DAY)
    assert "More than 2 conversations and documents" in get(client, url("stores_sweep"))
    response = client.post(url("stores_sweep"), follow=True)
    assert messages_of(response) == [
        "Removed as expired: conversations 4, documents 0.",
        "There is more. Do this again.",
    ]


def test_a_sweep_of_nothing_asks_nothing(client, remote):
    html = get(client, url("stores_sweep"))
    assert "Back to the store" in html
    assert "take me back" not in html
