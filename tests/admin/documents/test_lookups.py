"""Documents in the admin: found by their fields, their owners, their state and their words."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from parlant_store.admin.documents import lookups, options
from parlant_store.models import Document
from tests.admin.documents.lists import bulk, documents, event, ids, links, one, owned
from tests.admin.pages import SCRIPT, column, get, listing, page, viewer
from tests.admin.pages import client as client


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("name:Ada", ["c"]),
        ("name:ada", ["c"]),
        ("name:AD", ["c"]),
        ("name: Ada ", ["c"]),
        ("name:Eve", []),
        ("data.message:REFUND", ["e1"]),
        ("data.message:a:b", ["e2"]),
        ("id:e1", ["e1"]),
        ("session_id:s", ["e2", "e1"]),
        ("customer_id:c", ["s"]),
        ("tags.0:vip", ["s"]),
        ("flag:true", ["s"]),
        ("count:7", ["s"]),
        ("name:%", []),
        ("name:_da", []),
        ("name:\0", []),
        ("name:", []),
        ("tags.99999999999999999999:vip", []),
        ("٣:x", []),
        ("a__b:x", []),
        ("version:1", ["s"]),
    ],
)
def test_documents_are_found_by_a_field(client, store, term, expected):
    store.insert_one("p_customers", {"id": "c", "name": "Ada"})
    store.insert_one("p_sessions", {"id": "s", "customer_id": "c", "version": "1"} | FIELDS)
    for number, text in ((1, "a refund"), (2, "a:b")):
        data = {"id": f"e{number}", "session_id": "s", "data": {"message": text}}
        store.insert_one("p_events", data)
    assert ids(client, q=term) == expected
    assert ids(client, collection="none", q=term) == []


FIELDS = {"tags": ["vip"], "flag": True, "count": 7, "none": None}


def test_a_field_with_an_index_is_searched_in_the_whole_collection(client, store, monkeypatch):
    for module in (lookups, options):
        monkeypatch.setattr(module, "COUNTED", 2)
    for number in range(4):
        long = "k" * 200 + str(number)
        store.insert_one("p_values", {"id": f"v{number}", "variable_id": "v", "key": long})
    assert ids(client, collection="p_values", q=f"key:{'k' * 200}0") == ["v0"]
    html = get(client, listing("document", collection="p_values", q="data:x"))
    assert "among the newest 2 of these documents" in html
    html = get(client, listing("document", collection="p_values", q="key:k"))
    assert "among the newest" not in html


def test_parlants_events_are_filtered_by_kind_and_source(client, store):
    for number, kind in enumerate(("message", "tool", "message")):
        event(store, number, {"message": "x"}, kind, id=f"e{number}")
    event(store, 4, {"message": "x"}, source="ai_agent", id="e4")
    assert ids(client, collection="p_events", kind="message") == ["e4", "e2", "e0"]
    assert ids(client, collection="p_events", kind="message", source="ai_agent") == ["e4"]
    assert ids(client, collection="p_events", kind="message", state="live") == ["e4", "e2", "e0"]
    assert ids(client, collection="p_events", kind="\0") == []
    html = get(client, listing("document", collection="p_events"))
    assert "By kind" in html
    store.insert_one("p_sessions", {"id": "s", "mode": "manual"})
    assert ids(client, collection="p_sessions", mode="manual") == ["s"]
    assert ids(client, collection="p_sessions", mode="auto") == []
    assert "By kind" not in get(client, listing("document", collection="p_sessions"))


def test_documents_are_listed_by_their_owners(client, store):
    owned(store)
    assert ids(client, session_id="s") == ["n", "f", "e"]
    assert ids(client, collection="p_events", session_id="s") == ["f", "e"]
    assert ids(client, customer_id="c") == ["n", "s"]
    assert ids(client, agent_id="a") == ["s"]
    assert ids(client, session_id="s", customer_id="c") == ["n"]
    assert ids(client, session_id="nobody") == []
    assert ids(client, session_id="s\0") == []
    html = get(client, listing("document", session_id="s"))
    assert "By session" in html
    assert "By customer" not in html


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("s", ["n", "f", "e", "s"]),
        ("c", ["n", "s", "c"]),
        ("a", ["s", "c"]),
        ("p_events/e", ["e"]),
        ("S", []),
        ("s' OR 1=1 --", []),
    ],
)
def test_documents_are_found_by_their_owners(client, store, term, expected):
    owned(store)
    assert ids(client, q=term) == expected


@pytest.mark.parametrize("name", ["long-" + "ü" * 1_000, "\ud7ff\x01x", "a/b c%d?e#f&g"], ids=ascii)
def test_owners_of_any_name_are_found_and_linked(client, store, name):
    store.insert_one("p_events", {"id": "e", "session_id": name, "customer_id": name})
    store.insert_one("p_sessions", {"id": name})
    assert ids(client, q=name)[-1] == "e"
    found = links(get(client, page(one(document_id="e"))))
    (listed,) = (url for text, url in found.items() if text.startswith("All documents of session"))
    assert len(column(get(client, listed), "document_id")) == 1
    (url,) = (url for text, url in found.items() if text.startswith("Session"))
    assert url == page(one(collection="p_sessions"))


def test_a_document_links_to_what_it_belongs_to(client, store):
    owned(store)
    store.insert_one("other_p_sessions", {"id": "s"})
    store.insert_one("zz_customers", {"id": "c"})
    session, customer = one(collection="p_sessions"), one(collection="p_customers")
    assert links(get(client, page(one(document_id="f")))) == {
        "Session s": page(session) + "?after=0#event-1",
        "All documents of session s": listing("document", session_id="s"),
    }
    assert links(get(client, page(session))) == {
        "Its documents in p_events": listing("document", collection="p_events", session_id="s"),
        "Its documents in q_notes": listing("document", collection="q_notes", session_id="s"),
        "Everything of customer c": "/admin/parlant_store/session/person/?user=c",
        "Customer c": page(customer),
        "All documents of customer c": listing("document", customer_id="c"),
        "All documents of agent a": listing("document", agent_id="a"),
    }
    found = links(get(client, page(customer)))
    assert "Its documents in p_sessions" in found
    for url in found.values():
        get(client, url)


def test_a_document_links_to_the_session_of_its_own_prefix(client, store):
    store.insert_one("parlant_sessions_events", {"id": "e", "session_id": "s"})
    store.insert_one("parlant_sessions_sessions", {"id": "t"})
    for collection in ("sessions", "parlant_sessions"):
        store.insert_one(collection, {"id": "s", "customer_id": "eve"})
    url = page(one(document_id="e"))
    assert "Session s" not in links(get(client, url))
    store.insert_one("parlant_sessions_sessions", {"id": "s"})
    session = Document.objects.get(collection="parlant_sessions_sessions", document_id="s")
    assert links(get(client, url))["Session s"] == page(session)


def test_a_session_of_the_same_id_is_linked_for_those_who_may_see_it(client, store):
    owned(store)
    store.add_items("s", [{"role": "user", "content": "x"}])
    url = page(one(document_id="e"))
    assert "Items of session s" in links(get(client, url))
    assert "Items of session s" not in links(get(viewer("document"), url))


def test_what_has_expired_is_listed_as_such(client, store):
    now = timezone.now()
    times = {"live": None, "later": 48, "soon": 2, "sooner": 1, "gone": -1, "long ago": -50}
    for id_ in times:
        store.insert_one("x", {"id": id_, "customer_id": "c"})
    for id_, hours in times.items():
        expires_at = None if hours is None else now + timedelta(hours=hours)
        Document.objects.filter(document_id=id_).update(expires_at=expires_at)
    html = get(client, listing("document", collection="x"))
    assert len(column(html, "document_id")) == 6
    assert len(re.findall('class="parlant-expired"', html)) == 2
    assert ids(client, state="expired") == ["gone", "long ago"]
    assert ids(client, state="expiring") == ["sooner", "soon"]
    assert set(ids(client, state="live")) == {"live", "later", "soon", "sooner"}
    assert ids(client, state="expired", customer_id="c") == ["long ago", "gone"]
    assert ids(client, state="expired", collection="x") == ["long ago", "gone"]
    assert ids(client, state="expired", q="gone") == ["gone"]
    assert ids(client, state="nonsense", q="gone") == ["gone"]
    assert "has expired" in get(client, page(one(document_id="gone")))
    assert "has expired" not in get(client, page(one(document_id="soon")))


def test_a_state_beside_a_collection_is_looked_for_among_the_newest(client, store, monkeypatch):
    for module in (lookups, options):
        monkeypatch.setattr(module, "COUNTED", 5)
    gone = timezone.now() - timedelta(seconds=1)
    for number in range(4):
        # Of those that expired at once, any may be first.
        bulk(1, number, expires_at=gone + timedelta(milliseconds=number))
    assert len(documents(client, collection="big_events", state="expired")) == 4
    bulk(3, 4)
    html = get(client, listing("document", collection="big_events", state="expired"))
    assert "among the newest 5 of these documents" in html
    assert ids(client, collection="big_events", state="expired") == ["d3", "d2"]
    assert ids(client, state="expired") == ["d3", "d2", "d1", "d0"]
    assert ids(client, state="live") == ["d6", "d5", "d4"]


def test_a_parlant_session_is_found_by_what_was_said_in_it(client, store):
    owned(store)
    event(store, 7, {"message": f"My parcel arrived broken {SCRIPT}"}, id="said")
    calls = [{"tool_id": "local:carrier", "arguments": {"number": "XK7"}, "result": {"data": {}}}]
    event(store, 8, {"tool_calls": calls}, "tool", id="called")
    store.insert_one("p_customers", {"id": "c9", "name": "Grace Hopper"})
    session = page(one(collection="p_sessions"))
    html = get(client, listing("document", q="broken parcel"))
    assert ids(client, q="broken parcel") == ["said"]
    assert f'href="{session}?after=6#event-7"' in html
    assert "My <mark>parcel</mark> arrived <mark>broken</mark>" in html
    assert SCRIPT not in html
    assert ids(client, q="xk7") == ["called"]
    assert ids(client, q="hopper") == ["c9"]
    assert ids(client, collection="p_events", q="broken") == ["said"]
    assert ids(client, collection="p_customers", q="broken") == []
    assert ids(client, q="no such words") == []


def test_only_the_newest_documents_with_a_word_are_listed(client, store, monkeypatch):
    monkeypatch.setattr(lookups, "MAX_MATCHES", 2)
    owned(store)
    for number in range(3):
        event(store, number, {"message": "again"}, id=f"m{number}")
    html = get(client, listing("document", q="again"))
    assert "There may be more" in html
    assert ids(client, q="again") == ["m2", "m1"]
