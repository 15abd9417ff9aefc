"""Makes the pictures in docs/: screens of the admin, on what real agents have left there.

    python -m project.screenshots [FOLDER]

The Parlant server and the graph of examples/ and the demo write to one database, which is thrown
away; what they do there takes some twenty seconds. The browser is a Chromium of the system.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from playwright.sync_api import Browser, Page, StorageState, ViewportSize, sync_playwright

from project.browser import MISSING, chromium, launch, log_in
from project.supervisor import Supervised

ROOT = Path(__file__).resolve().parent.parent
DESK = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=390, height=844)
MARGIN = 20
TIMEOUT_SECONDS = 300  # generous, for busy machines
BOTTOM = "document.querySelector('#content-main, #content').getBoundingClientRect().bottom"


class Picture(NamedTuple):
    """A screen, the way to it from the admin's first page, and how it is taken."""

    name: str
    way: Callable[[Page], None]
    size: ViewportSize = DESK
    theme: Literal["light", "dark"] = "light"
    is_whole: bool = False
    """Whether it is as high as the page; otherwise as the window."""


class Served(NamedTuple):
    """The demo's admin, and what the demo says of it."""

    url: str
    password: str
    session_id: str


def conversations(page: Page) -> None:
    page.goto("parlant_store/session/")


def conversation(page: Page) -> None:
    page.goto("parlant_store/session/?framework=openai")
    row = page.get_by_role("row").filter(has_text=re.compile("demo-"))
    row.get_by_role("rowheader").get_by_role("link").click()


def transcript(page: Page) -> None:
    conversation(page)
    _show(page, "Items")


def _show(page: Page, heading: str) -> None:
    page.get_by_role("heading", name=heading, exact=True).evaluate("each => each.scrollIntoView()")


def documents(page: Page) -> None:
    page.goto("parlant_store/document/")


def parlant_session(page: Page) -> None:
    page.goto("parlant_store/session/?framework=parlant")
    page.get_by_role("main").get_by_role("rowheader").get_by_role("link").click()
    _show(page, "Events")


def thread(page: Page) -> None:
    page.goto("parlant_store/session/?framework=langgraph")
    page.get_by_role("main").get_by_role("rowheader").get_by_role("link").click()


def overview(page: Page) -> None:
    page.goto("parlant_store/")
    page.get_by_role("link", name="Overview").click()


PICTURES = [
    Picture("conversations", conversations),
    Picture("conversation", conversation, is_whole=True),
    Picture("conversation-dark", transcript, theme="dark"),
    Picture("conversation-phone", transcript, size=PHONE),
    Picture("documents", documents),
    Picture("parlant-session", parlant_session),
    Picture("thread", thread, is_whole=True),
    Picture("overview", overview),
]

EXAMPLES = ("parlant_server.py", "langgraph_agent.py")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m project.screenshots", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs")
    folder: Path = parser.parse_args().folder
    if chromium() is None:
        sys.exit(MISSING)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {"DATABASE_URL": f"sqlite:///{scratch}/demo.sqlite3"}
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        for example in EXAMPLES:
            run_example(example, environment)
        with demo(environment) as served, sync_playwright() as playwright:
            browser = launch(playwright)
            state = logged_in(browser, served)
            for picture in PICTURES:
                take(browser, served, state, picture, folder / f"{picture.name}.png")
            browser.close()


def run_example(name: str, environment: dict[str, str]) -> None:
    command = [sys.executable, str(ROOT / "examples" / name)]
    command += ["--database-url", environment["DATABASE_URL"]]
    pipe = subprocess.PIPE
    with Supervised(command, env=environment, stdout=pipe, stderr=subprocess.STDOUT) as process:
        printed, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(f"examples/{name} failed:\n{printed.decode()}")


@contextmanager
def demo(environment: dict[str, str]) -> Iterator[Served]:
    """Let the demo run and serve until the end."""
    with Supervised(
        [sys.executable, "-m", "project.demo", "--port", "0"],
        stop_signal=signal.SIGINT,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield until_served(process)


def until_served(process: Supervised) -> Served:
    printed = ""
    for line in process.stdout or ():
        printed += line
        if "until Ctrl-C" in line:
            patterns = (r"is at (http\S+)", r"with the password (\S+)", r"keeps session (\S+)")
            return Served(*(re.findall(pattern, printed)[0] for pattern in patterns))
    sys.exit(f"The demo ended before it served:\n{printed}")


def logged_in(browser: Browser, served: Served) -> StorageState:
    """The cookies of a user who has logged in."""
    context = browser.new_context()
    context.set_default_timeout(TIMEOUT_SECONDS * 1000)
    log_in(context.new_page(), served.url, "admin", served.password)
    state = context.storage_state()
    context.close()
    return state


def take(
    browser: Browser, served: Served, state: StorageState, picture: Picture, file: Path
) -> None:
    """Go there and keep the picture."""
    page = browser.new_page(
        base_url=served.url,
        storage_state=state,
        viewport=picture.size,
        color_scheme=picture.theme,
        locale="en",
    )
    page.set_default_timeout(TIMEOUT_SECONDS * 1000)
    picture.way(page)
    page.wait_for_load_state("networkidle")
    if picture.is_whole:
        height = int(page.evaluate(BOTTOM)) + MARGIN
        page.set_viewport_size({"width": picture.size["width"], "height": height})
    page.screenshot(path=file)
    page.close()
    sys.stdout.write(f"{os.path.relpath(file)}: {file.stat().st_size // 1000} kB\n")


if __name__ == "__main__":
    main()
