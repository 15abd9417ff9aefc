"""What a person sees in the theme: nothing of ours is without a colour, or out of reach."""

from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Page

from parlant_store.models import Session
from tests.admin.pages import page as address
from tests.browser.axe import COLOURS, barriers
from tests.browser.screens import TWO_STORES, Screen, addresses, fill, press
from tests.browser.visitor import PHONE

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

WIDE = {"width": 1440, "height": 900}
OURS = ".parlant-store #content-main, [class*='parlant-']:not(body)"
"""Elements of this package; what a theme does on its own pages is not looked at."""

COLOURLESS = """selector => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true})
    const alphas = new Map()
    const alpha = colour => {
        if (!alphas.has(colour)) {
            canvas.clearRect(0, 0, 1, 1)
            canvas.fillStyle = colour
            canvas.fillRect(0, 0, 1, 1)
            alphas.set(colour, canvas.getImageData(0, 0, 1, 1).data[3])
        }
        return alphas.get(colour)
    }
    const found = []
    for (const ours of document.querySelectorAll(selector)) {
        for (const each of [ours, ...ours.querySelectorAll("*")]) {
            const style = getComputedStyle(each)
            const name = `${each.tagName} ${each.getAttribute("class") || ""}`
            if (!each.checkVisibility() || style.visibility == "hidden")
                continue
            if (alpha(style.color) == 0)
                found.push(`${name}: text`)
            if (each.tagName == "rect" && (style.fill == "none" || alpha(style.fill) == 0))
                found.push(`${name}: fill`)
            if (each.matches("button, input[type=submit]") && alpha(style.backgroundColor) == 0)
                found.push(`${name}: background`)
            if (each.matches("td, th") && parseFloat(style.borderBottomWidth) == 0)
                found.push(`${name}: border`)
            if (each.matches("rect.parlant-bar") && style.fill == "rgb(0, 0, 0)")
                found.push(`${name}: black`)
        }
    }
    return [...new Set(found)]
}"""
"""Which elements show nothing where something should be seen."""


TOO_WIDE = """selector => [...document.querySelectorAll(selector)]
    .filter(each => each.checkVisibility() && !each.closest(".parlant-wide *, td, th"))
    .filter(each => each.getBoundingClientRect().right > innerWidth + 1)
    .map(each => `${each.tagName} ${each.className}: too wide`)"""

LINKS = "a, a *, summary, summary *"
"""Bootstrap's blue of links has a contrast of 4.3 on the grey of Jazzmin's pages."""


@pytest.fixture
def screens(store: Any, settings: Any) -> dict[str, Screen]:
    settings.PARLANT_STORES = TWO_STORES
    fill()
    session = address(Session.objects.get(session_id="session-1"))
    asking = {button: Screen(session, partial(press, button)) for button in ("Branch", "Delete")}
    pages = {name: Screen(url) for name, url in addresses() if not name.startswith("history")}
    return pages | asking


def test_every_page_shows_what_there_is(visit, screens, theme):
    page = visit(viewport=WIDE)
    found = {}
    for name, screen in screens.items():
        screen.open(page)
        found[name] = faults(page, theme)
    assert {name: each for name, each in found.items() if each} == {}


def faults(page: Page, theme: str) -> list[str]:
    found = []
    for size in (PHONE, WIDE):
        page.set_viewport_size(size)
        found += page.evaluate(TOO_WIDE, OURS)
    for scheme, rules in (("light", ()), ("dark", COLOURS)):
        page.emulate_media(color_scheme=scheme)
        page.evaluate("document.getAnimations().forEach(fading => fading.finish())")
        found += page.evaluate(COLOURLESS, OURS)
        found += [
            barrier
            for barrier in barriers(page, *rules, within=OURS)
            if not (theme == "jazzmin" and is_link(page, barrier))
        ]
    return found


def is_link(page: Page, barrier: str) -> bool:
    rule, _, target = barrier.partition(": ")
    matches = "(faulty, links) => faulty.matches(links)"
    return rule == "color-contrast" and bool(page.locator(target).evaluate(matches, LINKS))
