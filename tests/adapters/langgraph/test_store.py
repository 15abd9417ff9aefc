"""LangGraph's long-term store: what its own stores are tested for, on a store."""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from langgraph.store.base import (
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    Item,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchItem,
    SearchOp,
)

from parlant_store.adapters.langgraph import Store
from parlant_store.backends.base import BaseBackend
from parlant_store.exceptions import (
    InvalidFilter,
    InvalidInput,
    InvalidItem,
    InvalidLimit,
    InvalidName,
    InvalidStoreError,
    NotSupported,
)
from tests.contract.clock import Clock
from tests.contract.document_values import same
from tests.contract.values import NASTY, NO_ITEMS, nested

USERS = {
    ("users", "1"): {"name": "Ada", "age": 36, "score": 4.5, "active": True},
    ("users", "10"): {"name": "Grace", "age": 8, "score": 10, "active": False},
    ("users", "2", "pets"): {"name": "Tom", "age": 10, "tags": ["cat"], "owner": {"id": 2}},
}


class InThreads:
    """Calls the sync methods of a Store, each on another thread."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return getattr(self.store, name)(*args, **kwargs)
            finally:
                connections.close_all()

        return lambda *args, **kwargs: asyncio.to_thread(call, *args, **kwargs)


class InLoop:
    """Calls the async methods of a Store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return getattr(self.store, f"a{name}")  # type: ignore[no-any-return]


@pytest.fixture
def clock(store: BaseBackend, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The store's time, which only the test moves on."""
    clock = Clock()
    monkeypatch.setattr(store, "clock", clock)
    return clock


@pytest.fixture(params=[InThreads, InLoop])
def wrap(store: BaseBackend, request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def memory(wrap: Any) -> Any:
    """A Store whose methods are awaited."""
    return wrap(Store())


def keys(items: list[Any]) -> list[str]:
    return [item.key for item in items]


def test_it_is_a_store(store):
    memory = Store()
    assert isinstance(memory, BaseStore)
    assert memory.supports_ttl
    assert memory.ttl_config is None
    assert repr(memory) == "<Store in 'default'>"
    with pytest.raises(InvalidStoreError):
        Store("nowhere")


async def test_put_get_delete(memory, clock):
    assert await memory.get(("users", "1"), "profile") is None
    assert await memory.put(("users", "1"), "profile", {"name": "Ada"}) is None
    item = await memory.get(("users", "1"), "profile")
    assert type(item) is Item
    assert item.dict() == {
        "namespace": ["users", "1"],
        "key": "profile",
        "value": {"name": "Ada"},
        "created_at": "2030-01-01T00:00:00+00:00",
        "updated_at": "2030-01-01T00:00:00+00:00",
    }
    clock.pass_(60)
    await memory.put(("users", "1"), "profile", {"name": "Grace"})
    item = await memory.get(("users", "1"), "profile")
    assert item.value == {"name": "Grace"}
    assert item.created_at == datetime(2030, 1, 1, tzinfo=UTC)
    assert item.updated_at == datetime(2030, 1, 1, 0, 1, tzinfo=UTC)
    assert item.namespace == ("users", "1")
    await memory.delete(("users", "1"), "profile")
    await memory.delete(("users", "1"), "profile")
    assert await memory.get(("users", "1"), "profile") is None
    # A key is text, as LangGraph's methods make it.
    await memory.put(("users", "1"), 5, {"n": 5})
    assert (await memory.get(("users", "1"), "5")).value == {"n": 5}


async def test_a_batch_has_a_result_for_each_operation(memory):
    await memory.put(("test", "foo"), "key1", {"data": "one"})
    await memory.put(("test", "bar"), "key1", {"data": "two"})
    results = await memory.batch(
        [
            GetOp(namespace=("test", "foo"), key="key1"),
            PutOp(namespace=("test", "bar"), key="key2", value={"data": "three"}),
            SearchOp(namespace_prefix=("test",), filter={"data": "one"}, limit=10, offset=0),
            ListNamespacesOp(match_conditions=None, max_depth=None, limit=10, offset=0),
            GetOp(namespace=("test",), key="none"),
            GetOp(namespace=("test", "bar"), key="key1", refresh_ttl=False),
        ]
    )
    item, nothing, found, namespaces, none, other = results
    assert item.value == {"data": "one"}
    assert nothing is None
    assert keys(found) == ["key1"]
    assert type(found[0]) is SearchItem
    assert found[0].score is None
    assert namespaces == [("test", "bar"), ("test", "foo")]
    assert none is None
    assert other.value == {"data": "two"}
    assert (await memory.get(("test", "bar"), "key2")).value == {"data": "three"}
    assert await memory.batch([]) == []


async def test_a_batch_reads_before_it_writes_and_the_last_write_counts(memory):
    await memory.put(("n",), "k", {"n": 0})
    put = PutOp(namespace=("n",), key="k", value={"n": 1})
    results = await memory.batch(
        [
            put,
            put._replace(value=None),
            GetOp(namespace=("n",), key="k"),
            SearchOp(namespace_prefix=("n",)),
            put._replace(value={"n": 2}),
            put._replace(key="other", value={"n": 3}),
            put._replace(key="other", value=None),
        ]
    )
    assert results[2].value == {"n": 0}
    assert [item.value for item in results[3]] == [{"n": 0}]
    assert [item.value for item in await memory.search(("n",))] == [{"n": 2}]


async def test_a_batch_writes_all_or_nothing(memory):
    put = PutOp(namespace=("n",), key="k", value={"n": 1})
    with pytest.raises(InvalidItem):
        await memory.batch([put, put._replace(key="bad", value={"n": {1, 2}})])
    with pytest.raises(InvalidItem, match="no operation"):
        await memory.batch([put, "put"])
    assert await memory.search(()) == []


@pytest.mark.values
async def test_labels_are_matched_as_a_whole(memory):
    for namespace, value in USERS.items():
        await memory.put(namespace, "profile", value)
    assert [item.value["name"] for item in await memory.search(("users", "1"))] == ["Ada"]
    assert len(await memory.search(("users",))) == len(await memory.search(())) == 3
    assert await memory.search(("user",)) == []
    assert await memory.search(("users", "_")) == await memory.search(("users", "%")) == []
    assert await memory.list_namespaces(prefix=("users", "1")) == [("users", "1")]
    assert [item.namespace for item in await memory.search(("users", "2"))] == [
        ("users", "2", "pets")
    ]


@pytest.mark.values
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"name": "Ada"}, "Ada"),
        ({"name": {"$eq": "Ada"}}, "Ada"),
        ({"name": {"$ne": "Ada"}}, "Grace Tom"),
        ({"owner": {"$ne": 1}}, "Ada Grace Tom"),
        ({"age": {"$gt": 8}}, "Ada Tom"),
        ({"age": {"$gte": 10}}, "Ada Tom"),
        ({"age": {"$lt": 36}}, "Grace Tom"),
        ({"age": {"$lte": 8}}, "Grace"),
        ({"score": {"$gt": 4.49}}, "Ada Grace"),
        ({"score": {"$gte": 4.5, "$lt": 10.0}}, "Ada"),
        ({"score": 10.0}, "Grace"),
        ({"active": True}, "Ada"),
        ({"active": 1}, ""),
        ({"active": None}, "Tom"),
        ({"tags": ["cat"]}, "Tom"),
        ({"owner": {"$eq": {"id": 2}}}, "Tom"),
        ({"age": {"$gt": 8}, "active": {"$ne": True}}, "Tom"),
        ({"name": {"$gt": "B"}}, "Grace Tom"),
        ({}, "Ada Grace Tom"),
    ],
    ids=str,
)
async def test_filters(memory, where, expected):
    for namespace, value in USERS.items():
        await memory.put(namespace, "profile", value)
    found = await memory.search(("users",), filter=where)
    assert sorted(item.value["name"] for item in found) == expected.split()


@pytest.mark.values
@pytest.mark.parametrize(
    "where", [{"n": {"$in": [1]}}, {"n": {"a": 1}}, {"n": {}}, {"$and": []}, {"n": {"$gt": None}}]
)
async def test_other_operators_are_an_error(memory, where):
    with pytest.raises(ValueError, match="operator|field|compares") as caught:
        await memory.search((), filter=where)
    assert isinstance(caught.value, InvalidFilter)


@pytest.mark.values
async def test_a_search_of_the_wrong_type(memory):
    with pytest.raises(InvalidFilter, match="filter must be a dict, not list"):
        await memory.search((), filter=[1])
    with pytest.raises(InvalidInput, match="a search must be text, not int"):
        await memory.search((), query=1)


async def test_pages_have_the_last_written_first(memory, clock):
    for number in range(12):
        await memory.put(("n",), f"{number:02}", {"n": number, "even": number % 2 == 0})
        clock.pass_(1)
    await memory.put(("n",), "03", {"n": 3, "even": False})
    assert keys(await memory.search(("n",))) == [
        "03", "11", "10", "09", "08", "07", "06", "05", "04", "02"
    ]  # fmt: skip
    assert keys(await memory.search(("n",), limit=5, offset=10)) == ["01", "00"]
    assert keys(await memory.search(("n",), filter={"even": True}, limit=2, offset=1)) == [
        "08",
        "06",
    ]
    assert await memory.search(("n",), offset=12) == []
    for limits in ({"limit": -1}, {"offset": -1}):
        with pytest.raises(InvalidLimit):
            await memory.search(("n",), **limits)


async def test_a_query_finds_words_in_the_texts(memory, clock):
    await memory.put(("docs",), "a", {"text": "Python tutorials", "meta": {"by": "Guido"}})
    clock.pass_(1)
    await memory.put(("docs",), "b", {"text": ["TypeScript guide", "python"], "n": 1})
    clock.pass_(1)
    await memory.put(("other",), "c", {"text": "python python"})
    found = await memory.search((), query="PYTHON")
    assert [(item.key, item.score) for item in found] == [("c", 2.0), ("b", 1.0), ("a", 1.0)]
    assert keys(await memory.search(("docs",), query="guido rossum")) == ["a"]
    assert keys(await memory.search(("docs",), query="python", filter={"n": 1})) == ["b"]
    assert keys(await memory.search((), query="python", limit=1, offset=1)) == ["b"]
    assert await memory.search((), query="rust") == []
    assert len(await memory.search((), query="")) == 3


@pytest.mark.values
async def test_vectors_are_refused(memory):
    with pytest.raises(NotSupported, match="option index"):
        Store(index={"dims": 2, "embed": "openai:text-embedding-3-small"})
    with pytest.raises(NotSupported, match="option index"):
        await memory.put(("n",), "k", {"text": "x"}, index=["text"])
    await memory.put(("n",), "k", {"text": "x"}, index=False)
    await memory.put(("n",), "l", {"text": "x"}, index=None)
    assert len(await memory.search(("n",), query="x")) == 2


async def test_namespaces(memory):
    paths = [
        ("a", "b", "c"),
        ("a", "b", "d", "e"),
        ("a", "b", "d", "i"),
        ("a", "b", "f"),
        ("a", "c", "f"),
        ("b", "a", "f"),
        ("users", "123"),
        ("users", "456", "settings"),
        ("admin", "users", "789"),
    ]
    for path in paths:
        await memory.put(path, "1", {})
        await memory.put(path, "2", {})
    assert await memory.list_namespaces() == sorted(paths)
    assert await memory.list_namespaces(prefix=("a", "b")) == sorted(paths)[:4]
    assert await memory.list_namespaces(prefix=("a", "b"), max_depth=3) == [
        ("a", "b", "c"),
        ("a", "b", "d"),
        ("a", "b", "f"),
    ]
    assert await memory.list_namespaces(suffix=("f",)) == [
        ("a", "b", "f"),
        ("a", "c", "f"),
        ("b", "a", "f"),
    ]
    assert await memory.list_namespaces(prefix=("a",), suffix=("f",)) == [
        ("a", "b", "f"),
        ("a", "c", "f"),
    ]
    assert await memory.list_namespaces(prefix=("*", "users")) == [("admin", "users", "789")]
    assert await memory.list_namespaces(suffix=("users", "*")) == [
        ("admin", "users", "789"),
        ("users", "123"),
    ]
    assert await memory.list_namespaces(prefix=("a", "*", "f")) == [
        ("a", "b", "f"),
        ("a", "c", "f"),
    ]
    assert await memory.list_namespaces(max_depth=1) == [("a",), ("admin",), ("b",), ("users",)]
    assert await memory.list_namespaces(limit=2, offset=1) == sorted(paths)[1:3]
    assert await memory.list_namespaces(prefix=("nothing",)) == []
    conditions = (
        MatchCondition("prefix", ("a",)),
        MatchCondition("prefix", ("*", "b", "d")),
        MatchCondition("suffix", ("*", "i")),
    )
    (found,) = await memory.batch([ListNamespacesOp(match_conditions=conditions)])
    assert found == [("a", "b", "d", "i")]
    with pytest.raises(InvalidFilter, match="infix"):
        await memory.batch([ListNamespacesOp((MatchCondition("infix", ("a",)),))])
    await memory.delete(("b", "a", "f"), "1")
    assert ("b", "a", "f") in await memory.list_namespaces()
    await memory.delete(("b", "a", "f"), "2")
    assert ("b", "a", "f") not in await memory.list_namespaces()


@pytest.mark.values
async def test_invalid_namespaces(memory):
    for namespace in ((), ("",), ("a", ""), ("a.b",), ("a\0",), ("langgraph", "a"), ("a", 1)):
        with pytest.raises(InvalidNamespaceError):
            await memory.put(namespace, "k", {})
    for op in (
        GetOp(("a.b",), "k"),
        SearchOp(("",)),
        PutOp(("a\0",), "k", {}),
        ListNamespacesOp((MatchCondition("prefix", ("a.b",)),)),
    ):
        with pytest.raises(InvalidNamespaceError):
            await memory.batch([op])
    with pytest.raises(InvalidName):
        await memory.put(("n",), "a\0b", {})
    with pytest.raises(InvalidName, match="prefix must be a tuple of labels, not str"):
        await memory.list_namespaces(prefix="users")
    await memory.put(("not", "langgraph"), "k", {})
    assert await memory.list_namespaces() == [("not", "langgraph")]


@pytest.mark.values
@pytest.mark.parametrize("value", NASTY)
async def test_any_value_comes_back(memory, value):
    await memory.put(("n", "\ud800 漢字"), "😀./\x01", value)
    assert same((await memory.get(("n", "\ud800 漢字"), "😀./\x01")).value, value)
    (found,) = await memory.search(("n",))
    assert same(found.value, value)
    assert found.namespace == ("n", "\ud800 漢字")
    assert found.key == "😀./\x01"


@pytest.mark.values
@pytest.mark.parametrize("name", NO_ITEMS)
async def test_what_json_cannot_say_is_refused(memory, name):
    value, message = NO_ITEMS[name]
    with pytest.raises(InvalidItem, match=message):
        await memory.put(("n",), "k", {"value": nested(600) if value == "deep" else value})


async def test_a_ttl(memory, clock):
    await memory.put(("n",), "half", {}, ttl=0.5)
    await memory.put(("n",), "forever", {})
    await memory.put(("n",), "none", {}, ttl=None)
    clock.pass_(29)
    assert await memory.get(("n",), "half", refresh_ttl=False) is not None
    assert len(await memory.search(("n",), refresh_ttl=False)) == 3
    clock.pass_(1)
    assert await memory.get(("n",), "half") is None
    assert len(await memory.search(("n",))) == 2
    await memory.put(("n",), "half", {}, ttl=0.5)
    for _ in range(3):
        clock.pass_(29)
        assert await memory.get(("n",), "half") is not None
        clock.pass_(29)
        assert len(await memory.search(("n",))) == 3
    await memory.put(("n",), "half", {})
    clock.pass_(10**6)
    assert len(await memory.search(("n",))) == 3
    for ttl in (0, -1, "1", True, math.nan, 10**400):
        with pytest.raises(InvalidLimit, match=f"a ttl must be .* minutes .*, not {ttl!r}"):
            await memory.put(("n",), "k", {}, ttl=ttl)


async def test_the_default_ttl(wrap, clock):
    memory = wrap(Store(ttl=10))
    assert memory.store.ttl_config == {"default_ttl": 10}
    await memory.put(("n",), "k", {})
    await memory.put(("n",), "forever", {}, ttl=None)
    clock.pass_(599)
    assert await memory.get(("n",), "k") is not None
    clock.pass_(599)
    assert await memory.get(("n",), "k", refresh_ttl=False) is not None
    clock.pass_(1)
    assert keys(await memory.search(("n",))) == ["forever"]

    quiet = wrap(Store(ttl={"default_ttl": 10, "refresh_on_read": False}))
    await quiet.put(("m",), "k", {})
    clock.pass_(599)
    assert await quiet.get(("m",), "k") is not None
    assert await quiet.search(("m",))
    clock.pass_(1)
    assert await quiet.get(("m",), "k") is None
    assert await quiet.list_namespaces() == [("n",)]
    for ttl in (0, "5", True, {"default_ttl": -1}):
        with pytest.raises(InvalidLimit):
            Store(ttl=ttl)
    with pytest.raises(InvalidInput, match="no option 'minutes'; there are default_ttl, "):
        Store(ttl={"minutes": 5})


async def test_the_sweep_deletes_what_has_expired(memory, store, clock):
    await memory.put(("n",), "k", {}, ttl=1)
    await memory.put(("n",), "forever", {})
    document = await store.aget_document("langgraph_store", "n..k")
    assert document.expires_at - clock() == timedelta(minutes=1)
    clock.pass_(60)
    assert (await store.aexpire()).documents == 1
    assert len((await store.afind("langgraph_store")).documents) == 1


async def test_many_at_once(memory):
    async def write_and_read(number: int) -> Any:
        await memory.put(("n", str(number)), "k", {"n": number})
        return await memory.get(("n", str(number)), "k")

    items = await asyncio.gather(*(write_and_read(number) for number in range(30)))
    assert [item.value["n"] for item in items] == list(range(30))
    assert len(await memory.search(("n",), limit=100)) == 30


async def test_sync_methods_in_an_event_loop(store):
    memory = Store()
    memory.put(("n",), "k", {"n": 1})
    assert memory.get(("n",), "k").value == {"n": 1}
    assert keys(memory.search(())) == ["k"]


def test_sync_methods_without_an_event_loop(store):
    memory = Store()
    memory.put(("n",), "k", {"n": 1})
    assert memory.get(("n",), "k").value == {"n": 1}
    memory.delete(("n",), "k")
    assert memory.list_namespaces() == []
