"""The admin's pages of a remote store: the same for every backend."""

import re

import pytest
from django.contrib.admin.models import LogEntry

from tests.admin.pages import CALL, OUTPUT, UNPRINTABLE, entries, get, message, messages_of
from tests.admin.remote_stores import DAY, NASTY, act, listed, next_page, url


class RemotePagesContract:
    """Tests of sessions; a module gives the fixtures ``remote``, the store, and ``client``."""

    def page(self, client, name, **params):
        return get(client, url(name, **params))

    def test_sessions_are_browsed_and_searched(self, client, remote, monkeypatch):
        monkeypatch.setattr("parlant_store.admin.stores.pages.PAGE", 2)
        for number in range(3):
            remote.add_items(f"s{number}", [message("a refund"), CALL, OUTPUT], user_id="ann")
        remote.add_items("t", [UNPRINTABLE], namespace="n")
        html = self.page(client, "stores_sessions", owner="ann")
        assert listed(html) == ["s0", "s1"]
        assert listed(get(client, next_page(html))) == ["s2"]
        html = self.page(client, "stores_session", session=["", "s1"])
        assert "a refund" in html
        assert "rain &lt;b&gt;all&lt;/b&gt; day" in entries(html)[1]
        assert len(listed(self.page(client, "stores_sessions", q="refund"))) == 2
        assert len(entries(self.page(client, "stores_session", session=["n", "t"]))) == 1

    @pytest.mark.parametrize("name", NASTY, ids=ascii)
    def test_names_of_any_characters(self, client, remote, name):
        remote.add_items(name, [message(name)], namespace=name, user_id=name)
        html = get(client, url("stores_sessions"))
        (link,) = re.findall(r'<th scope="row"><a href="([^"]*)"', html)
        assert len(entries(get(client, link.replace("&amp;", "&")))) == 1
        act(client, "expire", [name, name])
        assert remote.get_session(name, namespace=name) is None
        assert LogEntry.objects.count() == 1

    def test_sessions_are_expired_extended_kept_deleted_and_swept(self, client, remote):
        for name in ("a", "b", "c", "d"):
            remote.add_items(name, [message("x")], ttl_seconds=3_600)
        before = remote.get_session("b").expires_at
        assert messages_of(act(client, "expire", ["", "a"])) == ["Expire now: done for 1 session."]
        act(client, "extend", ["", "b"], days="2")
        act(client, "keep", ["", "c"])
        act(client, "delete", ["", "d"])
        left = {session.session_id: session for session in remote.list_sessions().sessions}
        assert set(left) == {"b", "c"}
        assert left["b"].expires_at - before == 2 * DAY
        assert left["c"].expires_at is None
        assert "1 session or document has expired" in get(client, url("stores_sweep"))
        response = client.post(url("stores_sweep"), follow=True)
        assert messages_of(response) == ["Removed as expired: sessions 1, documents 0."]
        assert list(remote.list_expired()) == []
