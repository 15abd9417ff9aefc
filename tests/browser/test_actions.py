"""What a person does to sessions, each after a page that asks."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from parlant_store.models import Session
from tests.admin.pages import listing, message
from tests.admin.pages import page as address


@pytest.fixture
def page(page: Page, store: Any) -> Page:
    store.add_items("session-1", [message("Good morning.")], user_id="ada")
    store.add_items("session-2", [message("Good evening."), message("Good night.")])
    return page


def choose(page: Page, action: str, *session_ids: str) -> None:
    page.goto(listing("session"))
    for session_id in session_ids:
        page.get_by_role("checkbox", name=session_id).check()
    page.get_by_label("Action:").select_option(label=action)
    page.get_by_role("button", name="Go").click()


def test_nothing_is_done_to_who_is_taken_back(page, store):
    choose(page, "Delete selected conversations", "session-1", "session-2")
    main = page.get_by_role("main")
    expect(main.get_by_role("listitem")).to_have_text(["session-2", "session-1"])
    main.get_by_role("link", name="No, take me back").click()
    expect(page.get_by_role("checkbox", name="session-1")).to_be_visible()
    assert store.exists("session-1")
    assert store.exists("session-2")


def test_sessions_are_deleted(page, store):
    choose(page, "Delete selected conversations", "session-2")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("checkbox", name="session-2")).to_be_hidden()
    assert not store.exists("session-2")
    assert store.exists("session-1")


def test_a_session_is_branched(page, store):
    page.goto(address(Session.objects.get(session_id="session-2")))
    page.get_by_role("button", name="Branch").click()
    page.get_by_label("Session id of the copy").fill("session-1")
    page.get_by_role("button", name="Branch").click()
    name = page.get_by_label("Session id of the copy")
    expect(name).to_have_attribute("aria-invalid", "true")
    name.fill("my copy")
    page.get_by_role("button", name="Branch").click()
    expect(page.get_by_role("heading", level=2, name="my copy")).to_be_visible()
    assert store.get_items("my copy") == store.get_items("session-2")


def test_sessions_are_exported_as_json_lines(page, tmp_path):
    choose(page, "Export selected conversations", "session-1", "session-2")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    file = Path(tmp_path, "export.jsonl")
    download.value.save_as(file)
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert "Good night." in json.dumps(lines)
    assert all(isinstance(line, dict) for line in lines)


def test_a_life_is_extended_and_kept_for_ever(page, store):
    store.add_items("session-3", [message("Soon over.")], ttl_seconds=3600)
    key = Session.objects.get(session_id="session-3").key
    page.goto(address(Session.objects.get(key=key)))
    before = Session.objects.get(key=key).expires_at
    page.get_by_role("button", name="Extend").click()
    page.get_by_role("radio").first.check()
    page.get_by_role("button", name="Extend").click()
    expect(page.get_by_role("heading", level=2, name="session-3")).to_be_visible()
    assert Session.objects.get(key=key).expires_at > before
    page.get_by_role("button", name="Keep for ever").click()
    page.get_by_role("button", name="Keep for ever").click()
    expect(page.get_by_role("button", name="Keep for ever")).to_be_hidden()
    assert Session.objects.get(key=key).expires_at is None
