"""Turns, tools and limits of AdvancedSession."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from agents import RunConfig, Runner, SessionSettings, function_tool

from parlant_store.adapters.openai_agents import AdvancedSession
from parlant_store.exceptions import InvalidItem
from tests.adapters.openai_agents.runs import turns
from tests.adapters.scripted_model import ScriptedModel, agent, tool_call

pytestmark = pytest.mark.usefixtures("store")

USER = {"role": "user", "content": "Use tools"}


def call(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "name": name, "arguments": "{}", **more}


async def filled(*items: Any) -> AdvancedSession:
    session = AdvancedSession("s")
    await session.add_items(list(items))
    return session


async def test_turns_of_users():
    long = "x" * 101
    session = await filled({"role": "system", "content": "rules"}, *turns("Hello", long))
    first, second = await session.get_conversation_turns()
    assert first.keys() == {"turn", "content", "full_content", "timestamp", "can_branch"}
    assert (first["turn"], first["content"], first["full_content"]) == (1, "Hello", "Hello")
    assert first["can_branch"] is True
    assert second["content"] == "x" * 100 + "..."
    assert second["full_content"] == long


async def test_turns_have_the_times_of_their_messages():
    before = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
    session = await filled(*turns("Hello", "again"))
    after = datetime.now(UTC).replace(tzinfo=None)
    for turn in await session.get_conversation_turns():
        assert before <= datetime.strptime(turn["timestamp"], "%Y-%m-%d %H:%M:%S") <= after


async def test_contents_of_parts():
    one = [{"type": "input_text", "text": "Grüße"}]
    many = [{"type": "input_text", "text": str(number)} for number in range(101)]
    image = [{"type": "input_image", "image_url": "x"}]
    session = await filled(*({"role": "user", "content": parts} for parts in (one, many, image)))
    found = await session.get_conversation_turns()
    assert [turn["full_content"] for turn in found] == [one, many, image]
    assert found[0]["content"] == '[{"type": "input_text", "text": "Grüße"}]'
    assert found[1]["content"].endswith("...")
    (match,) = await session.find_turns_by_content("GRüßE")
    assert (match["turn"], match["full_content"]) == (1, one)
    assert len((await session.find_turns_by_content("100"))[0]["content"]) > 103
    assert await session.find_turns_by_content("input_text") == []


async def test_turns_are_found_by_content():
    session = await filled(*turns("About cats", "Dogs?", "CATS again", "100% \\ _"))
    for term, expected in {
        "cats": [1, 3],
        "dogs": [2],
        "indeed": [],
        "%": [4],
        "\\": [4],
        "_": [4],
        "": [1, 2, 3, 4],
    }.items():
        assert [turn["turn"] for turn in await session.find_turns_by_content(term)] == expected
    assert await session.find_turns_by_content("cats", "none") == []


async def test_messages_without_texts_are_no_obstacle():
    contents = [None, 5, True, {"a": 1}, [1], ["one"], [None], [{"text": None}, {"text": "one"}]]
    session = await filled(*({"role": "user", "content": content} for content in contents))
    found = await session.get_conversation_turns()
    assert [turn["full_content"] for turn in found] == contents
    assert [turn["content"] for turn in found[:4]] == ["null", "5", "true", '{"a": 1}']
    assert [turn["turn"] for turn in await session.find_turns_by_content("one")] == [8]
    assert await session.create_branch_from_content("ONE", "b") == "b"
    assert await session.get_items(1) == [{"role": "user", "content": [None]}]


async def test_turns_of_a_branch():
    session = await filled(*turns("one", "two"))
    await session.create_branch_from_turn(2, "b")
    await session.add_items(turns("other"))
    assert [(turn["turn"], turn["content"]) for turn in await session.get_conversation_turns()] == [
        (1, "one"),
        (2, "other"),
    ]
    assert [turn["content"] for turn in await session.get_conversation_turns("main")] == [
        "one",
        "two",
    ]
    assert set(await session.get_conversation_by_turns()) == {1, 2}


async def test_items_by_turns():
    session = await filled(
        {"role": "system", "content": "rules"},
        *turns("one"),
        {"role": "user", "content": "two"},
        call("calculator"),
        {"type": "function_call_output", "output": "4"},
        {"type": "reasoning", "summary": []},
        {"n": 1},
    )
    by_turn = await session.get_conversation_by_turns()
    assert [*by_turn] == [0, 1, 2]
    assert by_turn[0] == [{"type": "other", "tool_name": None}]
    assert [item["type"] for item in by_turn[1]] == ["user", "assistant"]
    assert by_turn[2] == [
        {"type": "user", "tool_name": None},
        {"type": "function_call", "tool_name": "calculator"},
        {"type": "function_call_output", "tool_name": None},
        {"type": "reasoning", "tool_name": None},
        {"type": "other", "tool_name": None},
    ]


async def test_names_of_tools():
    session = await filled(
        USER,
        {"type": "mcp_call", "server_label": "files", "name": "read"},
        {"type": "mcp_approval_request", "server_label": "db"},
        *({"type": f"{name}_call"} for name in ("computer", "file_search", "web_search")),
        *({"type": f"{name}_call"} for name in ("code_interpreter", "shell", "apply_patch")),
        {"type": "custom_tool_call", "name": "custom"},
        call("lookup", namespace="crm"),
        call("lookup", namespace="billing"),
        call("weather"),
        call("weather", namespace="weather"),
        call("", namespace="crm"),
        {"type": "tool_search_call"},
        {"type": "tool_search_output"},
    )
    assert {name: count for name, count, turn in await session.get_tool_usage() if turn == 1} == {
        "files.read": 1,
        "db": 1,
        "computer_call": 1,
        "file_search_call": 1,
        "web_search_call": 1,
        "code_interpreter_call": 1,
        "shell_call": 1,
        "apply_patch_call": 1,
        "custom": 1,
        "crm.lookup": 1,
        "billing.lookup": 1,
        "weather": 2,
        "": 1,
        "tool_search": 1,
    }


async def test_a_search_of_tools_without_its_call():
    session = await filled(USER, {"type": "tool_search_output"}, USER, call("a"), call("a"))
    assert await session.get_tool_usage() == [("tool_search", 1, 1), ("a", 2, 2)]


async def test_without_items():
    session = AdvancedSession("s")
    assert await session.get_items() == []
    assert await session.get_conversation_by_turns() == {}
    assert await session.get_conversation_turns() == []
    assert await session.get_tool_usage() == []
    assert await session.get_session_usage() is None
    assert await session.list_branches() == []


async def test_a_run_with_tools():
    @function_tool
    def lookup(query: str) -> str:
        return f"found {query}"

    model = ScriptedModel(tool_call("lookup", '{"query": "x"}'), "Done.", "Again.")
    session = AdvancedSession("s")
    helper = agent(model, tools=[lookup])
    await Runner.run(helper, "Look it up", session=session)
    await Runner.run(helper, "Thanks", session=session)
    assert await session.get_tool_usage() == [("lookup", 1, 1)]
    assert [turn["content"] for turn in await session.get_conversation_turns()] == [
        "Look it up",
        "Thanks",
    ]
    assert [len(items) for items in (await session.get_conversation_by_turns()).values()] == [4, 2]


async def test_limits():
    session = AdvancedSession("s", session_settings={"limit": 3})
    await session.add_items(turns("a", "b", "c"))
    assert await session.get_items() == turns("a", "b", "c")[-3:]
    assert await session.get_items(limit=2) == turns("c")
    assert await session.get_items(0) == []
    model = ScriptedModel("Got it")
    config = RunConfig(session_settings=SessionSettings(limit=2))
    await Runner.run(agent(model), "new", session=session, run_config=config)
    assert len(model.asked[0]) == 3


async def test_a_refused_batch_changes_nothing():
    session = await filled(*turns("one"))
    with pytest.raises(InvalidItem):
        await session.add_items([*turns("two"), {"x": float("nan")}])
    assert await session.get_items() == turns("one")
    assert [turn["turn"] for turn in await session.get_conversation_turns()] == [1]


async def test_batches_of_many_tasks():
    session = AdvancedSession("s")
    texts = [[f"{task}-{number}" for number in range(5)] for task in range(8)]
    await asyncio.gather(*(session.add_items(turns(*batch)) for batch in texts))
    found = await session.get_conversation_turns()
    assert [turn["turn"] for turn in found] == list(range(1, 41))
    assert sorted(turn["content"] for turn in found) == sorted(
        text for batch in texts for text in batch
    )
