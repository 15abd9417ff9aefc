"""The OpenAI Agents SDK itself, running on our Session."""

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from agents import RunConfig, Runner, SessionSettings, Usage, function_tool
from agents.exceptions import AgentsException
from agents.extensions.memory import EncryptedSession
from agents.memory import OpenAIResponsesCompactionSession
from agents.memory import Session as SessionProtocol
from agents.memory.session import _session_accepts_wrapper

from parlant_store import stores
from parlant_store.adapters.openai_agents import AdvancedSession, Session
from parlant_store.exceptions import InvalidItem, InvalidLimit, InvalidName, InvalidStoreError
from tests.adapters.scripted_model import ScriptedModel, agent, tool_call
from tests.backends.locks import interrupt_until_done
from tests.contract.values import IDS, NASTY, numbered

pytestmark = pytest.mark.usefixtures("store")

TIMEOUT_SECONDS = 120


def texts(items: list[Any]) -> list[Any]:
    """What a model was asked, or what is stored, in short."""
    found = []
    for item in items:
        content = item.get("content")
        if isinstance(content, list):
            content = "".join(part["text"] for part in content)
        found.append(content or item.get("name") or item.get("output"))
    return found


def test_it_is_the_protocol():
    session = Session("s")
    assert isinstance(session, SessionProtocol)
    assert session.session_id == "s"
    assert session
    for name in ("get_items", "add_items", "pop_item", "clear_session"):
        assert inspect.iscoroutinefunction(getattr(session, name))
    assert _session_accepts_wrapper(session)
    for probe in ("run_compaction", "_get_items_with_generation", "_ignore_ids_for_matching"):
        assert not hasattr(session, probe)


async def test_two_turns():
    model = ScriptedModel("Hello Ada.", "You are Ada.")
    await Runner.run(agent(model), "I am Ada.", session=Session("s"))
    result = await Runner.run(agent(model), "Who am I?", session=Session("s"))
    assert result.final_output == "You are Ada."
    assert texts(model.asked[1]) == ["I am Ada.", "Hello Ada.", "Who am I?"]
    assert texts(await Session("s").get_items())[-1] == "You are Ada."
    assert await Session("t").get_items() == []


async def test_the_usage_of_runs_is_stored():
    model = ScriptedModel("one", "two", "three")
    session = Session("s", namespace="n")

    async def tokens() -> int | None:
        default = stores["default"]
        return (await default.aget_session("s", namespace="n")).tokens

    result = await Runner.run(agent(model), "a", session=session)
    await session.store_run_usage(result)
    assert (await tokens()) is None
    model.usage = Usage(requests=1, input_tokens=5, output_tokens=7, total_tokens=12)
    for question in ("b", "c"):
        await session.store_run_usage(await Runner.run(agent(model), question, session=session))
    assert (await tokens()) == 24


async def test_a_streamed_run():
    model = ScriptedModel("one", "two")
    for question in ("a", "b"):
        streamed = Runner.run_streamed(agent(model), question, session=Session("s"))
        async for _ in streamed.stream_events():
            pass
    assert texts(model.asked[1]) == ["a", "one", "b"]
    assert texts(await Session("s").get_items()) == ["a", "one", "b", "two"]


async def test_tool_calls():
    @function_tool
    def weather(city: str) -> str:
        return f"Sunny in {city} \0 \ud800"

    model = ScriptedModel(tool_call("weather", '{"city": "Rome"}'), "It is sunny.", "Rome.")
    session = Session("s")
    helper = agent(model, tools=[weather])
    await Runner.run(helper, "Weather?", session=session)
    await Runner.run(helper, "Where?", session=session)
    expected = ["Weather?", "weather", "Sunny in Rome \0 \ud800", "It is sunny."]
    assert texts(model.asked[2]) == [*expected, "Where?"]
    rows = await session.get_items()
    assert rows[1]["call_id"] == rows[2]["call_id"] == "call-1"


async def test_a_handoff():
    second = agent(ScriptedModel("from the second"), handoff_description="second")
    second.name = "second"
    first = agent(ScriptedModel(tool_call("transfer_to_second")), handoffs=[second])
    result = await Runner.run(first, "hello", session=Session("s"))
    assert result.last_agent is second
    stored = texts(await Session("s").get_items())
    assert stored[0] == "hello"
    assert stored[-1] == "from the second"
    assert "transfer_to_second" in stored


async def test_a_model_error_in_mid_run():
    @function_tool
    def lookup() -> str:
        return "found"

    model = ScriptedModel(
        "first", tool_call("lookup"), AgentsException("the model broke"), "recovered"
    )
    session = Session("s")
    helper = agent(model, tools=[lookup])
    await Runner.run(helper, "one", session=session)
    with pytest.raises(AgentsException):
        await Runner.run(helper, "two", session=session)
    assert texts(await session.get_items())[:2] == ["one", "first"]
    result = await Runner.run(helper, "three", session=session)
    assert result.final_output == "recovered"
    stored = texts(await session.get_items())
    assert stored[-2:] == ["three", "recovered"]


async def test_limits_of_a_run():
    model = ScriptedModel("1", "2", "3")
    for number in range(2):
        await Runner.run(agent(model), f"q{number}", session=Session("s"))
    config = RunConfig(session_settings=SessionSettings(limit=1))
    await Runner.run(agent(model), "q2", session=Session("s"), run_config=config)
    assert texts(model.asked[2]) == ["2", "q2"]


async def test_encrypted_session_around_it():
    inner = Session("s", session_settings={"limit": 10})
    session = EncryptedSession("s", inner, encryption_key="a key for this test", ttl=600)
    model = ScriptedModel("Hello Ada.", "You are Ada.")
    await Runner.run(agent(model), "I am Ada.", session=session)
    await Runner.run(agent(model), "Who am I?", session=session)
    assert texts(model.asked[1]) == ["I am Ada.", "Hello Ada.", "Who am I?"]
    assert all(item["__enc__"] == 1 for item in await inner.get_items())
    assert session.session_settings.limit == 10
    session.session_settings = SessionSettings(limit=1)
    assert texts(await session.get_items()) == ["You are Ada."]
    assert texts([await session.pop_item()]) == ["You are Ada."]
    await session.clear_session()
    assert await inner.get_items() == []


async def test_compaction_may_wrap_it():
    session = OpenAIResponsesCompactionSession("s", Session("s"), model="gpt-4.1")
    await session.add_items(numbered(1))
    assert await session.get_items() == numbered(1)
    await session.clear_session()
    assert await Session("s").get_items() == []


async def test_limits():
    session = Session("s", session_settings={"limit": 2})
    await session.add_items(numbered(*range(5)))
    assert await session.get_items() == numbered(3, 4)
    assert await session.get_items(0) == []
    assert await session.get_items(3) == numbered(2, 3, 4)
    session.session_settings = None
    assert await session.get_items() == numbered(*range(5))
    session.session_settings = SessionSettings(limit=0)
    assert await session.get_items() == []
    with pytest.raises(InvalidLimit):
        await session.get_items(-1)


async def test_items_come_back_as_they_were():
    session = Session("s")
    await session.add_items(NASTY)
    assert await session.get_items() == NASTY
    assert await session.pop_item() == NASTY[-1]


@pytest.mark.parametrize("session_id", IDS)
async def test_ids_stay_what_they_are(session_id):
    session = Session(session_id, namespace=session_id, user_id=session_id)
    assert session.session_id is session_id
    await session.add_items(numbered(1))
    assert await Session(session_id, namespace=session_id).get_items() == numbered(1)
    assert await Session(session_id).get_items() == []


def test_wrong_arguments_are_refused_at_once():
    with pytest.raises(InvalidName, match="session_id"):
        Session("")
    with pytest.raises(InvalidName, match="namespace"):
        Session("s", namespace="a\0")
    with pytest.raises(InvalidName, match="user_id"):
        Session("s", user_id="")
    with pytest.raises(InvalidStoreError, match="no store 'nowhere'.*'default'"):
        Session("s", store="nowhere")
    with pytest.raises(TypeError):
        Session("s", session_settings={"limits": 1})
    with pytest.raises(InvalidLimit, match="ttl_seconds must be a number"):
        Session("s", ttl_seconds="60")
    with pytest.raises(InvalidLimit, match="max_tokens must not be negative"):
        Session("s", max_tokens=-1)


async def test_settings_can_be_changed_without_being_passed():
    session = Session("s")
    await session.add_items(numbered(*range(3)))
    session.session_settings.limit = 1
    assert await session.get_items() == numbered(2)
    assert await Session("s").get_items() == numbered(*range(3))


async def test_what_json_cannot_say_is_refused():
    session = Session("s")
    with pytest.raises(InvalidItem, match=r"items\[0\]\['x'\] is nan"):
        await session.add_items([{"x": float("nan")}])
    assert await session.get_items() == []


async def test_replace_items_and_metadata():
    session = Session("s", user_id="ada")
    assert await session.metadata() == {}
    await session.replace_items(numbered(1, 2))
    await session.replace_items(numbered(3))
    assert await session.get_items() == numbered(3)
    assert await session.metadata({"a": 1}) == {"a": 1}
    assert await session.metadata({"b": 2}) == {"a": 1, "b": 2}
    assert await session.metadata() == {"a": 1, "b": 2}
    store = stores["default"]
    assert (await store.aget_session("s")).user_id == "ada"


async def test_wrapper_is_accepted_and_ignored():
    session = Session("s")
    context: Any = object()
    await session.add_items(numbered(1, 2), wrapper=context)
    assert await session.get_items(wrapper=context) == numbered(1, 2)
    assert await session.pop_item(wrapper=context) == {"n": 2}
    await session.clear_session(wrapper=context)
    assert await session.get_items() == []


async def test_many_tasks_add_whole_batches():
    async def add(task: int) -> None:
        for batch in range(4):
            await Session("s").add_items([{"t": task, "b": batch, "n": n} for n in range(3)])

    await asyncio.gather(*map(add, range(50)))
    items = await Session("s").get_items()
    assert len(items) == 600
    for start in range(0, 600, 3):
        batch = items[start : start + 3]
        assert [item["n"] for item in batch] == [0, 1, 2]
        assert len({(item["t"], item["b"]) for item in batch}) == 1


async def test_many_poppers_get_each_item_once():
    await Session("s").add_items(numbered(*range(50)))
    popped = await asyncio.gather(*(Session("s").pop_item() for _ in range(60)))
    assert sorted(item["n"] for item in popped if item) == list(range(50))
    assert popped.count(None) == 10


def test_one_object_in_several_event_loops():
    session = Session("s")

    def work(number: int) -> None:
        async def turn() -> None:
            await session.add_items(numbered(number))
            assert {"n": number} in await session.get_items()

        for _ in range(3):
            asyncio.run(turn())

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert len(stores["default"].get_items("s")) == 18


def test_run_sync_and_run_share_a_session():
    model = ScriptedModel("1", "2")
    session = Session("s")
    # run_sync begins a loop of its own and leaves it open, unless the thread has one.
    with asyncio.Runner() as runner:
        asyncio.set_event_loop(runner.get_loop())
        Runner.run_sync(agent(model), "a", session=session)
        asyncio.set_event_loop(None)
    asyncio.run(Runner.run(agent(model), "b", session=session))
    assert texts(model.asked[1]) == ["a", "1", "b"]


async def test_a_cancelled_write_is_settled_when_it_raises(monkeypatch):
    interrupt_until_done(monkeypatch)
    session = Session("s")
    batch = [{"n": number, "text": "x" * 1000} for number in range(2_000)]
    for attempt in range(8):
        await session.clear_session()
        task = asyncio.create_task(session.add_items(batch))
        await asyncio.sleep(0.004 * attempt)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            stored = len(await session.get_items())
            assert stored in (0, len(batch))
            await asyncio.sleep(0.05)
            assert len(await session.get_items()) == stored


async def test_what_was_cancelled_before_it_began_never_happens(store):
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        go.wait(TIMEOUT_SECONDS)

    holding = [store.submit(hold) for _ in range(store.executor.count)]
    held.wait(TIMEOUT_SECONDS)
    task = asyncio.create_task(Session("s").add_items(numbered(1)))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, TIMEOUT_SECONDS)
    go.set()
    for future in holding:
        future.result()
    assert await Session("s").get_items() == []


async def test_a_run_that_is_cancelled_again_and_again_still_settles(monkeypatch):
    interrupt_until_done(monkeypatch)
    session = Session("s")
    task = asyncio.create_task(session.add_items(numbered(*range(5_000))))
    while not task.done():
        await asyncio.sleep(0.001)
        task.cancel()
    assert len(await session.get_items()) in (0, 5_000)


async def test_the_loop_is_not_blocked(store):
    await asyncio.gather(*(Session("s").get_items() for _ in range(8)))
    go = threading.Event()
    slow = asyncio.wrap_future(store.submit(lambda: go.wait(TIMEOUT_SECONDS)))
    await asyncio.sleep(0)
    assert not slow.done()
    go.set()
    assert await slow


async def test_a_result_does_not_wait_for_the_slow_call_behind_it(store):
    first = asyncio.create_task(Session("s").get_items())
    # It is submitted with what else the loop calls.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    go = threading.Event()
    slow = [store.submit(lambda: go.wait(TIMEOUT_SECONDS)) for _ in range(store.executor.count)]
    await first
    go.set()
    assert all(future.result() for future in slow)


def test_a_loop_that_ends_early_harms_nobody(store):
    async def leave() -> None:
        task = asyncio.create_task(Session("s").add_items(numbered(1)))
        await asyncio.sleep(0)
        task.get_loop().call_soon(task.get_loop().stop)

    loop = asyncio.new_event_loop()
    main = loop.create_task(leave())
    loop.run_until_complete(main)
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()
    assert asyncio.run(Session("t").get_items()) == []


async def test_whole_turns_and_a_life_of_its_own(store):
    session = Session("s", whole_turns=True, ttl_seconds=60)
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "1"}
    await session.add_items([{"role": "user", "content": "go"}, call, output])
    assert await session.get_items(1) == []
    assert await session.get_items(2) == [call, output]
    assert len(await session.get_items()) == 3
    known = await asyncio.wrap_future(store.submit(lambda: store.get_session("s")))
    assert (known.expires_at - known.updated_at).total_seconds() == 60


@pytest.mark.parametrize(
    ("class_", "read"),
    [
        (Session, lambda session: session.get_items()),
        (Session, lambda session: session.get_items(1)),
        (Session, lambda session: session._get_compaction_snapshot(1)),
        (AdvancedSession, lambda session: session.get_items(branch_id="main")),
        (AdvancedSession, lambda session: session.get_conversation_turns()),
        (AdvancedSession, lambda session: session.get_conversation_by_turns()),
        (AdvancedSession, lambda session: session.get_tool_usage()),
        (AdvancedSession, lambda session: session.list_branches()),
    ],
)
async def test_a_read_prolongs_the_session(store, monkeypatch, class_, read):
    monkeypatch.setattr(store, "ttl_refresh", "read")
    session = class_("s", ttl_seconds=3_600)
    await session.add_items([{"role": "user", "content": "go"}, *numbered(1)])
    first = (await store.aget_session("s")).expires_at
    await read(session)
    assert (await store.aget_session("s")).expires_at == first
    await store.aset_expiry("s", first - timedelta(seconds=1_800))
    await read(session)
    known = await store.aget_session("s")
    assert first <= known.expires_at < first + timedelta(seconds=TIMEOUT_SECONDS)
    assert known.expires_at > known.updated_at + timedelta(seconds=3_599)
    await store.aset_expiry("s", None)
    await read(session)
    assert (await store.aget_session("s")).expires_at is None


async def test_a_window_of_tokens():
    session = Session("s", max_tokens=25, count_tokens=lambda item: 10)
    await session.add_items(numbered(1, 2, 3))
    assert await session.get_items() == numbered(2, 3)
    assert await session.get_items(1) == numbered(3)
    assert await Session("s", max_tokens=10_000).get_items() == numbered(1, 2, 3)


async def test_what_was_said_is_found(store):
    await asyncio.gather(
        *(
            Session(f"s{n}").add_items([{"role": "user", "content": f"word{n} 北京"}])
            for n in range(40)
        )
    )
    hits = await asyncio.wrap_future(store.submit(lambda: store.search("word7 word8", limit=99)))
    assert {hit.session_id for hit in hits} == {"s7", "s8"}
    hits = await asyncio.wrap_future(store.submit(lambda: store.search("北京", limit=99)))
    assert len(hits) == 40
