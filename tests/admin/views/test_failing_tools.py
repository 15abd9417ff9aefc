"""The tools that fail, by name."""

from django.contrib.auth.models import User

from parlant_store.models import Document
from tests.admin.pages import client as client
from tests.admin.pages import get, listing, message, viewer
from tests.admin.pages import patience as patience
from tests.admin.views.overview_pages import URL, call, output, section
from tests.admin.views.overview_pages import far_from_midnight as far_from_midnight

CHAT = [
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "chat", "arguments": ""}}
        ],
    },
    {
        "role": "tool",
        "tool_call_id": "c",
        "content": "An error occurred while running the tool. Please try again. Error: x",
    },
]
BLOCKS = [
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "b", "name": "block", "input": {}}],
    },
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "b", "is_error": True, "content": "x"}],
    },
]
HOSTED = [{"type": "web_search_call", "id": "w", "status": "failed"}]


def test_failing_tools_are_named_and_counted(client, store):
    store.add_items("fine", [call("1", "weather"), output("1", failed=False)])
    assert "No tool has failed." in get(client, URL)
    for number in range(3):
        items = [call("1", "order"), output("1", failed=True), call("2", "order")]
        store.add_items(f"s{number}", [*items, output("2", failed=number == 0)])
    store.add_items("others", [*CHAT, *BLOCKS, *HOSTED])
    store.add_items("cut off", [output("gone", failed=True)])
    html = get(client, URL)
    rows = section(html, "tools")[1:]
    assert rows[0] == ["order", "4"]
    assert sorted(rows[1:]) == [
        ["Unknown tool", "1"],
        ["block", "1"],
        ["chat", "1"],
        ["web_search", "1"],
    ]
    assert f'<a href="{listing("session", failed="yes")}">4</a>' in html


def test_failing_tools_of_parlant_are_named(client, store):
    failed = {"data": "Tool call error", "metadata": {"error_details": "boom"}}
    calls = [
        {"tool_id": "local:order", "result": failed},
        {"tool_id": "local:fine", "result": {"data": 1}},
    ]
    store.insert_one("p_sessions", {"id": "s"})
    event = {"id": "e", "session_id": "s", "kind": "tool", "data": {"tool_calls": calls}}
    store.insert_one("p_events", event)
    Document.objects.filter(document_id="s").update(failed_calls=1, active_minute=1)
    Document.objects.filter(document_id="e").update(failed_calls=1)
    assert section(get(client, URL), "tools")[1:] == [["local:order", "1"]]
    User.objects.all().delete()
    assert "local:order" not in get(viewer("session"), URL)


def test_only_the_latest_items_are_read_for_failing_tools(client, store):
    store.add_items("s", [call("1", "old"), output("1", failed=True)] + [message("x")] * 60)
    for number in range(2):
        long = call("2", "long") | {"arguments": "x" * 10_000}
        items = [call("1", "new"), output("1", failed=True), long, output("2", failed=True)]
        store.add_items(f"s{number}", items)
    rows = section(get(client, URL), "tools")[1:]
    assert sorted(rows) == [["Unknown tool", "2"], ["new", "2"]]
