"""The page of a session: how much of its items it reads and shows, and the pages beside it."""

import json
import re

import pytest
from django.db import connection
from django.template.defaultfilters import filesizeformat
from django.test.utils import CaptureQueriesContext

from parlant_store.admin.transcript import entries as transcript
from parlant_store.admin.transcript import pages as reading
from parlant_store.admin.transcript.reading import beginning, last_fields
from parlant_store.models import Session, SessionItem
from tests.admin.pages import (
    CALL,
    IMAGE_URL,
    OUTPUT,
    entries,
    get,
    links,
    message,
    page,
    positions,
    text_of,
)
from tests.admin.pages import client as client
from tests.admin.transcript.pages import statuses

MEGABYTE = 1_000_000


@pytest.mark.any_database
def test_long_texts_are_folded(client, store):
    text = " ".join(f"word{n}" for n in range(1_000))
    store.add_items("s", [message(text), message("short " * 100)])
    long, short = entries(get(client, page(Session.objects.get())))
    beginning, rest = re.findall('<p class="parlant-text" dir="auto">(.*?)</p>', long, re.DOTALL)
    assert beginning + rest == text
    assert len(beginning) <= transcript.OPEN
    assert f"<summary>{len(rest):,} more characters</summary>" in long
    assert "<details>" not in short


@pytest.mark.parametrize(
    "item",
    [
        message("x" * MEGABYTE),
        message('"' * MEGABYTE),
        message([{"text": "x y " * MEGABYTE}, {"text": "never read"}]),
        OUTPUT | {"output": "x" * MEGABYTE},
        CALL | {"arguments": json.dumps({"text": "x" * MEGABYTE})},
        {"odd": "\\" * MEGABYTE},
        message([{"type": "input_image", "image_url": IMAGE_URL}] * 30),
    ],
    ids=["text", "quotes", "parts", "output", "call", "json", "images"],
)
def test_long_items_are_cut_in_the_database(client, store, item):
    store.add_items("s", [item])
    session = Session.objects.get()
    get(client, page(session))  # Django keeps the content type
    with CaptureQueriesContext(connection) as context:
        html = get(client, page(session))
    assert len(html) < 80_000
    assert "The whole of item 0" in html
    assert len(context) <= 5  # login, user, session, items, the rest of long ones
    for query in context:
        if "parlant_store_session_item" in query["sql"]:
            with connection.cursor() as cursor:
                cursor.execute(query["sql"])
                assert len(str(cursor.fetchall())) < 5 * reading.READ
    item = get(client, page(session.items.get()))
    assert len(item) > 500_000


@pytest.mark.any_database
@pytest.mark.parametrize(
    "item",
    [OUTPUT | {"output": '<&"' * 17_000_000}, message("*a* " * 12_500_000, "assistant")],
    ids=["output", "Markdown"],
)
def test_an_item_of_50_megabytes_makes_a_small_page(client, store, item):
    store.add_items("s", [CALL, item])
    html = get(client, page(Session.objects.get()))
    assert len(html) < 200_000
    assert "The whole of item 1" in html


@pytest.mark.any_database
def test_many_long_texts_make_no_larger_page(client, store):
    markdown = "Some **text** and `code`.\n\n- x\n- y\n\n" * 400
    store.add_items("s", [message(markdown, "assistant")] * reading.PAGE)
    html = get(client, page(Session.objects.get()))
    assert len(positions(html)) == reading.PAGE
    assert len(html) < 1_500_000


@pytest.mark.any_database
def test_a_long_call_keeps_its_name_and_its_output(client, store):
    call = {"arguments": json.dumps({"text": "x" * 50_000}), "call_id": "1", "name": "write"}
    store.add_items("s", [call | {"type": "function_call", "id": "fc"}, OUTPUT])
    (entry,) = entries(get(client, page(Session.objects.get())))
    assert text_of(entry).startswith("Tool call write")
    assert "rain <b>all</b> day" in text_of(entry)


@pytest.mark.any_database
def test_a_long_output_that_failed_is_noticed(client, store):
    error = json.dumps({"text": "x" * 50_000, "error": "full"})
    store.add_items("s", [CALL, OUTPUT | {"output": error}, message("Sorry", "assistant")])
    assert statuses(get(client, page(Session.objects.get()))) == ["1 failed"]


def test_a_session_costs_the_same_for_many_items(client, store, django_assert_num_queries):
    for expected in (30, 60):
        store.add_items("s", [message("a"), CALL, OUTPUT] * 10)
        url = page(Session.objects.get())
        get(client, url)
        with django_assert_num_queries(4):  # login, user, session, items
            html = get(client, url)
        assert len(positions(html)) == expected


@pytest.mark.parametrize(
    "data", ["no json <b>", "", "[" * 100_000, "9" * 5_000, '"\ud7ff"', "null", "[1]", "{"]
)
def test_a_damaged_row_is_shown_as_text(client, store, data):
    store.add_items("s", [message("before"), message("damaged"), message("after")])
    SessionItem.objects.filter(position=1).update(text=None, data=data)
    session = Session.objects.get()
    shown = entries(get(client, page(session)))
    assert len(shown) == 3
    assert "before" in shown[0]
    assert "after" in shown[2]
    html = get(client, page(session.items.get(position=1)))
    if data == "no json <b>":
        assert "no json &lt;b&gt;" in shown[1]
        assert "no json &lt;b&gt;" in html


# Pages


def test_a_session_is_paged_by_position(client, store, monkeypatch):
    monkeypatch.setattr(reading, "PAGE", 3)
    store.add_items("s", [message(f"text {n}") for n in range(8)])
    session = Session.objects.get()
    html = get(client, page(session))
    assert positions(html) == [0, 1, 2]
    assert links(html) == {"Next": "after=2", "Latest": "before=8"}
    html = get(client, page(session, after=2))
    assert positions(html) == [3, 4, 5]
    assert links(html) == {
        "First": "",
        "Previous": "before=3",
        "Next": "after=5",
        "Latest": "before=8",
    }
    html = get(client, page(session, before=8))
    assert positions(html) == [5, 6, 7]
    assert set(links(html)) == {"First", "Previous"}
    html = get(client, page(session, before=2))
    assert positions(html) == [0, 1]
    assert links(html)["Next"] == "after=1"
    assert "First" not in links(html)


@pytest.mark.parametrize("value", ["x", "-5", "9" * 30, "9" * 5_000, "٣", ""])
@pytest.mark.parametrize("name", ["after", "before"])
def test_any_place_may_be_asked_for(client, store, name, value):
    store.add_items("s", [message("hello")])
    html = get(client, page(Session.objects.get(), **{name: value}))
    assert len(entries(html)) == 1 or "Nothing here." in html


def test_pages_keep_the_way_back_to_the_list(client, store, monkeypatch):
    monkeypatch.setattr(reading, "PAGE", 1)
    store.add_items("s", [message("a"), message("b")])
    html = get(client, page(Session.objects.get(), _changelist_filters="q=s"))
    assert links(html)["Next"] == "_changelist_filters=q%3Ds&after=0"


@pytest.mark.any_database
def test_json_of_any_depth_is_shown(client, store):
    store.add_items("s", [message("x")])
    url = page(Session.objects.get())
    for depth in range(300, 1_200, 25):
        for start, end in (("[", "]"), ('{"x":', "}")):
            data = start * depth + "1" + end * depth
            SessionItem.objects.update(text=None, data=data)
            assert len(entries(get(client, url))) == 1


@pytest.mark.any_database
@pytest.mark.parametrize(
    "item",
    [
        message([{}] * 6_000),
        message(["x"] * 4_000),
        message("x", tool_calls=[{}] * 6_000),
        OUTPUT | {"output": [{}] * 6_000},
    ],
    ids=["parts", "texts", "calls", "output"],
)
def test_no_item_has_more_parts_than_a_person_reads(client, store, item):
    store.add_items("s", [item])
    html = get(client, page(Session.objects.get()))
    assert re.search(r"\b[35]9[0-9]{2} more are not shown", html)
    assert len(html) < 80_000


@pytest.mark.any_database
@pytest.mark.parametrize("before", [0, 19_700, 19_850, 19_935, 19_936, 19_937, 20_000, 30_000])
@pytest.mark.parametrize("size", [100, 199, 4_000, 60_000])
def test_the_size_of_an_image_is_right_or_unsaid(client, store, before, size):
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{'A' * (size * 4 // 3)}"}
    parts = [{"type": "input_text", "text": "y" * before}, image, {"text": "after"}]
    store.add_items("s", [message(parts)])
    (entry,) = entries(get(client, page(Session.objects.get())))
    sizes = re.findall("Image, image/png(.*?)</bdi>", entry)
    written = filesizeformat(size * 4 // 3 * 3 // 4)
    assert sizes in ([f", {written}"], [""], [])
    assert sizes == [f", {written}"] or "The whole of item 0" in entry


# JSON that was cut


WHOLE = {"a": [1, {"b": 'x"\\é\n'}], "c": True, "d": [], "e": "😀 end"}


@pytest.mark.any_database
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_json_cut_anywhere_is_read_as_far_as_it_goes(ensure_ascii):
    text = json.dumps(WHOLE, ensure_ascii=ensure_ascii)
    sizes = []
    for end in range(1, len(text) + 1):
        value = beginning(text[:end])
        assert isinstance(value, dict)
        assert list(value) == list(WHOLE)[: len(value)]
        sizes.append(len(value))
    assert value == WHOLE
    assert sizes == sorted(sizes)


@pytest.mark.any_database
def test_what_is_no_json_has_no_beginning():
    for text in ("", "no", "}", "{{", "[1,,"):
        with pytest.raises(ValueError, match="."):
            beginning(text)


@pytest.mark.any_database
def test_the_plain_fields_at_the_end_are_those_of_the_whole():
    text = json.dumps({"x": ', "fake": "1"}', "call_id": "c", "n": 1.5, "t": None})
    for start in range(len(text) - 35):
        assert {"n": 1.5, "t": None}.items() <= last_fields(text[start:]).items()
        assert "fake" not in last_fields(text[start:])
    assert last_fields('{"a": {"b": 1}}') == {}
