"""Addresses and forms that no page makes: each is answered, none with an error of the server."""

import pytest
from django.urls import reverse

from parlant_store.models import Session, SessionItem
from tests.admin.conversations.cases import names, parlant
from tests.admin.pages import SCRIPT, get, listing, message
from tests.admin.pages import client as client

VALUES = ("", "\0", "9" * 30, "-1", "%s'\"\\", "ü" * 5_000, "0001-01-01", "9999-12-31", SCRIPT)
PARAMETERS = (
    "q",
    "owner",
    "agent",
    "from",
    "to",
    "date",
    "state",
    "framework",
    "failed",
    "store",
    "order",
    "p",
    "o",
    "all",
    "e",
    "_facets",
    "_to_field",
)


@pytest.fixture
def filled(client, store):
    store.add_items("s", [message("hello")], namespace="n", user_id="ann")
    parlant(store, "talk", ("customer", "hello"))
    return client


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_of_any_value(filled, name):
    for value in VALUES:
        response = filled.get(listing("session", **{name: value}))
        assert response.status_code in (200, 302, 400), (name, value)
        if response.status_code == 200:
            assert SCRIPT not in response.content.decode()


def test_several_odd_parameters_at_once(filled):
    odd = dict.fromkeys(("q", "owner", "agent"), "\0%'" + "x" * 2_000)
    for order in ("activity", "creation", "length"):
        params = odd | {"from": "0001-01-01", "to": "9999-12-31", "order": order}
        assert filled.get(listing("session", **params)).status_code == 200


@pytest.mark.parametrize("model", ["session", "sessionitem"])
@pytest.mark.parametrize("lookup", ["text__regex", "data__contains", "session_id__regex", "x"])
def test_only_filters_of_the_lists_are_lookups(filled, model, lookup):
    response = filled.get(listing(model, **{lookup: "(a+)+$"}))
    assert response.status_code in (302, 400)


@pytest.mark.parametrize("model", [Session, SessionItem])
@pytest.mark.parametrize("key", ["0", "-1", "9" * 19, "9" * 30, "9" * 5_000, "x", "\0", "٣"])
def test_pages_of_any_number(filled, model, key):
    name = f"admin:parlant_store_{model._meta.model_name}_change"
    response = filled.get(reverse(name, args=[key]))
    assert response.status_code == 302


@pytest.mark.parametrize("key", ["x", "document-", "document-x", "9" * 30, "\0", "document--1", ""])
def test_actions_on_any_row(filled, key):
    for action in ("expire", "export", "remove", "nothing"):
        data = {"action": action, "_selected_action": key, "select_across": "x"}
        response = filled.post(listing("session"), data)
        assert response.status_code in (200, 302, 400), (action, key)
    assert len(names(filled)) == 2


def test_lone_surrogates_in_an_address(filled):
    url = listing("session") + "?q=%ED%A0%80&owner=%ED%A0%80&agent=%FF&store=%FF"
    assert "No conversation matches." in get(filled, url)
