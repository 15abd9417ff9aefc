"""A session is found, read and ended with nothing but a keyboard."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import ElementHandle, Locator, Page, expect

from parlant_store.models import Document, Session
from tests.admin.pages import listing, message
from tests.admin.pages import page as address

FOCUSED = "document.activeElement == document.body ? null : document.activeElement"
SHOWN = """focused => {
    const look = () => {
        document.getAnimations().forEach(fading => fading.finish())
        const style = getComputedStyle(focused)
        const outline = style.outlineStyle == "none" ? "" : style.outline
        return [outline, style.boxShadow, style.borderColor, style.backgroundColor].join()
    }
    const before = look()
    focused.blur()
    const after = look()
    focused.focus({focusVisible: true})
    return before != after
}"""
"""Whether something is drawn around what has the focus, which it keeps."""

MOST = 200
"""How many steps a walk takes before it has lost its way."""


@pytest.fixture
def page(page: Page, store: Any) -> Page:
    store.add_items("session-1", [message("Good morning.")], user_id="ada")
    store.add_items("session-2", [message("A refund, please. " + "Well. " * 1_000)], user_id="ben")
    return page


def walk(page: Page) -> Iterator[ElementHandle]:
    """Each place that Tab comes to on the page; each of them shows it."""
    before = None
    for _ in range(MOST):
        page.keyboard.press("Tab")
        focused = page.evaluate_handle(FOCUSED).as_element()
        if focused is None:
            return
        # Tab visits the parts of a date one by one; a look at the first would start them again.
        if not focused.evaluate("(focused, before) => focused == before", before):
            assert focused.evaluate(SHOWN), focused.evaluate("focused => focused.outerHTML")
            yield focused
        before = focused
    pytest.fail(f"{MOST} steps do not leave {page.url}")


def reach(page: Page, wanted: Locator) -> None:
    """Press Tab until ``wanted`` has the focus."""
    goal = wanted.element_handle()
    for focused in walk(page):
        if focused.evaluate("(focused, goal) => focused == goal", goal):
            return
    pytest.fail(f"no step leads to {wanted}")


def press(page: Page, wanted: Locator, key: str = "Enter") -> None:
    """Go there and press a key that leads to another page."""
    reach(page, wanted)
    with page.expect_navigation():
        page.keyboard.press(key)


def search(page: Page, words: str) -> None:
    page.goto(listing("session"))
    reach(page, page.get_by_role("textbox", name="Search", exact=True))
    page.keyboard.type(words)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def test_a_session_is_found_and_read(page):
    search(page, "refund")
    press(page, page.get_by_role("link", name="session-2"))
    fold = page.get_by_text("more characters")
    reach(page, fold)
    folded = page.get_by_role("article").locator("details")
    for key, is_open in (("Enter", True), ("Space", False), ("Space", True), ("Enter", False)):
        page.keyboard.press(key)
        expect(folded).to_have_js_property("open", is_open)


def test_a_filter_is_chosen(page):
    page.goto(listing("session"))
    press(page, page.get_by_role("navigation").get_by_role("link", name="A tool failed"))
    expect(page).to_have_url(listing("session", failed="yes"))
    fold = page.get_by_text("By tools")
    reach(page, fold)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="A tool failed")).to_be_hidden()


def test_a_session_is_expired(page, store):
    search(page, "refund")
    reach(page, page.get_by_role("row").filter(has_text="session-2").get_by_role("checkbox"))
    page.keyboard.press("Space")
    # The list's actions come before its rows.
    page.get_by_role("textbox", name="Search", exact=True).focus()
    reach(page, page.get_by_label("Action:"))
    page.keyboard.type("Expire")
    press(page, page.get_by_role("button", name="Go"))
    press(page, page.get_by_role("button", name="Expire now"))
    assert store.get_items("session-2") == []
    assert len(store.get_items("session-1")) == 1


def test_a_session_is_deleted_from_its_page(page, store):
    page.goto(address(Session.objects.get(session_id="session-2")))
    press(page, page.get_by_role("button", name="Delete"), "Space")
    press(page, page.get_by_role("link", name="No, take me back"))
    assert store.exists("session-2")
    press(page, page.get_by_role("button", name="Delete"))
    press(page, page.get_by_role("button", name="Delete"))
    assert not store.exists("session-2")


def test_every_step_on_a_document_shows_where_it_is(page, store):
    store.insert_one("p_notes", {"id": "n", "customer_id": "c", "deep": {"a": {"b": {"c": 1}}}})
    page.goto(address(Document.objects.get()))
    names = [focused.inner_text() for focused in walk(page)]
    assert {"Unfolded", "As text", "Delete"} <= set(names)
    assert "history" in [name.lower() for name in names]
    assert any("{…}" in name for name in names)


def test_a_step_that_does_not_show_is_noticed(page):
    page.goto(listing("session"))
    search = page.get_by_role("textbox", name="Search", exact=True)
    search.focus()
    assert search.evaluate(SHOWN)
    hidden = "search => search.style.cssText = 'outline: none; border: none; box-shadow: none'"
    search.evaluate(hidden)
    assert not search.evaluate(SHOWN)
