"""What lists and pages of documents cost: as many statements and rows for few and for many."""

import pytest
from django.db import connection

from parlant_store import stores
from tests.admin.documents.lists import bulk, event, one, owned, queries
from tests.admin.pages import client as client
from tests.admin.pages import get, listing, page
from tests.backends.rows_read import analyze, work_of

MANY = 13_000


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
