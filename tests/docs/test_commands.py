"""The commands of README.md and the other pages."""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import PAGES, ROOT, blocks, installable
from tests.docs.projects import manage, run, succeed
from tests.project.test_demo import DEMO


def commands() -> list[Any]:
    """Each command that pages show in a block of shell, or name in their text as `make ...`."""
    shown = [
        (block.where, line)
        for block in blocks()
        if block.language == "sh"
        for line in block.text.splitlines()
    ]
    named = [
        (page.name, line)
        for page in PAGES
        for line in re.findall(r"`(make [^`]+)`", page.read_text("utf-8"))
    ]
    places: dict[tuple[str, ...], str] = {}
    for where, line in sorted(shown + named):
        places.setdefault(tuple(shlex.split(line, comments=True)), where)
    return [pytest.param(words, id=f"{where} {' '.join(words)}") for words, where in places.items()]


@pytest.mark.any_database
@pytest.mark.parametrize("words", commands())
def test_command(words, request):
    match words:
        case ["make", *rest]:
            made(rest)
        case ["pip", "install", requirement]:
            installable(requirement)
        case ["python", "manage.py", *rest]:
            is_first = rest[0] == "migrate"
            manage(request.getfixturevalue("project" if is_first else "migrated"), *rest)
        case [".venv/bin/python", "-m", "pytest", *files]:
            succeed(ROOT, sys.executable, "-m", "pytest", "--collect-only", "-q", *files)
        case [".venv/bin/python", "-m", module, ".venv/bin/python", "-m", "pytest", file]:
            assert Path(ROOT, *module.split(".")).with_suffix(".py").exists()
            succeed(ROOT, sys.executable, "-m", "pytest", "--collect-only", "-q", file)
        case ["python", "examples/parlant_server.py" as script]:
            # Without the name of a database it makes one.
            assert "events are still there" in succeed(ROOT, sys.executable, script)
        case ["python", "examples/langgraph_agent.py" as script]:
            assert "You get 40 euros back" in succeed(ROOT, sys.executable, script)
        case _:
            pytest.fail(f"teach {Path(__file__).name} to run {words}")


def made(rest: list[str]) -> None:
    """The Makefile knows how; test_demo.py runs the demo that ends by itself."""
    steps = succeed(ROOT, "make", "--dry-run", *rest).splitlines()
    *_, python = [line for line in steps if "python -m" in line]
    assert run(ROOT, "make", "--dry-run", "no-such-target").returncode == 2
    if rest == ["demo", "SERVE=no"]:
        assert shlex.split(python)[1:] == list(DEMO)
