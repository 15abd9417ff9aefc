"""What each kind of item says in a transcript, and what is to be noticed of it."""

import re

import pytest

from parlant_store.models import Session
from tests.admin.pages import IMAGE, entries, get, message, page, text_of
from tests.admin.pages import client as client
from tests.admin.transcript.kinds import DONE, ERROR, KINDS, call, output
from tests.admin.transcript.pages import statuses

# What a database reads of an item is the matter of test_pages.py.
pytestmark = pytest.mark.any_database


@pytest.mark.parametrize(("items", "expected", "noticed"), KINDS.values(), ids=KINDS)
def test_every_kind_is_shown_as_what_it_is(client, store, items, expected, noticed):
    store.add_items("s", items)
    html = get(client, page(Session.objects.get()))
    shown = " ".join(map(text_of, entries(html)))
    assert re.search(expected, shown), shown
    assert statuses(html) == noticed
    for word in ("gAAAAsecret", IMAGE[:100], "No text."):
        assert word not in html


SELECTOOLS = {
    "a call without a result failed": (
        [
            message("", "assistant", tool_calls=[{"name": "stock", "parameters": {}, "id": "1"}]),
            message(
                "Error executing tool 'stock': asleep",
                "tool",
                tool_name="stock",
                tool_call_id="1",
            ),
        ],
        ["1 failed"],
    ),
    "a call with a result did not": (
        [
            message("", "assistant", tool_calls=[{"name": "stock", "parameters": {}, "id": "1"}]),
            message("Error", "tool", tool_name="stock", tool_result="Error", tool_call_id="1"),
        ],
        [],
    ),
    "a call that was denied": (
        [
            message("", "assistant", tool_calls=[{"name": "wipe", "parameters": {}, "id": "1"}]),
            message(
                "Tool 'wipe' denied by policy: harm", "tool", tool_name="wipe", tool_call_id="1"
            ),
        ],
        ["1 rejected"],
    ),
    "a provider that failed": (
        [message("Hello?"), message("Provider error: reset", "assistant")],
        ["1 failed"],
    ),
}


@pytest.mark.parametrize(("messages", "noticed"), SELECTOOLS.values(), ids=SELECTOOLS)
def test_what_selectools_says_of_a_call_is_noticed(client, store, messages, noticed):
    state = {"selectools": "memory", "summary": "They want **rye**."}
    store.save_snapshot("s", messages, state=state)
    html = get(client, page(Session.objects.get()))
    assert statuses(html) == noticed
    summary = html.index("Summary of earlier messages")
    assert summary < html.index("They want <strong>rye</strong>.") < html.index('id="item-0"')


def test_each_that_is_noticed_has_a_link(client, store):
    store.add_items("s", [call("a"), output(ERROR), DONE, call("b", id_="2"), output(ERROR, "2")])
    html = get(client, page(Session.objects.get()))
    assert statuses(html) == ["2 failed"]
    assert '2 failed</span> <a href="#item-0">item 0</a> <a href="#item-3">item 3</a>' in html
    opened = re.findall('<details class="parlant-call" open>', html)
    assert len(opened) == 2
