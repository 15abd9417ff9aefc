"""Threads that users write: what their values must not do where a server reads them."""

import asyncio
import json
import os
import pickle
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import ormsgpack
import psycopg
import pytest
import zstandard
from langchain_core.messages import AIMessage
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command

from parlant_store import stores
from parlant_store.adapters.langgraph import Checkpointer
from parlant_store.exceptions import AccessDenied, UnreadableValue
from parlant_store.models import ChannelValue, Checkpoint, CheckpointWrite, Thread
from parlant_store.sql.supabase.policies import policies_sql
from parlant_store.types import ChannelValue as ChannelRecord
from parlant_store.types import Checkpoint as StoredCheckpoint
from parlant_store.types import TaskWrite, TypedBytes
from tests.adapters.langgraph.graphs import ask, chain, thread
from tests.adapters.langgraph.test_graphs import Aes
from tests.adapters.langgraph.test_messages import talk
from tests.contract.long_values import grown
from tests.servers.supabase import Stack

A, B = str(UUID(int=10)), str(UUID(int=11))
VALUES = (Checkpoint, ChannelValue, CheckpointWrite)


@pytest.fixture(scope="module")
def owned(project: Stack) -> Iterator[Stack]:
    """The project with the policy "owner"."""
    for policy in ("owner", "service"):
        with psycopg.connect(project.dsn, autocommit=True) as session:
            session.execute(policies_sql(schema="public", policy=policy))
        project.reload()
        if policy == "owner":
            yield project


@pytest.fixture
def saver(transactional_db: None, owned: Stack, settings: Any) -> Iterator[Callable[..., Any]]:
    """Make the checkpointer of a store: "a", "b", "service", or "orm"."""
    remote = "parlant_store.backends.supabase.SupabaseBackend"
    options = {"url": owned.url, "key": owned.publishable_key}
    users = {
        name: {"BACKEND": remote, "OPTIONS": options | {"access_token": owned.user_token(user)}}
        for name, user in (("a", A), ("b", B))
    }
    service = {"BACKEND": remote, "OPTIONS": options | {"key": owned.service_key}}
    settings.PARLANT_STORES = {"default": {}, "orm": {}, "service": service, **users}
    yield Checkpointer
    stores.close_all()


SERVERS = ("service", "orm")


def test_a_graph_of_a_user(saver):
    """It is interrupted and goes on, for its user and a server, but for no other user."""
    graphs = {
        name: chain("a", "b", b=ask).compile(checkpointer=saver(name))
        for name in ("a", "b", *SERVERS)
    }
    graphs["a"].invoke({"steps": ["in"]}, thread())
    assert Thread.objects.get().user_id == A
    (waiting,) = graphs["a"].get_state(thread()).tasks
    assert waiting.interrupts[0].value == "really?"
    for name in SERVERS:
        assert graphs[name].get_state(thread()).tasks == (waiting,)
    assert graphs["b"].get_state(thread()).values == {}
    assert [*graphs["b"].get_state_history(thread())] == [*saver("b").list(None)] == []
    with pytest.raises(AccessDenied):
        graphs["b"].invoke(Command(resume="stolen"), thread())
    stored = [*saver("service").list(None)]
    for name in ("b", *SERVERS):
        saver(name).copy_thread("t", f"t of {name}")
    saver("b").delete_thread("t")
    saver("b").prune(["t"])
    assert graphs["a"].invoke(Command(resume="yes"), thread())["steps"] == ["in", "a", "yes"]
    for name in SERVERS:
        copied = graphs[name].invoke(Command(resume="sure"), thread(f"t of {name}"))
        assert copied["steps"] == ["in", "a", "sure"]
    assert {each.thread_id for each in stores["a"].list_threads().threads} == {
        "t",
        "t of service",
        "t of orm",
    }
    history = [each.checkpoint for each in saver("orm").list(thread())]
    assert history[-len(stored) :] == [each.checkpoint for each in stored]
    for name in ("t", *(f"t of {each}" for each in SERVERS)):
        saver("a").delete_thread(name)
    assert not any(model.objects.exists() for model in (Thread, *VALUES))


def test_words_of_threads_of_users(saver):
    talk(saver("a")).invoke({"messages": [("user", "apples")]}, thread())
    talk(saver("service")).invoke({"messages": [("user", "more apples")]}, thread())
    for name in ("a", *SERVERS):
        (hit,) = stores[name].search_threads("apples")
        assert (hit.thread_id, hit.score, hit.number) == ("t", 4, 1)
    assert stores["b"].search_threads("apples said") == []
    assert [each.title for each in stores["a"].list_threads().threads] == ["apples"]
    saver("a").delete_thread("t")
    assert stores["orm"].search_threads("apples") == []


def test_only_values_of_users_are_marked(saver):
    put(saver("a"), "by a", {"x": 1})
    put(saver("service"), "by a server", {"x": 1}, user_id=A)
    types = {name: types_of(name) for name in ("by a", "by a server")}
    assert types == {"by a": {"user:msgpack"}, "by a server": {"msgpack"}}
    for source, name, kind in (
        ("by a", "service", "user:msgpack"),
        ("by a", "orm", "user:msgpack"),
        ("by a server", "a", "user:msgpack"),
        ("by a server", "service", "msgpack"),
    ):
        saver(name).copy_thread(source, "copy")
        assert types_of("copy") == {kind}
    put(saver("a"), "by a server", {"x": 2})
    assert types_of("by a server") == {"user:msgpack"}
    put(saver("orm"), "by a", {"x": 2})
    assert types_of("by a") == {"msgpack"}


def put(saver: Checkpointer, name: str, value: Any, **configurable: Any) -> None:
    """Store a value in each of the three tables; another value replaces it."""
    checkpoint = saver_checkpoint(value)
    config = thread(name, checkpoint_ns="", **configurable)
    saver.put(config, checkpoint, {"step": 0}, checkpoint["channel_versions"])
    saver.put_writes(thread(name, checkpoint_id="1"), [("__interrupt__", value)], "task")


def saver_checkpoint(value: Any) -> Any:
    fields = {"v": 4, "id": "1", "ts": "2030-01-01T00:00:00+00:00", "versions_seen": {}}
    return fields | {"channel_values": {"c": value}, "channel_versions": {"c": "1"}, "x": value}


def types_of(name: str) -> set[str]:
    return {
        type_
        for model in VALUES
        for type_ in model.objects.filter(thread__thread_id=name).values_list("type", flat=True)
    }


# Bytes that name what a server would call


class Reduced:
    """What pickle calls."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self._path,)


def extension(code: int, *content: Any) -> bytes:
    return ormsgpack.packb(ormsgpack.Ext(code, ormsgpack.packb(content)))


def json_constructor(path: str) -> bytes:
    call = {"lc": 2, "type": "constructor", "id": ["os", "mkdir"], "args": [path]}
    return json.dumps(call).encode()


HOSTILE: dict[str, Callable[[str], tuple[str, bytes]]] = {
    "an argument": lambda path: ("msgpack", extension(0, "os", "mkdir", path)),
    "arguments": lambda path: ("msgpack", extension(1, "os", "mkdir", [path])),
    "named arguments": lambda path: ("msgpack", extension(2, "os", "mkdir", {"path": path})),
    "a model of pydantic 1": lambda path: ("msgpack", extension(4, "os", "mkdir", {"path": path})),
    "a model": lambda path: ("msgpack", extension(5, "os", "mkdir", {"path": path}, "x")),
    "inside a safe type": lambda path: (
        "msgpack",
        ormsgpack.packb([ormsgpack.Ext(7, extension(0, "os", "mkdir", path))]),
    ),
    "JSON": lambda path: ("json", json_constructor(path)),
    "pickle": lambda path: ("pickle", pickle.dumps(Reduced(path))),
}
TRUSTING = JsonPlusSerializer(
    pickle_fallback=True, allowed_json_modules=True, allowed_msgpack_modules=True
)
PREFIXES = ("", "user:", "plain:", "plain:user:")
"""Of types, with which a user might hide what they are."""


@pytest.fixture
def post(owned: Stack, http: httpx.Client) -> Callable[..., Any]:
    """Send a row, or the arguments of a function, as the user A."""
    headers = {"apikey": owned.publishable_key, "Authorization": f"Bearer {owned.user_token(A)}"}

    def send(path: str, body: Any, method: str = "POST") -> httpx.Response:
        return http.request(
            method,
            f"{owned.url}/rest/v1/{path}",
            json=body,
            headers=headers | {"Prefer": "return=representation"},
        )

    return send


def rows_of(type_: str, value: bytes, state: bytes, key: int) -> dict[str, dict[str, Any]]:
    """Return a row for each table."""
    row = {"thread_key": key, "checkpoint_ns": "", "type": type_, "value": f"\\x{value.hex()}"}
    channel = {"channel": "c"}
    return {
        "checkpoint": row
        | {"checkpoint_id": "1", "value": f"\\x{state.hex()}"}
        | {"versions": {"c": '"1"'}, "metadata": {}},
        "channel_value": row | channel | {"version": '"1"'},
        "checkpoint_write": row
        | channel
        | {"checkpoint_id": "1", "task_id": "t", "task_path": "", "idx": 0},
    }


def read_all(saver: Any, name: str) -> None:
    """Read a thread in every way, which may fail."""
    graph = chain("a").compile(checkpointer=saver)
    for read in (
        lambda: saver.get_tuple(thread(name)),
        lambda: [*saver.list(thread(name))],
        lambda: graph.get_state(thread(name)),
        lambda: saver.get_delta_channel_history(config=thread(name), channels=["c"]),
    ):
        with suppress(UnreadableValue, KeyError):
            read()


@pytest.mark.parametrize("what", HOSTILE)
def test_values_of_users_call_nothing(saver, post, tmp_path, what):
    path = tmp_path / "called"
    type_, value = HOSTILE[what](str(path))
    assert not isinstance(TRUSTING.loads_typed((type_, value)), str)
    path.rmdir()
    state = value
    if type_ == "msgpack":
        # {"x": value}
        state = b"\x81\xa1x" + value
    for number, prefix in enumerate(PREFIXES):
        name = f"t{number}"
        made = post("parlant_store_thread", {"namespace": "", "thread_id": name})
        key = made.json()[0]["key"]
        for table, row in rows_of(prefix + type_, value, state, key).items():
            answer = post(f"parlant_store_{table}", row)
            assert answer.status_code == 201, answer.text
            assert answer.json()[0]["type"].startswith("user:")
            for change in ({"type": type_}, row):
                answer = post(f"parlant_store_{table}?thread_key=eq.{key}", change, "PATCH")
                assert answer.json()[0]["type"].startswith("user:"), answer.text
    store = stores["a"]
    checkpoint = StoredCheckpoint(checkpoint_id="1", value=TypedBytes(type_, state))
    store.put_checkpoint("f", checkpoint)
    task = TaskWrite(task_id="t", idx=0, channel="c", value=TypedBytes(type_, value))
    store.put_writes("f", "1", [task])
    for name in SERVERS:
        for each in ("f", *(f"t{number}" for number in range(len(PREFIXES)))):
            read_all(saver(name, serde=TRUSTING), each)
        for serde in (TRUSTING, EncryptedSerializer(Aes(), TRUSTING)):
            list(saver(name, serde=serde).list(None))
    assert not path.exists()


def test_types_and_bytes_that_nothing_reads(saver, post):
    """They stop no one who reads the threads of all users."""
    put(saver("b"), "of b", {"x": 1})
    odd = [
        ("msgpack", b"\xc1"),
        ("msgpack", ormsgpack.packb([1])),
        ("msgpack", nested(9, 900)),
        ("json", b"[" * 100_000),
        ("json", b"9" * 5_000),
        ("", b""),
        ("user:", b""),
        ("zstd:msgpack", b"no zstd"),
        ("zstd:msgpack", zstandard.ZstdCompressor().compress(bytes(20_000_000))),
        ("zlib:msgpack", zlib.compress(bytes(20_000_000))),
        ("msgpack+aes", b"x"),
        ("diff:~0123456789abcdef:msgpack", bytes(16)),
        ("diff:", b""),
        ("\x01\x01", b"x"),
    ]
    for number, (type_, value) in enumerate(odd):
        name = f"t{number}"
        made = post("parlant_store_thread", {"namespace": "", "thread_id": name})
        for table, row in rows_of(type_, value, value, made.json()[0]["key"]).items():
            assert post(f"parlant_store_{table}", row).status_code == 201, (table, type_)
    for name in SERVERS:
        for serde in (None, TRUSTING, EncryptedSerializer(Aes())):
            reader = saver(name, serde=serde)
            (found,), again = reader.list(None), asyncio.run(all_of(reader))
            assert again == [found]
            assert found == saver("b").get_tuple(thread("of b"))
        for number in range(len(odd)):
            with pytest.raises(UnreadableValue, match="a user wrote"):
                saver(name, serde=TRUSTING).get_tuple(thread(f"t{number}"))
        assert len([*stores[name].list_checkpoints()]) == len(odd) + 1


async def all_of(saver: Checkpointer) -> list[Any]:
    return [each async for each in saver.alist(None)]


def nested(levels: int, arrays: int) -> bytes:
    """Return bytes whose objects inside objects take more than the stack of a thread has."""
    data = b"\x01"
    for _ in range(levels):
        data = ormsgpack.packb(ormsgpack.Ext(7, b"\x91" * arrays + data))
    return data


def test_differences_of_users_and_servers(saver, post):
    """A value is marked if it, or the value that it differs from, was written by a user."""
    names = ("a", "service", "orm", "a", "orm")
    for number, name in enumerate(name for name in names for _ in range(3)):
        if number % 3 == 0:
            stores[name].get_checkpoint("t")
        value = ChannelRecord(channel="c", version=number, value=grown(number))
        made = StoredCheckpoint(
            checkpoint_id=f"{number:04}", value=TypedBytes("raw", b""), versions={"c": number}
        )
        stores[name].put_checkpoint("t", made, [value], user_id=A)
    types = ["user:raw"] * 3 + ["raw"] * 6 + ["user:raw"] * 3 + ["raw"] * 3
    for reader in names[:3]:
        listed = stores[reader].list_checkpoints("t")
        assert [each.values["c"].data for each in reversed(listed)] == [
            grown(number).data for number in range(15)
        ]
        assert [each.values["c"].type for each in reversed(listed)] == types
    assert ChannelValue.objects.filter(type__contains="diff:").count() > 10
    bases = "parlant_store_channel_value?version=like.~*"
    answer = post(bases, {"value": f"\\x{grown(30).data.hex()}"}, "PATCH")
    assert answer.status_code == 200
    for _ in range(2):
        # Those of the first step of each server are stored whole.
        for name in SERVERS:
            kinds = [each.values["c"].type for each in stores[name].list_checkpoints("t")]
            assert sum(not kind.startswith("user:") for kind in kinds) <= 3
        assert post(bases, {}, "DELETE").status_code == 200


@dataclass
class Order:
    number: int


def test_types_of_the_project(saver):
    """Users have the arguments of an object, unless the project allows its type."""
    message, order = AIMessage("hi", id="1"), Order(7)
    put(saver("a"), "t", [message, order])
    for name in ("a", *SERVERS):
        found = saver(name).get_tuple(thread())
        assert found.checkpoint["channel_values"]["c"] == [message, {"number": 7}]
        allowed = saver(name).with_allowlist([(Order.__module__, "Order")])
        found = allowed.get_tuple(thread())
        assert found.checkpoint["channel_values"]["c"] == found.checkpoint["x"] == [message, order]
        assert found.pending_writes == [("task", "__interrupt__", [message, order])]


def test_encrypted_values_of_a_user(saver):
    serde = EncryptedSerializer(Aes())
    value = ["secret" * 500, Order(7)]
    put(saver("a", serde=serde), "t", value)
    assert types_of("t") == {"user:msgpack+aes-gcm"}
    for name in ("a", *SERVERS):
        found = saver(name, serde=serde).get_tuple(thread())
        assert found.checkpoint["channel_values"]["c"] == [value[0], {"number": 7}]
        for other in (None, EncryptedSerializer(Aes())):
            with pytest.raises(UnreadableValue):
                saver(name, serde=other).get_tuple(thread())
