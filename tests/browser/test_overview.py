"""What the stores hold is seen at a glance, and leads to what it tells of."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.admin.pages import expire, message
from tests.browser.screens import FAILED


@pytest.fixture
def page(page: Page, store: Any) -> Page:
    store.add_items("session-1", [message("Good morning."), message("And you?")], user_id="ada")
    store.add_items("session-2", [message("This is over.")])
    expire("session-2", after=-60)
    store.insert_one("p_notes", {"id": "n", "version": "1"})
    failed = {"document": {"id": "f"}, "reason": "No version.", "collection": "p_notes"}
    store.insert_one(FAILED, failed | {"id": "f"})
    page.goto("parlant_store/session/")
    page.get_by_role("link", name="Overview").click()
    return page


def section(page: Page, name: str) -> Any:
    heading = page.get_by_role("heading", level=2, name=name, exact=True)
    return page.locator("section", has=heading)


def test_it_says_how_much_there_is(page):
    kept = section(page, "In the local database").get_by_role("row")
    for name, number in (("Conversations", 2), ("Items", 3), ("Documents", 2)):
        expect(kept.filter(has_text=name)).to_contain_text(str(number))
    activity = section(page, "Activity per day")
    figures = activity.get_by_role("figure")
    expect(figures.filter(has_text="OpenAI Agents")).to_contain_text("2 in all")
    expect(figures.filter(has_text="Items written")).to_contain_text("3 in all")


def test_a_chart_has_its_numbers_as_a_table(page):
    activity = section(page, "Activity per day")
    figure = activity.get_by_role("figure").first
    expect(figure.get_by_role("table")).to_be_hidden()
    figure.get_by_text("The numbers").click()
    expect(figure.get_by_role("row")).to_have_count(15)
    expect(figure.get_by_role("row").filter(has_text="2").last).to_be_visible()
    expect(figure.get_by_role("img")).to_have_accessible_name("Conversations: OpenAI Agents")


def test_it_leads_to_what_has_expired(page):
    expired = section(page, "Expiring").get_by_role("row").filter(has_text="Expired")
    expired.get_by_role("link", name="1").click()
    rows = page.get_by_role("main").get_by_role("row")
    expect(rows).to_have_count(2)
    expect(rows.last).to_contain_text("session-2")


def test_it_leads_to_people(page):
    page.get_by_role("main").get_by_role("link", name="People").click()
    page.get_by_role("textbox").fill("AD")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("main").get_by_role("link", name="ada", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="ada")).to_be_visible()
    page.get_by_role("main").get_by_role("rowheader").get_by_role("link").click()
    expect(page.get_by_role("main")).to_contain_text("Good morning.")


def test_it_leads_to_failed_migrations(page):
    section(page, "Failed migrations").get_by_role("link").click()
    page.get_by_role("main").get_by_role("link", name="f", exact=True).click()
    failed = page.get_by_role("region", name="Failed migration")
    expect(failed).to_contain_text("No version.")
    failed.get_by_role("button", name="Retry the migration").click()
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.get_by_role("main")).to_contain_text("back in its collection")
