"""A store in files in the admin, and all data of a user in it."""

import json
from io import StringIO

import pytest
from django.core.management import call_command

from parlant_store import stores
from tests.admin.pages import (
    get,
    superuser,
)
from tests.admin.pages import patience as patience
from tests.admin.remote_stores import url
from tests.contract.remote_pages import TimedPagesContract
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


class TestJsonFilePages(TimedPagesContract):
    pass


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
