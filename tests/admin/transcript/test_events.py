"""The events of a Parlant session on its page: what they become, and how much of them is read."""

import asyncio
import re
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from parlant.core.customers import CustomerDocumentStore
from parlant.core.sessions import EventKind, EventSource, SessionDocumentStore

from parlant_store.adapters.parlant import DocumentDatabase
from parlant_store.admin.transcript import pages
from parlant_store.admin.transcript.formats import parlant
from tests.admin.documents.lists import event, links, one, shown
from tests.admin.pages import SCRIPT, get, page
from tests.admin.pages import client as client
from tests.admin.transcript.pages import statuses
from tests.contract.parlant_stores import NASTY, open_store


def entries(html):
    found = re.findall(r'<li id="event-(\d+)">(.*?)</li>\s*(?=<li id="event|</ol>)', html, re.S)
    return {int(offset): " ".join(shown(text).split()) for offset, text in found}


async def talk(store_kind=SessionDocumentStore) -> str:
    sessions = await open_store(store_kind, DocumentDatabase(table_prefix="p_sessions_"))
    customers = await open_store(
        CustomerDocumentStore, DocumentDatabase(table_prefix="p_customers_")
    )
    customer = await customers.create_customer("Ada")
    session = await sessions.create_session(customer.id, "agent")

    async def said(source, kind, data, trace="t1", **more):
        return await sessions.create_event(session.id, source, kind, trace, data, **more)

    ada = {"id": customer.id, "display_name": "Ada"}
    await said(
        EventSource.CUSTOMER, EventKind.MESSAGE, {"message": "Where is it?", "participant": ada}
    )
    await said(EventSource.AI_AGENT, EventKind.STATUS, {"status": "acknowledged", "data": {}})
    await said(
        EventSource.AI_AGENT,
        EventKind.STATUS,
        {"status": "processing", "data": {"stage": "Looking", "n": 1}},
    )
    call = {
        "tool_id": "local:order",
        "arguments": {"order": "17"},
        "result": {"data": {"state": "shipped"}, "metadata": {"ms": 5}, "control": {}},
    }
    empty = {"tool_id": "local:none", "arguments": {}, "result": {"data": None}}
    await said(EventSource.SYSTEM, EventKind.TOOL, {"tool_calls": [call, empty]})
    clerk = {"display_name": "Clerk"}
    answer = await said(
        EventSource.AI_AGENT,
        EventKind.MESSAGE,
        {"message": "It was \0 shipped.", "participant": clerk},
    )
    await said(EventSource.CUSTOMER_UI, EventKind.CUSTOM, {"page": "/cart"}, "t2")
    insult = {"message": "Fool", "participant": ada, "flagged": True, "tags": ["insult"]}
    await said(EventSource.CUSTOMER, EventKind.MESSAGE, insult, "t2")
    await said(EventSource.AI_AGENT, EventKind.STATUS, {"status": "error", "data": {"e": "boom"}})
    await sessions.delete_event(answer.id)
    return session.id


def test_a_parlant_session_shows_its_events(client, store):
    session_id = asyncio.run(talk())
    html = get(client, page(one(collection="p_sessions_sessions")))
    found = entries(html)
    assert list(found) == list(range(8))
    assert "Customer: Ada" in found[0]
    assert "Where is it?" in found[0]
    assert "Trace t1" in found[0]
    assert "Trace" not in found[1]
    assert "Status acknowledged" in found[1]
    assert "Status processing: Looking" in found[2]
    assert "&quot;n&quot;: 1" in found[2]
    assert re.search(
        r"Tool call\s+local:order .*17.*Tool output .*shipped.*&quot;ms&quot;", found[3]
    )
    assert re.search(r"local:none\s+No arguments\. .*It is empty\.", found[3])
    assert "AI agent: Clerk" in found[4]
    assert "It was \ufffd shipped." in found[4]
    assert "Deleted" in found[4]
    assert "Customer&#x27;s interface custom" in found[5]
    assert "/cart" in found[5]
    assert "Trace t2" in found[5]
    assert "Flagged by moderation: insult" in found[6]
    assert "boom" in found[7]
    assert page(one(collection="p_sessions_events", data__offset=3)) in html
    assert links(html)["Customer " + one(document_id=session_id).customer_id] == page(
        one(collection="p_customers_customers")
    )


def session(store):
    store.insert_one("p_sessions", {"id": "s"})
    return one(collection="p_sessions")


@pytest.mark.parametrize(
    "data",
    [
        None,
        "plain \0 \ud800",
        5,
        NASTY,
        [],
        {"message": 5},
        {"message": ""},
        {"tool_calls": None},
        {"tool_calls": [1, SCRIPT]},
        {"tool_calls": [{SCRIPT: SCRIPT, "arguments": SCRIPT, "result": SCRIPT}]},
        {"tool_calls": [{"tool_id": SCRIPT, "arguments": [], "result": {SCRIPT: SCRIPT}}]},
        {"status": SCRIPT, "data": {"stage": SCRIPT, SCRIPT: 1}},
        {
            "message": SCRIPT,
            "participant": {"display_name": SCRIPT},
            "flagged": 1,
            "tags": [SCRIPT],
        },
    ],
    ids=ascii,
)
def test_events_of_any_shape_are_shown_as_text(client, store, data):
    document = session(store)
    for offset, kind in enumerate(("message", "tool", "status", "custom", SCRIPT, None)):
        event(store, offset, data, kind, source=SCRIPT, trace_id=SCRIPT, creation_utc=SCRIPT)
    event(store, "no number", data)
    event(store, None, data, creation_utc="0001-01-01T00:00:00+00:00")
    html = get(client, page(document))
    assert len(entries(html)) == 6
    assert html.count('<article class="parlant-entry') >= 8
    assert SCRIPT not in html


def test_long_events_are_cut_in_the_database(client, store):
    document = session(store)
    long = "x" * 1_000_000
    event(store, 0, {"message": long})
    event(store, 1, {"tool_calls": [{"tool_id": "search", "result": {"data": long}}]}, "tool")
    with CaptureQueriesContext(connection) as context:
        html = get(client, page(document))
    assert len(html) < 100_000
    assert "search" in entries(html)[1]
    assert "Not all of it is shown here." in entries(html)[1]
    assert statuses(html) == ["1 unanswered"]  # the message of a customer
    (sql,) = (query["sql"] for query in context if "tool_id" in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute(sql)
        read = sum(len(str(value)) for row in cursor.fetchall() for value in row)
    assert read < parlant.MESSAGE + 2 * parlant.READ + 2_000


def test_events_are_paged_by_offset(client, store, monkeypatch):
    monkeypatch.setattr(pages, "PAGE", 3)
    document = session(store)
    for offset in (5, 0, 1, 2, 3, 4, 7, 9):
        event(store, offset, {"message": f"text {offset}"})
    event(store, 6, {"message": "another's"}, session_id="t")
    html = get(client, page(document))
    assert list(entries(html)) == [0, 1, 2]
    assert "?after=2#items" in html
    assert "?before=10#items" in html
    html = get(client, page(document, after=2))
    assert list(entries(html)) == [3, 4, 5]
    assert "?before=3#items" in html
    html = get(client, page(document, before=10))
    assert list(entries(html)) == [5, 7, 9]
    assert "after=9" not in html
    html = get(client, page(document, before=3))
    assert list(entries(html)) == [0, 1, 2]
    for value in ("x", "-5", "9" * 30, "9" * 5_000, "٣", ""):
        get(client, page(document, after=value))
        get(client, page(document, before=value))


def said(words, source="ai_agent", name="Deckhand", **fields):
    """A message: its source and its data."""
    return {
        "source": source,
        "kind": "message",
        "data": {"message": words, "participant": {"display_name": name}, **fields},
    }


def ran(*calls):
    return {"source": "ai_agent", "kind": "tool", "data": {"tool_calls": list(calls)}}


def tool(name="pier:book", result=None, **fields):
    """A call in a tool event; without a result there is none."""
    results = {"result": {"data": result, "metadata": {}, "control": {}} | fields}
    return {"tool_id": name, "arguments": {"pier": 4}} | (results if result is not None else {})


def status(word, **data):
    return {"source": "ai_agent", "kind": "status", "data": {"status": word, "data": data}}


KINDS = {
    "a draft and a canned response": (
        [
            said(
                "Cats are welcome.",
                draft="Of course, bring the cat!",
                canned_responses=[["r4", "Cats are welcome."]],
            )
        ],
        "AI agent: Deckhand Canned response .*Cats are welcome[.] Draft .*bring the cat! "
        "Canned responses .*r4: Cats are welcome[.]",
        [],
    ),
    "a preamble": ([said("One moment.", tags=["__preamble__"])], "Preamble .*One moment[.]", []),
    "a message that was streamed": ([said("All done.", chunks=["All ", "done.", None])], "", []),
    "a message that broke off": (
        [said("All d", chunks=["All ", "d"])],
        "AI agent: Deckhand Incomplete",
        ["1 incomplete"],
    ),
    "a flagged message": (
        [said("Tin head!", "customer", "Ada", flagged=True, tags=["insult"]), said("Sorry.")],
        "Customer: Ada Flagged .*Flagged by moderation: insult Tin head!",
        ["1 flagged"],
    ),
    "a deleted message": (
        [said("My number is 1") | {"deleted": True, "metadata": {"edited": "yes"}}],
        'Deleted .*Deleted: Parlant shows it to nobody[.] .*My number is 1 Metadata .*"edited"',
        [],
    ),
    "people": (
        [
            said("I take over.", "human_agent", "Jo"),
            said("As the agent.", "human_agent_on_behalf_of_ai_agent"),
            said("Renamed.", "system", "System"),
        ],
        "Human agent: Jo .*Human agent for the AI agent: Deckhand .*System: System",
        [],
    ),
    "a question that nobody answered": (
        [said("Hello.", "ai_agent"), said("When?", "customer", "Ada")],
        "Customer: Ada Unanswered",
        ["1 unanswered"],
    ),
    "a tool that raised": (
        [
            ran(
                tool(result="Tool call error", metadata={"error_details": "no seats"}),
                tool("pier:pay", {"error": "card refused"}),
                tool("pier:sell"),
            )
        ],
        "Tool call pier:book .*Failed .*no seats.*Tool call pier:pay .*Failed .*card refused"
        ".*Tool call pier:sell .*Unanswered .*No output[.]",
        ["2 failed", "1 unanswered"],
    ),
    "a handover": (
        [ran(tool(result="Called.", control={"mode": "manual", "lifespan": "session"}))],
        "pier:book .*Handed to a person: the agent does not answer from here on",
        [],
    ),
    "a return": ([ran(tool(result=1, control={"mode": "auto"}))], "Given back to the agent", []),
    "what a tool gives beside its data": (
        [
            ran(
                tool(
                    result={"seats": 3},
                    metadata={"ms": 9},
                    canned_responses=["Three."],
                    canned_response_fields={"n": 3},
                    guidelines=[{"action": "Be brief"}],
                )
            )
        ],
        '"seats": 3.*Metadata .*"ms": 9.*Canned responses .*Three[.].*'
        'Fields of canned responses .*"n": 3.*Guidelines .*Be brief',
        [],
    ),
    "statuses": (
        [
            status("typing"),
            status("processing", stage="Reading"),
            status("ready", stage="completed", matched_guidelines=[{"id": "g7"}], ms=4),
            status("error", exception="Traceback\nValueError: full"),
        ],
        "Status typing .*Status processing: Reading .*Status ready: completed .*"
        "1 guideline matched .*g7.*More .*4.*Status error Failed .*Traceback ValueError: full",
        ["1 failed"],
    ),
    "custom events": (
        [{"source": "system", "kind": "custom", "data": {"given_to": "Jo"}}],
        'System custom .*What it holds .*"given_to": "Jo"',
        [],
    ),
}


@pytest.mark.any_database
@pytest.mark.parametrize(("listed", "expected", "noticed"), KINDS.values(), ids=KINDS)
def test_every_kind_of_event_is_shown_as_what_it_is(client, store, listed, expected, noticed):
    document = session(store)
    for offset, fields in enumerate(listed):
        event(store, offset, **fields)
    html = get(client, page(document))
    text = " ".join(entries(html).values())
    assert re.search(expected, unescape(text)), text
    assert statuses(html) == noticed


@pytest.mark.any_database
def test_what_is_said_of_the_session_itself_comes_first(client, store):
    about = {"mode": "manual", "title": "Late", "labels": ["vip"], "metadata": {"by": "phone"}}
    store.insert_one("p_sessions", {"id": "s", **about})
    for offset in range(3):
        event(store, offset, {"message": "Hi."})
    html = get(client, page(one(collection="p_sessions")))
    (section,) = re.findall(r'<section class="module parlant-transcript".*?</section>', html, re.S)
    first = section[: section.index('id="event-0"')]
    assert re.search(
        "Title.*Late.*Mode manual: a person answers.*Labels.*vip.*Metadata.*phone",
        shown(first),
        re.S,
    )
    html = get(client, page(one(collection="p_sessions"), after=1))
    assert "Mode manual" not in html.partition('id="items"')[2].partition("</section>")[0]


def test_events_are_found_on_other_pages(client, store, monkeypatch):
    monkeypatch.setattr(pages, "PAGE", 2)
    document = session(store)
    for offset in range(6):
        event(store, offset, {"message": f"number {offset % 3}"})
    event(store, 6, {"tool_calls": [tool(result="number 1 again")]}, "tool")
    html = get(client, page(document, find="NUMBER 1", show="messages"))
    assert "<mark>number</mark> <mark>1</mark>" in html
    (links_,) = re.findall('<p class="parlant-matches">(.*?)</p>', html, re.DOTALL)
    hrefs = re.findall('href="(.*?)"', links_)
    params = "find=NUMBER+1&amp;show=messages"
    assert hrefs == ["#event-1", f"?{params}&amp;after=2#event-4", f"?{params}&amp;after=4#event-6"]


def test_failed_calls_on_other_pages_are_linked(client, store, monkeypatch):
    monkeypatch.setattr(pages, "PAGE", 2)
    document = session(store)
    failed = {"tool_calls": [tool(result="Tool call error")]}
    for offset, kind in enumerate(["tool", *["message"] * 6, "tool"]):
        event(store, offset, failed if kind == "tool" else {"message": "x"}, kind)
    html = get(client, page(document, after=2))
    assert '<a href="?after=-1#event-0">Failed before this page: event 0</a>' in html
    assert '<a href="?after=5#event-7">Failed after this page: event 7</a>' in html
