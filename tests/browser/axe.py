"""What keeps somebody from seeing, hearing or crossing a page, as axe finds it."""

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Locator, Page

DJANGOS = {
    # The label of its search is an image, and the help is no label.
    "label-title-only": "#searchbar",
    # Links in its breadcrumbs are told from the last word by their colour alone.
    "link-in-text-block": ".breadcrumbs a",
}
"""What Django's own templates do on each of its pages: a rule, and what breaks it."""

LANDMARKS = "landmark-unique"
"""To axe a moderate fault: who goes from landmark to landmark cannot tell two of them apart."""

RUN_AXE = "options => axe.run(document, options).then(results => results.violations)"

COLOURS = ("color-contrast", "link-in-text-block")
"""Axe's rules about what a theme changes."""


def barriers(page: Page, *rules: str, within: str = "html") -> list[str]:
    """What keeps somebody from seeing, hearing or crossing the page, as axe finds it.

    By these rules alone, or by all; in elements ``within`` those that a selector names.
    """
    # Axe would put style sheets into the page, which the policy forbids, for rules that are off.
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    return [
        f"{rule['id']}: {target}"
        for rule in page.evaluate(RUN_AXE, options)
        if rule["impact"] in ("serious", "critical") or rule["id"] == LANDMARKS
        for node in rule["nodes"]
        for target in node["target"]
        if is_ours(page.locator(target), rule["id"], within)
    ]


def is_ours(faulty: Locator, rule: str, within: str) -> bool:
    matches = """(faulty, [djangos, within]) =>
        !(djangos && faulty.matches(djangos)) && !!faulty.closest(within)"""
    return bool(faulty.evaluate(matches, [DJANGOS.get(rule, ""), within]))
