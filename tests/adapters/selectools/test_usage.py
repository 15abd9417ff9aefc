"""The usage of the runs of a real Agent of selectools, and branches at a message."""

import asyncio
import logging
from typing import Any

import pytest
from selectools import Agent, AgentConfig
from selectools.providers.stubs import LocalProvider
from selectools.tools import tool
from selectools.usage import UsageStats

from parlant_store.adapters.selectools import SessionStore, UsageObserver
from tests.adapters.selectools.messages import memory, texts, turns
from tests.adapters.selectools.test_agent import AsyncProvider


class CountingProvider(AsyncProvider):
    """Reports the usage of each call."""

    def complete(self, **request: Any) -> Any:
        message, _ = super().complete(**request)
        return message, UsageStats(prompt_tokens=10, completion_tokens=2, cache_read_input_tokens=4)


@tool(description="says nothing")
def nothing() -> str:
    return ""


def agent(sessions: SessionStore, session_id: str = "s") -> Agent:
    config = AgentConfig(
        session_store=sessions, session_id=session_id, observers=[UsageObserver(sessions)]
    )
    return Agent(tools=[nothing], config=config, provider=CountingProvider(), memory=memory())


def test_the_usage_of_runs(sessions, store):
    asking = agent(sessions)
    asking.run("one")
    asyncio.run(asking.arun("two"))
    by_turn = store.get_usage("s", by="turn")
    assert [used.requests for used in by_turn.values()] == [1, 1]
    total = store.get_usage("s")
    assert (total.input_tokens, total.output_tokens, total.total_tokens) == (20, 4, 24)
    assert total.input_tokens_details == {"cached_tokens": 8}
    assert [turn.text for turn in store.list_turns("s")] == ["one", "two"]


def test_usage_is_that_of_each_session(sessions, store):
    agent(sessions, "s").run("one")
    agent(sessions, "n:t").run("two")
    assert store.get_usage("s").requests == store.get_usage("n:t").requests == 1


def test_a_provider_without_usage(sessions, store):
    config = AgentConfig(
        session_store=sessions, session_id="s", observers=[UsageObserver(sessions)]
    )
    Agent(tools=[nothing], config=config, provider=LocalProvider(), memory=memory()).run("one")
    assert len(store.list_turns("s")) == 1


def test_add_usage(sessions, store):
    assert not sessions.add_usage("s", 5)
    sessions.save("s", memory(*turns(1)), namespace="n")
    assert sessions.add_usage("s", {"input_tokens": 5, "output_tokens": 1}, namespace="n")
    assert store.get_usage("s", namespace="n").total_tokens == 6
    sessions.save("s", memory(*turns(1, 2)), namespace="n")
    assert store.get_usage("s", namespace="n").total_tokens == 6


def test_errors_are_logged(sessions, caplog):
    observer = UsageObserver(sessions)
    observer.on_usage("run", UsageStats(prompt_tokens=-1, total_tokens=5))
    with caplog.at_level(logging.ERROR, logger="parlant_store"):
        observer.on_session_save("run", "s", 1)
    assert "Could not store the usage of 's'" in caplog.text


def test_a_branch_at_a_message(sessions):
    sessions.save("s", memory(*turns(1, 2, 3)))
    sessions.branch("s", "t", before_turn=3)
    assert texts(sessions.load("t")) == texts(memory(*turns(1, 2)))
    sessions.branch("s", "u", at_position=0)
    assert len(sessions.load("u")) == 1
    with pytest.raises(ValueError, match="no turn 9"):
        sessions.branch("s", "v", before_turn=9)
    with pytest.raises(ValueError, match="not found"):
        sessions.branch("none", "v", before_turn=1)
