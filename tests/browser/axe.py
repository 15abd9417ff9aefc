"""What keeps somebody from seeing, hearing or crossing a page, as axe finds it."""

from collections.abc import Iterable
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

DJANGOS = {
    # The label of its search is an image, and the help is no label.
    "label-title-only": "#searchbar",
    # Links in its breadcrumbs are told from the last word by their colour alone.
    "link-in-text-block": ".breadcrumbs a",
}
"""What Django's own templates do on each of its pages: a rule, and what breaks it."""

LANDMARKS = "landmark-unique"
"""To axe a moderate fault: who goes from landmark to landmark cannot tell two of them apart."""

COMPARING = (LANDMARKS, "accesskeys")
"""Axe's rules that compare an element with others anywhere on the page."""

RUN_AXE = """async ([options, within, examined, djangos]) => {
    const include = [...document.querySelectorAll(examined)]
    const {violations} = include.length ? await axe.run({include}, options) : {violations: []}
    const isOurs = (rule, faulty) =>
        !(djangos[rule] && faulty.matches(djangos[rule])) && faulty.closest(within)
    return violations.flatMap(({id, impact, nodes}) => nodes.flatMap(({target}) => target)
        .filter(selector => isOurs(id, document.querySelector(selector)))
        .map(selector => [id, impact, selector]))
}"""
"""Rule, impact and selector of the faults of elements within some, if those are examined."""

COLOURS = ("color-contrast", "link-in-text-block")
"""Axe's rules about what a theme changes."""


def barriers(page: Page, *rules: str, within: str = "html") -> list[str]:
    """What keeps somebody from seeing, hearing or crossing the page, as axe finds it.

    By these rules alone, or by all; in elements ``within`` those that a selector names.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = violations(page, rules, within, within)
    if not rules and within != "html":
        found += violations(page, COMPARING, within, "html")
    return list(dict.fromkeys(found))


def violations(page: Page, rules: Iterable[str], within: str, examined: str) -> list[str]:
    # Axe would put style sheets into the page, which the policy forbids, for rules that are off.
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    return [
        f"{rule}: {target}"
        for rule, impact, target in page.evaluate(RUN_AXE, [options, within, examined, DJANGOS])
        if impact in ("serious", "critical") or rule == LANDMARKS
    ]
