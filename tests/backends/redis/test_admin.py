"""A store in Redis in the admin, and the commands that export, erase and expire."""

import json
from io import StringIO

import pytest
from django.core.management import call_command

from parlant_store import stores
from tests.admin.pages import get, superuser
from tests.admin.remote_stores import url
from tests.contract.remote_pages import TimedPagesContract
from tests.contract.values import numbered


@pytest.fixture
def remote(transactional_db, valkey, settings):
    backend = "parlant_store.backends.redis.RedisBackend"
    options = {"timeout": 60, "prefix": "admin"}
    settings.PARLANT_STORES = {
        "default": {},
        "remote": {"BACKEND": backend, "OPTIONS": {"url": valkey.url, **options}},
        "down": {"BACKEND": backend, "OPTIONS": {"url": "redis://127.0.0.1:1", "timeout": 0.2}},
    }
    store = stores["remote"]
    yield store
    for session in store.list_sessions(limit=1_000).sessions:
        store.delete_session(session.session_id, namespace=session.namespace)
    store.expire()
    stores.close_all()


@pytest.fixture
def client(remote):
    return superuser()


def test_a_server_that_answers_and_one_that_does_not(client):
    html = get(client, url("stores"))
    rows = [row for row in html.split("<tr>") if "RedisBackend" in row]
    assert "Answers" in rows[0]
    assert "Does not answer" in rows[1]
    assert "The store down could not answer:" in get(client, url("stores_sessions", "down"))


class TestRedisPages(TimedPagesContract):
    pass


def run(name: str, *args: str, **options):
    stdout, stderr = StringIO(), StringIO()
    call_command(name, *args, stdout=stdout, stderr=stderr, **options)
    return [json.loads(line) for line in stdout.getvalue().splitlines()]


@pytest.fixture
def only(remote, settings):
    """The store as the only one of the project."""
    settings.PARLANT_STORES = {"default": settings.PARLANT_STORES["remote"]}
    yield stores["default"]
    stores.close_all()


def test_what_a_user_has_is_exported_and_erased(only):
    for number in range(5):
        only.add_items(f"s{number}", numbered(number), user_id="ada", namespace="n")
    only.add_items("other", numbered(1), user_id="bob")
    only.add_items("expired", numbered(1), user_id="ada", ttl_seconds=0.001)
    exported = run("store_export", "--user", "ada")
    assert sum("session_id" in str(line) for line in exported) >= 5
    stdout = StringIO()
    call_command("store_erase", user="ada", interactive=False, stdout=stdout)
    (report,) = json.loads(stdout.getvalue())["stores"]
    assert (report["sessions"], report["left"]) == (5, 0)
    assert [session.session_id for session in only.list_sessions().sessions] == ["other"]


def test_store_expire(only):
    for number in range(30):
        only.add_items(f"s{number}", numbered(1), ttl_seconds=0.001)
    (found,) = run("store_expire", json=True, batch_size=7)
    assert (found["sessions"], found["documents"], found["finished"]) == (30, 0, True)
