"""The page of a session: what its items become, whichever framework wrote them."""

import json
import re
from pathlib import Path

import pytest

import parlant_store
from parlant_store.admin.transcript import pages as reading
from parlant_store.models import Session, SessionItem
from tests.admin.pages import (
    CALL,
    IMAGE,
    IMAGE_URL,
    OUTPUT,
    SCRIPT,
    entries,
    get,
    message,
    page,
    positions,
    text_of,
)
from tests.admin.pages import client as client

# What a database reads of an item is the matter of test_admin_reading.py.
pytestmark = pytest.mark.any_database


@pytest.fixture
def shown(client, store):
    """Says what the page of a session with some items shows: an entry's text each."""

    def show(*items):
        store.replace_items("s", list(items))
        return [text_of(entry) for entry in entries(get(client, page(Session.objects.get())))]

    return show


def said(entry):
    """The text of an entry without its heading, time and link."""
    return re.sub(r"^.*? item \d+ ?", "", entry, count=1)


# Kinds of items


ODD = '{ "type": "odd", "x": 1 }'
REFUSAL = message([{"type": "refusal", "refusal": "no"}], "assistant")


def test_a_session_reads_as_a_transcript(client, store):
    store.add_items("s", [message("Is it raining?"), CALL, OUTPUT, message("Yes", "assistant")])
    first, call, answer = entries(get(client, page(Session.objects.get())))
    assert "<bdi>User</bdi>" in first
    assert "Is it raining?" in first
    assert "parlant-user" in first
    assert re.search('<time datetime="20.*?">.*?</time>', first)
    assert re.search('<a href="/admin/parlant_store/sessionitem/[0-9]+/change/">item 0</a>', first)
    assert "<bdi>Tool call</bdi> <code><bdi>weather</bdi></code>" in call
    assert "{\n  &quot;city&quot;: &quot;Köln&quot;\n}" in call
    assert "<bdi>Tool output</bdi>" in call
    assert "rain &lt;b&gt;all&lt;/b&gt; day" in call
    assert positions(call) == [1, 2]
    assert "<bdi>Assistant</bdi>" in answer


@pytest.mark.parametrize(
    ("item", "heading", "text"),
    [
        (message("hi", "system"), "System", "hi"),
        (message("hi", "developer"), "Developer", "hi"),
        (message("hi", "narrator"), "narrator", "hi"),
        (message(""), "User", "No text."),
        (message(None), "User", "No text."),
        (message([{"type": "input_text", "text": "a"}, {"text": "b"}, "c"]), "User", "a b c"),
        (
            message([{"type": "refusal", "refusal": "no"}], "assistant"),
            "Assistant Refused",
            "Refused no",
        ),
        (message(5), "User", "5"),
        (message([5]), "User", "[ 5 ]"),
        (message([{"type": "odd", "x": 1}]), "User", '{ "type": "odd", "x": 1 }'),
        ({"type": "odd", "x": 1}, "odd", f"What it holds {ODD} {ODD}"),
        ({}, "No role", "What it holds {} {}"),
        (message("yes", usage={"total_tokens": 1234}), "User Unanswered 1,234 tokens", "yes"),
        (message("yes", usage={"total_tokens": 1}), "User Unanswered 1 token", "yes"),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_messages_and_others(shown, item, heading, text):
    (entry,) = shown(item)
    assert entry.startswith(heading + " ")
    assert said(entry) == text


REASONED = {
    "summary": {"type": "reasoning", "id": "r", "summary": [{"text": "think"}, {"text": "more"}]},
    "content": {"type": "reasoning", "summary": [], "content": [{"text": "think more"}]},
    "field": message("so", "assistant", reasoning_content="think more"),
    "part": message([{"type": "thinking", "thinking": "think more"}], "assistant"),
}


@pytest.mark.parametrize("item", REASONED.values(), ids=REASONED)
def test_reasoning_is_folded(client, store, item):
    store.add_items("s", [item])
    (entry,) = entries(get(client, page(Session.objects.get())))
    (folded,) = re.findall('<details class="parlant-folded">.*?</details>', entry, re.DOTALL)
    assert re.search("<summary>.*think.*</summary>", folded, re.DOTALL)
    assert text_of(folded).endswith("think more")


@pytest.mark.parametrize("summary", [[], [1], "x", None])
def test_reasoning_that_nobody_can_read(shown, summary):
    item = {"type": "reasoning", "summary": summary}
    (entry,) = shown(item)
    assert said(entry) == "Nothing of it can be read."
    (entry,) = shown(item | {"encrypted_content": "gAAAA"})
    assert said(entry) == "It is encrypted: only the provider can read it."


# Calls and outputs


FORMS = {
    "OpenAI Agents": ([CALL], [OUTPUT]),
    "chat": (
        [
            message(
                None,
                "assistant",
                tool_calls=[
                    {"id": "x", "function": {"name": "weather", "arguments": '{"city":"Köln"}'}}
                ],
            )
        ],
        [message(OUTPUT["output"], "tool", tool_call_id="x")],
    ),
    "selectools": (
        [
            message(
                "",
                "assistant",
                tool_calls=[{"name": "weather", "parameters": {"city": "Köln"}, "id": "x"}],
            )
        ],
        [message(OUTPUT["output"], "tool", tool_call_id="x", tool_name="weather")],
    ),
    "selectools without ids": (
        [
            message(
                "",
                "assistant",
                tool_calls=[
                    {"name": "other", "parameters": {}, "id": None},
                    {"name": "weather", "parameters": {"city": "Köln"}},
                ],
            )
        ],
        [message(OUTPUT["output"], "tool", tool_name="weather"), message("", "tool")],
    ),
    "custom": (
        [{"type": "custom_tool_call", "call_id": "x", "name": "weather", "input": "Köln"}],
        [{"type": "custom_tool_call_output", "call_id": "x", "output": OUTPUT["output"]}],
    ),
    "shell": (
        [{"type": "local_shell_call", "call_id": "x", "action": {"command": ["weather", "Köln"]}}],
        [{"type": "local_shell_call_output", "id": "x", "output": OUTPUT["output"]}],
    ),
}


@pytest.mark.parametrize(("calls", "outputs"), FORMS.values(), ids=FORMS)
def test_an_output_stands_with_its_call(shown, calls, outputs):
    (entry,) = shown(*calls, *outputs)
    assert re.search("weather.*Köln.*Tool output.*rain <b>all</b> day", entry)
    assert "No output" not in entry


def test_several_calls_have_each_their_own_output(shown):
    ids = "abc"
    calls = [{"id": id_, "function": {"name": f"f{id_}", "arguments": "{}"}} for id_ in ids]
    outputs = [message(f"gives {id_}", "tool", tool_call_id=id_) for id_ in "ca"]
    (entry,) = shown(message("Let me see", "assistant", tool_calls=calls), *outputs)
    assert re.search("Let me see.*fa.*gives a.*fb.*No output yet.*fc.*gives c", entry)


def test_two_outputs_of_a_call_both_show(shown):
    (entry,) = shown(CALL, OUTPUT, OUTPUT | {"output": "and snow"})
    assert re.search("rain.*and snow", entry)


def test_what_is_alone_says_so(shown, client, monkeypatch):
    call, output = shown(CALL | {"call_id": "2"}, OUTPUT)
    assert call.endswith("No output yet: it runs, or waits for approval.")
    assert output.endswith("Its call is missing.")
    monkeypatch.setattr(reading, "PAGE", 2)
    _, call = shown(message("x"), CALL, OUTPUT)
    assert call.endswith("No output on this page.")
    last = SessionItem.objects.latest("position").position
    (output,) = entries(get(client, page(Session.objects.get(), after=last - 1)))
    assert text_of(output).endswith("rain <b>all</b> day Its call is not on this page.")


def test_hosted_tools_say_what_they_did(shown):
    search, code, mcp = shown(
        {"type": "web_search_call", "id": "w", "action": {"type": "search", "query": "rain"}},
        {"type": "code_interpreter_call", "id": "c", "code": "a = 1\nb = 2", "outputs": None},
        {"type": "mcp_call", "name": "m", "arguments": "{}", "output": '{"n": 1}', "error": None},
    )
    assert said(search) == "Arguments and output rain Query rain"
    assert said(code) == "Arguments and output a = 1 b = 2 a = 1 b = 2"
    assert said(mcp) == 'Arguments and output {} {} Tool output { "n": 1 }'


@pytest.mark.parametrize("arguments", ["{", "", "no json", '"text"', 5, None, [1], {"a": 1}])
def test_arguments_of_any_form(shown, arguments):
    (entry,) = shown(CALL | {"arguments": arguments})
    assert entry.startswith("Tool call weather")


@pytest.mark.parametrize("calls", [5, "x", [5], [{}], [{"function": 5}], {}])
def test_calls_of_any_form(shown, calls):
    (entry,) = shown(message("text", "assistant", tool_calls=calls))
    assert said(entry).startswith("text")


@pytest.mark.parametrize("output", ["", None, [], {}, 0])
def test_an_output_of_nothing(shown, output):
    (entry,) = shown(CALL, OUTPUT | {"output": output})
    assert entry.endswith("It is empty.")


# Images and files


IMAGES = {
    "Image, image/png, 150.0 KB": [
        message([{"type": "input_image", "image_url": IMAGE_URL}]),
        message([{"type": "image_url", "image_url": {"url": IMAGE_URL}}]),
        message(
            "", content_parts=[{"type": "x", "image_base64": IMAGE, "media_type": "image/png"}]
        ),
        message("", image_base64=IMAGE),
        message([{"type": "image", "source": {"media_type": "image/png", "data": IMAGE}}]),
    ],
    "Image at https://example.com/a.png": [
        message([{"type": "input_image", "image_url": "https://example.com/a.png"}]),
        message("", content_parts=[{"image_url": "https://example.com/a.png", "text": None}]),
    ],
    "Image, f": [message([{"type": "input_image", "file_id": "f"}])],
    "Image": [message([{"type": "input_image"}])],
    "File, a.pdf, 3 bytes": [
        message([{"type": "input_file", "filename": "a.pdf", "file_data": "AAAA"}])
    ],
    "Audio, wav, 3 bytes": [
        message([{"type": "input_audio", "input_audio": {"format": "wav", "data": "AAAA"}}])
    ],
}


@pytest.mark.parametrize(
    ("words", "item"),
    [(words, item) for words, listed in IMAGES.items() for item in listed],
    ids=lambda value: json.dumps(value)[:60],
)
def test_images_are_words(client, store, words, item):
    store.add_items("s", [item, message("after")])
    html = get(client, page(Session.objects.get()))
    image, _ = entries(html)
    assert said(text_of(image)).replace("\xa0", " ") == words
    assert "<img" not in image
    assert "example.com" not in "".join(re.findall("<[^>]*>", html))
    assert IMAGE[:500] not in html


def test_an_image_with_its_text_around(shown):
    image = {"type": "input_image", "image_url": IMAGE_URL}
    (entry,) = shown(message([{"text": "before"}, image, {"text": "after"}]))
    assert said(entry).replace("\xa0", " ") == "before Image, image/png, 150.0 KB after"


def test_the_text_of_a_message_with_an_image_is_not_said_twice(shown):
    parts = [{"type": "text", "text": "look"}, {"type": "image_base64", "image_base64": "AAAA"}]
    (entry,) = shown(message("look", content_parts=parts))
    assert said(entry).replace("\xa0", " ") == "look Image, 3 bytes"


def test_a_screenshot_is_the_output_of_a_call(shown):
    output = {"type": "computer_screenshot", "image_url": IMAGE_URL}
    (entry,) = shown(
        {"type": "computer_call", "call_id": "1", "action": {"type": "screenshot"}},
        {"type": "computer_call_output", "call_id": "1", "output": output},
    )
    assert re.search("Take a screenshot.*Tool output.*Image, image/png, 150.0.KB", entry)


def test_a_generated_image_is_the_output_of_its_call(shown):
    (entry,) = shown({"type": "image_generation_call", "id": "i", "result": IMAGE})
    assert re.search("^Image generation .*Tool output Image, image/png, 150.0.KB$", entry)


# Nothing is run


@pytest.mark.parametrize(
    "item",
    [
        message(SCRIPT),
        message("x", role=SCRIPT),
        message([{"type": "input_image", "image_url": f"https://{SCRIPT}"}]),
        message([{"type": "input_image", "image_url": f"data:{SCRIPT},x"}, {"text": SCRIPT}]),
        message([{"type": "input_file", "filename": SCRIPT}]),
        message("", "assistant", tool_calls=[{"name": SCRIPT, "parameters": {SCRIPT: SCRIPT}}]),
        {"type": SCRIPT, "x": SCRIPT},
        {"type": "function_call", "name": SCRIPT, "arguments": SCRIPT},
        {"type": "function_call_output", "output": SCRIPT},
        {"type": "reasoning", "summary": [{"text": SCRIPT}]},
    ],
    ids=lambda item: json.dumps(item)[:50],
)
def test_nothing_of_an_item_is_html(client, store, item):
    store.add_items("s", [item])
    html = get(client, page(Session.objects.get()))
    assert SCRIPT not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html or "data:" in json.dumps(item)
    assert SCRIPT not in get(client, page(SessionItem.objects.get()))


def test_markdown_and_links_stay_text(client, store):
    text = "# Title **bold** [link](https://example.com) ![i](https://example.com/i.png) שלום"
    store.add_items("s", [message(text)])
    html = get(client, page(Session.objects.get()))
    assert f'<p class="parlant-text" dir="auto">{text}</p>' in html


def test_the_page_has_no_styles_and_scripts_of_its_own(client, store):
    store.add_items("s", [message("a" * 5_000), CALL, OUTPUT, message([{"image_url": IMAGE_URL}])])
    (section,) = re.findall("<section.*?</section>", get(client, page(Session.objects.get())), re.S)
    assert not re.search(r"<(script|style|img|iframe)|\s(style|on\w+)=", section)
    assert 'aria-labelledby="items-heading"' in section
    ids = re.findall(r'\sid="([^"]+)"', section)
    assert len(ids) == len(set(ids))
    assert set(re.findall('aria-labelledby="(.*?)"', section)) <= set(ids)


def test_colours_are_the_admins():
    folder = Path(parlant_store.__file__).parent / "static" / "parlant_store"
    for file in set(folder.glob("*.css")) - {folder / "theme.css"}:
        # A theme may lack a variable: its fallback is the default theme's.
        text = re.sub(r"var\(--[\w-]+, #[0-9a-f]{3,6}\)", "", file.read_text())
        assert not re.search(r":[^;{]*(#[0-9a-fA-F]{3}|rgb|hsl)", text), file.name
