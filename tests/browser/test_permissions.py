"""Who lacks the permission for an action does not see it, and cannot do it by other means."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from playwright.sync_api import Browser, Page, expect

from parlant_store.models import Document, Session
from tests.admin.pages import listing, message
from tests.admin.pages import page as address
from tests.browser.visitor import Visitor

PERMISSIONS = {
    "expire": "expire",
    "extend": "extend",
    "keep": "extend",
    "branch": "branch",
    "export": "export",
    "remove": "delete",
}
"""The actions on sessions, and the permission that each needs."""

FORGE = "(button, action) => button.value = action"


@pytest.fixture
def session(store: Any) -> Session:
    store.add_items("session-1", [message("Good morning.")], user_id="ada", ttl_seconds=3_600)
    store.insert_one("p_notes", {"id": "n"})
    return Session.objects.get()


@pytest.fixture
def visitors(browser: Browser, server: str) -> Iterator[list[Visitor]]:
    entered: list[Visitor] = []
    yield entered
    for visitor in entered:
        visitor.leave()
    assert [problem for visitor in entered for problem in visitor.problems] == []


def enter(browser: Browser, server: str, visitors: list[Visitor], *codenames: str) -> Page:
    """The window of somebody who has these permissions."""
    user = User.objects.create_user("somebody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    visitors.append(Visitor(browser, server, user))
    return visitors[-1].page


@pytest.mark.parametrize("action", PERMISSIONS)
def test_an_action_without_its_permission(browser, server, visitors, session, store, action):
    lacking = PERMISSIONS[action]
    names = {"view", *PERMISSIONS.values()} - {lacking}
    page = enter(browser, server, visitors, *(f"{name}_session" for name in names))
    page.goto(address(session))
    buttons = page.locator(".parlant-tools button")
    shown = buttons.evaluate_all("shown => shown.map(button => button.value)")
    assert shown == [name for name in PERMISSIONS if PERMISSIONS[name] != lacking]
    before = list(Session.objects.values())
    buttons.first.evaluate(FORGE, action)
    with page.expect_navigation():
        buttons.first.click()
    expect(page.locator(".parlant-confirm")).to_have_count(0)
    assert list(Session.objects.values()) == before
    page.goto(listing("session"))
    options = page.get_by_label("Action:").locator("option")
    chosen = options.evaluate_all("shown => shown.map(option => option.value).filter(Boolean)")
    assert chosen == shown


def test_who_may_only_view(browser, server, visitors, session, store):
    page = enter(browser, server, visitors, "view_session", "view_document")
    document = Document.objects.get()
    for row in (session, document):
        page.goto(address(row))
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.locator(".parlant-tools button")).to_have_count(0)
    for url in (listing("session"), listing("document", collection="p_notes")):
        page.goto(url)
        expect(page.locator("#result_list")).to_be_visible()
        expect(page.locator("select[name=action]")).to_have_count(0)
