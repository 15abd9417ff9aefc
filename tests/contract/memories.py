"""Memories: values in namespaces, on every store with documents."""

from datetime import timedelta
from typing import Any

import pytest

from parlant_store.exceptions import InvalidFilter, InvalidItem, InvalidLimit, InvalidName
from parlant_store.types import DocumentRecord, MemoryChange, NamespaceMatch
from tests.contract.document_values import same
from tests.contract.stores import Timed
from tests.contract.threads import in_threads
from tests.contract.values import NASTY, NO_ITEMS, nested

COLLECTION = "langgraph_store"
LABELS = (
    "-",
    "a b",
    "%",
    "_",
    "\\",
    "'",
    "*",
    "/",
    "漢字",
    "\ud800",
    "\x01",
    "langgraph",
    "😀" * 9,
)
LONG = "é" * 300


def put(store, namespace, key, value=None, **options) -> None:
    change = MemoryChange(
        namespace=namespace, key=key, value={"n": 1} if value is None else value, **options
    )
    store.write_memories([change])


def delete(store, namespace, key) -> None:
    store.write_memories([MemoryChange(namespace=namespace, key=key, value=None)])


def get(store, namespace, key, **options) -> Any:
    (memory,) = store.get_memories([(namespace, key)], **options)
    return memory


def keys(memories) -> list[str]:
    return [memory.key for memory in memories]


def below(store, *namespace) -> set[str]:
    return set(keys(store.search_memories(namespace, limit=100)))


class MemoryContract(Timed):
    """Tests of memories; a subclass gives the fixture ``make_store``."""

    def test_a_memory_comes_back(self, store, clock):
        assert get(store, ("users", "1"), "name") is None
        put(store, ("users", "1"), "name", {"text": "Ada", "n": [1, 2.5, None]})
        created = clock()
        clock.pass_(10)
        put(store, ("users", "1"), "name", {"text": "Grace"})
        memory = get(store, ("users", "1"), "name")
        assert (memory.namespace, memory.key, memory.value) == (
            ("users", "1"),
            "name",
            {"text": "Grace"},
        )
        assert (memory.created_at, memory.updated_at, memory.score) == (created, clock(), None)
        assert get(store, ("users",), "name") is None
        assert get(store, ("users", "1", "name"), "name") is None
        delete(store, ("users", "1"), "name")
        delete(store, ("users", "1"), "name")
        assert get(store, ("users", "1"), "name") is None
        clock.pass_(10)
        put(store, ("users", "1"), "name")
        assert get(store, ("users", "1"), "name").created_at == clock()

    def test_many_at_once(self, store):
        changes = [MemoryChange(namespace=("n",), key=str(n), value={"n": n}) for n in range(9)]
        store.write_memories(changes)
        deletion = MemoryChange(namespace=("n",), key="3", value=None)
        replacement = MemoryChange(namespace=("n",), key="4", value={"n": 44})
        store.write_memories([deletion, replacement])
        names = [(("n",), key) for key in ("4", "3", "8", "4")]
        values = [memory and memory.value["n"] for memory in store.get_memories(names)]
        assert values == [44, None, 8, 44]
        store.write_memories([])
        assert store.get_memories([]) == []

    @pytest.mark.values
    @pytest.mark.parametrize("value", NASTY)
    def test_any_value_comes_back(self, store, value):
        put(store, ("n",), "k", value)
        put(store, ("n",), "k", value)
        assert same(get(store, ("n",), "k").value, value)
        (found,) = store.search_memories(("n",))
        assert same(found.value, value)

    @pytest.mark.values
    @pytest.mark.parametrize("name", NO_ITEMS)
    def test_what_json_cannot_say_is_refused(self, store, name):
        value, message = NO_ITEMS[name]
        good = MemoryChange(namespace=("n",), key="good", value={})
        value = nested(600) if value == "deep" else value
        bad = MemoryChange(namespace=("n",), key="k", value={"value": value})
        with pytest.raises(InvalidItem, match=message):
            store.write_memories([good, bad])
        assert store.search_memories() == []

    def test_invalid_names(self, store):
        for namespace in (("",), ("a.b",), ("a\0",), ("a", 1), "ab", None, ("x" * 4097,)):
            with pytest.raises(InvalidName):
                put(store, namespace, "k")
            with pytest.raises(InvalidName):
                get(store, namespace, "k")
            with pytest.raises(InvalidName):
                store.search_memories(namespace)
        for key in ("a\0b", 5, None, "x" * 4097):
            with pytest.raises(InvalidName):
                put(store, ("n",), key)
        with pytest.raises(InvalidName, match="twice"):
            store.write_memories([MemoryChange(namespace=("n",), key="k", value={})] * 2)
        with pytest.raises(InvalidItem, match="dict"):
            put(store, ("n",), "k", [1])

    @pytest.mark.values
    def test_names_are_never_confused(self, store):
        names = [((label,), "k") for label in LABELS]
        names += [((*LABELS[:3], label), "") for label in LABELS]
        names += [
            (("a",), key) for key in ("b", ".b", "..b", "b..c", "", ".", "b./", "%", "\ud800")
        ]
        names += [(("a", "b"), key) for key in ("b", "")]
        names += [((LONG, label), label) for label in ("a", "b")]
        names += [((LONG,), LONG), ((LONG,), LONG + "2"), ((LONG, LONG), "k")]
        for number, (namespace, key) in enumerate(names):
            put(store, namespace, key, {"n": number})
        found = [memory.value["n"] for memory in store.get_memories(names)]
        assert found == list(range(len(names)))
        memories = store.search_memories(limit=1000)
        assert {(memory.namespace, memory.key) for memory in memories} == set(names)
        for prefix in {namespace[:depth] for namespace, _ in names for depth in range(1, 5)}:
            expected = {name for name in names if name[0][: len(prefix)] == prefix}
            memories = store.search_memories(prefix, limit=1000)
            assert {(memory.namespace, memory.key) for memory in memories} == expected
        namespaces = {namespace for namespace, _ in names}
        listed = store.list_memory_namespaces(limit=1000)
        assert len(listed) == len(namespaces)
        assert set(listed) == namespaces
        for depth in (1, 2, 3, 9):
            listed = store.list_memory_namespaces(max_depth=depth, limit=1000)
            assert len(listed) == len(set(listed))
            assert set(listed) == {namespace[:depth] for namespace in namespaces}
        pages = [store.list_memory_namespaces(limit=7, offset=offset) for offset in range(0, 70, 7)]
        assert [each for page in pages for each in page] == store.list_memory_namespaces(limit=1000)
        for namespace in namespaces:
            for is_suffix in (False, True):
                path = namespace[-1:] if is_suffix else namespace[:1]
                condition = NamespaceMatch(path=path, is_suffix=is_suffix)
                listed = store.list_memory_namespaces([condition], limit=1000)
                place = -1 if is_suffix else 0
                assert set(listed) == {
                    each for each in namespaces if path == ("*",) or each[place] == path[0]
                }

    def test_labels_are_compared_as_a_whole(self, store):
        for label in ("1", "10", "1-", "1/", "1 "):
            put(store, ("u", label), f"in {label}")
            put(store, ("u", label, "x"), f"below {label}")
        put(store, ("u",), "above")
        assert below(store, "u", "1") == {"in 1", "below 1"}
        assert below(store, "u", "1", "x") == {"below 1"}
        assert len(below(store, "u")) == len(below(store)) == 11
        assert below(store, "v") == set()

    def test_the_last_written_comes_first(self, store, clock):
        for key in "abcde":
            put(store, ("n",), key)
            clock.pass_(1)
        put(store, ("n",), "b")
        assert keys(store.search_memories(("n",))) == ["b", "e", "d", "c", "a"]
        assert keys(store.search_memories(("n",), limit=2, offset=1)) == ["e", "d"]
        assert keys(store.search_memories(("n",), limit=9, offset=4)) == ["a"]
        assert store.search_memories(("n",), offset=5) == []
        assert store.search_memories(("n",), limit=0) == []
        assert len(store.search_memories(("n",), limit=None, offset=None)) == 5
        for limits in ({"limit": -1}, {"offset": -1}, {"limit": "1"}):
            with pytest.raises(InvalidLimit):
                store.search_memories(("n",), **limits)

    def test_filters_are_on_the_values(self, store):
        values = {
            "ten": {"n": 10, "tag": "x", "id": "i", "key": "own", "offset": 3},
            "eight": {"n": 8, "tag": "x", "session_id": "s"},
            "text": {"n": "9", "tag": "y", "namespace": [1]},
            "true": {"n": True, "nested": {"a": [1]}},
            "none": {},
        }
        for key, value in values.items():
            put(store, ("n",), key, value)

        def found(where) -> set[str]:
            return set(keys(store.search_memories(("n",), where)))

        assert found({"n": {"$gt": 8}}) == {"ten"}
        assert found({"n": {"$gte": 8, "$lt": 10}}) == {"eight"}
        assert found({"n": {"$lte": 10.0}}) == {"ten", "eight"}
        assert found({"n": {"$eq": "9"}}) == {"text"}
        assert found({"n": {"$ne": 10}, "tag": {"$eq": "x"}}) == {"eight"}
        assert found({"n": {"$ne": 10}}) == {"eight", "text", "true", "none"}
        assert found({"n": {"$eq": None}}) == {"none"}
        assert found({"nested": {"$eq": {"a": [1]}}}) == {"true"}
        assert found({"id": {"$eq": "i"}}) == {"ten"}
        assert found({"key": {"$eq": "own"}}) == {"ten"}
        assert found({"offset": {"$gt": 2}}) == {"ten"}
        assert found({"session_id": {"$in": ["s", "t"]}}) == {"eight"}
        assert found({"namespace": {"$eq": [1]}}) == {"text"}
        assert found({"a'b\"c": {"$eq": 1}}) == set()
        with pytest.raises(InvalidFilter):
            found({"n": {"$regex": "x"}})

    def test_words(self, store, clock):
        put(store, ("u", "1"), "a", {"text": "Ada likes apples", "tags": ["green apples"]})
        clock.pass_(1)
        put(store, ("u", "1"), "b", {"nested": {"text": "An APPLE a day"}, "apples": 1})
        clock.pass_(1)
        put(store, ("u", "2"), "c", {"text": "pears \0 \ud800 漢字"})
        assert keys(store.search_memories(("u",), search="apple")) == ["a", "b"]
        scores = [each.score for each in store.search_memories(("u",), search="apple")]
        assert scores == [2, 1]
        assert keys(store.search_memories(search="pears")) == ["c"]
        assert keys(store.search_memories(search="漢字 nothing")) == ["c"]
        assert keys(store.search_memories(("u", "1"), search="pears")) == []
        assert keys(store.search_memories(search="apple", limit=1, offset=1)) == ["b"]
        assert keys(store.search_memories((), {"apples": {"$eq": 1}}, search="apple")) == ["b"]
        assert store.search_memories(search="text") == []
        assert store.search_memories(search="!?") == []
        assert len(store.search_memories(search="")) == 3
        put(store, ("u", "1"), "a", {"text": "pears"})
        assert keys(store.search_memories(search="apple")) == ["b"]
        store.update_one(COLLECTION, {"id": {"$eq": "u.1..a"}}, {"value": {"text": "plums"}})
        assert keys(store.search_memories(search="plums")) == ["a"]
        delete(store, ("u", "1"), "a")
        assert store.search_memories(search="plums") == []

    def test_expiry(self, store, clock):
        put(store, ("n",), "forever")
        put(store, ("n",), "k", ttl_seconds=10)
        clock.pass_(10)
        assert get(store, ("n",), "k") is None
        assert keys(store.search_memories(("n",))) == ["forever"]
        created = clock()
        put(store, ("m",), "k", ttl_seconds=10)
        assert get(store, ("m",), "k").created_at == created
        assert store.list_memory_namespaces() == [("m",), ("n",)]
        clock.pass_(10)
        assert store.list_memory_namespaces() == [("n",)]
        put(store, ("m",), "k", {"n": 2}, ttl_seconds=10)
        memory = get(store, ("m",), "k")
        assert (memory.created_at, memory.value) == (clock(), {"n": 2})
        clock.pass_(5)
        put(store, ("m",), "k")
        clock.pass_(50)
        assert get(store, ("m",), "k") is not None
        assert store.expire().documents == 1
        assert store.get_document(COLLECTION, "n..forever") is not None

    def test_reads_refresh_the_expiry(self, store, clock):
        def expiry():
            return store.get_document(COLLECTION, "n..k").expires_at - clock()

        put(store, ("n",), "k", ttl_seconds=0.5)
        put(store, ("n",), "forever")
        clock.pass_(0.25)
        assert get(store, ("n",), "k", refresh=False) is not None
        assert store.search_memories(("n",), refresh=False)
        assert expiry() == timedelta(seconds=0.25)
        assert get(store, ("n",), "k") is not None
        assert expiry() == timedelta(seconds=0.5)
        clock.pass_(0.25)
        assert len(store.search_memories(("n",))) == 2
        assert expiry() == timedelta(seconds=0.5)
        clock.pass_(0.25)
        assert store.search_memories(("n",), {"n": {"$eq": 2}}) == []
        assert store.search_memories(("n",), limit=1, offset=2) == []
        assert expiry() == timedelta(seconds=0.25)
        store.set_document_expiry(COLLECTION, "n..k", None)
        assert get(store, ("n",), "k") is not None
        assert store.get_document(COLLECTION, "n..k").expires_at is None
        assert store.get_document(COLLECTION, "n..forever").expires_at is None

    @pytest.mark.parametrize("ttl", [0, -1, "1", True, 10**12])
    def test_invalid_ttl(self, store, ttl):
        with pytest.raises(InvalidLimit):
            put(store, ("n",), "k", ttl_seconds=ttl)

    def test_namespaces(self, store):
        paths = [("a", "b", "c"), ("a", "b", "d", "e"), ("a", "b", "d", "i"), ("a", "b", "f")]
        paths += [
            ("a", "c", "f"),
            ("b", "a", "f"),
            ("users", "1"),
            ("users", "10"),
            ("b", "f", "*"),
        ]
        for path in paths:
            put(store, path, "1")
            put(store, path, "2")

        def listed(*conditions, **options) -> list[tuple[str, ...]]:
            matches = [
                NamespaceMatch(path=path, is_suffix=is_suffix) for is_suffix, path in conditions
            ]
            return store.list_memory_namespaces(matches, **options)

        start, end = False, True
        assert listed() == sorted(paths)
        assert listed((start, ("a", "b")), max_depth=3) == [
            ("a", "b", "c"),
            ("a", "b", "d"),
            ("a", "b", "f"),
        ]
        assert listed(max_depth=1) == [("a",), ("b",), ("users",)]
        assert listed((start, ("users", "1"))) == [("users", "1")]
        assert listed((end, ("f",))) == [("a", "b", "f"), ("a", "c", "f"), ("b", "a", "f")]
        assert listed((end, ("c", "f"))) == [("a", "c", "f")]
        assert listed((start, ("a", "*", "f"))) == [("a", "b", "f"), ("a", "c", "f")]
        assert listed((start, ("*", "b"))) == sorted(paths)[:4]
        assert listed((end, ("a", "*"))) == [("b", "a", "f")]
        assert listed((start, ("a",)), (end, ("f",))) == [("a", "b", "f"), ("a", "c", "f")]
        assert listed((start, ("a", "*")), (start, ("*", "c"))) == [("a", "c", "f")]
        assert listed((end, ("f",)), max_depth=1) == [("a",), ("b",)]
        assert listed((start, ("a", "b", "c", "d"))) == []
        assert listed(limit=2, offset=1) == sorted(paths)[1:3]
        assert listed(limit=0) == listed(offset=20) == []
        for path in paths[:4]:
            delete(store, path, "1")
            delete(store, path, "2")
        assert listed((start, ("a",))) == [("a", "c", "f")]
        for options in ({"limit": -1}, {"offset": -1}, {"max_depth": 0}, {"max_depth": -1}):
            with pytest.raises(InvalidLimit):
                listed(**options)
        with pytest.raises(InvalidName):
            listed((start, ("a.b",)))

    def test_a_memory_without_namespace(self, store):
        put(store, (), "k")
        put(store, ("a",), "k")
        assert get(store, (), "k").namespace == ()
        assert store.list_memory_namespaces() == [(), ("a",)]
        assert store.list_memory_namespaces(max_depth=1) == [(), ("a",)]

    def test_memories_are_documents(self, store):
        put(store, ("users", "1"), "name", {"text": "Ada"}, user_id="1")
        (record,) = store.read_documents(COLLECTION)
        document = record.document
        assert document["id"] == "users.1..name"
        assert document["namespace"] == ["users", "1"]
        assert document["customer_id"] == "1"
        store.drop_collection(COLLECTION)
        store.write_documents(COLLECTION, [DocumentRecord(document=document)])
        assert keys(store.search_memories(("users",), search="ada")) == ["name"]
        put(store, ("users", "1"), "name", {"text": "Ada"})
        assert store.find(COLLECTION, {"customer_id": {"$eq": "1"}}).documents == ()

    def test_other_documents_in_the_collection_are_no_memories(self, store):
        put(store, ("n",), "k")
        store.insert_one(COLLECTION, {"id": "n..other", "value": 1})
        store.insert_one(COLLECTION, {"id": "odd"})
        store.insert_one(COLLECTION, {"value": {"text": "x"}})
        store.insert_one(COLLECTION, {"id": "n..ttl", "value": {}, "ttl": "x", "namespace": 5})
        assert keys(store.search_memories()) == ["k"]
        assert get(store, ("n",), "other") is None
        assert get(store, ("n",), "ttl") is None
        assert ("n",) in store.list_memory_namespaces()
        store.insert_one(COLLECTION, {"id": "n..more", "session_id": "s", "agent_id": "a"})
        put(store, ("n",), "more")
        assert get(store, ("n",), "more") is not None
        assert store.find_one(COLLECTION, {"session_id": {"$eq": "s"}}) is None
        assert store.find_one(COLLECTION, {"agent_id": {"$eq": "a"}}) is None

    def test_a_request_is_done_once(self, store):
        change = MemoryChange(namespace=("n",), key="k", value={"n": 1})
        store.write_memories([change], request_id="r")
        delete(store, ("n",), "k")
        store.write_memories([change], request_id="r")
        assert get(store, ("n",), "k") is None

    def test_writers_at_once(self, store):
        names = [str(number) for number in range(6)]

        def write(writer: int) -> None:
            for round_ in range(5):
                order = names if writer % 2 else names[::-1]
                store.write_memories(
                    [
                        MemoryChange(
                            namespace=("n",),
                            key=key,
                            value=None if (writer + round_ + int(key)) % 3 == 0 else {"by": writer},
                            ttl_seconds=60,
                        )
                        for key in order
                    ]
                )
                store.search_memories(("n",))

        in_threads(write, 6)
        assert {memory.value["by"] for memory in store.search_memories(("n",))} <= set(range(6))
