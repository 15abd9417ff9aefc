"""The admin's pages of a remote store: the same for every backend."""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry

from parlant_store.types import SessionRecord
from tests.admin.pages import CALL, OUTPUT, UNPRINTABLE, entries, get, message, messages_of
from tests.admin.remote_stores import DAY, NASTY, act, listed, next_page, url


class RemotePagesContract:
    """Tests of sessions; a module gives the fixtures ``remote``, the store, and ``client``."""

    def page(self, client, name, **params):
        return get(client, url(name, **params))

    def test_sessions_are_browsed_and_searched(self, client, remote, monkeypatch):
        monkeypatch.setattr("parlant_store.admin.conversations.remote.PAGE", 2)
        for number in range(3):
            remote.add_items(f"s{number}", [message("a refund"), CALL, OUTPUT], user_id="ann")
        remote.add_items("t", [UNPRINTABLE], namespace="n")
        html = self.page(client, "stores_sessions", owner="ann")
        # Those written at the same time may be in any order.
        first, second = listed(html), listed(get(client, next_page(html)))
        assert (len(first), len(second)) == (2, 1)
        assert {*first, *second} == {"s0", "s1", "s2"}
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
        assert messages_of(act(client, "expire", ["", "a"])) == ["1 conversation has expired."]
        act(client, "extend", ["", "b"], days="2")
        act(client, "keep", ["", "c"])
        act(client, "delete", ["", "d"])
        left = {session.session_id: session for session in remote.list_sessions().sessions}
        assert set(left) == {"b", "c"}
        assert left["b"].expires_at - before == 2 * DAY
        assert left["c"].expires_at is None
        assert "1 conversation or document has expired" in get(client, url("stores_sweep"))
        response = client.post(url("stores_sweep"), follow=True)
        assert messages_of(response) == ["Removed as expired: conversations 1, documents 0."]
        assert list(remote.list_expired()) == []

    def test_branches_and_their_parent_are_linked(self, client, remote):
        remote.add_items("s", [message("x")], namespace="n")
        remote.branch("s", "b", namespace="n")
        html = self.page(client, "stores_session", session=["n", "s"])
        (link,) = re.findall(r"<dt>Branches</dt><dd><a href=\"([^\"]*)\"", html)
        html = get(client, link.replace("&amp;", "&"))
        (link,) = re.findall(r"<dt>Branch of</dt><dd><a href=\"([^\"]*)\"", html)
        assert "<dt>Branches</dt>" in get(client, link.replace("&amp;", "&"))

    def test_sessions_are_branched_and_exported(self, client, remote):
        remote.save_snapshot("s", [message("x"), UNPRINTABLE], state={"n": 1.0}, user_id="ann")
        data = {"action": "branch", "session": '["","s"]', "new_id": "t", "confirmed": "yes"}
        client.post(url("stores_sessions_change"), data)
        assert remote.get_items("t") == [message("x"), UNPRINTABLE]
        response = act(client, "export", ["", "s"], ["", "t"])
        lines = [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]
        assert [line["session_id"] for line in lines] == ["s", "t"]
        for line in lines:
            assert line["items"] == [message("x"), UNPRINTABLE]
            assert (line["state"], line["user_id"]) == ({"n": 1.0}, "ann")

    def test_usage_and_parents_are_exported(self, client, remote):
        remote.add_items("s", [message("x"), {"usage": {"total_tokens": 5}}])
        remote.add_usage("s", {"requests": 1, "total_tokens": 10})
        remote.branch("s", "t", at_position=0)
        response = act(client, "export", ["", "s"], ["", "t"])
        lines = [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]
        assert [line["parent_id"] for line in lines] == [None, "s"]
        for line in lines:
            name = line["session_id"]
            usages = remote.get_usage(name, by="turn")
            assert line["usage"] == asdict(remote.get_usage(name))
            assert line["turn_usage"] == {str(turn): asdict(used) for turn, used in usages.items()}


class TimedPagesContract(RemotePagesContract):
    """Tests of a store that knows when items were written."""

    def test_items_have_the_times_at_which_they_were_written(self, client, remote):
        times = [datetime(2026, 1, day, 12, 30, tzinfo=UTC) for day in (1, 2)]
        record = SessionRecord(session_id="s", items=[message("a"), message("b")], item_times=times)
        remote.write_sessions([record])
        html = self.page(client, "stores_session", session=["", "s"])
        found = re.findall(r'<time datetime="([^"]+)"', "".join(entries(html)))
        assert [datetime.fromisoformat(text) for text in found] == times
