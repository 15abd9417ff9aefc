"""docs/moving.md is followed here; the other pages are in tests/docs."""

import asyncio
import json
import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from agents import SQLiteSession
from django.core.management import BaseCommand
from langgraph.checkpoint.sqlite import SqliteSaver

from parlant_store.management.commands import store_copy, store_import
from parlant_store.transfer.readers import KINDS, options_of
from tests.adapters.langgraph.graphs import chain, thread
from tests.contract.values import numbered
from tests.docs.pages import ROOT, blocks_of
from tests.docs.projects import manage, project_of

pytestmark = [pytest.mark.orm, pytest.mark.any_database]

PAGE = ROOT / "docs" / "moving.md"
BLOCKS = blocks_of(PAGE)

FILL = """
from parlant_store import stores
store = stores["default"]
store.add_items("a", [{"role": "user", "content": "hi"}] * 3, user_id="ada")
store.add_items("b", [{"role": "user", "content": "hi"}], namespace="shop")
"""
SELECTOOLS = {"session_id": "s", "memory": {"max_messages": 20, "messages": [{"role": "user"}]}}


@pytest.fixture
def folder(tmp_path: Path, django_db_blocker) -> Path:
    """A Django project as the page says, and files of the frameworks."""
    folder = project_of(tmp_path, PAGE)
    manage(folder, "migrate", "--verbosity", "0")
    manage(folder, "shell", "--no-imports", "--command", FILL)
    session = SQLiteSession("sdk", folder / "conversations.db")
    asyncio.run(session.add_items(numbered(1, 2)))
    session.close()
    (folder / "sessions").mkdir()
    (folder / "sessions" / "s.json").write_text(json.dumps(SELECTOOLS))
    (folder / "parlant-data").mkdir()
    (folder / "parlant-data" / "sessions.json").write_text('{"sessions": [{"id": "talk"}]}')
    make_sessions_db(folder / "sessions.db")
    with SqliteSaver.from_conn_string(str(folder / "checkpoints.db")) as saver:
        chain("a").compile(checkpointer=saver).invoke({"steps": []}, thread())
    return folder


def make_sessions_db(path: Path) -> None:
    """As SQLiteSessionStore of selectools does, which has no place in this environment."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE sessions (session_id TEXT PRIMARY KEY, memory_json TEXT NOT NULL,"
            " message_count INTEGER, created_at REAL, updated_at REAL)"
        )
        text = json.dumps(SELECTOOLS["memory"])
        database.execute("INSERT INTO sessions VALUES ('s', ?, 1, 1.5, 2.5)", (text,))
    database.close()


def test_each_command_of_the_page(folder):
    said = {}
    for block in BLOCKS:
        if block.language == "sh":
            for line in block.text.splitlines():
                python, script, *words = shlex.split(line)
                assert (python, script) == ("python", "manage.py")
                said[line] = manage(folder, *words)
    shown = next(block.text for block in BLOCKS if not block.language).splitlines()
    for line in shown:
        # Checksums are of this run.
        beginning = re.sub(r", [0-9a-f]{16}$", "", line)
        assert beginning in said["python manage.py store_copy default new"]
    assert "would write 2 sessions" in said["python manage.py store_copy default new --dry-run"]
    imported = [text for line, text in said.items() if "store_import" in line]
    assert len(imported) == 5
    assert all("write 1 sessions" in text or "wrote 1 sessions" in text for text in imported)


def test_the_table_of_kinds_is_complete():
    rows = re.findall(r"^\| `([a-z]+-[a-z]+)` \|.*\|(.*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    named = {kind: set(re.findall(r"`--([a-z-]+)`", options)) for kind, options in rows}
    assert named == {kind: {name.replace("_", "-") for name in options_of(kind)} for kind in KINDS}


def test_the_table_of_options_is_complete():
    named = set(re.findall(r"^\| `(--[a-z-]+)", PAGE.read_text("utf-8"), re.MULTILINE))
    assert named == own_options(store_copy.Command())
    assert {"--on-conflict", "--dry-run", "--json"} < own_options(store_import.Command())


def own_options(command: BaseCommand) -> set[str]:
    """The options of a command, without those that all commands have."""
    return options(command) - options(BaseCommand())


def options(command: BaseCommand) -> set[str]:
    parser = command.create_parser("manage.py", "command")
    return {
        option
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--")
    }
