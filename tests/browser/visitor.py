"""Somebody who looks at the admin, and everything that goes wrong before her eyes."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request

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


NOWHERE = {"server": "http://127.0.0.1:9", "bypass": "127.0.0.1"}
"""The proxy for addresses elsewhere. Routes could refuse them too, but then nothing is cached."""


class Visitor:
    """The window of a user; addresses are relative to the admin's."""

    def __init__(
        self, browser: Browser, admin: str, user: User | None = None, **options: Any
    ) -> None:
        self.problems: list[str] = []
        self._host = admin.removesuffix("admin/")
        given = {"base_url": admin, "viewport": DESK, "proxy": NOWHERE} | options
        self._context = browser.new_context(**given)
        self._context.set_default_timeout(TIMEOUT_SECONDS * 1000)
        self._context.add_init_script(SAME_LETTERS)
        if user:
            self._log_in(user)
        self.page = self._context.new_page()
        self._listen(self.page)

    def _log_in(self, user: User) -> None:
        client = Client()
        client.force_login(user)
        name = settings.SESSION_COOKIE_NAME
        cookie = {"name": name, "value": client.cookies[name].value, "url": self._host}
        self._context.add_cookies([cookie])

    def _listen(self, page: Page) -> None:
        page.on("request", self._request)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("dialog", self._dialog)

    def leave(self) -> None:
        self._context.close()

    def _request(self, request: Request) -> None:
        if not request.url.startswith(self._host):
            self.problems.append(f"request: {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        # Of a policy that is only reported, violations are no errors.
        if message.type in ("error", "warning") or "Content Security Policy" in message.text:
            self.problems.append(f"console: {message.text}")

    def _dialog(self, dialog: Dialog) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    width = "document.scrollingElement.scrollWidth - document.documentElement.clientWidth"
    return int(page.evaluate(width))
