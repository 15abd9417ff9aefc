"""In a language that is written from the right, every page is the other way round."""

from typing import Any

import pytest
from playwright.sync_api import Locator, Page

from parlant_store.models import Session
from tests.admin.pages import page as address
from tests.browser.screens import TWO_STORES, addresses, fill
from tests.browser.visitor import DESK, PHONE, overflow

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture
def page(page: Page, store: Any, settings: Any) -> Page:
    settings.PARLANT_STORES, settings.LANGUAGE_CODE = TWO_STORES, "ar"
    fill()
    return page


def left(shown: Locator) -> float:
    box = shown.bounding_box()
    assert box is not None
    return box["x"]


def test_what_comes_first_is_on_the_right(page):
    page.goto(address(Session.objects.get(session_id="session-1")))
    assert page.evaluate("document.dir") == "rtl"
    buttons = page.locator(".parlant-tools button")
    assert left(buttons.nth(0)) > left(buttons.nth(1))
    facts = page.locator(".parlant-header dl > div")
    assert left(facts.nth(0)) > left(facts.nth(1))
    heading, time = page.locator("#item-0 h3"), page.locator("#item-0 time")
    assert left(heading) > left(time)
    text = page.locator("#item-0 [dir=auto]").first
    assert text.evaluate("shown => getComputedStyle(shown).direction") == "ltr"


def test_no_page_is_wider_than_its_window(page):
    found = {}
    for name, url in addresses():
        if name.startswith("history"):
            continue
        page.goto(url)
        for size in (PHONE, DESK):
            page.set_viewport_size(size)
            if (pixels := overflow(page)) > 0:
                found[name, size["width"]] = pixels
    assert found == {}
