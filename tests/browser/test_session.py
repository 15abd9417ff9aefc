"""A person looks for a session, reads it and ends it."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.admin.conversations.cases import parlant, person
from tests.admin.pages import message

CALL = {"type": "function_call", "call_id": "1", "name": "order_status", "arguments": '{"order":7}'}
OUTPUT = {"type": "function_call_output", "call_id": "1", "output": "It was lost at sea."}
SAID = [
    message("Where is my order 7? I want a refund."),
    CALL,
    OUTPUT,
    message("I am sorry, it was lost.", role="assistant"),
]


@pytest.fixture
def sessions(store: Any) -> None:
    """The one that is looked for, and one that is not."""
    store.add_items("session-1", SAID, namespace="shop", user_id="ada")
    store.add_items("session-2", [message("What a lovely day.")], user_id="ben")


def find(page: Page, words: str) -> None:
    """From the first page of the app to the conversations that have these words."""
    page.goto("parlant_store/")
    page.get_by_role("searchbox", name="Find a conversation").fill(words)
    page.get_by_role("button", name="Search").click()


def test_a_session_is_found_by_its_content_and_read(page, sessions):
    find(page, "refund")
    expect(page.get_by_role("main").get_by_role("row")).to_have_count(2)  # one is the heading
    row = page.get_by_role("row").filter(has_text="session-1")
    expect(row).to_contain_text("Where is my order 7? I want a refund.")
    row.get_by_role("link", name="session-1").click()
    expect(page.get_by_role("heading", level=2, name="shop/session-1")).to_be_visible()
    articles = page.get_by_role("region", name="Items").get_by_role("article")
    user = articles.filter(has=page.get_by_role("heading", name="User"))
    expect(user).to_contain_text("Where is my order 7? I want a refund.")
    assistant = articles.filter(has=page.get_by_role("heading", name="Assistant"))
    expect(assistant).to_contain_text("I am sorry, it was lost.")
    call = articles.filter(has=page.get_by_role("heading", name="Tool call"))
    expect(call.first).to_contain_text(re.compile(r"order_status.*7.*It was lost at sea\.", re.S))


def test_an_item_is_read_and_leads_back_to_its_session(page, sessions):
    page.goto("parlant_store/sessionitem/")
    row = page.get_by_role("row").filter(has_text="It was lost at sea.")
    row.get_by_role("link", name="2").click()
    expect(page.get_by_role("main")).to_contain_text('"output": "It was lost at sea."')
    page.get_by_role("link", name="View in its session").click()
    expect(page).to_have_url(re.compile("#item-2$"))
    expect(page.get_by_role("heading", name="Tool output")).to_be_in_viewport()


def test_a_session_is_expired_and_gone_from_the_agents_view(page, store, sessions):
    assert store.get_items("session-1", namespace="shop") == SAID
    find(page, "refund")
    page.get_by_role("link", name="session-1").click()
    page.get_by_role("button", name="Expire now").click()
    expect(page.get_by_role("main")).to_contain_text("shop/session-1")
    assert store.get_items("session-1", namespace="shop") == SAID
    page.get_by_role("button", name="Expire now").click()
    head = page.get_by_role("region", name="About this conversation")
    expect(head.get_by_text("expired just now")).to_be_visible()
    assert store.get_items("session-1", namespace="shop") == []
    assert store.get_session("session-1", namespace="shop") is None
    assert len(store.get_items("session-2")) == 1
    page.get_by_label("Breadcrumbs").get_by_role("link", name="Conversations").click()
    row = page.get_by_role("row").filter(has_text="session-1")
    expect(row).to_contain_text("expired")
    page.get_by_role("link", name="Live").click()
    expect(page.get_by_role("row").filter(has_text="session-2")).to_be_visible()
    expect(row).to_be_hidden()


def test_what_an_agent_said_to_a_customer_is_two_steps_away(page, store):
    for number in (1, 2):
        parlant(store, f"talk-{number}", ("customer", "Hello"), customer_id=f"c{number}")
        person(store, f"c{number}", f"Grace Hopper {number}")
    said = ("ai_agent", "Your flight is at noon.")
    parlant(store, "talk-3", ("customer", "Hello"), said, customer_id="c1")
    page.goto("parlant_store/")
    page.get_by_role("searchbox", name="Find a conversation").fill("grace hopper 1")
    page.get_by_role("combobox", name="Date").select_option("Today")
    page.get_by_role("button", name="Search").click()
    rows = page.locator("#result_list tbody").get_by_role("row")
    expect(rows).to_have_count(2)
    rows.filter(has_text="talk-3").get_by_role("link", name="talk-3").click()
    expect(page.get_by_role("region", name="Events")).to_contain_text("Your flight is at noon.")
