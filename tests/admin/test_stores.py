"""Stores that are elsewhere, in the admin: browsed and expired through the contract alone."""

import html as markup
import json
import re
import threading
from datetime import timedelta

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from parlant_store import stores
from parlant_store.admin.stores import asking
from parlant_store.admin.stores import documents as store_documents
from parlant_store.admin.stores import pages as store_pages
from parlant_store.admin.stores import session as store_session
from parlant_store.admin.stores import sweep as store_sweep
from parlant_store.backends.orm import OrmBackend
from parlant_store.exceptions import StoreUnavailable
from tests.admin.pages import CALL, OUTPUT, SCRIPT, UNPRINTABLE, entries, get, message, superuser
from tests.admin.pages import patience as patience
from tests.backends.locks import eventually

NASTY = ["a b", SCRIPT, "\ud800", "a/b?c=d&e#f", '"]', "%s{}", "ü" * 3_000]
DAY = timedelta(days=1)
PERMISSIONS = (
    "view_session",
    "view_sessionitem",
    "view_document",
    "expire_session",
    "extend_session",
    "delete_session",
    "expire_document",
    "extend_document",
    "delete_document",
)

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    # The stores' own database is an SQLite file in either run.
    pytest.mark.any_database,
]


class Sessions(OrmBackend):
    """Keeps no documents."""

    supports_documents = False


@pytest.fixture
def remote(settings, transactional_db):
    settings.PARLANT_STORES = {
        "default": {},
        "remote": {"OPTIONS": {"using": "other"}},
        "sessions": {
            "BACKEND": "tests.admin.test_stores.Sessions",
            "OPTIONS": {"using": "other"},
        },
    }
    return stores["remote"]


@pytest.fixture
def client(remote):
    return superuser()


def url(name, store="remote", **params):
    query = {"store": store} if name != "stores" else {}
    for param, value in params.items():
        query[param] = value if isinstance(value, str) else json.dumps(value)
    return reverse(f"admin:parlant_store_session_{name}", query=query or None)


def allowed(*names):
    """A client of somebody with these permissions and no other."""
    user = User.objects.create_user(f"user{User.objects.count()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client


def without(*names):
    return allowed(*(name for name in PERMISSIONS if name not in names))


def listed(html):
    found = re.findall(r'<th scope="row"><a href="[^"]*"><bdi>(.*?)</bdi>', html)
    return [markup.unescape(name) for name in found]


def next_page(html):
    found = re.findall(r'<a rel="next" href="([^"]*)"', html)
    return found[0].replace("&amp;", "&") if found else None


def act(client, action, *chosen, confirmed="yes", days="", store="remote", on="session"):
    names = [json.dumps(one) for one in chosen]
    data = {"action": action, on: names, "days": days, "confirmed": confirmed}
    return client.post(url(f"stores_{on}s_change", store), data, follow=True)


def told(response):
    return [str(message) for message in response.context["messages"]]


def log():
    return list(LogEntry.objects.values_list("action_flag", "object_repr", "change_message"))


# The stores


def test_stores_are_listed_with_their_state(client, settings):
    settings.PARLANT_STORES |= {
        SCRIPT: {"BACKEND": "nowhere.Backend"},
        "down": {
            "BACKEND": "parlant_store.backends.supabase.SupabaseBackend",
            "OPTIONS": {"url": "http://127.0.0.1:9", "key": "very-secret", "timeout": 0.3},
        },
    }
    html = get(client, url("stores"))
    rows = re.findall(r"<tr>\s*<th scope=\"row\">(.*?)</tr>", html, re.DOTALL)
    texts = [" ".join(re.sub("<.*?>", " ", row).split()) for row in rows]
    assert texts[0].startswith("default OrmBackend In this database Sessions : default · Documents")
    assert texts[1].startswith("remote OrmBackend Answers Sessions")
    assert texts[2] == "sessions Sessions Answers Sessions : sessions"
    assert "nowhere.Backend" in texts[3]
    assert "Does not answer well: no good answer over HTTP" in texts[4]
    assert SCRIPT not in html
    assert "very-secret" not in html
    assert f'href="{reverse("admin:parlant_store_session_changelist")}"' in rows[0]
    assert f'href="{url("stores_sessions")}"' in rows[1]


def test_all_stores_are_asked_at_once_and_for_a_time_only(client, settings, monkeypatch):
    settings.PARLANT_STORES |= {
        alias: {"BACKEND": "tests.admin.test_stores.Slow", "OPTIONS": {"using": "other"}}
        for alias in ("slow1", "slow2")
    }
    monkeypatch.setattr(store_pages, "ANSWER", 5)
    Slow.end.clear()

    def others_answer():
        html = get(client, url("stores"))
        assert html.count("no answer in time") >= 2
        return html.count("Answers") == 2

    try:
        eventually(others_answer)
    finally:
        Slow.end.set()


class Slow(OrmBackend):
    """Does not answer until the test ends."""

    end = threading.Event()

    def _list_sessions(self, *args):
        self.end.wait(120)
        return []


def test_a_page_waits_for_a_time_only(client, settings, monkeypatch):
    settings.PARLANT_STORES |= {"slow": {"BACKEND": "tests.admin.test_stores.Slow"}}
    monkeypatch.setattr(asking, "PATIENCE", 0.1)
    Slow.end.clear()
    try:
        html = get(client, url("stores_sessions", "slow"))
    finally:
        Slow.end.set()
    assert "no answer in time" in html
    assert "Try again" in html


@pytest.mark.parametrize(
    "page",
    ["stores_sessions", "stores_session", "stores_documents", "stores_document", "stores_sweep"],
)
def test_a_store_that_cannot_be_reached_has_a_page_that_says_so(client, settings, page):
    settings.PARLANT_STORES |= {
        "down": {
            "BACKEND": "parlant_store.backends.supabase.SupabaseBackend",
            "OPTIONS": {"url": "http://127.0.0.1:9", "key": "very-secret", "timeout": 0.3},
        }
    }
    names = {"session": ["", "s"], "document": ["c", "d"]}
    html = get(client, url(page, "down", **names))
    assert "The store down could not answer:" in html
    assert "no good answer over HTTP" in html
    assert "very-secret" not in html


def test_unknown_stores_and_addresses_that_no_page_made(client):
    assert client.get(url("stores_sessions", "none")).status_code == 404
    assert client.get(reverse("admin:parlant_store_session_stores_sessions")).status_code == 404
    for page, param in (("session", "session"), ("document", "document"), ("sessions", "after")):
        for value in ("", "x", "[]", "[1,2]", '{"a":1}', "[" * 100_000, '["a"]'):
            if page == "sessions" and not value:
                continue
            response = client.get(url(f"stores_{page}", **{param: value}))
            assert response.status_code == 400, (page, value)
    html = get(client, url("stores_session", session=["a\0", "b"]))
    assert "The store remote refuses this:" in html


# Sessions


def test_sessions_are_listed_in_pages(client, remote, monkeypatch):
    monkeypatch.setattr(store_pages, "PAGE", 3)
    for number in range(7):
        remote.add_items(f"s{number}", [message("x")], namespace="team", user_id="ann")
    html = get(client, url("stores_sessions"))
    assert listed(html) == ["s0", "s1", "s2"]
    assert "First" not in html
    html = get(client, next_page(html))
    assert listed(html) == ["s3", "s4", "s5"]
    assert "First" in html
    html = get(client, next_page(html))
    assert listed(html) == ["s6"]
    assert next_page(html) is None


def test_sessions_are_narrowed_page_after_page(client, remote, monkeypatch):
    monkeypatch.setattr(store_pages, "PAGE", 1)
    for namespace, session_id, owner in (
        ("", "a1", "ann"),
        ("team", "a1", "ann"),
        ("team", "a2", "ann"),
        ("team", "b1", "ann"),
        ("team", "a3", None),
    ):
        remote.add_items(session_id, [message("x")], namespace=namespace, user_id=owner)
    html = get(client, url("stores_sessions", namespace="team", owner="ann", prefix="a"))
    assert listed(html) == ["a1"]
    html = get(client, next_page(html))
    assert listed(html) == ["a2"]
    assert next_page(html) is None
    assert 'name="prefix" value="a"' in html
    assert "There are no such sessions." in get(client, url("stores_sessions", owner="bob"))
    assert "refuses this" in get(client, url("stores_sessions", owner="a\0"))


def test_sessions_are_found_by_what_was_said(client, remote):
    remote.add_items("one", [message(f"I want a refund {SCRIPT}")], namespace="team")
    remote.add_items("two", [message("nothing")])
    html = get(client, url("stores_sessions", q="REFUND"))
    assert listed(html) == ["one"]
    assert "I want a refund" in html
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
    monkeypatch.setattr(store_session, "FEW", 3)
    monkeypatch.setattr(store_session, "MANY", 5)
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


# Actions


def test_nothing_happens_before_it_is_confirmed(client, remote):
    for name in ("a", "b"):
        remote.add_items(name, [message("x")])
    for action, question in (
        ("expire", "2 sessions will expire now"),
        ("extend", "2 sessions will expire later than now said, by this many days: 7."),
        ("keep", "2 sessions will be kept for ever."),
        ("delete", "2 sessions will be deleted with all their items."),
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
    assert told(act(client, "expire", ["", "a"])) == ["Expire now: done for 1 session."]
    assert not remote.exists("a")
    act(client, "extend", ["", "b"], days="30")
    assert remote.get_session("b").expires_at == before + 30 * DAY
    response = act(client, "keep", ["", "c"], ["", "d"])
    assert told(response) == ["Keep for ever: done for 2 sessions."]
    assert remote.get_session("c").expires_at is None
    act(client, "delete", ["", "e"])
    assert not remote.exists("e")
    assert log() == [
        (DELETION, "e", "Store remote: Deleted."),
        (CHANGE, "d", "Store remote: Kept for ever."),
        (CHANGE, "c", "Store remote: Kept for ever."),
        (CHANGE, "b", "Store remote: Extended by days: 30."),
        (CHANGE, "a", "Store remote: Expired now."),
    ]
    html = get(client, reverse("admin:index"))
    assert "Recent actions" in html


def test_what_never_expires_or_is_gone_is_left(client, remote):
    remote.add_items("s", [message("x")])
    response = act(client, "extend", ["", "s"], ["", "gone"], days="3")
    assert told(response) == ["2 sessions were left as they were."]
    assert remote.get_session("s").expires_at is None
    assert log() == []


@pytest.mark.parametrize("days", ["", "0", "-1", "x", "1.5", "99999", "1" * 5_000, "٣"])
def test_a_wrong_number_of_days_is_refused(client, remote, days):
    remote.add_items("s", [message("x")], ttl_seconds=60)
    before = remote.get_session("s").expires_at
    response = act(client, "extend", ["", "s"], days=days)
    assert told(response) == ["The number of days must be from 1 to 36,500."]
    assert remote.get_session("s").expires_at == before


def test_days_without_end_are_refused(client, remote):
    remote.add_items("s", [message("x")])
    remote.set_expiry("s", timezone.now().replace(year=9990))
    (text, left) = told(act(client, "extend", ["", "s"], days="36500"))
    assert text == "Stopped at s: there is no day so late"
    assert left == "1 session was left as it was."


def test_actions_that_are_none(client, remote):
    remote.add_items("s", [message("x")])
    assert told(act(client, "drop", ["", "s"])) == ["No action was chosen."]
    assert told(act(client, "delete")) == ["No session was chosen."]
    assert told(act(client, "delete", on="document")) == ["No document was chosen."]
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
    assert told(response) == [
        "Stopped at b: it broke",
        "Delete: done for 1 session.",
        "2 sessions were left as they were.",
    ]
    assert [entry[1] for entry in log()] == ["a"]
    assert remote.exists("c")


def test_what_has_expired_is_removed_after_asking(client, remote):
    for name in ("a", "b"):
        remote.add_items(name, [message("x")])
        remote.set_expiry(name, timezone.now() - DAY)
    remote.add_items("c", [message("x")])
    page = get(client, url("stores_sweep"))
    assert "2 sessions and documents have expired and will be removed." in page
    assert len(list(remote.list_expired())) == 2
    response = client.post(url("stores_sweep"), follow=True)
    assert told(response) == ["Removed as expired: sessions 2, documents 0."]
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
    assert "More than 2 sessions and documents" in get(client, url("stores_sweep"))
    response = client.post(url("stores_sweep"), follow=True)
    assert told(response) == [
        "Removed as expired: sessions 4, documents 0.",
        "There is more. Do this again.",
    ]


# Documents


@pytest.mark.parametrize("name", NASTY[:-1], ids=ascii)
def test_a_document_of_any_name_is_listed_shown_and_deleted(client, remote, name):
    remote.insert_one(name, {"id": name, "session_id": name, name: [name]})
    html = get(client, url("stores_documents"))
    (link,) = re.findall(r'<li><a href="([^"]*)"><bdi>', html)
    html = get(client, link.replace("&amp;", "&"))
    assert SCRIPT not in html
    (link,) = re.findall(r'<th scope="row"><a href="([^"]*)"', html)
    html = get(client, link.replace("&amp;", "&"))
    assert SCRIPT not in html
    assert "parlant-fold" in html
    (value,) = re.findall(r'name="document" value="([^"]*)"', html)
    assert json.loads(markup.unescape(value)) == [name, name]
    response = act(client, "delete", [name, name], on="document", confirmed="")
    assert "1 document will be deleted." in response.content.decode()
    assert remote.find_one(name) is not None
    response = act(client, "delete", [name, name], on="document")
    assert remote.find_one(name) is None
    assert told(response) == ["Delete: done for 1 document."]
    assert [entry[0] for entry in log()] == [DELETION]
    response = act(client, "delete", [name, name], on="document")
    assert told(response) == ["1 document was left as it was."]
    assert len(log()) == 1


def test_documents_are_expired_extended_and_kept(client, remote):
    for name in ("a", "b", "c", "d"):
        remote.insert_one("p_sessions", {"id": name})
        remote.insert_one("p_events", {"id": f"of {name}", "session_id": name})
        remote.set_document_expiry("p_sessions", name, timezone.now() + DAY)
    before = remote.get_document("p_sessions", "b").expires_at
    for action, question in (
        ("expire", "2 documents will expire now"),
        ("extend", "2 documents will expire later than now said, by this many days: 7."),
        ("keep", "2 documents will be kept for ever."),
    ):
        names = (["p_sessions", "a"], ["p_sessions", "b"])
        response = act(client, action, *names, on="document", confirmed="", days="7")
        html = response.content.decode()
        assert question in html
        assert "A Parlant session takes its documents along." in html
        assert html.count('<input type="hidden" name="document"') == 2
    assert log() == []
    response = act(client, "expire", ["p_sessions", "a"], on="document")
    assert told(response) == ["Expire now: done for 1 document."]
    assert listed(response.content.decode()) == ["d", "c", "b"]
    act(client, "extend", ["p_sessions", "b"], on="document", days="30")
    act(client, "keep", ["p_sessions", "c"], ["p_sessions", "gone"], on="document")
    ends = {
        name: found and found.expires_at
        for name in ("a", "b", "c", "d")
        if (found := remote.get_document("p_events", f"of {name}")) or name == "a"
    }
    assert ends == {"a": None, "b": before + 30 * DAY, "c": None, "d": ends["d"]}
    assert remote.get_document("p_events", "of a") is None
    assert log() == [
        (CHANGE, "p_sessions/c", "Store remote: Kept for ever."),
        (CHANGE, "p_sessions/b", "Store remote: Extended by days: 30."),
        (CHANGE, "p_sessions/a", "Store remote: Expired now."),
    ]


def test_the_page_of_a_document_says_when_it_ends(client, remote):
    remote.insert_one("c", {"id": "d"})
    page = url("stores_document", document=["c", "d"])
    assert "<td>never</td>" in get(client, page)
    remote.set_document_expiry("c", "d", timezone.now() + 3 * DAY)
    assert "in 2\N{NO-BREAK SPACE}days" in get(client, page)
    remote.set_document_expiry("c", "d", timezone.now())
    assert client.get(page).status_code == 404


def test_titles_say_what_is_asked_and_of_which_session(client, remote):
    remote.add_items("s", [message("x")], namespace="team")
    html = act(client, "delete", ["team", "s"], confirmed="").content.decode()
    assert "<title>Delete" in html
    assert "<title>team/s" in get(client, url("stores_session", session=["team", "s"]))


def test_a_page_of_a_refusal_offers_no_second_try(client):
    html = get(client, url("stores_session", session=["a\0", "b"]))
    assert "refuses this" in html
    assert "Try again" not in html


def test_a_sweep_of_nothing_asks_nothing(client, remote):
    html = get(client, url("stores_sweep"))
    assert "Back to the store" in html
    assert "take me back" not in html


def test_documents_are_listed_in_pages_newest_first(client, remote, monkeypatch):
    monkeypatch.setattr(store_documents, "PAGE", 2)
    for number in range(5):
        remote.insert_one("c", {"id": f"d{number}", "creation_utc": f"2030-01-0{number + 1}"})
    html = get(client, url("stores_documents", collection=["c"]))
    assert listed(html) == ["d4", "d3"]
    html = get(client, next_page(html))
    assert listed(html) == ["d2", "d1"]
    html = get(client, next_page(html))
    assert listed(html) == ["d0"]
    assert next_page(html) is None
    assert listed(get(client, url("stores_documents", collection=["c"], id="d3"))) == ["d3"]
    assert listed(get(client, url("stores_documents", collection=["c"], id="d"))) == []


def test_documents_without_an_id_are_shown_in_their_list(client, remote):
    remote.insert_one("c", {"text": f"{SCRIPT} of nobody"})
    html = get(client, url("stores_documents", collection=["c"]))
    assert "of nobody" in html
    assert SCRIPT not in html
    assert client.get(url("stores_document", document=["c", "x"])).status_code == 404


def test_the_json_of_a_document_has_three_shapes(client, remote):
    remote.insert_one("c", {"id": "d", "deep": {"er": [1, {"x": 2}]}})
    for shape in ("folded", "open", "text"):
        html = get(client, url("stores_document", document=["c", "d"], json=shape))
        assert html.count('aria-current="true"') >= 1
        assert ("parlant-fold" in html) == (shape != "text")


def test_a_store_without_documents_says_so(client, remote):
    remote.add_items("s", [message("x")])
    html = get(client, url("stores_sessions", "sessions"))
    assert listed(html) == ["s"]
    assert "stores/documents/" not in html
    html = get(client, url("stores_documents", "sessions"))
    assert "stores sessions only" in html


# Who may do what


PAGES = {
    "stores_sessions": ("view_session", {}),
    "stores_session": ("view_session", {"session": ["", "s"]}),
    "stores_documents": ("view_document", {}),
    "stores_document": ("view_document", {"document": ["c", "d"]}),
}


@pytest.fixture
def filled(remote):
    remote.add_items("s", [message("what was said")], ttl_seconds=3_600)
    remote.insert_one("c", {"id": "d"})
    return remote


@pytest.mark.parametrize("page", PAGES)
def test_each_page_needs_its_permission(filled, page):
    permission, params = PAGES[page]
    assert Client().get(url(page, **params)).status_code == 302
    assert without(permission).get(url(page, **params)).status_code == 403
    assert allowed(permission).get(url(page, **params)).status_code == 200


def test_the_list_of_stores_needs_one_of_two(filled):
    assert without("view_session", "view_document").get(url("stores")).status_code == 403
    html = get(allowed("view_session"), url("stores"))
    assert "stores/documents/" not in html
    html = get(allowed("view_document"), url("stores"))
    assert "stores/sessions/" not in html
    assert "stores/documents/" in html


def test_what_was_said_needs_a_permission_of_its_own(filled):
    client = without("view_sessionitem")
    assert "what was said" not in get(client, url("stores_session", session=["", "s"]))
    html = get(client, url("stores_sessions", q="said"))
    assert "what was said" not in html.lower().replace("words of what was said", "")
    assert 'name="q"' not in html
    assert "what was said" in get(
        allowed("view_session", "view_sessionitem"), url("stores_session", session=["", "s"])
    )


@pytest.mark.parametrize(
    ("action", "permission"),
    [
        ("expire", "expire_document"),
        ("extend", "extend_document"),
        ("keep", "extend_document"),
        ("delete", "delete_document"),
    ],
)
def test_each_action_on_documents_needs_its_permission(filled, action, permission):
    filled.set_document_expiry("c", "d", timezone.now() + DAY)
    before = filled.get_document("c", "d")
    for lacking in (permission, "view_document"):
        client = without(lacking)
        for confirmed in ("yes", ""):
            response = act(client, action, ["c", "d"], on="document", confirmed=confirmed, days="3")
            assert response.status_code == 403
    assert filled.get_document("c", "d") == before
    listing = url("stores_documents", collection=["c"])
    assert f'<option value="{action}">' not in get(without(permission), listing)
    client = allowed("view_document", permission)
    assert f'<option value="{action}">' in get(client, listing)
    response = act(client, action, ["c", "d"], on="document", days="3")
    assert len(told(response)) == 1
    assert filled.get_document("c", "d") != before


@pytest.mark.parametrize(
    ("action", "permission"),
    [
        ("expire", "expire_session"),
        ("extend", "extend_session"),
        ("keep", "extend_session"),
        ("delete", "delete_session"),
    ],
)
def test_each_action_needs_its_permission(filled, action, permission):
    before = filled.get_session("s")
    for lacking in (permission, "view_session"):
        client = without(lacking)
        for confirmed in ("yes", ""):
            response = act(client, action, ["", "s"], confirmed=confirmed, days="3")
            assert response.status_code == 403
    assert filled.get_session("s") == before
    html = get(without(permission), url("stores_sessions"))
    assert f'<option value="{action}">' not in html
    client = allowed("view_session", permission)
    assert f'<option value="{action}">' in get(client, url("stores_sessions"))
    assert len(told(act(client, action, ["", "s"], days="3"))) == 1
    assert filled.get_session("s") != before


def test_those_who_only_look_are_offered_nothing(filled):
    client = allowed("view_session", "view_sessionitem", "view_document")
    for page, params in (
        ("stores_sessions", {}),
        ("stores_session", {"session": ["", "s"]}),
        ("stores_documents", {"collection": ["c"]}),
        ("stores_document", {"document": ["c", "d"]}),
    ):
        html = get(client, url(page, **params))
        assert 'name="action"' not in html
        assert "stores/sweep/" not in html


def test_a_sweep_needs_to_delete_both(filled):
    filled.set_expiry("s", timezone.now() - DAY)
    for lacking in ("delete_session", "delete_document", "view_session"):
        client = without(lacking)
        assert client.get(url("stores_sweep")).status_code == 403
        assert client.post(url("stores_sweep")).status_code == 403
    assert len(list(filled.list_expired())) == 1
    client = allowed("view_session", "delete_session")
    assert client.get(url("stores_sweep", "sessions")).status_code == 200


def test_forged_requests_are_refused(filled):
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    for page in map(url, ("stores_sessions_change", "stores_documents_change", "stores_sweep")):
        assert client.post(page, {"action": "delete", "confirmed": "yes"}).status_code == 403


# What it costs


def test_the_queries_here_are_the_same_for_few_and_many(client, remote):
    def queries(page, **params):
        get(client, url(page, **params))
        with CaptureQueriesContext(connection) as context:
            get(client, url(page, **params))
        return len(context)

    for number in range(2):
        remote.add_items(f"s{number}", [message("x")] * 90)
        remote.insert_one("c", {"id": f"d{number}"})
    pages = [(page, params) for page, (_permission, params) in PAGES.items()]
    pages = [(page, params) for page, params in pages if page != "stores_document"]
    pages[1] = ("stores_session", {"session": ["", "s1"]})
    few = [queries(page, **params) for page, params in pages]
    for number in range(2, 60):
        remote.add_items(f"s{number}", [message("x")] * 5)
        remote.insert_one("c", {"id": f"d{number}"})
    remote.add_items("s1", [message("x")] * 90)
    many = [queries(page, **params) for page, params in pages]
    assert few == many == [2, 2, 2]  # login, user


def test_the_pages_need_no_script_or_style_of_their_own(client, filled):
    for page, (_permission, params) in PAGES.items():
        html = get(client, url(page, **params))
        start = html.index('id="content-main"')
        content = html[start : html.index('<footer id="footer">')]
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=", content)
        ids = re.findall(r'\sid="([^"]*)"', html)
        assert len(ids) == len(set(ids))
        for control in re.findall(r"<(?:input|select)[^>]*>", content):
            if 'type="hidden"' in control or 'type="submit"' in control:
                continue
            (id_,) = re.findall(r'id="([^"]*)"', control) or [""]
            assert "aria-label=" in control or f'<label for="{id_}">' in content, control
