"""Graphs with their checkpoints in a store."""

import asyncio
import math
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ImproperlyConfigured
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command

from parlant_store.adapters.langgraph import Checkpointer
from parlant_store.exceptions import InvalidName
from tests.adapters.langgraph.graphs import ask, chain, fan_out, step, thread

DURABILITIES = ["sync", "async", "exit"]


@pytest.fixture
def saver(store):
    return Checkpointer()


class Aes:
    """A cipher for EncryptedSerializer."""

    def __init__(self):
        self._cipher = AESGCM(os.urandom(16))

    def encrypt(self, plaintext):
        nonce = os.urandom(12)
        return "aes-gcm", nonce + self._cipher.encrypt(nonce, plaintext, None)

    def decrypt(self, name, ciphertext):
        return self._cipher.decrypt(ciphertext[:12], ciphertext[12:], None)


def log(state):
    return state["steps"]


@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_graph_goes_on_where_it_was(saver, durability):
    graph = chain("a", "b").compile(checkpointer=saver)
    graph.invoke({"steps": ["in"]}, thread(), durability=durability)
    other = chain("a", "b").compile(checkpointer=Checkpointer())
    state = other.invoke({"steps": ["again"]}, thread(), durability=durability)
    assert log(state) == ["in", "a", "b", "again", "a", "b"]
    assert graph.get_state(thread("other")).values == {}


@pytest.mark.parametrize("durability", DURABILITIES)
async def test_an_asynchronous_graph(saver, durability):
    graph = chain("a", "b").compile(checkpointer=saver)
    await graph.ainvoke({"steps": ["in"]}, thread(), durability=durability)
    state = await graph.ainvoke({"steps": ["again"]}, thread(), durability=durability)
    assert log(state) == ["in", "a", "b", "again", "a", "b"]
    history = [each async for each in graph.aget_state_history(thread())]
    assert len(history) == (2 if durability == "exit" else 8)


def test_the_history_is_that_of_the_saver_in_memory(saver):
    histories = []
    for each in (saver, InMemorySaver()):
        graph = chain("a", "b", b=ask).compile(checkpointer=each)
        graph.invoke({"steps": ["in"]}, thread(user_id="u"))
        graph.invoke(Command(resume="yes"), thread(user_id="u"))
        graph.update_state(thread(), {"steps": ["by hand"]})
        histories.append(
            [
                (state.values, state.next, state.metadata, len(state.tasks), state.interrupts)
                for state in graph.get_state_history(thread())
            ]
        )
    ours, theirs = histories
    assert len(ours) == 5
    assert [each[:4] for each in ours] == [each[:4] for each in theirs]


@pytest.mark.parametrize("durability", DURABILITIES)
def test_an_interrupt_waits_for_its_answer(saver, durability):
    graph = chain("a", "ask", "b", ask=ask).compile(checkpointer=saver)
    graph.invoke({"steps": []}, thread(), durability=durability)
    (interrupted,) = graph.get_state(thread()).interrupts
    assert interrupted.value == "really?"
    later = chain("a", "ask", "b", ask=ask).compile(checkpointer=Checkpointer())
    assert later.get_state(thread()).next == ("ask",)
    state = later.invoke(Command(resume="yes"), thread(), durability=durability)
    assert log(state) == ["a", "yes", "b"]


def test_a_subgraph_has_a_namespace_of_its_own(saver):
    inner = chain("x", "ask", ask=ask).compile()
    graph = chain("a", "inner", inner=inner).compile(checkpointer=saver)
    graph.invoke({"steps": []}, thread())
    state = graph.get_state(thread(), subgraphs=True)
    assert log(state.tasks[0].state.values) == ["a", "x"]
    namespaces = {each.config["configurable"]["checkpoint_ns"] for each in saver.list(thread())}
    assert {name.partition(":")[0] for name in namespaces} == {"", "inner"}
    state = graph.invoke(Command(resume="yes"), thread())
    assert log(state)[-2:] == ["x", "yes"]


def test_a_task_that_failed_runs_again_and_the_others_do_not(saver):
    broken, ran = [True], []

    def work(state):
        ran.append(state["last"])
        if state["last"] == 1 and broken:
            raise RuntimeError("broken")
        return {"steps": [state["last"]]}

    graph = fan_out(work, 3).compile(checkpointer=saver)
    with pytest.raises(RuntimeError, match="broken"):
        graph.invoke({"steps": []}, {**thread(), "max_concurrency": 1})
    broken.clear()
    ran.clear()
    state = fan_out(work, 3).compile(checkpointer=Checkpointer()).invoke(None, thread())
    assert 1 in ran
    assert 0 not in ran
    assert log(state) == [0, 1, 2, "join"]


def test_a_graph_that_fails_goes_on_after_the_last_step(saver):
    broken = [True]

    def fail(state):
        if broken:
            raise RuntimeError("broken")
        return {"steps": ["mended"]}

    graph = chain("a", "fail", "b", fail=fail).compile(checkpointer=saver)
    with pytest.raises(RuntimeError):
        graph.invoke({"steps": []}, thread())
    assert graph.get_state(thread()).next == ("fail",)
    broken.clear()
    assert log(graph.invoke(None, thread())) == ["a", "mended", "b"]


def test_time_travel(saver):
    graph = chain("a", "b", "c").compile(checkpointer=saver)
    graph.invoke({"steps": []}, thread())
    (before_b,) = [each for each in graph.get_state_history(thread()) if each.next == ("b",)]
    assert log(graph.invoke(None, before_b.config)) == ["a", "b", "c"]
    fork = graph.update_state(before_b.config, {"steps": ["forked"]})
    assert log(graph.invoke(None, fork)) == ["a", "forked", "b", "c"]
    assert log(graph.get_state(before_b.config).values) == ["a"]
    assert log(graph.get_state(thread()).values) == ["a", "forked", "b", "c"]


def test_streams(saver):
    graph = chain("a", "b").compile(checkpointer=saver)
    stream = graph.stream({"steps": []}, thread(), stream_mode=["updates", "checkpoints"])
    kinds = [kind for kind, _ in stream]
    assert kinds.count("updates") == 2
    assert kinds.count("checkpoints") == 4


def test_many_threads_at_once(saver):
    graph = chain("a", "b").compile(checkpointer=saver)
    with ThreadPoolExecutor(8) as pool:
        states = [*pool.map(lambda n: graph.invoke({"steps": [n]}, thread(str(n))), range(24))]
    assert [log(state) for state in states] == [[n, "a", "b"] for n in range(24)]
    assert len([*saver.list(None)]) == 24 * 4


async def test_many_tasks_of_one_thread_at_once(saver):
    async def work(state):
        await asyncio.sleep(0)
        return {"steps": [state["last"]]}

    graph = fan_out(work, 40).compile(checkpointer=saver)
    state = await graph.ainvoke({"steps": []}, thread())
    assert log(state) == [*range(40), "join"]


@pytest.mark.values
@pytest.mark.parametrize("thread_id", ["a\0b", "\ud800", "-" * 3_000, "a-b:c|d/%s", 7])
def test_any_thread_id(saver, thread_id):
    graph = chain("a").compile(checkpointer=saver)
    graph.invoke({"steps": []}, thread(thread_id))
    assert log(graph.invoke({"steps": []}, thread(thread_id))) == ["a", "a"]
    saver.delete_thread(thread_id)
    assert graph.get_state(thread(thread_id)).values == {}


def test_a_missing_thread_id(saver, store):
    graph = chain("a").compile(checkpointer=saver)
    for config in (thread(None), {"configurable": {"user_id": "ada"}}):
        with pytest.raises(InvalidName, match="thread_id.* is missing or None"):
            graph.invoke({"steps": []}, config)
    for call in (saver.delete_thread, lambda none: saver.prune([none], strategy="delete")):
        with pytest.raises(InvalidName, match="thread_id"):
            call(None)
    with pytest.raises(TypeError, match="run_ids"):
        saver.delete_for_runs("run")
    assert store.list_threads().threads == ()


@pytest.mark.values
@pytest.mark.parametrize("value", ["a\0b", "\0", math.inf, b"\0", {"a\0": ["\0"]}, None, True, 1.0])
def test_any_value(saver, value):
    graph = chain("a", a=lambda state: {"last": value}).compile(checkpointer=saver)
    graph.invoke({"steps": []}, thread())
    stored = graph.get_state(thread()).values["last"]
    assert stored == value
    assert type(stored) is type(value)


@pytest.mark.values
def test_no_number(saver):
    graph = chain("a", a=lambda state: {"last": math.nan}).compile(checkpointer=saver)
    graph.invoke({"steps": []}, thread())
    assert math.isnan(graph.get_state(thread()).values["last"])


def test_metadata_that_json_cannot_represent(saver):
    graph = chain("a").compile(checkpointer=saver)
    config = {**thread(), "metadata": {"no number": math.nan, "text": "a\0b", "run": 1}}
    graph.invoke({"steps": []}, config)
    metadata = graph.get_state(thread()).metadata
    assert math.isnan(metadata["no number"])
    assert metadata["text"] == "ab"
    assert [each.metadata["step"] for each in saver.list(thread(), filter={"run": 1})] == [1, 0, -1]


def test_values_are_encrypted(store):
    saver = Checkpointer(serde=EncryptedSerializer(Aes()))
    graph = chain("a", a=step("a secret")).compile(checkpointer=saver)
    graph.invoke({"steps": []}, thread())
    assert log(graph.invoke({"steps": []}, thread())) == ["a secret"] * 2
    for stored in store.list_checkpoints("t"):
        for value in (stored.checkpoint.value, *stored.values.values()):
            assert value.type.endswith("+aes-gcm")
            assert b"a secret" not in value.data


def test_classes_are_read_again(saver):
    from langchain_core.messages import HumanMessage

    message = HumanMessage("hello", id="1")
    graph = chain("a", a=lambda state: {"last": message}).compile(checkpointer=saver)
    graph.invoke({"steps": []}, thread())
    assert graph.get_state(thread()).values["last"] == message


def test_a_copy_with_an_allowlist_uses_the_same_store(saver):
    strict = Checkpointer(serde=JsonPlusSerializer(allowed_msgpack_modules=None))
    copy = strict.with_allowlist([("tests", "x")])
    assert copy is not strict
    chain("a").compile(checkpointer=saver).invoke({"steps": ["in"]}, thread())
    assert copy.get(thread())["channel_values"]["steps"] == ["in", "a"]


def test_the_owner_is_the_user_of_the_config(saver, store):
    graph = chain("a", "inner", inner=chain("x").compile()).compile(checkpointer=saver)
    graph.invoke({"steps": []}, thread("a", user_id=7))
    graph.invoke({"steps": []}, thread("b", user_id=""))
    assert [each.user_id for each in store.list_threads().threads] == ["7", None]


def test_the_owner_is_an_id(saver, store):
    graph = chain("a").compile(checkpointer=saver)
    for user in (User(username="ada"), AnonymousUser(), True):
        with pytest.raises(InvalidName, match=f"user_id.* not {type(user).__name__}"):
            graph.invoke({"steps": []}, thread(user_id=user))
    assert store.list_threads().threads == ()


def test_namespaces_are_apart(saver, store):
    other = Checkpointer(namespace="tenant")
    for each in (saver, other):
        chain("a").compile(checkpointer=each).invoke({"steps": []}, thread())
    other.delete_thread("t")
    assert saver.get_tuple(thread()) is not None
    assert other.get_tuple(thread()) is None


def test_a_list_of_several_pages(saver, store):
    graph = chain("a").compile(checkpointer=saver)
    for number in range(60):
        graph.invoke({"steps": [number]}, thread())
    steps = [each.metadata["step"] for each in saver.list(thread())]
    assert steps == [*range(178, -2, -1)]
    assert [each.metadata["step"] for each in saver.list(thread(), limit=150)] == steps[:150]
    assert [each.metadata["step"] for each in saver.list(thread(), filter={"step": 5})] == [5]
    assert [*saver.list(thread(), limit=0)] == []
    assert len([*saver.list(thread(), before={"configurable": {}})]) == 180


def test_prune(saver):
    graph = chain("a", "inner", inner=chain("x").compile()).compile(checkpointer=saver)
    for _ in range(3):
        graph.invoke({"steps": []}, thread())
    before = graph.get_state(thread()).values
    saver.prune(["t", "none"])
    assert len([*saver.list(thread())]) <= 2
    assert graph.get_state(thread()).values == before
    assert log(graph.invoke({"steps": []}, thread()))[:6] == before["steps"][:6]
    saver.prune(["t"], strategy="delete")
    assert [*saver.list(None)] == []
    with pytest.raises(TypeError):
        saver.prune("t")
    with pytest.raises(ValueError, match="keep_latest"):
        saver.prune(["t"], strategy="all")


@pytest.mark.values
def test_versions(saver):
    first = saver.get_next_version(None, None)
    assert first < saver.get_next_version(first, None) < saver.get_next_version(2, None)
    assert saver.setup() is None
    assert "default" in repr(saver)


def test_stores_without_checkpoints(settings):
    settings.PARLANT_STORES = {"none": {"BACKEND": "no.such.Backend"}}
    with pytest.raises(ImproperlyConfigured):
        Checkpointer("none")
