"""EncryptedSession on Session: what the store cannot read."""

from datetime import timedelta
from typing import Any

import pytest
from agents import RunConfig, Runner
from agents.extensions.memory import EncryptedSession

from parlant_store import stores
from parlant_store.adapters.openai_agents import AdvancedSession, Session
from parlant_store.content.turns import whole_turns
from parlant_store.exceptions import NotSupported
from tests.adapters.openai_agents.runs import result, turns, usage
from tests.adapters.scripted_model import ScriptedModel, agent

pytestmark = pytest.mark.usefixtures("store")

KEY = "a key for this test"


def encrypted(underlying: Session, **options: Any) -> EncryptedSession:
    return EncryptedSession("s", underlying, KEY, **options)


async def test_what_must_read_items_is_refused_with_a_sentence():
    for options in ({"whole_turns": True}, {"max_tokens": 100}):
        with pytest.raises(NotSupported, match="need items that the store can read"):
            await encrypted(Session("s", **options)).add_items(turns("one"))
    assert await Session("s").get_items() == []
    await encrypted(Session("s")).add_items(turns("one"))
    for options in ({"whole_turns": True}, {"max_tokens": 100_000}):
        with pytest.raises(NotSupported, match="whole_turns and max_tokens"):
            await encrypted(Session("s", **options)).get_items(1)


async def test_a_run_shortens_decrypted_items():
    session = encrypted(Session("s"))
    await session.add_items(turns("one", "two"))
    model = ScriptedModel("three, indeed")
    config = RunConfig(session_input_callback=lambda history, new: [*whole_turns(history, 3), *new])
    await Runner.run(agent(model), [turns("three")[0]], session=session, run_config=config)
    assert model.asked == [[*turns("two"), turns("three")[0]]]


async def test_the_usage_of_all_runs_is_stored():
    model = ScriptedModel("one", "two")
    model.usage = usage(7)
    session = encrypted(Session("s", store_usage=True))
    for question in ("a", "b"):
        ended = await Runner.run(agent(model), question, session=session)
        await session.store_run_usage(ended)
    store = stores["default"]
    assert (await store.aget_usage("s")).input_tokens == 14
    assert [*await store.aget_usage("s", by="turn")] == [0]


async def test_a_branch_of_an_encrypted_session_has_no_turns():
    underlying = AdvancedSession("s")
    session = encrypted(underlying)
    await session.add_items(turns("one"))
    assert await session.get_conversation_turns() == []
    with pytest.raises(ValueError, match="does not contain a user message"):
        await session.create_branch_from_turn(1)
    await session.store_run_usage(result(usage(5)))
    assert (await session.get_session_usage())["input_tokens"] == 5


async def test_nothing_is_found():
    store = stores["default"]
    await encrypted(Session("s")).add_items(turns("elephants"))
    assert await store.asearch("elephants") == []
    await Session("t").add_items(turns("elephants"))
    assert len(await store.asearch("elephants")) == 1


async def test_a_session_expires_with_its_envelopes():
    session = encrypted(Session("s", ttl_seconds=600), ttl=600)
    await session.add_items(turns("one"))
    store = stores["default"]
    info = await store.aget_session("s")
    assert info.expires_at == info.updated_at + timedelta(seconds=600)
