"""Somebody who looks at the admin, and everything that goes wrong before her eyes."""

from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Route

from project.browser import log_in

DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
TIMEOUT_SECONDS = 120

SAME_LETTERS = """(() => {
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(`* {
        font-family: monospace, serif !important;
        font-size-adjust: ch-width 0.55 !important;
    }`)
    document.adoptedStyleSheets.push(sheet)
})()"""
"""Letters are as wide as this whatever fonts the system has; no policy forbids such a style."""


class Visitor:
    """Her window; addresses are relative to the admin's."""

    def __init__(self, browser: Browser, admin: str, options: dict[str, Any]) -> None:
        self.problems: list[str] = []
        self._host = admin.removesuffix("admin/")
        self._context = browser.new_context(**{"base_url": admin, "viewport": DESK} | options)
        self._context.set_default_timeout(TIMEOUT_SECONDS * 1000)
        self._context.add_init_script(SAME_LETTERS)
        self._context.route("**/*", self._only_here)
        self.page = self._context.new_page()
        self._listen(self.page)
        log_in(self.page, admin, "root", "secret")

    def _listen(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("dialog", self._dialog)

    def leave(self) -> None:
        self._context.close()

    def _only_here(self, route: Route) -> None:
        if route.request.url.startswith(self._host):
            route.continue_()
            return
        self.problems.append(f"request: {route.request.url}")
        route.abort()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console: {message.text}")

    def _dialog(self, dialog: Dialog) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    width = "document.scrollingElement.scrollWidth - document.documentElement.clientWidth"
    return int(page.evaluate(width))
