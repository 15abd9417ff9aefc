"""Conversations of a second database of the project, in the list of the first."""

import re

import pytest

from parlant_store import stores
from tests.admin.conversations.cases import names, names_in, parlant, person
from tests.admin.pages import get, listing, message, superuser
from tests.contract.checkpoints import checkpoint

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]


@pytest.fixture
def client(store, settings):
    settings.PARLANT_STORES = {"default": {}, "other": {"OPTIONS": {"using": "other"}}}
    store.add_items("mine", [message("a platypus")], user_id="ann")
    stores["other"].add_items("theirs", [message("another platypus")], user_id="ann")
    parlant(stores["other"], "talk", ("customer", "A flight, please"))
    stores["other"].put_checkpoint("graph", checkpoint(1), namespace="n", user_id="ann")
    person(stores["other"], "cust", "Grace Hopper")
    return superuser()


def test_they_are_listed_filtered_and_searched(client):
    assert set(names(client)) == {"mine", "theirs", "talk", "n/graph"}
    assert set(names(client, store="other")) == {"theirs", "talk", "n/graph"}
    assert set(names(client, owner="ann")) == {"mine", "theirs", "n/graph"}
    assert set(names(client, q="platypus")) == {"mine", "theirs"}
    assert names(client, owner="grace") == ["talk"]
    assert names(client, q="flight") == ["talk"]
    assert names(client, framework="parlant", order="creation") == ["talk"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("theirs", "another platypus"), ("talk", "cust"), ("n/graph", "<dd><bdi>n</bdi></dd>")],
)
def test_their_pages_are_those_of_the_store(client, name, text):
    html = get(client, listing("session", store="other"))
    assert name in names_in(html)
    pages = {
        get(client, url.replace("&amp;", "&"))
        for url in re.findall(r'href="([^"]*)"', html)
        if "store=other" in url
        and any(f"{kind}=" in url for kind in ("session", "document", "thread"))
    }
    assert any(text in page for page in pages)


def test_their_actions_are_on_the_list_of_the_store(client):
    html = get(client, listing("session"))
    assert len(re.findall('name="_selected_action"', html)) == 1
    url = listing("session").removesuffix("/") + "/stores/sessions/?store=other"
    html = get(client, url)
    assert 'name="session" value="' in html
    assert "theirs" in html
