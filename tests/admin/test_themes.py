"""Themes that replace the templates of Django's admin: tests/themes, in a project of each."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.any_database
@pytest.mark.parametrize("theme", ["", "unfold", "jazzmin"], ids=["django", "unfold", "jazzmin"])
def test_in_a_project_of_its_own(theme: str) -> None:
    options = ["-q", "--ds", "tests.themes.settings", "-p", "no:cacheprovider"]
    process = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "tests/themes"],
        cwd=ROOT,
        env=os.environ | {"THEME": theme},
        capture_output=True,
        text=True,
    )
    said = process.stdout + process.stderr
    assert process.returncode == 0, said
    assert re.search(r"[1-9]\d* passed", said)
