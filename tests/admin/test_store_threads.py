"""Threads of LangGraph in a remote store: their list, their pages and their actions."""

from datetime import timedelta

from django.utils import timezone

from parlant_store.admin.conversations import remote as remote_pages
from parlant_store.exceptions import AccessDenied
from tests.admin.pages import get, message
from tests.admin.remote_stores import MARKS, allowed, listed, url
from tests.admin.remote_stores import client as client
from tests.admin.remote_stores import remote as remote
from tests.admin.threads import put
from tests.contract.checkpoints import checkpoint
from tests.contract.remote_thread_pages import ThreadPagesContract, act_on_threads

pytestmark = MARKS


class TestRemoteThreads(ThreadPagesContract):
    """Those of a database beside that of the admin."""


def test_filters(client, remote):
    for name, owner in (("a", "ada"), ("b", "grace")):
        remote.put_checkpoint(name, checkpoint(1), namespace=f"n-{name}", user_id=owner)
    remote.add_items("s", [message("x")], user_id="ada")
    remote.set_thread_expiry("b", timezone.now() + timedelta(hours=1), namespace="n-b")
    for params, expected in (
        ({}, {"n-a/a", "n-b/b", "s"}),
        ({"framework": "langgraph"}, {"n-a/a", "n-b/b"}),
        ({"framework": "openai"}, {"s"}),
        ({"owner": "AD"}, {"n-a/a", "s"}),
        ({"agent": "n-b"}, {"n-b/b"}),
        ({"state": "expiring"}, {"n-b/b"}),
        ({"state": "expired"}, set()),
        ({"date": "today", "framework": "langgraph"}, {"n-a/a", "n-b/b"}),
        ({"date": "yesterday", "framework": "langgraph"}, set()),
        ({"failed": "yes", "framework": "langgraph"}, set()),
        ({"prefix": "s"}, {"s"}),
    ):
        assert set(listed(get(client, url("stores_sessions", **params)))) == expected, params


def test_many_threads(client, remote, monkeypatch):
    monkeypatch.setattr(remote_pages, "MAX_SORTED", 3)
    for number in range(5):
        remote.put_checkpoint(f"t{number}", checkpoint(1), user_id=f"u{number}")
    html = get(client, url("stores_sessions"))
    assert set(listed(html)) == {"t0", "t1", "t2"}
    assert "only the first 3 by name are listed" in html
    html = get(client, url("stores_sessions", owner="u4"))
    assert listed(html) == ["t4"]
    assert "by name are listed" not in html


def test_a_store_without_a_key_for_threads(client, remote, monkeypatch):
    def refuse(*args, **options):
        raise AccessDenied("no key")

    monkeypatch.setattr(type(remote), "_list_threads", refuse)
    remote.add_items("s", [message("x")], user_id="ada")
    assert listed(get(client, url("stores_sessions"))) == ["s"]
    assert "no key" not in get(client, "/admin/parlant_store/session/person/?user=ada")


def test_permissions(remote):
    put(remote, ["hello"])
    remote.add_items("s", [message("x")])
    assert listed(get(allowed("view_session"), url("stores_sessions"))) == ["s"]
    able = allowed("view_thread", "expire_session")
    html = get(able, url("stores_sessions"))
    assert listed(html) == ["t"]
    assert "hello" not in html
    assert "hello" in get(allowed("view_thread", "view_checkpoint"), url("stores_sessions"))
    page = url("stores_thread", thread=["", "t"])
    assert "hello" not in get(able, page)
    assert "hello" in get(allowed("view_thread", "view_checkpoint"), page)
    assert allowed("view_session").get(page).status_code == 403
    response = act_on_threads(able, "expire", ["", "t"])
    assert "You may not do this" in response.content.decode()
    assert act_on_threads(allowed("view_thread"), "expire", ["", "t"]).status_code == 403
    assert remote.get_thread("t") is not None
    act_on_threads(allowed("view_thread", "expire_thread"), "expire", ["", "t"])
    assert remote.get_thread("t") is None


def test_odd_names(client, remote):
    for value in ("x", "[]", '["a"]', "[1,2]"):
        response = client.get(url("stores_thread", thread=value))
        assert response.status_code in (400, 404), value
    for names in ([None, "t"], ["\0", "t"], ["", "none"]):
        assert client.get(url("stores_thread", thread=names)).status_code in (200, 404), names
