"""A real Agent of selectools on our store."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from django.db import connection
from selectools import Agent, AgentConfig
from selectools.observer import AgentObserver
from selectools.providers.stubs import LocalProvider
from selectools.sessions import SessionMetadata, SessionSearchResult
from selectools.tools import tool

from parlant_store import signals
from parlant_store.adapters.selectools import SessionStore
from parlant_store.exceptions import InvalidInput
from tests.adapters.selectools.messages import memory, texts, turns, user


class Observer(AgentObserver):
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, int]] = []

    def on_session_load(self, run_id: str, session_id: str, message_count: int) -> None:
        self.seen.append(("load", session_id, message_count))

    def on_session_save(self, run_id: str, session_id: str, message_count: int) -> None:
        self.seen.append(("save", session_id, message_count))


class AsyncProvider(LocalProvider):
    """LocalProvider for those who await its answers."""

    supports_async = True

    async def acomplete(self, **asked: Any) -> Any:
        return self.complete(**asked)

    async def astream(self, **asked: Any) -> Any:
        for token in self.stream(**asked):
            yield token


@tool(description="says nothing")
def nothing() -> str:
    return ""


def agent(store: Any, observer: Observer | None = None, **options: Any) -> Agent:
    config = AgentConfig(
        session_store=store, session_id="s", observers=[observer] if observer else []
    )
    return Agent(tools=[nothing], config=config, **{"provider": LocalProvider()} | options)


def test_an_agent_remembers(sessions, other):
    observer = Observer()
    agent(sessions, observer, memory=memory()).run("I am Ada.")
    again = agent(other, observer)
    again.run("Who am I?")
    stored = sessions.load("s")
    assert [text for text in texts(stored) if "local provider" not in text] == [
        "I am Ada.",
        "Who am I?",
    ]
    assert len(stored) == 4
    assert observer.seen == [("load", "s", 0), ("save", "s", 2), ("load", "s", 2), ("save", "s", 4)]


def test_inside_a_running_loop(sessions):
    observer = Observer()

    async def talk() -> None:
        await agent(sessions, observer, memory=memory()).arun("I am Ada.")
        helper = agent(sessions, observer, provider=AsyncProvider())
        await helper.arun("Who am I?")
        async for _ in helper.astream("And now?"):
            pass

    asyncio.run(talk())
    assert len(sessions.load("s")) == 6
    assert [(what, count) for what, _, count in observer.seen if what == "save"] == [
        ("save", 2),
        ("save", 4),
        ("save", 6),
    ]


async def test_every_method_inside_a_running_loop(sessions):
    sessions.save("s", memory(*turns(1)), namespace="n")
    assert texts(sessions.load("n:s")) == ["question 1", "answer 1"]
    assert sessions.exists("s", "n")
    sessions.branch("n:s", "n:t")
    sessions.branch("s", "u", "n")
    assert sessions.list_sessions() == ["n:s", "n:t", "n:u"]
    assert [found.session_id for found in sessions.iterate(namespace="n")] == ["n:s", "n:t", "n:u"]
    assert len(sessions.search("answer")) == 3
    assert sessions.delete("n:s")
    with pytest.raises(ValueError, match="not found"):
        sessions.branch("n:s", "n:t")
    with pytest.raises(ValueError, match="session_id"):
        sessions.load("")


async def test_many_tasks_and_threads(sessions):
    def load(session_id: str) -> Any:
        try:
            return sessions.load(session_id)
        finally:
            connection.close()

    async def work(number: int) -> None:
        for turn in range(5):
            loaded = await asyncio.to_thread(load, f"s{number}") or memory()
            loaded.add_many(turns(turn))
            sessions.save(f"s{number}", loaded)

    await asyncio.gather(*map(work, range(10)))
    assert [found.message_count for found in sessions.list()] == [10] * 10


async def test_a_caller_that_holds_the_memory(sessions):
    kept = memory(user("hello"))
    with kept._lock:
        sessions.save("s", kept)
    assert texts(sessions.load("s")) == ["hello"]


def test_signals(sessions):
    heard: list[tuple[str, str, str, int]] = []

    def receiver(signal: Any, sender: str, **said: Any) -> None:
        kind = next(kind for kind in kinds if getattr(signals, f"session_{kind}") is signal)
        heard.append((kind, said["namespace"], said["session_id"], said["message_count"]))

    kinds = ("saved", "loaded", "deleted")
    for kind in kinds:
        getattr(signals, f"session_{kind}").connect(receiver, sender="default")
    try:
        sessions.save("s", memory(*turns(1)), namespace="n")
        sessions.save("s", memory(*turns(1, 2)), namespace="n")
        sessions.load("n:s")
        sessions.delete("n:s")
    finally:
        for kind in kinds:
            getattr(signals, f"session_{kind}").disconnect(receiver, sender="default")
    assert heard == [
        ("saved", "n", "s", 2),
        ("saved", "n", "s", 4),
        ("loaded", "n", "s", 4),
        ("deleted", "n", "s", 4),
    ]


# Listing, branching, searching


def test_list(sessions, clock):
    began = clock().timestamp()
    sessions.save("s", memory(*turns(1)))
    clock.pass_(5)
    sessions.save("s", memory(*turns(1, 2)))
    sessions.save("t", memory(), namespace="n")
    assert sessions.list() == [
        SessionMetadata("s", 4, began, began + 5),
        SessionMetadata("n:t", 0, began + 5, began + 5),
    ]


def test_list_is_narrowed(sessions, store, clock):
    sessions.save("a1", memory(*turns(1)), user_id="ada")
    clock.pass_(5)
    since = clock()
    sessions.save("a2", memory(*turns(1)), namespace="n", user_id="ada")
    sessions.save("b", memory(*turns(1)), user_id="ben")
    store.set_metadata("b", {"topic": "x"})
    for options, found in (
        ({"namespace": "n"}, ["n:a2"]),
        ({"namespace": ""}, ["a1", "b"]),
        ({"user_id": "ada"}, ["a1", "n:a2"]),
        ({"prefix": "a"}, ["a1", "n:a2"]),
        ({"updated_since": since}, ["b", "n:a2"]),
        ({"updated_since": since.timestamp()}, ["b", "n:a2"]),
        ({"metadata": {"topic": {"$eq": "x"}}}, ["b"]),
        ({"user_id": "ada", "prefix": "b"}, []),
    ):
        assert sorted(each.session_id for each in sessions.list(**options)) == found, options
    for updated_since in (float("inf"), float("nan"), True):
        with pytest.raises(InvalidInput, match="updated_since"):
            sessions.list(updated_since=updated_since)


def test_more_than_a_page(sessions, store, monkeypatch):
    monkeypatch.setattr("parlant_store.adapters.selectools.session_store.PAGE_SIZE", 500)
    for number in range(1_203):
        store.add_items(f"{number:05}", [{"role": "user", "content": "x"}])
    assert sessions.list_sessions() == [f"{number:05}" for number in range(1_203)]
    some = sessions.iterate()
    assert next(some).session_id == "00000"


def test_branch(sessions, store):
    kept = memory(*turns(1, 2), max_messages=7)
    kept.summary = "short"
    sessions.save("s", kept, namespace="n", user_id="ada")
    store.set_metadata("s", {"topic": "x"}, namespace="n")
    sessions.branch("s", "t", namespace="n")
    sessions.branch("n:s", "bare")
    sessions.branch("n:s", "n:u")
    assert sorted(sessions.list_sessions()) == ["bare", "n:s", "n:t", "n:u"]
    for key in sessions.list_sessions():
        assert sessions.load(key).to_dict() == kept.to_dict()
    for session in store.list_sessions().sessions:
        assert (session.user_id, session.metadata) == ("ada", {"topic": "x"})
    loaded = sessions.load("n:t")
    loaded.add_many(turns(3))
    sessions.save("n:t", loaded)
    assert sessions.load("n:s").to_dict() == kept.to_dict()
    sessions.save("t", memory(*turns(9)))
    sessions.branch("t", "bare")
    assert texts(sessions.load("bare")) == ["question 9", "answer 9"]
    sessions.branch("n:s", "bare")
    assert store.get_session("bare").user_id == "ada"


@pytest.mark.parametrize("namespace", [None, "n"])
def test_branch_of_nothing(sessions, namespace):
    for source in ("s", "a:b"):
        with pytest.raises(ValueError, match=f"Session '{source}' not found"):
            sessions.branch(source, "t", namespace)
    assert sessions.list() == []


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("the Server is down", "SERV"),
        ("我爱北京天安门", "北京"),
        ("Un café crème", "CAFÉ"),
        ("Привет, МИР", "мир"),
        ("한국어 문장", "한국"),
        ('100% sure, it\'s "so"', "it's"),
    ],
)
def test_search_in_every_script(sessions, text, query):
    sessions.save("s", memory(user(text)))
    sessions.save("other", memory(user("something else")))
    (found,) = sessions.search(query)
    assert isinstance(found, SessionSearchResult)
    assert (found.session_id, found.matched_messages) == ("s", [text])
    assert found.score > 0


def test_search(sessions):
    for number in range(8):
        sessions.save(f"s{number}", memory(*turns(number)), namespace="n" if number % 2 else None)
    sessions.save("best", memory(user("question question answer 3"), *turns(3, 3, 3)))
    assert len(sessions.search("question")) == 5
    found = sessions.search("question answer", limit=100)
    assert len(found) == 9
    order = [(-result.score, result.session_id) for result in found]
    assert order == sorted(order)
    for result in found:
        assert sessions.load(result.session_id) is not None
    found = sessions.search("question", namespace="n")
    assert sorted(result.session_id for result in found) == ["s1", "s3", "s5", "s7"]
    for result in found:
        assert sessions.load(result.session_id, namespace="n") is not None
    for nothing in (
        sessions.search(""),
        sessions.search(" \t\n"),
        sessions.search("question", limit=0),
        sessions.search("question", limit=-1),
        sessions.search("%"),
        sessions.search("question", namespace="m"),
    ):
        assert nothing == []


def test_snippets(sessions):
    long = "word " * 200
    sessions.save("s", memory(*(user(f"{long} needle {n} {long}") for n in range(9))))
    (found,) = sessions.search("needle")
    assert len(found.matched_messages) == 5
    assert all(len(text) <= 160 and "needle" in text for text in found.matched_messages)


WITHOUT = """
import sys
sys.modules["selectools"] = None
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
django.setup()
try:
    import parlant_store.adapters.selectools
except Exception as exc:
    print(type(exc).__name__, exc)
"""


def test_selectools_is_not_installed():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert done.stdout.strip() == (
        "ImproperlyConfigured selectools is not installed; "
        "run: pip install 'django-parlant-store[selectools]'"
    )


def test_it_has_what_the_protocol_asks_for():
    from selectools.sessions import SessionStore as Protocol

    for name in ("save", "load", "list", "delete", "exists", "branch", "search"):
        assert callable(getattr(Protocol, name))
        assert callable(getattr(SessionStore, name))
