"""Odd parameters of the pages of documents, persons and stores: none gives a server error."""

import pytest
from django.urls import reverse

from tests.admin.documents.lists import event, one, owned
from tests.admin.pages import SCRIPT, listing, page
from tests.admin.pages import client as client

VALUES = [
    "",
    "\0",
    "a\0b",
    "9" * 30,
    "-1",
    "1e9",
    "٣",
    "%",
    "_",
    "'",
    '"',
    "[",
    '["a"]',
    "{}",
    "[" * 10_000,
    "x" * 10_000,
    "\ud7ff\x01x",
    "a/b" * 60,
    "a.b:c",
    "data.0.9:c",
    "data.99999999999999999999:c",
    "data.--1:c",
    "a:\0",
    "id:\0",
    "key:" + "k" * 5_000,
    "offset:1",
    "session_id:\0",
    SCRIPT,
]
PARAMETERS = {
    "document": [
        *("q", "collection", "kind", "session_id", "customer_id", "agent_id", "state"),
        *("source", "mode", "p", "o", "e", "all", "_facets"),
    ],
    "people": ["q", "p", "unknown"],
    "person": ["user", "unknown"],
    "person_receipt": ["receipt"],
    "overview": ["unknown"],
    "stores": ["store"],
    "stores_documents": ["store", "collection", "after", "id"],
    "stores_document": ["store", "document", "json"],
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_no_parameter_gives_a_server_error(client, store, name):
    owned(store)
    event(store, 3, {"message": "x"})
    client.raise_request_exception = False
    for value in VALUES:
        for parameters in (PARAMETERS[name], *([each] for each in PARAMETERS[name][:4])):
            query = dict.fromkeys(parameters, value)
            if name == "document":
                query = {"collection": "p_events"} | query
                url = listing("document", **query)
            else:
                query = {"user": "c", "store": "default"} | query
                url = reverse(f"admin:parlant_store_session_{name}", query=query)
            assert client.get(url).status_code < 500, (parameters, value[:50])


def test_no_parameter_of_a_page_gives_a_server_error(client, store):
    owned(store)
    client.raise_request_exception = False
    for value in VALUES:
        for parameter in ("json", "after", "before", "_changelist_filters"):
            url = page(one(collection="p_sessions"), **{parameter: value})
            assert client.get(url).status_code < 500, (parameter, value[:50])


def test_no_form_of_a_person_gives_a_server_error(client, store):
    client.raise_request_exception = False
    url = reverse("admin:parlant_store_session_person", query={"user": "c"})
    for value in VALUES:
        for parameter in ("action", "confirmed", "store"):
            data = {"action": "export", "confirmed": "yes", "store": "default", parameter: value}
            response = client.post(url, data)
            assert response.status_code < 500, (parameter, value[:50])
            response.close()
