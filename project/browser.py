"""The system's own Chromium, driven by Playwright, and its way into the admin.

    python -m project.browser

prints the browser's path, or what to install.
"""

import os
import shutil
import sys

from playwright.sync_api import Browser, Page, Playwright

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first has no windows: it opens and loads pages in half the time."""

MISSING = (
    "Chromium is needed for the browser tests and the screenshots: apt-get install chromium, "
    "or set CHROMIUM to its path."
)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str | None:
    """The path of the browser: what CHROMIUM names, or one that the system has."""
    if named := os.environ.get("CHROMIUM"):
        return shutil.which(named)
    return next(filter(None, map(shutil.which, NAMES)), None)


def launch(playwright: Playwright) -> Browser:
    """Raise FileNotFoundError when there is no browser."""
    path = chromium()
    if path is None:
        raise FileNotFoundError(MISSING)
    return playwright.chromium.launch(executable_path=path, args=ARGUMENTS)


def log_in(page: Page, url: str, name: str, password: str) -> None:
    """Fill in the form that the admin at ``url`` answers with."""
    page.goto(url)
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Log out").wait_for()


if __name__ == "__main__":
    sys.stdout.write(f"{chromium() or sys.exit(MISSING)}\n")
