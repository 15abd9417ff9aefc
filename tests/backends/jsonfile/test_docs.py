"""docs/files.md is followed here; the other pages are in tests/docs."""

import json
import shlex
from pathlib import Path

import jq
import pytest

from parlant_store.backends.jsonfile import JsonFileBackend
from parlant_store.backends.jsonfile.files import locked_session, locks, names
from tests.docs.pages import ROOT, blocks_of, check_options, installable
from tests.docs.projects import manage, project_of

pytestmark = pytest.mark.any_database

PAGE = ROOT / "docs" / "files.md"
BLOCKS = blocks_of(PAGE)
ITEMS = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi! How can I help?"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Django project with what the page tells to put into its settings."""
    folder = project_of(tmp_path, PAGE)
    code = f"from parlant_store import store; store.add_items('s', {ITEMS})"
    manage(folder, "shell", "-c", code)
    return folder


def lines() -> list[str]:
    return [line for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()]


def test_every_block_is_run():
    assert {block.file or block.language for block in BLOCKS} == {"sh", "settings.py", "json"}


@pytest.mark.parametrize("line", lines())
def test_command(line, folder):
    match shlex.split(line):
        case ["pip", "install", requirement]:
            installable(requirement)
        case ["python", "manage.py", *rest]:
            manage(folder, *rest, "--fail-level", "WARNING")
        case ["jq", "-r", program, file]:
            found = jq.compile(program).input_text(Path(folder, file).read_text("utf-8")).all()
            assert found[0] == "Hello"
        case _:
            pytest.fail(f"teach {Path(__file__).name} to run {line}")


def test_the_lines_of_a_file(folder):
    (shown,) = [block.text.splitlines() for block in BLOCKS if block.language == "json"]
    found = Path(folder, "sessions", "=default", "s.jsonl").read_text().splitlines()
    assert found[:3] == shown[:3]
    found_write, shown_write = json.loads(found[3]), json.loads(shown[3])
    assert shown_write["after"].keys() < found_write["after"].keys()
    assert found_write | {"after": 0} == shown_write | {"after": 0}


def test_the_table_of_options_is_complete():
    check_options(PAGE, JsonFileBackend)


def test_limits_are_those_of_the_code():
    text = PAGE.read_text("utf-8")
    assert f"longer than {names.MAX_LENGTH} characters" in text
    assert f"{locks.COUNT:,} lock files" in text
    assert f"{locked_session.MAX_DEAD // 1_024} KiB" in text
