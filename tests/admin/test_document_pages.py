"""The page of a document in the admin, and the events of a Parlant session on it."""

import asyncio
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from parlant.core.customers import CustomerDocumentStore
from parlant.core.sessions import EventKind, EventSource, SessionDocumentStore

from parlant_store.adapters.parlant import DocumentDatabase, migration
from parlant_store.admin.documents import collections, event_entries, events, json_tree
from parlant_store.content import codec
from parlant_store.models import Document, Session
from tests.admin.document_lists import event, links, one, owned, shown
from tests.admin.pages import SCRIPT, get, listing, page
from tests.admin.pages import client as client
from tests.contract.parlant_stores import LIVES, NASTY, Tale, open_store


def entries(html):
    found = re.findall(r'<li id="event-(\d+)">(.*?)</li>\s*(?=<li id="event|</ol>)', html, re.S)
    return {int(offset): " ".join(shown(text).split()) for offset, text in found}


# Pages


def test_a_page_leads_to_pages_of_its_own_admin(client, store, settings):
    settings.ROOT_URLCONF = "tests.admin.two_sites"
    owned(store)
    store.insert_one("p_failed_migrations", {"id": "f"})
    store.add_items("s", [{"role": "user", "content": "hello"}])
    addresses = [page(document) for document in Document.objects.all()]
    addresses += [page(Session.objects.get()), listing("session"), listing("document")]
    addresses += [reverse(f"admin:parlant_store_session_{name}") for name in ("overview", "stores")]
    for address in addresses:
        html = get(client, address.replace("/admin/", "/second/", 1))
        content = html[html.index('id="content"') : html.index('id="footer"')]
        assert re.findall(r'href="/(?!second|static)[^"]*"', content) == [], address


def folded(client, document, **params):
    html = get(client, page(document, **params))
    (section,) = re.findall(r'<section class="module parlant-document".*?</section>', html, re.S)
    return section


def test_json_is_folded_and_unfolded_without_a_script(client, store):
    value = {"id": "d", "deep": {"a": {"b": {"c": [1.0, None, True]}}}, "many": list(range(50))}
    store.insert_one("x", value | {"text": "é" * 1_000, "none": {}})
    document = one()
    section = folded(client, document)
    assert "<script" not in section
    assert '&quot;deep&quot;</span>: <span class="parlant-size">{…} 1 field</span>' in section
    assert "[…] 50 values" in section
    assert "1000 characters" in section
    assert "é" * 1_000 in section
    assert 0 < section.count("<details open>") < section.count("<details")
    section = folded(client, document, json="open")
    assert section.count("<details open>") == section.count("<details") == 7
    assert "&quot;none&quot;: {}" in shown(section)
    section = folded(client, document, json="text")
    assert "<details" not in section
    assert "&quot;c&quot;: [\n          1.0,\n" in section


@pytest.mark.parametrize("shape", ["folded", "open", "text", "x"])
def test_nothing_of_a_document_is_html(client, store, shape):
    value = {SCRIPT: SCRIPT, "list": [SCRIPT, {SCRIPT: [SCRIPT + "x" * 600]}]}
    store.insert_one(SCRIPT, {"id": SCRIPT, "session_id": SCRIPT, "customer_id": SCRIPT} | value)
    store.insert_one(
        f"{SCRIPT}{migration.FAILED}",
        {"id": SCRIPT, "reason": SCRIPT, "collection": SCRIPT, "document": value},
    )
    for document in Document.objects.all():
        html = get(client, page(document, json=shape))
        assert SCRIPT not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    for params in ({"collection": SCRIPT}, {"session_id": SCRIPT}, {"q": SCRIPT}):
        assert SCRIPT not in get(client, listing("document", **params))
    assert SCRIPT not in get(client, listing("document", collection=SCRIPT + migration.FAILED))


def test_a_large_document_makes_no_larger_page(client, store):
    store.insert_one("x", {"id": "text", "text": "ab\n" * 3_000_000})
    store.insert_one("x", {"id": "many", "list": [{"n": number} for number in range(200_000)]})
    sizes = {"text": 12_000_000, "many": 15_000_000}
    for id_, size in sizes.items():
        document = one(document_id=id_)
        assert len(get(client, page(document))) < size
    assert "<details" not in folded(client, document)


def test_deep_json_is_text_from_some_depth_on(client, store):
    deep = "bottom"
    for _ in range(codec.MAX_DEPTH - 2):
        deep = [deep]
    store.insert_one("x", {"id": "d", "deep": deep})
    section = folded(client, one(), json="open")
    assert section.count("<details") == json_tree.MAX_DEPTH + 1
    assert "bottom" in section


def test_a_field_of_the_name_of_a_column_is_no_column(client, store):
    store.insert_one("x", {"id": "d", "collection": "another"})
    html = get(client, page(one()))
    assert '<a href="/admin/parlant_store/document/?collection=x">x</a>' in html


# The events of a Parlant session


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
    assert re.search(r"Calls\s+local:order .*17.*Tool output .*shipped.*&quot;ms&quot;", found[3])
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


@pytest.mark.parametrize("kind", [SessionDocumentStore, CustomerDocumentStore])
def test_the_documents_of_parlants_own_stores_are_shown(client, store, kind):
    async def live():
        made = await open_store(kind, DocumentDatabase(table_prefix="p_"))
        await LIVES[kind][0](made, Tale())

    asyncio.run(live())
    assert Document.objects.count() > 5
    for document in Document.objects.all():
        get(client, page(document))
    for collection in collections.collection_names():
        get(client, listing("document", collection=collection))


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
    (sql,) = (query["sql"] for query in context if "tool_id" in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute(sql)
        read = sum(len(str(value)) for row in cursor.fetchall() for value in row)
    assert read < event_entries.MESSAGE + 2 * event_entries.READ + 2_000


def test_events_are_paged_by_offset(client, store, monkeypatch):
    monkeypatch.setattr(events, "PAGE", 3)
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
