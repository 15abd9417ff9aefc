"""The columns of a list of documents, by what each collection holds."""

import pytest

from tests.admin.documents.lists import one, owned
from tests.admin.pages import SCRIPT, column, get, listing, page, sent
from tests.admin.pages import client as client


def test_columns_are_short_and_hide_nothing(client, store):
    id_ = "0b903906-10ab-4d04-8582-a6de2feec470"
    created = "2026-11-21T18:08:14.836302+00:00"
    store.insert_one("p_s__events_", {"id": id_, "agent_id": id_, "creation_utc": created})
    html = get(client, listing("document", q=id_))
    assert column(html, "collection") == ["p_s__events_"]
    html = sent(client, listing("document", q=id_))
    assert ">p_<wbr>s__<wbr>events_</span></td>" in html
    assert ">p_<wbr>s__<wbr>events_ (1)</a>" in html
    assert html.count(f'<bdi class="parlant-id" title="{id_}">{id_}</bdi>') == 2
    assert column(html, "customer_id") == ["-"]
    time = f'<time class="parlant-created" datetime="{created}" title="{created}">'
    assert f"{time}2026-11-21 18:08:14</time>" in html
    html = get(client, page(one()))
    assert html.count(id_) > 2
    assert created in html
    assert '<div class="readonly">never</div>' in html


@pytest.mark.parametrize(
    ("created", "shown"),
    [
        ("2026-11-21T18:08:14Z", "2026-11-21 18:08:14"),
        ("2026-11-21T18:08:14+02:00", "2026-11-21T18:08:14+02:00"),
        ("2026-11-21", "2026-11-21"),
        ("in May", "in May"),
        (
            f"2026-11-21T18:08:14Z{SCRIPT}",
            "2026-11-21T18:08:14Z&lt;script&gt;alert(1)&lt;/script&gt;",
        ),
        (None, "-"),
    ],
)
def test_only_what_is_surely_a_time_in_utc_is_shortened(client, store, created, shown):
    store.insert_one("x", {"id": "d", "creation_utc": created})
    html = get(client, listing("document", collection="x"))
    assert column(html, "creation_utc") == [shown]


@pytest.mark.parametrize(
    ("collection", "document", "shown"),
    [
        (
            "p_sessions",
            {"id": "s", "title": "Refund", "customer_id": "c", "agent_id": "a", "mode": "auto"},
            {"title": "Refund", "customer_id": "c", "agent_id": "a", "mode": "auto"},
        ),
        (
            "p_events",
            {"id": "e", "offset": 3, "kind": "message", "source": "customer"}
            | {"session_id": "s", "data": {"message": "Where is it?"}},
            {"offset": "3", "kind": "message", "source": "customer", "text": "Where is it?"},
        ),
        ("p_events", {"id": "e", "data": {"status": "ready"}}, {"text": "ready"}),
        ("p_events", {"id": "e", "data": {"tool_calls": [{"tool_id": "t:x"}]}}, {"text": "t:x"}),
        ("p_events", {"id": "e", "data": "plain \0"}, {"text": "plain \ufffd"}),
        ("p_customers", {"id": "c", "name": "Ada"}, {"document_id": "c", "name": "Ada"}),
        ("p_agents", {"id": "a", "name": "Guide", "description": "It helps."}, {"name": "Guide"}),
        ("p_variables", {"id": "v", "name": "plan"}, {"name": "plan"}),
        (
            "p_values",
            {"id": "x", "variable_id": "v", "key": "c", "data": {"plan": 1}},
            {"variable_id": "v", "key": "c"},
        ),
        (
            "p_guidelines",
            {"id": "g", "content": {"condition": "if", "action": "do"}},
            {"condition": "if", "action": "do"},
        ),
        ("p_tags", {"id": "t", "name": "vip"}, {"field_0": "vip"}),
        (
            "p_customer_tag_associations",
            {"id": "x", "customer_id": "c", "tag_id": "t"},
            {"customer_id": "c", "field_0": "t"},
        ),
        (
            "q_notes",
            {"id": "n", "text": "x" * 100, "n": 1.5, "ok": True, "none": None, "deep": {"a": 1}},
            {"field_0": "1.5", "field_1": "true", "field_2": "x" * 79 + "…"},
        ),
        ("q_notes", {"id": "n", "99999999999999999999": 1, "a__b": SCRIPT}, {"field_0": None}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_collection_has_columns_that_fit(client, store, collection, document, shown):
    store.insert_one(collection, document)
    html = get(client, listing("document", collection=collection))
    assert SCRIPT not in html
    for name, text in shown.items():
        expected = [text or "&lt;script&gt;alert(1)&lt;/script&gt;"]
        assert column(html, name) == expected, name


def test_columns_of_other_collections_are_the_fields_that_occur_most(client, store):
    for number in range(3):
        store.insert_one("q", {"id": str(number), "often": number, f"rare{number}": 1})
    html = get(client, listing("document", collection="q"))
    assert column(html, "field_0") == ["2", "1", "0"]
    assert "<span>Often</span>" in html
    assert "<span>Rare2</span>" in html


def test_documents_of_a_session_and_customer_lead_to_their_pages(client, store):
    owned(store)
    session = page(one(collection="p_sessions"))
    html = get(client, listing("document", collection="p_events"))
    assert html.count(f'href="{session}?after=0#event-1"') == 1
    assert html.count(f'href="{session}?after=-1#event-0"') == 1
    html = get(client, listing("document", collection="p_sessions"))
    assert 'href="/admin/parlant_store/session/person/?user=c"' in html
    html = get(client, listing("document", q="s"))
    assert f'href="{session}?after=0#event-1"' in html
