"""The usage of runs in Session and AdvancedSession."""

import logging
from typing import Any

import pytest
from agents import RunContextWrapper, Runner, function_tool

from parlant_store import stores
from parlant_store.adapters.openai_agents import AdvancedSession, Session
from parlant_store.exceptions import InvalidInput, StoreError
from parlant_store.types import Usage
from tests.adapters.openai_agents.runs import result, turns, usage
from tests.adapters.scripted_model import ScriptedModel, agent, tool_call

pytestmark = pytest.mark.usefixtures("store")


async def stored(**options: Any) -> Any:
    default = stores["default"]
    return await default.aget_usage("s", **options)


async def test_usage_of_turns():
    session = AdvancedSession("s")
    await session.add_items(turns("one"))
    await session.store_run_usage(result(usage(50, cached=10, reasoning=5)))
    await session.add_items(turns("two"))
    await session.store_run_usage(result(usage(75, requests=2)))
    assert await session.get_session_usage() == {
        "requests": 3,
        "input_tokens": 125,
        "output_tokens": 2,
        "total_tokens": 127,
        "total_turns": 2,
    }
    first = {
        "requests": 1,
        "input_tokens": 50,
        "output_tokens": 1,
        "total_tokens": 51,
        "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 10},
        "output_tokens_details": {"reasoning_tokens": 5},
    }
    assert await session.get_turn_usage(1) == first
    all_turns = await session.get_turn_usage()
    assert [turn["user_turn_number"] for turn in all_turns] == [1, 2]
    assert all_turns[0] == {"user_turn_number": 1} | first
    assert all_turns[1]["input_tokens_details"]["cached_tokens"] == 0
    assert await session.get_turn_usage(3) == {}


async def test_numbers_that_no_turn_has():
    session: Any = AdvancedSession("s")
    await session.add_items(turns("one"))
    await session.store_run_usage(result(usage(50)))
    assert await session.get_turn_usage(0) == await session.get_turn_usage(10**30) == {}
    for number in (-1, True, 1.0, "1", []):
        with pytest.raises(InvalidInput, match="user_turn_number must be a whole number"):
            await session.get_turn_usage(number)


async def test_usage_of_the_last_turn_is_replaced():
    session = AdvancedSession("s")
    await session.add_items(turns("one"))
    await session.store_run_usage(result(usage(50)))
    await session.store_run_usage(result(usage(70)))
    assert (await session.get_turn_usage(1))["input_tokens"] == 70
    assert (await session.get_session_usage())["input_tokens"] == 70


async def test_usage_without_details():
    used = usage(10, reasoning=42)
    object.__setattr__(used, "input_tokens_details", None)
    session = AdvancedSession("s")
    await session.add_items(turns("one"))
    await session.store_run_usage(result(used))
    found = await session.get_turn_usage(1)
    assert found["output_tokens_details"] == {"reasoning_tokens": 42}
    assert found["input_tokens_details"] is None


async def test_usage_of_branches():
    session = AdvancedSession("s")
    await session.add_items(turns("one", "two"))
    await session.store_run_usage(result(usage(50)))
    await session.create_branch_from_turn(2, "b")
    assert await session.get_turn_usage() == []
    await session.add_items(turns("other"))
    await session.store_run_usage(result(usage(100)))
    assert (await session.get_session_usage("main"))["input_tokens"] == 50
    assert (await session.get_session_usage("b"))["input_tokens"] == 100
    total = await session.get_session_usage()
    assert (total["input_tokens"], total["total_turns"]) == (150, 2)
    assert [turn["user_turn_number"] for turn in await session.get_turn_usage(branch_id="b")] == [2]
    assert await session.get_session_usage("none") is None
    await session.switch_to_branch("main")
    await session.create_branch_from_turn(2, "c")
    assert await session.get_session_usage("c") is None
    await session.delete_branch("b")
    assert (await session.get_session_usage())["input_tokens"] == 50


async def test_usage_goes_with_the_last_item_of_its_turn():
    session = AdvancedSession("s")
    await session.add_items(turns("one"))
    await session.store_run_usage(result(usage(50)))
    await session.pop_item()
    assert (await session.get_turn_usage(1))["input_tokens"] == 50
    await session.pop_item()
    assert await session.get_turn_usage(1) == {}
    await session.add_items(turns("fresh"))
    assert await session.get_turn_usage(1) == {}


async def test_errors_are_logged(caplog, monkeypatch):
    session = AdvancedSession("s", logger=logging.getLogger("mine"))
    await session.store_run_usage(result(usage(5)))
    await session.store_run_usage(result(None))
    await session.add_items(turns("one"))
    bad = usage(5)
    object.__setattr__(bad, "input_tokens", -1)
    with caplog.at_level(logging.ERROR, logger="mine"):
        await session.store_run_usage(result(bad))
    assert "Failed to store session usage" in caplog.text
    assert await session.get_turn_usage() == []
    with pytest.raises(StoreError):
        await Session("s").store_run_usage(result(bad))


async def test_usage_of_real_runs():
    model = ScriptedModel("one", "two")
    model.usage = usage(7)
    session = AdvancedSession("s")
    for question in ("a", "b"):
        await session.store_run_usage(await Runner.run(agent(model), question, session=session))
    assert await session.get_session_usage() == {
        "requests": 2,
        "input_tokens": 14,
        "output_tokens": 2,
        "total_tokens": 16,
        "total_turns": 2,
    }


@pytest.mark.parametrize("class_", [Session, AdvancedSession])
async def test_usage_is_stored_with_the_items(class_):
    @function_tool
    def lookup() -> str:
        return "found"

    model = ScriptedModel(tool_call("lookup"), "one", "two")
    model.usage = usage(7)
    session = class_("s", store_usage=True)
    helper = agent(model, tools=[lookup])
    ended = await Runner.run(helper, "a", session=session)
    assert (await stored(by="turn"))[1].requests == 2
    await session.store_run_usage(ended)
    streamed = Runner.run_streamed(helper, "b", session=session)
    async for _ in streamed.stream_events():
        pass
    by_turn = await stored(by="turn")
    assert {turn: used.requests for turn, used in by_turn.items()} == {1: 2, 2: 1}
    assert (await stored()).input_tokens == 21


async def test_items_are_stored_even_if_their_usage_cannot_be(caplog):
    session = Session("s", store_usage=True)
    wrapper = RunContextWrapper(context=None, usage=usage(5))
    object.__setattr__(wrapper.usage, "output_tokens", -1)
    await session.add_items(turns("one"), wrapper=wrapper)
    assert await session.get_items() == turns("one")
    assert await stored() is None
    assert "is not stored" in caplog.text


async def test_usage_of_a_plain_session():
    session = Session("s")
    await session.add_items(turns("one"))
    await session.store_run_usage(result(usage(5)))
    assert await stored() == Usage(
        requests=1,
        input_tokens=5,
        output_tokens=1,
        total_tokens=6,
        input_tokens_details={"cache_write_tokens": 0, "cached_tokens": 0},
        output_tokens_details={"reasoning_tokens": 0},
    )
