"""The words of the messages of graphs: each message is indexed once."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.graph import START, MessagesState, StateGraph

from parlant_store.adapters.langgraph import Checkpointer
from parlant_store.adapters.langgraph.message_changes import MAX_STATES, MessageStates
from parlant_store.models import Thread, ThreadMessage
from parlant_store.types import ChannelValue, MessageChanges, TypedBytes
from tests.adapters.langgraph.graphs import thread
from tests.adapters.langgraph.test_graphs import Aes


@pytest.fixture
def saver(store):
    return Checkpointer()


def reply(state):
    return {"messages": [AIMessage(f"You said {state['messages'][-1].content}")]}


def talk(saver, node=reply):
    return StateGraph(MessagesState).add_node("reply", node).add_edge(START, "reply").compile(saver)


def numbers(store, query):
    return [hit.number for hit in store.search_threads(query)]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_messages_are_found_once_they_are_stored(store, saver, durability):
    for text in ("apples", "pears", "plums"):
        talk(saver).invoke({"messages": [("user", text)]}, thread(), durability=durability)
    assert [numbers(store, text) for text in ("apples", "pears", "plums")] == [[1], [3], [5]]
    assert numbers(store, "said") == [2]
    assert ThreadMessage.objects.count() == 6
    assert Thread.objects.get().title == "apples"


async def test_messages_of_an_asynchronous_graph(store, saver):
    for text in ("apples", "pears"):
        await talk(saver).ainvoke({"messages": [("user", text)]}, thread())
    (hit,) = await store.asearch_threads("apples pears")
    assert (hit.thread_id, hit.score, hit.number) == ("t", 4, 1)


def test_only_new_messages_are_written(store, saver):
    """A write of all messages would delete the row."""
    for text in ("apples", "pears"):
        talk(saver).invoke({"messages": [("user", text)]}, thread())
        options = {"thread": Thread.objects.get(), "number": 1, "text": "other"}
        ThreadMessage.objects.get_or_create(digest=1, **options)
    talk(Checkpointer()).invoke({"messages": [("user", "plums")]}, thread())
    assert ThreadMessage.objects.filter(digest=1).exists()
    assert ThreadMessage.objects.count() == 7


def test_messages_that_were_removed_or_changed(store, saver):
    def shorten(state):
        first, second = state["messages"][-2:]
        return {"messages": [RemoveMessage(first.id), HumanMessage("cherries", id=second.id)]}

    graph = talk(saver)
    graph.invoke({"messages": [("user", "apples")]}, thread())
    talk(saver, shorten).invoke({"messages": [("user", "pears"), ("user", "plums")]}, thread())
    assert numbers(store, "pears") == numbers(store, "plums") == []
    assert [numbers(store, text) for text in ("apples", "cherries")] == [[1], [3]]


def test_encrypted_messages_have_no_words(store):
    saver = Checkpointer(serde=EncryptedSerializer(Aes()))
    talk(saver).invoke({"messages": [("user", "apples")]}, thread())
    assert not ThreadMessage.objects.exists()
    assert Thread.objects.get().title is None


def changed(type_="msgpack"):
    return [ChannelValue(channel="messages", version=1, value=TypedBytes(type_, b""))]


def test_changes():
    call = {"name": "book", "args": {"to": "Porto"}, "id": "1", "type": "tool_call"}
    first = [HumanMessage("a", id="1"), AIMessage("", id="2", tool_calls=[call]), ("user", "c")]
    states, place = MessageStates(), ("t", "1")
    states.add(place, {"messages": first}, {"messages": 1})

    def changes(*messages, parent=place, type_="msgpack"):
        return states.changes(parent, {"messages": [*messages]}, changed(type_))

    tool = ToolMessage("d", tool_call_id="1", id="4")
    added = [{"type": "tool", "content": "d", "tool_call_id": "1"}]
    expected = MessageChanges(added=added, first=4)
    copies = [each.model_copy() for each in first[:2]]
    assert changes(*first, tool) == changes(*copies, first[2], tool) == expected
    assert changes(*first) == MessageChanges(added=[], first=4)
    other = first[1].model_copy(update={"tool_calls": [call | {"args": {"to": "Faro"}}]})
    for messages in ([first[0], other, first[2]], first[1:], []):
        assert changes(*messages).is_whole
    assert len(changes(*first, parent=("t", "2")).added) == 3
    assert changes(*first, parent=("t", "2")).is_whole
    assert changes(*first, parent=("t", None)).first == 1
    assert not changes(*first, parent=("t", None)).is_whole
    assert changes(tool, type_="msgpack+aes") == changes(tool, type_="pickle") == MessageChanges()
    assert states.changes(place, {}, changed()) == MessageChanges()
    assert states.changes(place, {"messages": first}, []) == MessageChanges()
    states.add(("t", "3"), {}, {"messages": 1})
    assert changes(tool, parent=("t", "3")).is_whole
    states.add(("t", "4"), {}, {})
    assert not changes(tool, parent=("t", "4")).is_whole
    for number in range(MAX_STATES):
        states.add(("u", str(number)), {}, {})
    assert changes(*first, tool).is_whole


def test_messages_are_not_kept_alive():
    states, messages = MessageStates(), [HumanMessage("a", id="1")]
    states.add(("t", "1"), {"messages": messages}, {"messages": 1})
    messages = [HumanMessage("b", id="2")]
    assert states.changes(("t", "1"), {"messages": messages}, changed()).is_whole
