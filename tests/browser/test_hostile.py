"""What was kept is shown as text, whatever it is: no page runs it, loads it or bursts of it."""

import json
from typing import Any

import pytest
from django.db.models.functions import Length
from django.urls import reverse
from playwright.sync_api import Page, expect

from parlant_store import stores
from parlant_store.models import Document, Session, SessionItem
from tests.admin.pages import listing
from tests.admin.pages import page as address
from tests.browser import hostile
from tests.browser.conftest import Visit
from tests.browser.policy import REPORTED, WANTED
from tests.browser.screens import TWO_STORES, elsewhere, press
from tests.browser.visitor import DESK, PHONE, overflow

HEAVIEST = 3_000_000
"""How many bytes a page may have: nine texts of a megabyte are in the session."""

AWAY = """[...document.querySelectorAll("[href], [src], [action]")]
    .map(each => new URL(each.href || each.src || each.action, location))
    .filter(url => url.origin != location.origin).map(String)"""


@pytest.fixture
def session(store: Any) -> Session:
    store.add_items(hostile.NAME, hostile.items(), namespace=hostile.NAME, user_id=hostile.NAME)
    store.set_metadata(hostile.NAME, {hostile.NAME: hostile.TEXTS[0]}, namespace=hostile.NAME)
    return Session.objects.get()


@pytest.fixture
def document(store: Any) -> Document:
    texts = {str(number): text for number, text in enumerate(hostile.TEXTS)}
    store.insert_one(hostile.MARKUP[0], {"id": hostile.NAME, "texts": texts, hostile.NAME: []})
    return Document.objects.get()


@pytest.fixture
def page(visit: Visit) -> Page:
    """A strict policy reports what violates it, and stops no script."""
    return visit(extra_http_headers={WANTED: REPORTED})


def look(page: Page, url: str) -> None:
    """Open the page and all that is folded on it; nothing of it may run or be too wide."""
    response = page.goto(url)
    assert response is not None
    assert len(response.body()) < HEAVIEST
    check(page)


def check(page: Page) -> None:
    page.evaluate("document.querySelectorAll('main details').forEach(each => each.open = true)")
    assert page.evaluate("window.hacked") is None
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("heading", name="Owned", exact=True).count() == 0
    assert page.locator("main :is(iframe, object, embed, base, meta, style, link)").count() == 0
    assert page.locator("script:not([src^='/static/'], [src$='/jsi18n/'])").count() == 0
    assert page.evaluate(AWAY) == []
    for size in (DESK, PHONE):
        page.set_viewport_size(size)
        assert overflow(page) <= 0, (page.url, size)
    page.set_viewport_size(DESK)


def test_a_session_shows_as_text(page, session):
    for after in (None, 99):
        look(page, address(session, **({"after": after} if after else {})))
    page.goto(address(session))
    region = page.get_by_role("region", name="Items")
    for text in [*hostile.MARKUP, hostile.HEBREW, hostile.ARABIC]:
        expect(region.get_by_text(text, exact=True).first).to_be_attached()
    assert text_direction(page, hostile.HEBREW) == "rtl"
    assert text_direction(page, hostile.MARKUP[0]) == "ltr"


def text_direction(page: Page, text: str) -> Any:
    shown = page.get_by_role("region", name="Items").get_by_text(text, exact=True).first
    return shown.evaluate("each => getComputedStyle(each).direction")


def test_lists_show_names_as_text(page, session, document):
    for model in ("session", "sessionitem", "document"):
        look(page, listing(model))
        expect(page.get_by_role("main")).to_contain_text("<script>window.hacked=1</script>")


def test_every_item_shows_as_text(page, session):
    items = SessionItem.objects.annotate(size=Length("data")).filter(size__lt=30_000)
    for item in items.order_by("key")[::7]:
        look(page, address(item))


def test_a_document_shows_as_text(page, document):
    for shape in ("folded", "open", "text"):
        look(page, address(document, json=shape))
        expect(page.get_by_role("region", name="Document")).to_contain_text(hostile.HEBREW)


def test_what_was_searched_for_shows_as_text(page, session):
    for text in [*hostile.MARKUP, hostile.HEBREW, hostile.UNCLOSED]:
        look(page, listing("session", q=text))


def test_a_search_by_content_shows_what_it_found_as_text(page, store):
    words = f"{hostile.MARKUP[3]} needle {hostile.MARKUP[0]}"
    store.add_items("session-1", [{"role": "user", "content": words}])
    store.add_items("session-1", [{"role": "user", "content": "the last"}])
    look(page, listing("session", q="needle"))
    found = page.get_by_role("row").filter(has_text="needle")
    expect(found).to_contain_text("<script>window.hacked=1</script>")


def test_what_asks_and_sums_up_shows_names_as_text(page, session, document):
    for url in (
        listing("document"),
        reverse("admin:parlant_store_session_people"),
        reverse("admin:parlant_store_session_person", query={"user": hostile.NAME}),
    ):
        look(page, url)
        expect(page.get_by_role("main")).to_contain_text("<script>window.hacked=1</script>")
    look(page, reverse("admin:parlant_store_session_overview"))
    for row, button in ((session, "Branch"), (session, "Delete"), (document, "Expire now")):
        page.goto(address(row))
        press(button, page)
        check(page)
        expect(page.get_by_role("main")).to_contain_text("<script>window.hacked=1</script>")


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_another_store_shows_as_text(page, settings):
    settings.PARLANT_STORES = TWO_STORES
    store, name = stores["elsewhere"], hostile.NAME
    store.add_items(name, hostile.items()[:40], namespace=name, user_id=name)
    store.insert_one(hostile.MARKUP[0], {"id": name, "texts": hostile.MARKUP})
    for url in (
        elsewhere("sessions"),
        elsewhere("sessions", q=hostile.MARKUP[0]),
        elsewhere("session", session=json.dumps([name, name])),
        elsewhere("documents"),
        elsewhere("documents", collection=json.dumps([hostile.MARKUP[0]])),
        elsewhere("document", document=json.dumps([hostile.MARKUP[0], name])),
    ):
        look(page, url)
        expect(page.get_by_role("main")).to_contain_text("<script>window.hacked=1</script>")
