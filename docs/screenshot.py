"""Makes docs/session.png: the session of the demo as Django's admin shows it.

    python docs/screenshot.py

It runs the demo with .venv, which make demo builds, on a database that is thrown away. It
takes playwright and a Chromium: pip install playwright, and your system's package chromium.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "session.png"
PYTHON = ROOT / ".venv" / "bin" / "python"
WIDTH, HEIGHT, MARGIN = 1200, 3000, 20
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def main() -> None:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("playwright is not installed; run: pip install playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("There is no Chromium here; install the package chromium of your system.")
    if not PYTHON.exists():
        sys.exit("The demo's environment is missing; run: make demo SERVE=no")
    with demo() as printed, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        take(browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}), printed)
        browser.close()
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size // 1000} kB\n")


@contextmanager
def demo() -> Iterator[str]:
    """Serve the demo; gives what it has printed."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(  # noqa: S603  (constants)
            [PYTHON, "-m", "project.demo", "--port", "0"],
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": f"sqlite:///{folder}/demo.sqlite3"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            yield until_served(process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def until_served(process: subprocess.Popen[str]) -> str:
    printed = ""
    for line in process.stdout or ():
        printed += line
        if "until Ctrl-C" in line:
            return printed
    sys.exit(f"The demo ended before it served:\n{printed}")


def take(page: Any, printed: str) -> None:
    """Log in, open the session and keep the picture."""
    url, password, session_id = (
        re.findall(pattern, printed)[0]
        for pattern in (r"is at (http\S+)", r"with the password (\S+)", r"keeps session (\S+)")
    )
    page.goto(url)
    page.fill("#id_username", "admin")
    page.fill("#id_password", password)
    page.click("input[type=submit]")
    page.goto(f"{url}parlant_store/session/")
    page.click(f"text={session_id}")
    page.wait_for_load_state("networkidle")
    bottom = "document.querySelector('#content-main').getBoundingClientRect().bottom"
    height = page.evaluate(bottom) + MARGIN
    page.screenshot(path=str(PICTURE), clip={"x": 0, "y": 0, "width": WIDTH, "height": height})


if __name__ == "__main__":
    main()
