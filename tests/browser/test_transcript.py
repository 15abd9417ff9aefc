"""What a person does with a long conversation: look for what failed, search, read times."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from parlant_store.admin.transcript.pages import PAGE
from parlant_store.models import Session, SessionItem
from tests.admin.pages import CALL, OUTPUT, message
from tests.admin.pages import page as address
from tests.admin.transcript.kinds import KINDS
from tests.browser.conftest import Visit
from tests.browser.policy import ENFORCED, WANTED
from tests.browser.test_screens import in_both_themes, overflows

HEBREW = "שלום, איפה ההזמנה 5512?"
ERROR = "An error occurred while running the tool. Please try again."
SAID = [
    *(message(f"Question {n}") for n in range(20)),
    CALL,
    OUTPUT | {"output": ERROR},
    CALL | {"call_id": "2", "name": "forecast"},
    OUTPUT | {"call_id": "2", "output": "snow"},
    message(HEBREW),
    message("It is **late**, see [the shop](https://shop.example).", "assistant"),
]


@pytest.fixture
def session(store: Any) -> Session:
    store.add_items("s", SAID)
    return Session.objects.get()


def item(page: Page, position: int) -> Locator:
    return page.locator(f"#item-{position}")


def test_a_failed_call_is_one_step_away(visit: Visit, session: Session) -> None:
    page = visit(extra_http_headers={WANTED: ENFORCED})
    page.goto(address(session))
    problems = page.get_by_role("region", name="Items").locator(".parlant-problems")
    expect(problems).to_contain_text("1 failed")
    expect(item(page, 21)).not_to_be_in_viewport()
    problems.get_by_role("link", name="item 20").click()
    expect(item(page, 21)).to_be_in_viewport()
    expect(item(page, 21)).to_contain_text(ERROR)


def test_a_link_to_an_output_unfolds_its_call(page: Page, session: Session) -> None:
    page.goto(address(session))
    expect(item(page, 23)).to_be_hidden()
    page.goto(f"{address(session)}#item-23")
    expect(item(page, 23)).to_be_visible()
    page.get_by_role("link", name="Unfold all calls").click()
    expect(item(page, 23)).to_be_visible()


def test_a_search_leads_to_what_it_found(page: Page, session: Session) -> None:
    page.goto(address(session))
    region = page.get_by_role("region", name="Items")
    region.get_by_role("searchbox", name="Words in this conversation").fill("SNOW")
    region.get_by_role("button", name="Find").click()
    expect(region.locator("mark")).to_have_text(["snow"])
    region.locator(".parlant-matches").get_by_role("link", name="item 23").click()
    expect(item(page, 23)).to_be_in_viewport()
    region.get_by_role("link", name="Clear").click()
    expect(region.locator("mark")).to_have_count(0)


def test_each_text_has_the_direction_of_its_script(page: Page, session: Session) -> None:
    page.goto(address(session))
    directions = "each => getComputedStyle(each).direction"
    text = item(page, 24).get_by_text(HEBREW, exact=True)
    assert text.evaluate(directions) == "rtl"
    bubble, line = item(page, 24).locator("article").bounding_box(), text.bounding_box()
    assert bubble is not None
    assert line is not None
    assert bubble["x"] <= line["x"]
    assert line["x"] + line["width"] <= bubble["x"] + bubble["width"]
    assert item(page, 25).locator("strong").evaluate(directions) == "ltr"
    expect(item(page, 25)).to_contain_text("the shop https://shop.example")
    expect(item(page, 25).locator("a[href*='shop.example']")).to_have_count(0)


def test_times_are_in_the_zone_of_the_reader(visit: Visit, session: Session) -> None:
    time = datetime(2031, 5, 6, 22, 30, tzinfo=UTC)
    SessionItem.objects.update(created_at=time)
    page = visit(timezone_id="Asia/Tokyo", locale="en-US")
    page.goto(address(session))
    shown = item(page, 0).locator("time")
    expect(shown).to_have_text(re.compile("May 7, 2031.*7:30"))
    expect(shown).to_have_attribute("datetime", re.compile("^2031-05-06T"))
    page = visit(timezone_id="UTC")
    page.goto(address(session))
    expect(item(page, 0).locator("time")).to_have_text("May 6, 2031, 10:30 p.m.")


MARKDOWN = """# Prices

> As of *today*

| Lamp | Price |
|------|------:|
| Brass lantern with a very long name that goes on | 84 |

1. `one` [shop](https://shop.example/a/long/path/that/does/not/end)
2. ~~two~~ ![a lamp](https://shop.example/lamp.png)

```python
print("x" * 400, "a line of code that is far too long for the screen of any phone there is")
```
"""


def test_nobody_is_kept_out_by_any_kind_of_item(visit: Visit, store: Any) -> None:
    items = [item for listed, *_ in KINDS.values() for item in listed]
    items.append(message(MARKDOWN, "assistant"))
    store.add_items("s", items)
    page = visit(extra_http_headers={WANTED: ENFORCED})
    for after in range(-1, len(items), PAGE):
        page.goto(address(Session.objects.get(), calls="open", find="the", after=after))
        page.evaluate("document.querySelectorAll('main details').forEach(each => each.open = true)")
        assert overflows(page) + in_both_themes(page) == []
