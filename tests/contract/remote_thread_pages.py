"""The admin's pages of threads in a remote store: the same for every backend."""

import json
import re
from functools import partial
from html import unescape
from urllib.parse import urljoin

import pytest
from django.contrib.admin.models import LogEntry
from langchain_core.messages import AIMessage, HumanMessage

from tests.admin.pages import get, message, messages_of
from tests.admin.remote_stores import DAY, NASTY, act, allowed, url
from tests.admin.threads import USAGE, put, write
from tests.contract.checkpoints import checkpoint

act_on_threads = partial(act, of="thread")


class ThreadPagesContract:
    """Tests of threads; a module gives the fixtures ``remote``, the store, and ``client``."""

    def test_a_thread_is_browsed(self, client, remote):
        said = [HumanMessage("Please <b>pay</b>"), AIMessage("Later", usage_metadata=USAGE)]
        interrupt = write("__interrupt__", [{"value": "Really?"}], -3)
        put(remote, said, writes=[interrupt], plan=["pay"])
        html = get(client, url("stores_sessions"))
        (link,) = re.findall(r'<th scope="row"><a href="([^"]*)"', html)
        assert "LangGraph" in html
        assert "Please &lt;b&gt;pay&lt;/b&gt;" in html
        assert "1 interrupt waiting" in html
        html = get(client, link.replace("&amp;", "&"))
        assert "Please &lt;b&gt;pay&lt;/b&gt;" in html
        assert "Really?" in html
        assert "1 interrupt waiting" in html
        assert "<dt>Tokens</dt><dd>24</dd>" in html
        assert 'id="checkpoints"' in html
        (link,) = re.findall(r'<a href="(\?[^"]*checkpoint=[^"]*)#items"', html)
        html = get(client, urljoin(url("stores_thread"), link.replace("&amp;", "&")))
        assert "The state at an earlier checkpoint is shown." in html

    def test_threads_are_found_by_words(self, client, remote):
        remote.add_items("s", [message("a refund too")])
        put(remote, [HumanMessage("hello"), AIMessage("A refund <b>")])
        html = get(client, url("stores_sessions", q="refund"))
        links = re.findall(r'<th scope="row"><a href="([^"]*)"', html)
        assert "A <mark>refund</mark> &lt;b&gt;" in html
        (link,) = [unescape(each) for each in links if "thread=" in each]
        assert len(links) == 2
        assert link.endswith("#item-2")
        assert "<mark>refund</mark>" in get(client, link)
        html = get(allowed("view_session", "view_sessionitem"), url("stores_sessions", q="refund"))
        assert "thread=" not in html

    @pytest.mark.parametrize("name", NASTY, ids=ascii)
    def test_threads_of_any_name(self, client, remote, name):
        remote.put_checkpoint(name, checkpoint(1), namespace=name, user_id=name)
        html = get(client, url("stores_sessions"))
        (link,) = re.findall(r'<th scope="row"><a href="([^"]*)"', html)
        get(client, link.replace("&amp;", "&"))
        act_on_threads(client, "expire", [name, name])
        assert remote.get_thread(name, namespace=name) is None
        assert LogEntry.objects.count() == 1

    def test_threads_are_changed(self, client, remote):
        for name in ("a", "b", "c", "d"):
            remote.put_checkpoint(name, checkpoint(1), user_id="ada", ttl_seconds=3_600)
        before = remote.get_thread("b").expires_at
        done = messages_of(act_on_threads(client, "expire", ["", "a"]))
        assert done == ["1 conversation has expired."]
        act_on_threads(client, "extend", ["", "b"], days="2")
        act_on_threads(client, "keep", ["", "c"])
        act_on_threads(client, "delete", ["", "d"])
        left = {thread.thread_id: thread.expires_at for thread in remote.list_threads().threads}
        assert left == {"b": before + 2 * DAY, "c": None}
        act_on_threads(client, "branch", ["", "c"], new_id="copy")
        assert remote.get_thread("copy").user_id == "ada"
        response = act_on_threads(client, "export", ["", "c"])
        lines = [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]
        assert [line["kind"] for line in lines] == ["thread", "checkpoint"]

    def test_sessions_and_threads_are_changed_together(self, client, remote):
        remote.put_checkpoint("t", checkpoint(1))
        remote.add_items("s", [message("x")])
        response = act_on_threads(client, "delete", ["", "t"], session='["","s"]')
        assert messages_of(response) == ["2 conversations were deleted."]
        assert remote.get_thread("t") is None
        assert remote.get_session("s") is None

    def test_a_person_has_threads(self, client, remote):
        remote.put_checkpoint("t", checkpoint(1), user_id="ada")
        html = get(client, "/admin/parlant_store/session/person/?user=ada")
        assert "LangGraph" in html
        assert url("stores_thread", thread='["","t"]').replace("&", "&amp;") in html
