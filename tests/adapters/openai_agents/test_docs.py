"""The examples of docs/openai-agents.md do what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.openai_agents.runs import turns, usage
from tests.adapters.scripted_model import ScriptedModel

pytestmark = pytest.mark.usefixtures("store")

PAGE = Path(__file__).resolve().parents[3] / "docs" / "openai-agents.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)


def names_of(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(block, names)
    return names


async def test_branches():
    names = names_of(BLOCKS[0])
    names["agent"].model = model = ScriptedModel("A plan.", "A cheaper one.", "By train.")
    model.usage = usage(5)
    assert await names["try_again"]("session-1") == ["main", "by-train"]
    assert repr(["main", "by-train"]).replace("'", '"') in BLOCKS[0]
    session = names["AdvancedSession"]("session-1", namespace="guide")
    assert (await session.get_session_usage())["total_turns"] == 2
    assert [turn["content"] for turn in await session.get_conversation_turns("by-train")] == [
        "Plan a day in Lisbon.",
        "Only by train.",
    ]


async def test_encryption():
    session = names_of(BLOCKS[1])["encrypted"]("session-1", "a key for this test")
    await session.add_items(turns("one"))
    assert await session.get_items() == turns("one")


def test_every_method_is_in_the_table():
    from agents.extensions.memory import AdvancedSQLiteSession

    from parlant_store.adapters.openai_agents import AdvancedSession

    theirs = {name for name in vars(AdvancedSQLiteSession) if not name.startswith("_")}
    ours = {name for name in dir(AdvancedSession) if not name.startswith("_")}
    assert theirs <= ours
    table = set(re.findall(r"`(\w+)\(", PAGE.read_text("utf-8")))
    assert theirs - {"add_items", "pop_item", "clear_session"} <= table
