"""What is saved is loaded: memories, dicts, and what others wrote."""

import json
import logging

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from selectools.memory import ConversationMemory
from selectools.types import ContentPart, Message, Role, ToolCall, image_message

from parlant_store.adapters.selectools import SessionStore
from parlant_store.exceptions import InvalidItem
from parlant_store.models import SessionItem
from tests.adapters.selectools.messages import assistant, memory, texts, turns, user
from tests.conftest import STORE
from tests.contract.values import json_objects, numbered
from tests.stored_items import damage_item, set_column

RICH = [
    user("NUL \0, lone \ud800 and \udfff, \ud7ff, 漢字 العربية 😀 é e\u0301 ' \" % \\"),
    user(""),
    Message(
        role=Role.ASSISTANT,
        content="two calls",
        tool_calls=[
            ToolCall("weather", {"city": "Rome", "days": [1, 2.0, None]}, "c1", "signature"),
            ToolCall("time", {"nested": {"a": {"b": [True, "\0"]}}}),
        ],
    ),
    Message(role=Role.TOOL, content="sunny", tool_name="weather", tool_call_id="c1"),
    Message(role=Role.TOOL, content="", tool_name="time", tool_result="noon"),
    Message(role=Role.SYSTEM, content="be brief"),
    image_message("https://example.com/a.png", "what is it?"),
    Message(
        role=Role.USER,
        content_parts=[
            ContentPart(type="text", text="see"),
            ContentPart(type="image_base64", image_base64="aGk=", media_type="image/png"),
        ],
    ),
    assistant("a picture"),
]


def test_a_memory_is_loaded_as_it_was_saved(sessions, other):
    saved = memory(*RICH, max_messages=50, max_tokens=9_000)
    saved.summary = "so far \0 \ud800 漢字"
    sessions.save("s", saved)
    for loaded in (sessions.load("s"), other.load("s")):
        assert isinstance(loaded, ConversationMemory)
        assert loaded.to_dict() == saved.to_dict()
    loaded.add(user("more"))
    assert saved.to_dict() == sessions.load("s").to_dict()


def test_the_older_form_names_what_is_saved_data(sessions, other):
    data = {
        "session_id": "s",
        "messages": [{"role": "user", "content": "My name is Alice."}],
        "metadata": {"user_id": "alice", "started_at": "2026-03-13T10:00:00Z"},
        "created_at": "2026-03-13T10:00:00Z",
        "updated_at": "2026-03-13T10:05:00Z",
    }
    sessions.save(session_id="s", data=data)
    sessions.save(session_id="s", data={"messages": []}, namespace="n")
    sessions.save(session_id="empty", data={})
    assert sessions.load(session_id="s") == other.load("s") == data
    assert other.load("s", namespace="n") == {"messages": []}
    assert other.load(session_id="empty") == {}
    assert sorted(map(str, other.list_sessions())) == ["empty", "n:s", "s"]
    other.delete(session_id="s")
    other.delete(session_id="s")
    assert not sessions.exists(session_id="s")
    assert sessions.load(session_id="s") is None


@pytest.mark.parametrize("given", [{}, {"memory": {}, "data": {}}, {"data": []}, {"data": "x"}])
def test_exactly_one_dict_or_memory_is_saved(sessions, given):
    with pytest.raises(TypeError):
        sessions.save("s", **given)
    assert not sessions.exists("s")


def test_an_image_from_a_file(sessions, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"an image")
    saved = memory(Message(role=Role.USER, content="look", image_path=str(path)))
    sessions.save("s", saved)
    path.unlink()
    assert sessions.load("s").to_dict() == saved.to_dict()


def test_an_empty_memory(sessions):
    sessions.save("s", ConversationMemory())
    assert sessions.exists("s")
    loaded = sessions.load("s")
    assert (len(loaded), loaded.max_messages, loaded.max_tokens) == (0, 20, None)
    assert [found.message_count for found in sessions.list()] == [0]


def test_there_is_no_session(sessions):
    assert sessions.load("s") is None
    assert not sessions.exists("s")
    assert sessions.delete("s") is False
    assert sessions.list() == sessions.list_sessions() == []


def test_messages_are_items_with_role_and_content(sessions, store):
    sessions.save("s", memory(user("hello"), RICH[2], RICH[3]), user_id="ada")
    items = store.get_items("s")
    assert items[0] == {"role": "user", "content": "hello"}
    assert [item["role"] for item in items] == ["user", "assistant", "tool"]
    assert items[1]["tool_calls"][0]["name"] == "weather"
    assert store.get_session("s").user_id == "ada"
    if STORE not in ("files", "redis"):
        rows = SessionItem.objects.order_by("position").values_list("role", "text")
        assert list(rows) == [("user", "hello"), ("assistant", "two calls"), ("tool", "sunny")]


DICTS = [
    {},
    {"messages": []},
    {"messages": [{"role": "user", "content": "hi \0 \ud800"}, {"x": [1, 1.0, True]}], "a": 1},
    {"messages": ["text", 5], "a": None},
    {"messages": {"role": "user"}},
    {"messages": None},
    {"data": 1, "selectools": "memory", "state": {"messages": [{}]}, "\0": "\ud800", "f": 1e23},
    {"n": int("9" * 400), "list": [[], {}, None], "": ""},
]


@pytest.mark.parametrize("data", DICTS, ids=str)
def test_a_dict_is_loaded_as_it_was_saved(sessions, other, data):
    for _ in range(2):
        sessions.save("s", data)
        assert repr(sessions.load("s")) == repr(data) or sessions.load("s") == data
        assert other.load("s") == data


@settings(max_examples=40)
@given(st.lists(st.tuples(json_objects, st.lists(json_objects, max_size=4)), max_size=4))
@example([({"zero": [0.0, -0.0]}, [])])
def test_any_dicts_one_after_the_other(sessions, other, saves):
    for rest, messages in saves:
        data = {**rest, "messages": messages}
        sessions.save("s", data)
        assert json.dumps(other.load("s"), sort_keys=True) == json.dumps(data, sort_keys=True)


def test_messages_of_a_dict_are_searched_and_listed(sessions):
    sessions.save("s", {"messages": [{"role": "user", "content": "a rare word"}], "x": 1})
    assert [found.session_id for found in sessions.search("rare")] == ["s"]
    assert [found.message_count for found in sessions.list()] == [1]


def test_one_form_after_the_other(sessions):
    data = {"messages": [message.to_dict() for message in turns(1)]}
    sessions.save("s", memory(*turns(1)))
    sessions.save("s", data)
    assert sessions.load("s") == data
    sessions.save("s", memory(*turns(1)))
    assert texts(sessions.load("s")) == ["question 1", "answer 1"]


@pytest.mark.parametrize("wrong", [None, 5, "text", [{"role": "user"}]])
def test_what_cannot_be_saved(sessions, wrong):
    with pytest.raises(TypeError, match="a ConversationMemory or a dict"):
        sessions.save("s", wrong)
    assert not sessions.exists("s")


def test_what_json_cannot_say_is_refused_and_logged(sessions, caplog):
    sessions.save("s", memory(user("before")))
    for wrong in (float("nan"), {1}, object(), {1: 2}):
        calls = [ToolCall("f", {"x": wrong})]
        saved = memory(user("before"), Message(role=Role.ASSISTANT, tool_calls=calls))
        with caplog.at_level(logging.ERROR, "parlant_store"), pytest.raises(InvalidItem):
            sessions.save("s", saved)
    assert "Could not save the session 's'" in caplog.text
    assert texts(sessions.load("s")) == ["before"]


def test_answers_of_tools_whose_calls_are_gone(sessions, store):
    saved = memory(*turns(1))
    saved._messages.insert(0, RICH[3])
    sessions.save("s", saved)
    loaded = sessions.load("s")
    assert texts(loaded) == ["question 1", "answer 1"]
    loaded.add(user("next"))
    sessions.save("s", loaded)
    assert [item["content"] for item in store.get_items("s")] == ["question 1", "answer 1", "next"]


# What others wrote

OPENAI = [
    {"role": "developer", "content": "be brief"},
    {"role": "user", "content": [{"type": "input_text", "text": "the weather?"}]},
    {"type": "reasoning", "id": "rs_1", "summary": []},
    {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city": "Rome"}'},
    {"type": "function_call", "call_id": "c2", "name": "time", "arguments": "{"},
    {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
    {"type": "function_call_output", "call_id": "c2", "output": [{"text": "noon"}]},
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Sunny.", "annotations": []}],
    },
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "and this?"},
            {"type": "input_image", "image_url": "https://example.com/a.png"},
        ],
    },
    {"type": "reasoning", "id": "rs_2", "summary": []},
]


def test_a_session_of_the_openai_agents_sdk(sessions, store):
    store.add_items("s", OPENAI)
    loaded = sessions.load("s")
    roles = [message.role.value for message in loaded.get_history()]
    assert roles == ["system", "user", "assistant", "tool", "tool", "assistant", "user"]
    assert texts(loaded) == ["be brief", "the weather?", "", "sunny", "noon", "Sunny.", "and this?"]
    calls = loaded.get_history()[2].tool_calls
    assert [(call.tool_name, call.parameters, call.id) for call in calls] == [
        ("weather", {"city": "Rome"}, "c1"),
        ("time", {}, "c2"),
    ]
    assert loaded.get_history()[3].tool_name == "weather"
    assert loaded.get_history()[6].content_parts[1].image_url == "https://example.com/a.png"


def test_what_a_memory_cannot_say_stays_in_the_session(sessions, store):
    store.add_items("s", OPENAI)
    loaded = sessions.load("s")
    for number in range(2):
        loaded.add_many(turns(number))
        sessions.save("s", loaded)
    added = [{"role": m.role.value, "content": m.content} for m in turns(0, 1)]
    assert store.get_items("s") == OPENAI + added
    loaded = SessionStore().load("s")
    loaded._messages = loaded._messages[2:]
    sessions.save("s", loaded)
    assert store.get_items("s") == OPENAI[2:] + added
    loaded._messages[3].content = "Rainy."
    sessions.save("s", loaded)
    assert store.get_items("s")[:5] == OPENAI[2:7]
    assert store.get_items("s")[5:] == [
        {"role": "assistant", "content": "Rainy."},
        {
            "role": "user",
            "content": "and this?",
            "content_parts": [
                {
                    "type": "text",
                    "text": "and this?",
                    "image_url": None,
                    "image_base64": None,
                    "media_type": None,
                },
                {
                    "type": "image_url",
                    "text": None,
                    "image_url": "https://example.com/a.png",
                    "image_base64": None,
                    "media_type": None,
                },
            ],
        },
        *added,
    ]


def test_what_others_wrote_is_listed_searched_branched_and_ended(sessions, store, clock):
    store.add_items("s", OPENAI, namespace="n", ttl_seconds=10)
    assert [found.message_count for found in sessions.list()] == [len(OPENAI)]
    (found,) = sessions.search("sunny")
    assert (found.session_id, found.matched_messages) == ("n:s", ["Sunny."])
    sessions.branch("s", "t", namespace="n")
    assert store.get_items("t", namespace="n") == OPENAI
    clock.pass_(10)
    assert sessions.list() == []
    assert sessions.load("n:s") is None
    assert store.expire().sessions == 2


def test_a_session_of_others_has_no_window(sessions, store):
    store.add_items("s", [{"role": "user", "content": str(number)} for number in range(300)])
    loaded = sessions.load("s")
    loaded.add(user("more"))
    sessions.save("s", loaded)
    assert len(store.get_items("s")) == 301


def test_items_that_others_add_to_a_dict(sessions, store):
    sessions.save("s", {"a": 1})
    store.add_items("s", numbered(1))
    assert sessions.load("s") == {"a": 1, "messages": numbered(1)}
    sessions.save("t", {"a": 1, "messages": numbered(1)})
    store.add_items("t", numbered(2))
    assert sessions.load("t") == {"a": 1, "messages": numbered(1, 2)}


# Damage

DAMAGED = [
    '{"role": ',
    "[1, 2]",
    "null",
    '"text"',
    '{"role": "nobody", "content": "x"}',
    '{"role": "user", "content": "x", "tool_calls": [5]}',
    '{"role": "user", "content": "x", "tool_calls": 5}',
    '{"role": "user", "content": "x", "content_parts": [{}]}',
    '{"role": ["user"], "content": {}}',
    '{"type": "function_call", "arguments": 5}',
]


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_rows_are_left_out(sessions, other, text):
    for each in (sessions, other):
        sessions.save("s", memory(*turns(1, 2)))
        damage_item(1, text)
        assert [found.message_count for found in sessions.list()] == [4]
        loaded = each.load("s")
        kept = [text for text in texts(loaded) if text]
        assert kept == ["question 1", "question 2", "answer 2"]
        loaded.add_many(turns(3))
        each.save("s", loaded)
        assert texts(SessionStore().load("s")) == texts(loaded)


@pytest.mark.parametrize("text", DAMAGED[:4])
def test_damaged_rows_of_a_dict_are_left_out(sessions, other, text):
    messages = [message.to_dict() for message in turns(1, 2)]
    for each in (sessions, other):
        sessions.save("s", {"messages": messages})
        damage_item(1, text)
        loaded = each.load("s")
        assert loaded["messages"] == [messages[0], *messages[2:]]
        loaded["messages"].append(messages[1])
        each.save("s", loaded)
        assert SessionStore().load("s") == loaded


def test_a_damaged_state(sessions):
    sessions.save("s", memory(*turns(1)))
    for state in ("text", [1], None, {"selectools": "dict"}, {"selectools": "dict", "data": 5}):
        set_column("state", state if state is not None else {})
        assert texts(sessions.load("s")) == ["question 1", "answer 1"]
    set_column("state", {"max_messages": 0, "max_tokens": "x", "summary": 5})
    loaded = sessions.load("s")
    assert (loaded.max_tokens, loaded.summary) == (None, None)
    loaded.add(user("more"))
    assert len(loaded) == 3


@pytest.mark.parametrize("metadata", ["text", 5, [1], {"\ud7ff\x01": 1}])
def test_damaged_metadata_is_no_crash(sessions, metadata):
    sessions.save("s", memory(*turns(1)))
    set_column("metadata", metadata)
    assert texts(sessions.load("s")) == ["question 1", "answer 1"]
    assert sessions.list_sessions() == ["s"]
    assert sessions.exists("s")
    sessions.save("s", memory(*turns(1, 2)))
    sessions.branch("s", "t")
    assert len(sessions.load("t")) == 4
