"""At a desk every column of a list is in sight, and what is cut there is heard and found whole."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.admin.pages import expire, listing, message
from tests.browser.visitor import DESK

SHORT, LONG = "MDnAAnwfH3", "0b903906-10ab-4d04-8582-a6de2feec470"
"""Ids as Parlant makes them, and as others do."""

LONGEST = "5f0c" * 18
"""Longer than two lines of a column in any font, and short enough to be there whole."""

COLLECTIONS = (
    "parlant_sessions_events",
    "parlant_context_variables_variable_tag_associations",
)
OWNERS = ("customer_id", "agent_id", "session_id")
CREATED = "2026-11-21T18:08:14.836302+00:00"
FAILED = "parlant_sessions_events_failed_migrations"

LISTS = {
    "collections": listing("document"),
    "documents found": listing("document", q=SHORT),
    "documents": listing("document", collection=COLLECTIONS[1]),
    "events": listing("document", collection=COLLECTIONS[0]),
    "failed migrations": listing("document", collection=FAILED),
    "sessions": listing("session"),
    "items": listing("sessionitem"),
}
SCROLL_BAR = 15
CLIPPED = "shown => shown.scrollHeight > shown.clientHeight"


@pytest.fixture
def page(page: Page, store: Any) -> Page:
    for id_ in (SHORT, LONG):
        store.add_items(id_, [message("Where is my order 17?", "assistant")], user_id=id_)
        about = dict.fromkeys(OWNERS, id_) | {
            "id": id_,
            "creation_utc": CREATED,
            "version": "0.10.0",
        }
        for collection in COLLECTIONS:
            store.insert_one(collection, about)
        store.insert_one(FAILED, about | {"reason": "There is no such version of it. " * 3})
    expire(SHORT, after=-3540)
    return page


def hidden(page: Page) -> dict[str, float]:
    """By how many pixels the table is wider than its place, and the place than the window."""
    table = page.locator(".results")
    last = table.get_by_role("columnheader").last.bounding_box()
    assert last is not None
    return {
        "table": table.evaluate("table => table.scrollWidth - table.clientWidth"),
        "window": last["x"] + last["width"] - page.evaluate("innerWidth"),
    }


@pytest.mark.parametrize("name", LISTS)
def test_every_column_is_in_sight_at_a_desk(page, name):
    page.goto(LISTS[name])
    for width in (DESK["width"], DESK["width"] - SCROLL_BAR):
        page.set_viewport_size(DESK | {"width": width})
        found = hidden(page)
        assert found["table"] <= 0, (width, found)
        assert found["window"] <= 0, width


def test_a_long_id_is_cut_for_the_eye_alone(page, store):
    store.insert_one("c", {"id": SHORT})
    store.insert_one("c", dict.fromkeys(("id", *OWNERS), LONGEST))
    page.goto(listing("document", collection="c"))
    ids = page.get_by_role("rowheader").locator("bdi")
    expect(ids).to_have_text([SHORT, LONGEST])
    assert [ids.nth(place).evaluate(CLIPPED) for place in (0, 1)] == [False, True]
    assert ids.nth(1).evaluate("shown => getComputedStyle(shown).webkitLineClamp") == "2"
    link = page.get_by_role("rowheader").get_by_role("link", name=LONGEST, exact=True)
    expect(link.get_by_title(LONGEST)).to_be_visible()
    link.click()
    for name in ("Id", "Customer", "Agent", "Session"):
        field = page.locator(".form-row").filter(has=page.get_by_text(f"{name}:", exact=True))
        expect(field).to_contain_text(LONGEST)
    assert not page.locator(".readonly").get_by_text(LONGEST).first.evaluate(CLIPPED)


def test_a_time_is_short_and_whole_when_it_is_pointed_at(page):
    page.goto(listing("document", q=SHORT))
    time = page.get_by_role("time").first
    expect(time).to_have_text("2026-11-21 18:08:14")
    expect(time).to_have_attribute("title", CREATED)
    expect(time).to_have_attribute("datetime", CREATED)


def test_a_collection_is_broken_behind_its_underscores(page):
    page.goto(listing("document", q=SHORT))
    cell = page.get_by_role("cell", name=COLLECTIONS[0], exact=True).first
    words = cell.evaluate(
        """cell => [...cell.firstElementChild.childNodes].filter(node => node.data).map(text => {
            const range = document.createRange()
            range.selectNodeContents(text)
            return range.getClientRects().length
        })"""
    )
    assert words == [1, 1, 1]
