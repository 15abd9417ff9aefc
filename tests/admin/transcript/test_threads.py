"""The page of a thread of LangGraph: its messages, interrupts, channels and checkpoints."""

import re
from typing import Annotated, TypedDict

import ormsgpack
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import START, StateGraph
from langgraph.types import Interrupt

from parlant_store.adapters.langgraph import Checkpointer
from parlant_store.admin.transcript.formats import langgraph
from parlant_store.admin.views import thread
from parlant_store.models import ChannelValue, Thread
from parlant_store.types import USER_MARK, TypedBytes
from tests.admin.pages import SCRIPT, entries, get, page, positions, text_of, viewer
from tests.admin.pages import client as client
from tests.admin.threads import (
    answer,
    ask_to_pay,
    config,
    paying,
    put,
    serialized,
    write,
)


def shown(client, **params):
    return get(client, page(Thread.objects.get(), **params))


def steps(html):
    """The cells of each row of the timeline."""
    (table,) = re.findall(r'id="checkpoints".*?<tbody>(.*?)</tbody>', html, re.DOTALL)
    rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    return [[text_of(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def facts(html):
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html)
    return {name: text_of(value) for name, value in found}


def texts(html):
    return [text_of(entry) for entry in entries(html)]


def test_a_thread_that_waits_and_goes_on(client, store):
    graph = paying(namespace="shop")
    ask_to_pay(graph)
    html = shown(client)
    assert facts(html)["Owner"] == "ada"
    assert facts(html)["Namespace"] == "shop"
    assert facts(html)["State"] == "1 interrupt waiting"
    user, called, interrupted = texts(html)
    assert user == "User Please pay"
    assert "Tool call pay" in called
    assert "Waiting" in called
    assert interrupted == 'Interrupt tools Waiting { "question": "Pay <b>7</b>?" }'
    assert "<b>7" not in html
    assert steps(html)[0][2:] == ["tools", "messages, plan", "", "1 interrupt waiting"]
    answer(graph)
    html = shown(client)
    assert "State" not in facts(html)
    assert (facts(html)["Length"], facts(html)["Tokens"]) == ("4 messages", "24")
    assert facts(html)["Checkpoints"] == str(len(steps(html)))
    _user, called, said = texts(html)
    assert "Failed" in called
    assert "no cover" in called
    assert "The card was <strong>refused</strong>." in html
    assert said.startswith("Assistant 24 tokens")
    assert [row[0] for row in steps(html)][:3] == ["3 loop", "2 loop", "1 loop"]
    assert "Interrupted, and resumed" in text_of(html)
    assert "plan" in text_of(html)


def test_the_state_at_an_earlier_checkpoint(client, store):
    graph = paying()
    ask_to_pay(graph)
    answer(graph)
    html = shown(client)
    links = re.findall(r'<th scope="row"><a href="(\?checkpoint=[^"]*)#items"', html)
    addresses = [page(Thread.objects.get()) + link.replace("&amp;", "&") for link in links]
    counts = [len(positions(get(client, address))) for address in addresses]
    assert counts[0] == 4
    assert min(counts) == 0
    html = get(client, addresses[0])
    assert "The state at an earlier checkpoint is shown." in html
    assert html.count('aria-current="true"') == 1
    for names in ('["","none"]', '["x","1"]'):
        assert client.get(page(Thread.objects.get(), checkpoint=names)).status_code == 404


def test_a_task_that_failed(client, store):
    def fail(state):
        raise RuntimeError(SCRIPT)

    builder = StateGraph(dict).add_node("model", fail).add_edge(START, "model")
    with pytest.raises(RuntimeError):
        builder.compile(checkpointer=Checkpointer()).invoke({"a": 1}, config())
    html = shown(client)
    assert facts(html)["State"] == "1 failed task"
    assert "Failed task model" in texts(html)[0]
    assert SCRIPT not in html
    assert steps(html)[0][-1] == "1 failed task"


def test_messages_of_all_kinds(client, store):
    blocks = [
        {"type": "text", "text": "I look it up"},
        {"type": "tool_use", "id": "c", "name": "find", "input": {"a": 1}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    call = {"name": "find", "args": {"a": 1}, "id": "c"}
    broken = {"name": "find", "args": "{", "id": "d", "error": "no JSON"}
    messages = [
        SystemMessage("Be kind", id="1"),
        HumanMessage([{"type": "text", "text": "Hello"}], name="ada"),
        AIMessage(blocks, tool_calls=[call], invalid_tool_calls=[broken]),
        {"role": "tool", "content": "found", "tool_call_id": "c"},
        ("user", "a pair"),
        "a text",
        {"lc": 1, "type": "constructor", "id": ["x", "AIMessage"], "kwargs": {"type": "ai"}},
        RemoveMessage(id="1"),
        7,
        None,
        {"type": "remote_thing", "x": 1},
    ]
    put(store, messages)
    html = shown(client)
    found = texts(html)
    assert found[:2] == ["System Be kind", "User ada Hello"]
    assert found[2].count("Tool call find") == 1
    assert "found" in found[2]
    assert "Image, image/png" in found[2]
    assert "no JSON" in found[2]
    assert found[3:6] == ["User a pair", "User a text", "Assistant No text."]
    assert len(found) == 10


def test_hostile_values_are_shown_and_not_called(client, store, tmp_path):
    target = tmp_path / "called"
    path = str(target)
    calls = [
        (0, ("os", "mkdir", path)),
        (1, ("os", "mkdir", (path,))),
        (2, ("os", "mkdir", {"path": path})),
        (3, ("pathlib", "Path", path, "touch")),
        (4, ("subprocess", "Popen", {"args": ["touch", path]}, "x")),
        (5, ("subprocess", "Popen", {"args": ["touch", path]}, "x")),
        (7, (SCRIPT,)),
    ]
    values = [ormsgpack.Ext(code, ormsgpack.packb(arguments)) for code, arguments in calls]
    hostile = TypedBytes("msgpack", ormsgpack.packb(values))
    of_user = hostile._replace(type=f"{USER_MARK}msgpack")
    interrupted = write("__interrupt__", of_user, -3)
    put(store, hostile, writes=[interrupted, write("plan", hostile)], plan=of_user)
    html = shown(client)
    assert html.count("os.mkdir") >= 3
    assert "subprocess.Popen" in html
    assert SCRIPT not in html
    assert "os.mkdir" not in get(client, "/admin/parlant_store/session/")
    assert not target.exists()
    answers = client.post(
        "/admin/parlant_store/session/",
        {"action": "export", "_selected_action": f"thread-{Thread.objects.get().pk}"},
    )
    assert answers.status_code == 200
    assert not target.exists()


UNREADABLE = {
    "msgpack+aes": "It is encrypted.",
    "pickle": "It is serialized by pickle, which is not read here.",
    "of its own": "It has an unknown format: of its own",
    "json": "It is damaged.",
}


@pytest.mark.parametrize("format_", UNREADABLE)
def test_values_that_are_not_shown(client, store, format_):
    value = TypedBytes(format_, b"\x80\x05cos\nsystem\n")
    put(store, value, plan=value, writes=[write("__interrupt__", value, -3)])
    html = shown(client)
    assert html.count(UNREADABLE[format_]) == 3
    assert get(client, "/admin/parlant_store/session/").count("1 interrupt waiting") == 1


def test_damaged_values_are_no_error(client, store):
    put(store, [HumanMessage("x" * 5_000)])
    for type_ in ("zstd:msgpack", "zlib:msgpack"):
        ChannelValue.objects.update(type=type_, value=b"damaged")
        assert "a stored value is damaged" in shown(client)
        get(client, "/admin/parlant_store/session/")
    for value in (b"", b"\xc1", b"\x91", b"\xdd\xff\xff\xff\xff", b"\x81" * 2_000):
        ChannelValue.objects.update(type="msgpack", value=value)
        shown(client)
        get(client, "/admin/parlant_store/session/")


def test_a_large_state_is_a_small_page(client, store):
    put(store, [HumanMessage("x" * 50_000_000)], plan="y" * 1_000_000, numbers=[1] * 1_000_000)
    assert len(shown(client)) < 200_000
    put(store, ["word " * 3_000] * 1_500, thread_id="t", plan={str(n): n for n in range(9_000)})
    assert len(shown(client, after=900)) < 400_000
    get(client, "/admin/parlant_store/session/")


def test_many_messages_are_paged(client, store, monkeypatch):
    monkeypatch.setattr(langgraph, "MAX_READ", 250)
    messages = [
        message
        for number in range(300)
        for message in (HumanMessage(f"question {number}"), AIMessage(f"answer {number}"))
    ]
    put(store, messages, plan=["x"])
    assert positions(shown(client)) == [*range(1, 101)]
    assert positions(shown(client, after=100)) == [*range(101, 201)]
    assert positions(shown(client, after=200)) == [*range(201, 251)]
    assert positions(shown(client, after=250)) == [*range(251, 351)]
    assert positions(shown(client, before=251)) == [*range(151, 251)]
    last = shown(client, before=601)
    assert positions(last) == [*range(501, 601)]
    assert "State plan" in text_of(last)
    assert "State plan" not in text_of(shown(client))
    assert facts(last)["Tokens"] == "unknown"
    found = shown(client, find="question 60", after=0)
    assert "1 match:" in found
    assert "after=110#item-121" in found
    for params in ({"after": "9" * 30}, {"before": "-5"}, {"after": "x"}, {"before": "0"}):
        shown(client, **params)


def test_messages_of_which_only_the_changes_are_stored(client, store):
    def joined(state, writes):
        return [*state, *(each for write in writes for each in write)]

    class Log(TypedDict):
        messages: Annotated[list, DeltaChannel(joined, snapshot_frequency=3)]

    builder = StateGraph(Log).add_node("a", lambda state: {"messages": [AIMessage("hi", id=None)]})
    graph = builder.add_edge(START, "a").compile(checkpointer=Checkpointer())
    for number in range(5):
        graph.invoke({"messages": [HumanMessage(f"m{number}", id=str(number))]}, config())
        said = [f"User m{n}" for n in range(number + 1)]
        assert [text for text in texts(shown(client)) if text.startswith("User")] == said


def test_messages_are_replaced_and_removed_by_their_ids():
    one, two = HumanMessage("1", id="1"), HumanMessage("2", id="2")
    writes = [[two], HumanMessage("new", id="1"), [RemoveMessage(id="2")]]
    seed = langgraph.messages_of(serialized([one]))
    found = langgraph.joined(seed, map(serialized, writes))
    texts = [langgraph.text_in(langgraph.item_of(found.value(n))) for n in range(found.total)]
    assert texts == ["new"]
    everything = serialized([RemoveMessage(id="__remove_all__"), two])
    assert langgraph.joined(seed, [everything]).total == 1


def test_pages_of_checkpoints(client, store, monkeypatch):
    monkeypatch.setattr(thread, "STEPS", 4)
    graph = paying()
    ask_to_pay(graph)
    html = shown(client)
    first = steps(html)
    assert facts(html)["Checkpoints"] == "more than 4"
    (link,) = re.findall(r'<a rel="next" href="([^"]*)"', html)
    later = get(client, page(Thread.objects.get()) + link.replace("&amp;", "&"))
    assert len(first) == 4
    assert steps(later)
    assert steps(later)[0] != first[0]
    for value in ("x", "[1,2]", '["a","x"]', f'["a","{"9" * 5_000}"]', '[null,"1"]'):
        response = client.get(page(Thread.objects.get(), steps=value))
        assert response.status_code in (200, 400, 404)


def test_an_expired_thread_is_shown_as_expired(client, store):
    put(store, [HumanMessage("hello")])
    store.set_thread_expiry("t", Thread.objects.get().created_at)
    html = shown(client)
    assert "This conversation has expired" in html
    assert "hello" in html
    assert len(steps(html)) == 1
    other = page(Thread.objects.get()).replace("/change/", "0/change/")
    assert client.get(other).status_code == 302


def test_what_was_said_needs_a_permission(store):
    put(store, [HumanMessage("hello")], plan="secret")
    html = shown(viewer("thread"))
    assert facts(html)["Owner"] == "ada"
    assert "hello" not in html
    assert "secret" not in html
    assert 'id="checkpoints"' not in html


def test_the_number_of_statements(client, store):
    graph = paying()
    ask_to_pay(graph)
    numbers = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as context:
            shown(client)
        numbers.append(len(context))
        answer(graph)
    assert numbers[0] == numbers[1] <= 10


def test_interrupts_of_one_task(client, store):
    both = (Interrupt(value="first?", id="a"), Interrupt(value={"n": 2}, id="b"))
    put(store, [HumanMessage("hello")], writes=[write("__interrupt__", both, -3)])
    _said, first, second = texts(shown(client))
    assert first == "Interrupt node Waiting first?"
    assert second == 'Interrupt node Waiting { "n": 2 }'
