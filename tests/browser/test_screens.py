"""Every screen in both themes, on a phone, with a screen reader and under a strict policy."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from parlant_store.admin.conversations import remote as store_session
from parlant_store.admin.sessions import SessionItemAdmin
from parlant_store.admin.transcript import pages as reading
from tests.browser.axe import COLOURS, barriers
from tests.browser.policy import ENFORCED, WANTED
from tests.browser.screens import TWO_STORES, fill, screens
from tests.browser.visitor import DESK, PHONE, overflow

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

LOOKS = """shown => shown.map(getComputedStyle).map(style => [
    style.color, style.background, style.margin, style.padding, style.height, style.borderRadius,
])"""


@pytest.fixture(autouse=True)
def _filled(store: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.PARLANT_STORES = TWO_STORES
    # Longer pages have more of the same.
    monkeypatch.setattr(reading, "PAGE", 8)
    monkeypatch.setattr(store_session, "FEW", 8)
    monkeypatch.setattr(SessionItemAdmin, "list_per_page", 8)
    fill()


def on_every_screen(page: Page, look: Callable[[Page], object]) -> dict[str, object]:
    """What ``look`` finds on each of them; nothing of those where it finds nothing."""
    found = {}
    for name, screen in screens().items():
        screen.open(page)
        found[name] = look(page)
    return {name: faults for name, faults in found.items() if faults}


def in_both_themes(page: Page) -> list[str]:
    found, grounds = [], set()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.evaluate("document.getAnimations().forEach(fading => fading.finish())")
        # Whatever else it looks for is the same in both.
        rules = COLOURS if theme == "dark" else ()
        found += [f"{theme}: {barrier}" for barrier in barriers(page, *rules)]
    assert len(grounds) == 2
    return found


def overflows(page: Page) -> list[str]:
    """By how much the page is wider than the window of a desk and of a phone."""
    found = {}
    for name, size in (("phone", PHONE), ("desk", DESK)):
        page.set_viewport_size(size)
        found[name] = overflow(page)
    return [f"{name}: {pixels} pixels" for name, pixels in found.items() if pixels > 0]


def test_nobody_is_kept_out_by_any_screen_and_all_keep_a_strict_policy(visit):
    page = visit(extra_http_headers={WANTED: ENFORCED})
    assert on_every_screen(page, lambda page: overflows(page) + in_both_themes(page)) == {}
    assert "default-src 'self'" in page.request.get(page.url).headers["content-security-policy"]


def test_axe_finds_what_is_wrong(page):
    page.goto("parlant_store/")
    page.get_by_role("main").evaluate("main => main.innerHTML += '<input>'")
    page.get_by_role("main").evaluate("main => main.style.color = '#ccc'")
    assert {barrier.partition(":")[0] for barrier in barriers(page)} >= {"label", "color-contrast"}
    (of_colours,) = {barrier.partition(":")[0] for barrier in barriers(page, *COLOURS)}
    assert of_colours == "color-contrast"


def test_who_is_asked_answers_with_the_same_buttons_everywhere(page):
    asking, shown = screens(), []
    for name in ("Delete a session", "delete elsewhere"):
        asking[name].open(page)
        buttons = page.locator(".parlant-confirm").locator("input[type=submit], .cancel-link")
        expect(buttons).to_have_count(2)
        shown.append(buttons.evaluate_all(LOOKS))
    assert shown[0] == shown[1]
