"""The documents of a store that is elsewhere: listed, shown and changed through the contract."""

import html as markup
import json
import re

import pytest
from django.contrib.admin.models import CHANGE, DELETION
from django.utils import timezone

from parlant_store.admin.documents import remote as store_documents
from tests.admin.pages import SCRIPT, get, message, messages_of
from tests.admin.pages import patience as patience
from tests.admin.remote_stores import (
    DAY,
    MARKS,
    NASTY,
    act,
    listed,
    log,
    next_page,
    url,
)
from tests.admin.remote_stores import client as client
from tests.admin.remote_stores import filled as filled
from tests.admin.remote_stores import remote as remote

pytestmark = MARKS


@pytest.mark.parametrize("name", NASTY[:-1], ids=ascii)
def test_a_document_of_any_name_is_listed_shown_and_deleted(client, remote, name):
    remote.insert_one(name, {"id": name, "session_id": name, name: [name]})
    html = get(client, url("stores_documents"))
    (link,) = re.findall(r'<li><a href="([^"]*)"><bdi>', html)
    html = get(client, link.replace("&amp;", "&"))
    assert SCRIPT not in html
    (link,) = re.findall(r'<th scope="row"><a href="([^"]*)"', html)
    html = get(client, link.replace("&amp;", "&"))
    assert SCRIPT not in html
    assert "parlant-fold" in html
    (value,) = re.findall(r'name="document" value="([^"]*)"', html)
    assert json.loads(markup.unescape(value)) == [name, name]
    response = act(client, "delete", [name, name], on="document", confirmed="")
    assert "1 document is deleted." in response.content.decode()
    assert remote.find_one(name) is not None
    response = act(client, "delete", [name, name], on="document")
    assert remote.find_one(name) is None
    assert messages_of(response) == ["1 document was deleted."]
    assert [entry[0] for entry in log()] == [DELETION]
    response = act(client, "delete", [name, name], on="document")
    assert messages_of(response) == ["1 of those you confirmed was there no more."]
    assert len(log()) == 1


def test_documents_are_expired_extended_and_kept(client, remote):
    for name in ("a", "b", "c", "d"):
        remote.insert_one("p_sessions", {"id": name})
        remote.insert_one("p_events", {"id": f"of {name}", "session_id": name})
        remote.set_document_expiry("p_sessions", name, timezone.now() + DAY)
    before = remote.get_document("p_sessions", "b").expires_at
    for action, question in (
        ("expire", "2 documents expire now"),
        ("extend", "2 documents expire later."),
        ("keep", "2 documents are kept for ever: they never expire."),
    ):
        names = (["p_sessions", "a"], ["p_sessions", "b"])
        response = act(client, action, *names, on="document", confirmed="", days="7")
        html = response.content.decode()
        assert question in html
        assert "A Parlant session takes its documents along." in html
        assert html.count('<input type="hidden" name="document"') == 2
    assert log() == []
    response = act(client, "expire", ["p_sessions", "a"], on="document")
    assert messages_of(response) == ["1 document has expired."]
    assert listed(response.content.decode()) == ["d", "c", "b"]
    act(client, "extend", ["p_sessions", "b"], on="document", days="30")
    act(client, "keep", ["p_sessions", "c"], ["p_sessions", "gone"], on="document")
    ends = {
        name: found and found.expires_at
        for name in ("a", "b", "c", "d")
        if (found := remote.get_document("p_events", f"of {name}")) or name == "a"
    }
    assert ends == {"a": None, "b": before + 30 * DAY, "c": None, "d": ends["d"]}
    assert remote.get_document("p_events", "of a") is None
    assert log() == [
        (CHANGE, "p_sessions/c", "Store remote: Kept for ever."),
        (CHANGE, "p_sessions/b", "Store remote: Extended by 30 days."),
        (CHANGE, "p_sessions/a", "Store remote: Expired now."),
    ]


def test_documents_are_exported(client, remote):
    documents = [{"id": "a", "n": 1.0, "text": "\0"}, {"id": "\ud800"}]
    for document in documents:
        remote.insert_one("c", document)
    names = [["c", document["id"]] for document in documents]
    response = act(client, "export", *names, on="document", confirmed="")
    assert "2 documents are downloaded, each as a line of JSON." in response.content.decode()
    assert "Parlant session" not in response.content.decode()
    response = act(client, "export", *names, ["c", "gone"], on="document")
    assert response["Content-Disposition"].startswith('attachment; filename="documents-20')
    lines = [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]
    assert [line["document"] for line in lines] == documents
    assert lines[0] == {
        "collection": "c",
        "document": documents[0],
        "updated_at": remote.get_document("c", "a").updated_at.isoformat(),
        "expires_at": None,
    }


def test_the_page_of_a_document_says_when_it_ends(client, remote):
    remote.insert_one("c", {"id": "d"})
    page = url("stores_document", document=["c", "d"])
    assert "<td>never</td>" in get(client, page)
    remote.set_document_expiry("c", "d", timezone.now() + 3 * DAY)
    assert "in 2 days" in get(client, page)
    remote.set_document_expiry("c", "d", timezone.now())
    assert client.get(page).status_code == 404


def test_documents_are_listed_in_pages_newest_first(client, remote, monkeypatch):
    monkeypatch.setattr(store_documents, "PAGE", 2)
    for number in range(5):
        remote.insert_one("c", {"id": f"d{number}", "creation_utc": f"2030-01-0{number + 1}"})
    html = get(client, url("stores_documents", collection=["c"]))
    assert listed(html) == ["d4", "d3"]
    html = get(client, next_page(html))
    assert listed(html) == ["d2", "d1"]
    html = get(client, next_page(html))
    assert listed(html) == ["d0"]
    assert next_page(html) is None
    assert listed(get(client, url("stores_documents", collection=["c"], id="d3"))) == ["d3"]
    assert listed(get(client, url("stores_documents", collection=["c"], id="d"))) == []


@pytest.mark.parametrize("after", [["x", None], [None, None], ["", ""]], ids=str)
def test_no_cursor_gives_a_server_error(client, remote, after):
    remote.insert_one("notes", {"id": "n"})
    names = {"collection": json.dumps(["notes"]), "after": json.dumps(after)}
    assert client.get(url("stores_documents", **names)).status_code in (200, 400)


def test_documents_without_an_id_are_shown_in_their_list(client, remote):
    remote.insert_one("c", {"text": f"{SCRIPT} of nobody"})
    html = get(client, url("stores_documents", collection=["c"]))
    assert "of nobody" in html
    assert SCRIPT not in html
    assert client.get(url("stores_document", document=["c", "x"])).status_code == 404


def test_the_json_of_a_document_has_three_shapes(client, remote):
    remote.insert_one("c", {"id": "d", "deep": {"er": [1, {"x": 2}]}})
    for shape in ("folded", "open", "text"):
        html = get(client, url("stores_document", document=["c", "d"], json=shape))
        assert html.count('aria-current="true"') >= 1
        assert ("parlant-fold" in html) == (shape != "text")


def test_a_store_without_documents_says_so(client, remote):
    remote.add_items("s", [message("x")])
    html = get(client, url("stores_sessions", "sessions"))
    assert listed(html) == ["s"]
    assert "stores/documents/" not in html
    html = get(client, url("stores_documents", "sessions"))
    assert "stores sessions only" in html


def test_collections_have_columns_that_fit(client, remote):
    call = {"tool_calls": [{"tool_id": "local:order"}]}
    remote.insert_one("p_events", {"id": "e", "offset": 1, "kind": "tool", "data": call})
    remote.insert_one("p_sessions", {"id": "s", "title": "A refund", "customer_id": "c"})
    remote.insert_one(
        "notes", {"id": "n", "text": SCRIPT, "deep": {"a": 1}, "n": 7, "x" * 90: True}
    )
    html = get(client, url("stores_documents", collection=["p_events"]))
    assert '<td data-label="Text"><bdi>local:order</bdi></td>' in html
    assert '<td data-label="Offset"><bdi>1</bdi></td>' in html
    html = get(client, url("stores_documents", collection=["p_sessions"]))
    assert '<td data-label="Title"><bdi>A refund</bdi></td>' in html
    assert 'href="/admin/parlant_store/session/person/?user=c"' in html
    html = get(client, url("stores_documents", collection=["notes"]))
    assert '<td data-label="N"><bdi>7</bdi></td>' in html
    assert "Deep" not in html
    assert SCRIPT not in html
