"""What every store finds of threads by the words of their messages."""

import json
from typing import Any

import pytest

from parlant_store.exceptions import InvalidInput
from parlant_store.types import ChannelValue, MessageChanges, TypedBytes
from tests.contract.checkpoints import Threads, checkpoint


def message(text: str, kind: str = "human", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "content": text, **fields}


def put(
    store: Any, number: int, messages: list[Any], thread_id: str = "t", type_="json", **options: Any
) -> None:
    """Store a checkpoint whose state has these messages."""
    made = checkpoint(number, {"messages": number})
    value = TypedBytes(type_, json.dumps(messages).encode())
    value = ChannelValue(channel="messages", version=number, value=value)
    store.put_checkpoint(thread_id, made, [value], **options)


def found(store: Any, query: str, **options: Any) -> list[str]:
    return [hit.thread_id for hit in store.search_threads(query, **options)]


CALL = message("", "ai", tool_calls=[{"name": "book_train", "args": {"to": "Porto"}, "id": "1"}])
TALK = [
    message("A train to Lisbon, please"),
    CALL,
    message("No seats: the train is full", "tool", tool_call_id="1"),
    message("I found no seats in a train to Lisbon. 列車はありません", "ai"),
]


class ThreadSearchContract(Threads):
    def test_what_users_agents_and_tools_said(self, store):
        put(store, 1, TALK, namespace="n", user_id="ada")
        put(store, 1, [message("A boat")], "other", namespace="n")
        put(store, 1, [message("Lisbon by boat")], "b")
        (hit, other) = store.search_threads("lisb train")
        assert (hit.namespace, hit.thread_id, hit.score, hit.number) == ("n", "t", 4, 1)
        assert hit.snippets == (TALK[0]["content"], TALK[3]["content"])
        assert (other.thread_id, other.score) == ("b", 1)
        assert found(store, "列車は") == ["t"]
        assert found(store, "車列") == found(store, "full") == found(store, "porto") == []
        (hit,) = store.search_threads("full", tools=True)
        assert (hit.thread_id, hit.number, hit.snippets) == ("t", 3, (TALK[2]["content"],))
        assert found(store, "porto", tools=True) == found(store, "book_train", tools=True) == ["t"]
        assert found(store, "boat", namespace="n") == ["other"]
        assert found(store, "boat", limit=1) == ["b"]
        assert found(store, "boat", limit=0) == found(store, " - ") == []
        with pytest.raises(InvalidInput):
            store.search_threads(b"boat")

    def test_messages_are_those_of_the_latest_state(self, store):
        put(store, 1, [message("one"), message("two", "ai")])
        put(store, 2, [message("two", "ai"), message("three")])
        assert found(store, "one") == []
        assert [hit.number for hit in store.search_threads("two three")] == [1]
        assert store.search_threads("three")[0].number == 2
        put(store, 3, [])
        assert found(store, "two") == found(store, "three") == []

    def test_changes_of_messages(self, store):
        put(store, 1, [message("one")])
        added = [message("two", "ai"), message("one"), message("two", "ai")]
        changes = MessageChanges(added=added, first=2)
        for number in (2, 3):
            store.put_checkpoint("t", checkpoint(number), messages=changes)
        store.put_checkpoint("t", checkpoint(4), messages=MessageChanges())
        (hit,) = store.search_threads("one two")
        assert (hit.score, hit.number) == (2, 3)
        whole = MessageChanges(added=[message("four")], is_whole=True)
        store.put_checkpoint("t", checkpoint(5), messages=whole)
        assert found(store, "one") == []
        assert found(store, "four") == ["t"]
        subgraph = checkpoint(6, checkpoint_ns="sub")
        store.put_checkpoint("t", subgraph, messages=MessageChanges(added=[message("six")]))
        assert found(store, "six") == []

    @pytest.mark.parametrize("type_", ["msgpack+aes", "pickle", "json+aes", "raw", "msgpack"])
    def test_what_cannot_be_read_has_no_words(self, store, type_):
        put(store, 1, [message("secret")], type_=type_)
        assert found(store, "secret", tools=True) == []
        assert store.get_checkpoint("t").values["messages"].type == type_

    @pytest.mark.parametrize(
        "value",
        [
            "one \0 two \ud800 three",
            ["human", "one two three"],
            {"role": "user", "content": [{"type": "text", "text": "one two three"}]},
            {"lc": 1, "type": "constructor", "kwargs": message("one\0 two three")},
            message("one two " * 20_000 + " three"),
        ],
    )
    def test_messages_of_any_kind(self, store, value):
        put(store, 1, [None, 5, [], {}, {1: 2}, {"type": 7, "content": 8}, value])
        (hit,) = store.search_threads("two")
        assert hit.number == 7

    def test_words_go_and_come_with_their_threads(self, ttl_store, clock):
        put(ttl_store, 1, [message("one")])
        put(ttl_store, 2, [message("one"), message("two")])
        assert ttl_store.prune_thread("t") == 1
        assert ttl_store.copy_thread("t", "copy")
        assert ttl_store.copy_thread("t", "twice", replace=False)
        assert sorted(found(ttl_store, "one")) == ["copy", "t", "twice"]
        put(ttl_store, 1, [message("three")], "other")
        assert ttl_store.copy_thread("other", "copy")
        assert sorted(found(ttl_store, "three one")) == ["copy", "other", "t", "twice"]
        (record,) = ttl_store.read_threads([("", "t")])
        assert ttl_store.delete_thread("t")
        assert found(ttl_store, "two") == ["twice"]
        assert ttl_store.write_threads([record]) == [True]
        assert sorted(found(ttl_store, "two")) == ["t", "twice"]
        clock.pass_(11)
        assert found(ttl_store, "one two three") == []
        put(ttl_store, 1, [message("four")])
        assert found(ttl_store, "one two three four") == ["t"]
