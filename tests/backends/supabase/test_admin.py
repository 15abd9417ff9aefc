"""A Supabase project that is reached by REST alone, in the admin."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from parlant_store import stores
from parlant_store.backends.supabase import SupabaseBackend
from tests.admin.pages import (
    get,
    message,
    messages_of,
    superuser,
)
from tests.admin.pages import patience as patience
from tests.admin.remote_stores import act, listed, url
from tests.contract.remote_pages import RemotePagesContract
from tests.contract.remote_thread_pages import ThreadPagesContract
from tests.servers.supabase import Stack


@pytest.fixture
def remote(transactional_db: None, project: Stack, settings: Any) -> Iterator[SupabaseBackend]:
    settings.PARLANT_STORES = {
        "default": {},
        "remote": {
            "BACKEND": "parlant_store.backends.supabase.SupabaseBackend",
            "OPTIONS": {"url": project.url, "key": project.service_key, "timeout": 60},
        },
        "anonymous": {
            "BACKEND": "parlant_store.backends.supabase.SupabaseBackend",
            "OPTIONS": {"url": project.url, "key": project.anon_key, "timeout": 60},
        },
    }
    store = stores["remote"]
    assert isinstance(store, SupabaseBackend)
    yield store
    stores.close_all()


@pytest.fixture
def client(remote):
    return superuser()


def tables(client, page, **params):
    """The statements on the tables of the stores that a page makes on its own connection."""
    with CaptureQueriesContext(connection) as context:
        html = get(client, url(page, **params))
    return html, [query["sql"] for query in context if '"parlant_store' in query["sql"]]


def test_the_project_answers_and_refuses_who_may_not(client, project):
    html = get(client, url("stores"))
    rows = [row for row in html.split("<tr>") if "SupabaseBackend" in row]
    assert "Answers" in rows[0]
    assert "Does not answer well:" in rows[1]
    assert "see manage.py supabase_sql --policy" in rows[1]
    html = get(client, url("stores_sessions", "anonymous"))
    assert "The store anonymous could not answer:" in html
    assert project.anon_key not in html


class TestSupabasePages(ThreadPagesContract, RemotePagesContract):
    def page(self, client, name, **params):
        html, own = tables(client, name, **params)
        assert own == []
        return html


def test_a_wrong_key_changes_nothing(client, remote):
    remote.add_items("s", [message("x")])
    response = act(client, "delete", ["", "s"], store="anonymous")
    assert "The store anonymous could not answer:" in response.content.decode()
    assert remote.exists("s")
    assert LogEntry.objects.count() == 0


def test_documents_are_browsed_and_deleted(client, remote):
    for number in range(3):
        at = (timezone.now() + timedelta(seconds=number)).isoformat()
        remote.insert_one("p_events", {"id": f"d{number}", "creation_utc": at, "x": "<b>"})
    html, own = tables(client, "stores_documents", collection=["p_events"])
    assert own == []
    assert listed(html) == ["d2", "d1", "d0"]
    page = url("stores_document", document=["p_events", "d1"])
    html = get(client, page)
    assert "&lt;b&gt;" in html
    act(client, "delete", ["p_events", "d1"], on="document")
    assert remote.find_one("p_events", {"id": {"$eq": "d1"}}) is None
    assert client.get(page).status_code == 404


def test_documents_are_expired_and_kept(client, remote):
    remote.insert_one("p_sessions", {"id": "s"})
    remote.insert_one("p_events", {"id": "e", "session_id": "s"})
    page = url("stores_document", document=["p_events", "e"])
    assert "<td>never</td>" in get(client, page)
    remote.set_document_expiry("p_sessions", "s", timezone.now() + timedelta(days=1))
    act(client, "extend", ["p_sessions", "s"], on="document", days="2")
    assert remote.get_document("p_events", "e").expires_at > timezone.now() + timedelta(days=2)
    act(client, "keep", ["p_sessions", "s"], on="document")
    assert "<td>never</td>" in get(client, page)
    response = act(client, "expire", ["p_sessions", "s"], on="document")
    assert messages_of(response) == ["1 document has expired."]
    assert client.get(page).status_code == 404
    assert "2 conversations and documents have expired" in get(client, url("stores_sweep"))
