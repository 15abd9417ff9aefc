"""A store in files in the admin, and all data of a user in it."""

import json
import re
from io import StringIO

import pytest
from django.core.management import call_command

from parlant_store import stores
from tests.admin.pages import (
    CALL,
    OUTPUT,
    UNPRINTABLE,
    entries,
    get,
    message,
    messages_of,
    superuser,
)
from tests.admin.pages import patience as patience
from tests.admin.remote_stores import DAY, NASTY, act, listed, next_page, url
from tests.contract.values import IDS, numbered
from tests.contract.values import NASTY as NASTY_ITEMS

pytestmark = pytest.mark.any_database


@pytest.fixture
def remote(transactional_db, settings, directory):
    backend = "parlant_store.backends.jsonfile.JsonFileBackend"
    settings.PARLANT_STORES = {
        "default": {},
        "remote": {"BACKEND": backend, "OPTIONS": {"directory": directory}},
        "broken": {"BACKEND": backend, "OPTIONS": {"directory": __file__}},
    }
    yield stores["remote"]
    stores.close_all()


@pytest.fixture
def client(remote):
    return superuser()


def test_the_stores_are_listed(client):
    html = get(client, url("stores"))
    rows = [row for row in html.split("<tr>") if "JsonFileBackend" in row]
    assert "Answers" in rows[0]
    assert "Does not answer well:" in rows[1]
    assert "stores/documents/?store=remote" not in html
    assert "The store broken could not answer:" in get(client, url("stores_sessions", "broken"))


def test_sessions_are_browsed_and_searched(client, remote, monkeypatch):
    monkeypatch.setattr("parlant_store.admin.stores.pages.PAGE", 2)
    for number in range(3):
        remote.add_items(f"s{number}", [message("a refund"), CALL, OUTPUT], user_id="ann")
    remote.add_items("t", [UNPRINTABLE], namespace="n")
    html = get(client, url("stores_sessions", owner="ann"))
    assert listed(html) == ["s0", "s1"]
    assert listed(get(client, next_page(html))) == ["s2"]
    html = get(client, url("stores_session", session=["", "s1"]))
    assert "a refund" in html
    assert "rain &lt;b&gt;all&lt;/b&gt; day" in entries(html)[1]
    assert len(listed(get(client, url("stores_sessions", q="refund")))) == 2
    assert len(entries(get(client, url("stores_session", session=["n", "t"])))) == 1


@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_names_of_any_characters(client, remote, name):
    remote.add_items(name, [message(name)], namespace=name, user_id=name)
    html = get(client, url("stores_sessions"))
    (link,) = re.findall(r'<th scope="row"><a href="([^"]*)"', html)
    assert len(entries(get(client, link.replace("&amp;", "&")))) == 1
    act(client, "expire", [name, name])
    assert remote.get_session(name, namespace=name) is None


def test_sessions_are_expired_extended_kept_deleted_and_swept(client, remote):
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


@pytest.mark.parametrize("user", IDS)
def test_all_data_of_a_user_is_exported_and_erased(remote, directory, user):
    for number in range(3):
        remote.add_items(f"s{number}", NASTY_ITEMS, namespace="n" * number, user_id=user)
    remote.add_items("other", numbered(1), user_id="zoe")
    remote.set_metadata("s0", {"topic": "x"})
    lines = command("store_export", "--user", user).splitlines()
    *records, _ = map(json.loads, lines)
    assert [record["items"] for record in records] == [NASTY_ITEMS] * 3
    assert records[0]["metadata"] == {"topic": "x"}
    assert all(record["damaged_items"] == 0 for record in records)
    (report,) = [
        store
        for store in json.loads(command("store_erase", "--user", user, "--noinput"))["stores"]
        if store["store"] == "remote"
    ]
    assert (report["sessions"], report["items"], report["left"]) == (3, 3 * len(NASTY_ITEMS), 0)
    assert [session.session_id for session in remote.list_sessions().sessions] == ["other"]
    assert len(list(directory.rglob("*.jsonl"))) == 1


def command(name: str, *arguments: str) -> str:
    stdout = StringIO()
    call_command(name, *arguments, "--store", "remote", stdout=stdout)
    return stdout.getvalue()
