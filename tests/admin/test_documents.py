"""Documents in the admin: found by collection, owner and state, at what cost."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from parlant_store import stores
from parlant_store.adapters.parlant import migration
from parlant_store.admin.documents import changelist, collections, lookups
from parlant_store.models import Document
from tests.admin.document_lists import bulk, documents, event, ids, links, one, owned, queries
from tests.admin.pages import SCRIPT, column, get, listing, page, sent, viewer
from tests.admin.pages import client as client
from tests.backends.rows_read import analyze, work_of

MANY = 13_000


# Collections


def sidebar(html):
    (_, section) = re.split('<(?:nav|search) id="changelist-filter"', html)
    found = re.findall(r'<a href="\?([^"]*)">([^<]*)</a></li>', section)
    return {text.strip(): query.replace("&amp;", "&") for query, text in found}


def listed(html):
    """The table of collections: number, size and address, by name."""
    (table,) = re.findall(
        r'<table id="result_list" class="parlant-collections">.*?</table>', html, re.S
    )
    cells = (
        r'<a href="\?([^"]*)"><bdi>(.*?)</bdi></a></th>\s*<td[^>]*>(.*?)</td>\s*<td[^>]*>(.*?)</td>'
    )
    return {name: (number, size, url) for url, name, number, size in re.findall(cells, table)}


def test_the_list_of_documents_opens_on_the_collections(client, store):
    for collection, count in (("a_x", 3), ("b/ y&z", 1), (f"a_x{migration.FAILED}", 2)):
        for number in range(count):
            store.insert_one(collection, {"id": f"{collection}{number}", "text": "x" * 1_000})
    html = get(client, listing("document"))
    found = listed(html)
    assert list(found) == ["a_x_failed_migrations", "a_x", "b/ y&amp;z"]
    assert [number for number, _size, _url in found.values()] == ["2", "3", "1"]
    assert re.fullmatch(r"about 3\.\d\sKB", found["a_x"][1])
    assert found["b/ y&amp;z"][2] == "collection=b%2F%20y%26z"
    assert "/document/" not in "".join(re.findall(r'href="([^"]*change/)"', html))
    assert "<bdi>a_<wbr>x_<wbr>failed_<wbr>migrations</bdi>" in sent(client, listing("document"))
    assert "By collection" not in html
    assert "By state" in html
    assert "<h1>Collections</h1>" in html
    assert "<h1>a_x</h1>" in get(client, listing("document", collection="a_x"))
    for address in ("?e=1", "?p=2", "?o=1", "?collection="):
        assert listed(get(client, listing("document") + address)) == found


def test_collections_lead_to_their_documents(client, store):
    for collection, count in (("a_x", 3), ("b/ y&z", 1)):
        for number in range(count):
            store.insert_one(collection, {"id": f"{collection}{number}"})
    choices = sidebar(get(client, listing("document", collection="b/ y&z")))
    assert list(choices)[:3] == ["All", "a_x (3)", "b/ y&amp;z (1)"]
    assert choices["a_x (3)"] == "collection=a_x"
    assert len(documents(client, collection="a_x")) == 3
    assert ids(client, collection="b/ y&z") == ["b/ y&z0"]
    assert documents(client, collection="none") == []
    assert documents(client, collection="\0") == []


def test_without_documents_the_list_says_how_they_come(client, store):
    html = get(client, listing("document"))
    assert "There are no documents." in html
    assert 'id="result_list"' not in html


def test_large_collections_are_not_counted_to_the_end(client, store, monkeypatch):
    bulk(collections.MAX_COUNT + 1)
    number, size, _url = listed(get(client, listing("document")))["big_events"]
    assert number == "more than 1,000"
    assert size.startswith("more than ")
    analyze()
    estimated = "about 1,000" if connection.vendor == "postgresql" else "more than 1,000"
    assert listed(get(client, listing("document")))["big_events"][0] == estimated


def test_more_collections_than_the_list_names(client, store):
    for number in range(collections.SHOWN + 10):
        store.insert_one(f"c{number:02}", {"id": "d"})
    store.insert_one(f"z{migration.FAILED}", {"id": "d"})
    html = get(client, listing("document"))
    assert len(listed(html)) == collections.SHOWN
    assert "Only the first 50 collections are listed." in html
    assert '<label for="parlant-collection">' in html
    html = get(client, listing("document", q="d"))
    assert next(iter(list(sidebar(html))[1:])) == "z_failed_migrations (1)"
    assert "c48 (1)" in html
    assert "c49 (1)" not in html
    assert '<input form="parlant-filter" type="hidden" name="q" value="d">' in html
    assert '<label for="parlant-collection">' in html
    html = get(client, listing("document", collection="c59"))
    assert column(html, "document_id") == ["d"]
    assert '<li class="selected">\n    <a href="?collection=c59">c59</a>' in html


def test_a_collection_is_listed_newest_first(client, store):
    for created, id_ in (("2", "b"), ("3", "a"), (None, "c"), ("2", "d")):
        store.insert_one("x", {"id": id_, "creation_utc": created})
    assert ids(client, collection="x") == ["a", "d", "b", "c"]
    assert ids(client, collection="x", o="2") == ["a", "d", "b", "c"]
    assert ids(client, state="live") == ["d", "c", "a", "b"]
    assert ids(client, state="live", o="2") == ["d", "c", "a", "b"]


def test_only_what_indexes_serve_may_be_asked_for(client, store):
    for lookup in ("version", "data__x", "collection__contains", "document_id__gt"):
        assert client.get(listing("document", **{lookup: "x"})).status_code == 400


# Columns


def test_columns_are_short_and_hide_nothing(client, store):
    id_ = "0b903906-10ab-4d04-8582-a6de2feec470"
    created = "2026-11-21T18:08:14.836302+00:00"
    store.insert_one("p_s__events_", {"id": id_, "agent_id": id_, "creation_utc": created})
    html = get(client, listing("document", q=id_))
    assert column(html, "collection") == ["p_s__events_"]
    html = sent(client, listing("document", q=id_))
    assert ">p_<wbr>s__<wbr>events_</span></td>" in html
    assert ">p_<wbr>s__<wbr>events_ (1)</a>" in html
    assert html.count(f'<bdi class="parlant-id" title="{id_}">{id_}</bdi>') == 2
    assert column(html, "customer_id") == ["-"]
    time = f'<time class="parlant-created" datetime="{created}" title="{created}">'
    assert f"{time}2026-11-21 18:08:14</time>" in html
    html = get(client, page(one()))
    assert html.count(id_) > 2
    assert created in html
    assert '<div class="readonly">never</div>' in html


@pytest.mark.parametrize(
    ("created", "shown"),
    [
        ("2026-11-21T18:08:14Z", "2026-11-21 18:08:14"),
        ("2026-11-21T18:08:14+02:00", "2026-11-21T18:08:14+02:00"),
        ("2026-11-21", "2026-11-21"),
        ("in May", "in May"),
        (
            f"2026-11-21T18:08:14Z{SCRIPT}",
            "2026-11-21T18:08:14Z&lt;script&gt;alert(1)&lt;/script&gt;",
        ),
        (None, "-"),
    ],
)
def test_only_what_is_surely_a_time_in_utc_is_shortened(client, store, created, shown):
    store.insert_one("x", {"id": "d", "creation_utc": created})
    html = get(client, listing("document", collection="x"))
    assert column(html, "creation_utc") == [shown]


@pytest.mark.parametrize(
    ("collection", "document", "shown"),
    [
        (
            "p_sessions",
            {"id": "s", "title": "Refund", "customer_id": "c", "agent_id": "a", "mode": "auto"},
            {"title": "Refund", "customer_id": "c", "agent_id": "a", "mode": "auto"},
        ),
        (
            "p_events",
            {"id": "e", "offset": 3, "kind": "message", "source": "customer"}
            | {"session_id": "s", "data": {"message": "Where is it?"}},
            {"offset": "3", "kind": "message", "source": "customer", "text": "Where is it?"},
        ),
        ("p_events", {"id": "e", "data": {"status": "ready"}}, {"text": "ready"}),
        ("p_events", {"id": "e", "data": {"tool_calls": [{"tool_id": "t:x"}]}}, {"text": "t:x"}),
        ("p_events", {"id": "e", "data": "plain \0"}, {"text": "plain \ufffd"}),
        ("p_customers", {"id": "c", "name": "Ada"}, {"document_id": "c", "name": "Ada"}),
        ("p_agents", {"id": "a", "name": "Guide", "description": "It helps."}, {"name": "Guide"}),
        ("p_variables", {"id": "v", "name": "plan"}, {"name": "plan"}),
        (
            "p_values",
            {"id": "x", "variable_id": "v", "key": "c", "data": {"plan": 1}},
            {"variable_id": "v", "key": "c"},
        ),
        (
            "p_guidelines",
            {"id": "g", "content": {"condition": "if", "action": "do"}},
            {"condition": "if", "action": "do"},
        ),
        ("p_tags", {"id": "t", "name": "vip"}, {"field_0": "vip"}),
        (
            "p_customer_tag_associations",
            {"id": "x", "customer_id": "c", "tag_id": "t"},
            {"customer_id": "c", "field_0": "t"},
        ),
        (
            "q_notes",
            {"id": "n", "text": "x" * 100, "n": 1.5, "ok": True, "none": None, "deep": {"a": 1}},
            {"field_0": "1.5", "field_1": "true", "field_2": "x" * 79 + "…"},
        ),
        ("q_notes", {"id": "n", "99999999999999999999": 1, "a__b": SCRIPT}, {"field_0": None}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_collection_has_columns_that_fit(client, store, collection, document, shown):
    store.insert_one(collection, document)
    html = get(client, listing("document", collection=collection))
    assert SCRIPT not in html
    for name, text in shown.items():
        expected = [text or "&lt;script&gt;alert(1)&lt;/script&gt;"]
        assert column(html, name) == expected, name


def test_columns_of_other_collections_are_the_fields_that_occur_most(client, store):
    for number in range(3):
        store.insert_one("q", {"id": str(number), "often": number, f"rare{number}": 1})
    html = get(client, listing("document", collection="q"))
    assert column(html, "field_0") == ["2", "1", "0"]
    assert "<span>Often</span>" in html
    assert "<span>Rare2</span>" in html


def test_documents_of_a_session_and_customer_lead_to_their_pages(client, store):
    owned(store)
    session = page(one(collection="p_sessions"))
    html = get(client, listing("document", collection="p_events"))
    assert html.count(f'href="{session}?after=0#event-1"') == 1
    assert html.count(f'href="{session}?after=-1#event-0"') == 1
    html = get(client, listing("document", collection="p_sessions"))
    assert 'href="/admin/parlant_store/session/person/?user=c"' in html
    html = get(client, listing("document", q="s"))
    assert f'href="{session}?after=0#event-1"' in html


# Fields


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
    for module in (lookups, changelist):
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


# Owners


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


# Expiry


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
    for module in (lookups, changelist):
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


# What it costs


def test_lists_and_pages_cost_the_same_queries_for_many_rows(client, store):
    owned(store)
    event(store, 9, {"message": "x"})
    # A transaction, in which PostgreSQL has to use the index, and its rollback.
    words = 2 if connection.vendor == "postgresql" else 0
    expected = {
        listing("document"): 3,  # login, user, collections
        listing("document", collection="p_customers"): 5,  # ... count, rows
        listing("document", collection="q_notes"): 7,  # ... fields, and names of collections
        listing("document", collection="p_events"): 7,  # ... names of collections, sessions
        listing("document", collection="p_events", session_id="s"): 7,
        listing("document", session_id="s"): 9,  # where there are any, and their keys
        listing("document", q="s"): 13 + words,  # and by id, by words, and what they found
        listing("document", q="name:Ada"): 10,
        listing("document", state="expired"): 5,
        listing("document", collection="p_events", kind="message"): 9,  # the matches, is there more
        listing("document", state="live", collection="p_events"): 9,
        page(one(document_id="e")): 6,  # login, user, row, names, links, session
        page(one(collection="p_sessions")): 12,  # ... its head, persons, last event, events
    }
    assert {url: queries(client, url) for url in expected} == expected
    for number in range(150):
        event(store, 10 + number, {"message": "x"})
        store.insert_one(f"c{number % 10}_sessions", {"id": f"s{number}", "customer_id": "c"})
    assert {url: queries(client, url) for url in expected} == expected


@pytest.fixture
def crowded(store):
    bulk(MANY)
    for number in range(10):
        store.insert_one("few_sessions", {"id": f"s{number}", "customer_id": "c"})
        store.insert_one("few_customers", {"id": f"c{number}"})
    analyze()


def test_lists_read_little_of_a_large_table(client, crowded):
    get(client, listing("document"))
    counted = 1_100  # in the filter
    listed = 10_200
    limits = [
        ({}, listed),
        ({"collection": "few_sessions"}, 100),
        ({"collection": "none"}, 100),
        ({"collection": "big_events"}, listed),
        ({"collection": "big_events", "session_id": "s7"}, 500),
        ({"session_id": "s7"}, 500),
        ({"customer_id": "c77"}, 100),
        ({"customer_id": "c"}, 4 * listed),
        ({"agent_id": "agent"}, 4 * listed),
        ({"collection": "few_customers", "state": "expired"}, 100),
        ({"collection": "big_events", "state": "expired"}, 3 * listed),
        ({"state": "expired"}, 100),
        ({"state": "expiring"}, 100),
        ({"q": "s7"}, 500),
        ({"q": "d7"}, 100),
        ({"q": "nothing"}, 100),
    ]
    for params, limit in limits:
        work = work_of(lambda params=params: get(client, listing("document", **params)))
        assert work < counted + limit, params


def test_pages_read_little_of_a_large_table(client, crowded):
    for document in (one(document_id="d777"), one(document_id="c7")):
        work = work_of(lambda document=document: get(client, page(document)))
        assert work < 200
    store = stores["default"]
    store.insert_one("big_sessions", {"id": "s7", "agent_id": "agent"})
    session = one(collection="big_sessions")
    assert work_of(lambda: get(client, page(session, after=20))) < 500


# Words


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
