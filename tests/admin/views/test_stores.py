"""The stores of the admin: those that answer, those that do not, and what their pages cost."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from parlant_store.admin.views import base
from parlant_store.admin.views import stores as store_pages
from tests.admin.pages import SCRIPT, get, message
from tests.admin.pages import patience as patience
from tests.admin.remote_stores import (
    MARKS,
    PAGES,
    Slow,
    url,
)
from tests.admin.remote_stores import client as client
from tests.admin.remote_stores import filled as filled
from tests.admin.remote_stores import remote as remote
from tests.backends.locks import eventually

pytestmark = MARKS


def test_stores_are_listed_with_their_state(client, settings):
    settings.PARLANT_STORES |= {
        SCRIPT: {"BACKEND": "nowhere.Backend"},
        "down": {
            "BACKEND": "parlant_store.backends.supabase.SupabaseBackend",
            "OPTIONS": {"url": "http://127.0.0.1:9", "key": "very-secret", "timeout": 0.3},
        },
    }
    html = get(client, url("stores"))
    rows = re.findall(r"<tr>\s*<th scope=\"row\">(.*?)</tr>", html, re.DOTALL)
    texts = [" ".join(re.sub("<.*?>", " ", row).split()) for row in rows]
    assert texts[0].startswith("default OrmBackend In this database Sessions : default · Documents")
    assert texts[1].startswith("remote OrmBackend Answers Sessions")
    assert texts[2] == "sessions Sessions Answers Sessions : sessions"
    assert "nowhere.Backend" in texts[3]
    assert "Does not answer well: no good answer over HTTP" in texts[4]
    assert SCRIPT not in html
    assert "very-secret" not in html
    assert f'href="{reverse("admin:parlant_store_session_changelist")}"' in rows[0]
    assert f'href="{url("stores_sessions")}"' in rows[1]


def test_all_stores_are_asked_at_once_and_for_a_time_only(client, settings, monkeypatch):
    settings.PARLANT_STORES |= {
        alias: {"BACKEND": "tests.admin.remote_stores.Slow", "OPTIONS": {"using": "other"}}
        for alias in ("slow1", "slow2")
    }
    monkeypatch.setattr(store_pages, "TIMEOUT_SECONDS", 0.5)
    Slow.end.clear()

    def others_answer():
        html = get(client, url("stores"))
        assert html.count("no answer in time") >= 2
        return html.count("Answers") == 2

    try:
        eventually(others_answer)
    finally:
        Slow.end.set()


def test_a_page_waits_for_a_time_only(client, settings, monkeypatch):
    settings.PARLANT_STORES |= {"slow": {"BACKEND": "tests.admin.remote_stores.Slow"}}
    monkeypatch.setattr(base, "TIMEOUT_SECONDS", 0.1)
    Slow.end.clear()
    try:
        html = get(client, url("stores_sessions", "slow"))
    finally:
        Slow.end.set()
    assert "no answer in time" in html
    assert "Try again" in html


@pytest.mark.parametrize(
    "page",
    ["stores_sessions", "stores_session", "stores_documents", "stores_document", "stores_sweep"],
)
def test_a_store_that_cannot_be_reached_has_a_page_that_says_so(client, settings, page):
    settings.PARLANT_STORES |= {
        "down": {
            "BACKEND": "parlant_store.backends.supabase.SupabaseBackend",
            "OPTIONS": {"url": "http://127.0.0.1:9", "key": "very-secret", "timeout": 0.3},
        }
    }
    names = {"session": ["", "s"], "document": ["c", "d"]}
    html = get(client, url(page, "down", **names))
    assert "The store down could not answer:" in html
    assert "no good answer over HTTP" in html
    assert "very-secret" not in html


def test_unknown_stores_and_addresses_that_no_page_made(client):
    assert client.get(url("stores_sessions", "none")).status_code == 404
    assert client.get(reverse("admin:parlant_store_session_stores_sessions")).status_code == 404
    for page, param in (("session", "session"), ("document", "document"), ("sessions", "after")):
        for value in ("", "x", "[]", "[1,2]", '{"a":1}', "[" * 100_000, '["a"]'):
            if page == "sessions" and not value:
                continue
            response = client.get(url(f"stores_{page}", **{param: value}))
            assert response.status_code == 400, (page, value)
    html = get(client, url("stores_session", session=["a\0", "b"]))
    assert "The store remote refuses this:" in html


def test_a_page_of_a_refusal_offers_no_second_try(client):
    html = get(client, url("stores_session", session=["a\0", "b"]))
    assert "refuses this" in html
    assert "Try again" not in html


def test_the_queries_here_are_the_same_for_few_and_many(client, remote):
    def queries(page, **params):
        get(client, url(page, **params))
        with CaptureQueriesContext(connection) as context:
            get(client, url(page, **params))
        return len(context)

    for number in range(2):
        remote.add_items(f"s{number}", [message("x")] * 90)
        remote.insert_one("c", {"id": f"d{number}"})
    pages = [(page, params) for page, (_permission, params) in PAGES.items()]
    pages = [(page, params) for page, params in pages if page != "stores_document"]
    pages[1] = ("stores_session", {"session": ["", "s1"]})
    few = [queries(page, **params) for page, params in pages]
    for number in range(2, 60):
        remote.add_items(f"s{number}", [message("x")] * 5)
        remote.insert_one("c", {"id": f"d{number}"})
    remote.add_items("s1", [message("x")] * 90)
    many = [queries(page, **params) for page, params in pages]
    assert few == many == [2, 2, 2]  # login, user


def test_the_pages_need_no_script_or_style_of_their_own(client, filled):
    for page, (_permission, params) in PAGES.items():
        html = get(client, url(page, **params))
        start = html.index('id="content-main"')
        content = html[start : html.index('<footer id="footer">')]
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=", content)
        ids = re.findall(r'\sid="([^"]*)"', html)
        assert len(ids) == len(set(ids))
        for control in re.findall(r"<(?:input|select)[^>]*>", content):
            if 'type="hidden"' in control or 'type="submit"' in control:
                continue
            (id_,) = re.findall(r'id="([^"]*)"', control) or [""]
            assert "aria-label=" in control or f'<label for="{id_}">' in content, control
