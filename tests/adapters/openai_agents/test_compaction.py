"""OpenAIResponsesCompactionSession on Session and AdvancedSession."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from agents import Runner, function_tool
from agents.extensions.memory import EncryptedSession
from agents.memory import OpenAIResponsesCompactionSession

from parlant_store.adapters.openai_agents import AdvancedSession, Session
from tests.adapters.openai_agents.compaction_server import (
    SUMMARY,
    CompactionServer,
    compaction_server,
)
from tests.adapters.openai_agents.runs import Items, turns
from tests.adapters.scripted_model import ScriptedModel, agent, tool_call

pytestmark = pytest.mark.usefixtures("store")

KEY = "a key for this test"


@pytest.fixture
def server() -> Iterator[CompactionServer]:
    with compaction_server() as running:
        yield running


def compacted(
    underlying: Any, server: CompactionServer, *, candidates: int = 1, **options: Any
) -> OpenAIResponsesCompactionSession:
    """Return a session that is compacted from ``candidates`` answers of the model on."""
    return OpenAIResponsesCompactionSession(
        "s",
        underlying,
        client=server.client,
        compaction_mode="input",
        should_trigger_compaction=lambda context: (
            len(context["compaction_candidate_items"]) >= candidates
        ),
        **options,
    )


def contents(items: Items) -> list[Any]:
    return [item.get("content", item.get("type")) for item in items]


def model_of_openai(*script: Any) -> ScriptedModel:
    """Return a model whose answers have ids; others are not compacted."""
    model = ScriptedModel(*script)
    model.response_id = "resp"
    return model


async def ask(session: Any, *questions: str) -> None:
    model = model_of_openai(*(f"answer to {text}" for text in questions))
    for text in questions:
        await Runner.run(agent(model), text, session=session)


@pytest.mark.parametrize("class_", [Session, AdvancedSession])
async def test_a_run_compacts_the_whole_history(class_, server):
    underlying = class_("s")
    await ask(compacted(underlying, server), "one")
    assert await underlying.get_items() == [SUMMARY]
    ((request),) = server.received
    assert contents(request["input"])[0] == "one"


@pytest.mark.parametrize("class_", [Session, AdvancedSession])
async def test_a_run_with_a_shorter_limit_compacts_what_the_model_has_seen(class_, server):
    underlying = class_("s", session_settings={"limit": 2})
    await underlying.add_items(turns("old", "older", "known"))
    await ask(compacted(underlying, server), "new")
    assert await underlying.get_items(99) == [*turns("old", "older"), SUMMARY]
    ((request),) = server.received
    assert contents(request["input"])[0] == "known"


async def test_what_was_added_meanwhile_is_kept(server):
    underlying = Session("s")
    answer = server.compact

    def compact(request: dict[str, Any]) -> dict[str, Any]:
        asyncio.run(Session("s").add_items(turns("meanwhile")))
        return answer(request)

    server.compact = compact  # type: ignore[method-assign]
    await ask(compacted(underlying, server), "one")
    assert contents(await underlying.get_items())[0] == "one"
    assert (await underlying.get_items())[-2:] == turns("meanwhile")
    assert SUMMARY not in await underlying.get_items()


async def test_a_history_is_never_read_half_compacted(server):
    underlying = Session("s")
    seen: set[int] = set()
    await underlying.add_items(turns(*map(str, range(50))))

    async def read() -> None:
        while True:
            seen.add(len(await Session("s").get_items()))

    reader = asyncio.create_task(read())
    for _ in range(5):
        await underlying.replace_items(turns(*map(str, range(50))))
        await compacted(underlying, server).run_compaction({"force": True})
        assert await underlying.get_items() == [SUMMARY]
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    assert seen <= {100, 1}


async def test_branches_are_compacted_alone(server):
    underlying = AdvancedSession("s")
    await underlying.add_items(turns("one", "two"))
    await underlying.create_branch_from_turn(2, "b")
    session = compacted(underlying, server)
    await session.run_compaction({"force": True})
    assert await underlying.get_items() == [SUMMARY]
    assert underlying.branch_id == "b"
    assert await underlying.get_items(branch_id="main") == turns("one", "two")
    await ask(session, "three")
    assert await underlying.get_items() == [SUMMARY]
    await underlying.switch_to_branch("main")
    await ask(compacted(underlying, server), "four")
    assert await underlying.get_items() == [SUMMARY]
    assert {branch["branch_id"] for branch in await underlying.list_branches()} == {"main", "b"}


@pytest.mark.parametrize("class_", [Session, AdvancedSession])
@pytest.mark.parametrize("is_outside", [True, False])
async def test_encrypted_histories_are_compacted(class_, is_outside, server):
    underlying = class_("s")
    if is_outside:
        session: Any = EncryptedSession("s", compacted(underlying, server), KEY)
    else:
        session = compacted(EncryptedSession("s", underlying, KEY), server)
    await ask(session, "one", "two")
    assert await session.get_items() == [SUMMARY]
    stored = await underlying.get_items()
    assert [item["__enc__"] for item in stored] == [1]
    assert len(server.received) == 2


async def test_encrypted_histories_are_compacted_with_a_shorter_limit(server):
    underlying = Session("s", session_settings={"limit": 2})
    session = EncryptedSession("s", compacted(underlying, server), KEY)
    await session.add_items(turns("old", "known"))
    await ask(session, "new")
    assert await session.get_items(99) == [*turns("old"), SUMMARY]


async def test_expired_envelopes_are_deleted_when_compacted(server):
    underlying = Session("s")
    session = EncryptedSession("s", compacted(underlying, server), KEY, ttl=600)
    old = EncryptedSession("s", underlying, KEY)
    long_ago = [
        {**item, "payload": old.cipher.encrypt_at_time(b"{}", 1).decode()}
        for item in old._encrypt_items(turns("a", "b"))
    ]
    await underlying.add_items(long_ago)
    await ask(session, "one")
    assert await session.get_items() == [SUMMARY]
    assert len(await underlying.get_items()) == 1


async def test_below_the_threshold_nothing_is_compacted(server):
    underlying = Session("s")
    session = compacted(underlying, server, candidates=3)
    await ask(session, "one", "two")
    assert server.received == []
    await ask(session, "three")
    assert len(server.received) == 1
    assert await underlying.get_items() == [SUMMARY]


async def test_a_call_is_compacted_with_its_output(server):
    @function_tool
    def lookup() -> str:
        return "found"

    underlying = Session("s")
    model = model_of_openai(tool_call("lookup"), "done", "thanks")
    session = compacted(underlying, server)
    helper = agent(model, tools=[lookup])
    await Runner.run(helper, "one", session=session)
    stored = await underlying.get_items()
    kinds = [item.get("type") for item in stored]
    assert kinds.count("function_call") == kinds.count("function_call_output")
    await Runner.run(helper, "two", session=session)
    assert (await underlying.get_items())[-1] == SUMMARY


async def test_a_history_that_was_compacted_goes_on(server):
    underlying = Session("s")
    await ask(compacted(underlying, server, candidates=2), "one", "two", "three")
    items = await underlying.get_items()
    assert items[0] == SUMMARY
    assert contents(items)[1] == "three"


async def test_the_operation_itself():
    session = Session("s")
    await session.add_items(turns("one", "two"))
    snapshot = await session._get_compaction_snapshot(3)
    assert snapshot is not None
    assert (snapshot.items, snapshot.complete) == (turns("one", "two")[1:], False)
    assert not await snapshot.replace_suffix(3, [SUMMARY])
    assert await snapshot.replace_suffix(1, [SUMMARY])
    assert await session.get_items() == [*turns("one"), SUMMARY]
    assert not await snapshot.replace_suffix(1, [SUMMARY])
    whole = await session._get_compaction_snapshot(3)
    assert whole is not None
    assert whole.complete
    await session.pop_item()
    assert not await whole.replace_suffix(0, [SUMMARY])
    empty = await Session("t")._get_compaction_snapshot(3)
    assert empty is not None
    assert (empty.items, empty.complete) == ([], True)
    assert not await empty.replace_suffix(0, [SUMMARY])
