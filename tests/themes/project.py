"""Runs tests in a project with a theme, in a process of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run_tests(theme: str, file: str) -> None:
    """Run the tests in a file of this folder; "" is Django's own theme."""
    options = ["-q", "--ds", "tests.themes.settings", "-p", "no:cacheprovider"]
    process = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"tests/themes/{file}"],
        cwd=ROOT,
        env=os.environ | {"THEME": theme},
        capture_output=True,
        text=True,
    )
    said = process.stdout + process.stderr
    assert process.returncode == 0, said
    assert re.search(r"[1-9]\d* passed", said), said
