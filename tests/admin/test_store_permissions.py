"""What staff may see and do of a store that is elsewhere."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.admin.pages import get, messages_of
from tests.admin.pages import patience as patience
from tests.admin.remote_stores import (
    DAY,
    MARKS,
    PAGES,
    act,
    allowed,
    url,
    without,
)
from tests.admin.remote_stores import client as client
from tests.admin.remote_stores import filled as filled
from tests.admin.remote_stores import remote as remote

pytestmark = MARKS


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
    assert len(messages_of(response)) == 1
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
    assert len(messages_of(act(client, action, ["", "s"], days="3"))) == 1
    assert filled.get_session("s") != before


@pytest.mark.parametrize("action", ["branch", "export"])
def test_copies_need_their_permission(filled, action):
    def change(client):
        data = {"action": action, "session": '["","s"]', "new_id": "t", "confirmed": "yes"}
        return client.post(url("stores_sessions_change"), data)

    client = without()
    assert change(client).status_code == 403
    assert f'<option value="{action}">' not in get(client, url("stores_sessions"))
    client = allowed("view_session", f"{action}_session")
    assert f'<option value="{action}">' in get(client, url("stores_sessions"))
    assert change(client).status_code in (200, 302)
    assert filled.exists("t") == (action == "branch")


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
    needed = ("delete_session", "delete_document", "delete_thread", "view_session")
    for lacking in needed:
        client = allowed(*(name for name in needed if name != lacking))
        assert client.get(url("stores_sweep")).status_code == 403
        assert client.post(url("stores_sweep")).status_code == 403
    assert allowed(*needed).get(url("stores_sweep")).status_code == 200
    assert len(list(filled.list_expired())) == 1
    client = allowed("view_session", "delete_session")
    assert client.get(url("stores_sweep", "sessions")).status_code == 200


def test_forged_requests_are_refused(filled):
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    for page in map(url, ("stores_sessions_change", "stores_documents_change", "stores_sweep")):
        assert client.post(page, {"action": "delete", "confirmed": "yes"}).status_code == 403
