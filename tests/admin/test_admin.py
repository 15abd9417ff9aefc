"""The admin: who may see what, the names of rows, and the list and the pages of items."""

import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from parlant_store.admin import lookups
from parlant_store.content import codec
from parlant_store.models import Document, Session, SessionItem
from tests.admin.pages import (
    CALL,
    LONG,
    SCRIPT,
    UNPRINTABLE,
    bulk,
    entries,
    found,
    get,
    listing,
    message,
    page,
    rows,
    viewer,
)
from tests.admin.pages import client as client

MODELS = ("session", "sessionitem", "document")


@pytest.fixture
def filled(store):
    """A row of each model that the others can be reached from."""
    store.add_items("s", [message("hello")])
    store.insert_one("parlant_sessions", {"id": "d", "customer_id": "c"})
    return [Session.objects.get(), SessionItem.objects.get(), Document.objects.get()]


# Who may do what


@pytest.mark.parametrize("number", range(3), ids=MODELS)
def test_nobody_adds_changes_or_deletes(client, filled, number):
    row, model = filled[number], MODELS[number]
    assert 'name="_save"' not in get(client, page(row))
    assert client.post(page(row), {"position": 5}).status_code == 403
    assert client.get(reverse(f"admin:parlant_store_{model}_add")).status_code == 403
    delete = reverse(f"admin:parlant_store_{model}_delete", args=[row.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": row.pk}
    client.post(listing(model), data)
    assert type(row)._default_manager.filter(pk=row.pk).exists()


@pytest.mark.parametrize("model", ["session", "document"])
def test_a_filter_that_no_database_compares_leads_back_to_the_list(client, filled, model):
    field = {"session": "session_id", "document": "version"}[model]
    response = client.get(listing(model, **{field: "\0"}))
    assert (response.status_code, response.headers["location"][-4:]) == (302, "?e=1")


@pytest.mark.parametrize("number", range(3), ids=MODELS)
def test_the_view_permission_decides(filled, number):
    allowed = viewer(MODELS[number])
    for row, model in zip(filled, MODELS, strict=True):
        status = 200 if model == MODELS[number] else 403
        assert allowed.get(page(row)).status_code == status
        # Parlant's sessions are in the list of conversations.
        is_listed = status == 200 or (model, MODELS[number]) == ("session", "document")
        assert allowed.get(listing(model)).status_code == (200 if is_listed else 403)


def test_items_need_their_own_permission(filled):
    client = viewer("session")
    html = get(client, page(filled[0]))
    assert "hello" not in html
    assert entries(html) == []
    html = get(client, listing("session"))
    assert "hello" not in html
    assert "last_text" not in html
    assert found(client, "session", "hello") == []


def test_an_item_leads_to_its_session_only_for_those_who_may_see_it(client, filled):
    place = page(filled[0], after=-1) + "#item-0"
    assert place in get(client, page(filled[1]))
    assert place not in get(viewer("sessionitem"), page(filled[1]))


# Names


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("one", ["", "team", "a/b"]),
        ("team/one", ["team"]),
        ("a/b/one", ["a/b"]),
        ("ann", ["team"]),
        ("On", []),
        ("o_e", []),
        ("one' OR 1=1 --", []),
        ("a" + "/" * 2_000, []),
    ],
)
def test_sessions_are_found_by_their_whole_names(client, store, term, expected):
    for namespace, owner in (("", None), ("team", "ann"), ("a/b", "bob")):
        store.add_items("one", [message("x")], namespace=namespace, user_id=owner)
    store.add_items("another one", [message("x")])
    keys = Session.objects.filter(namespace__in=expected, session_id="one").order_by("-key")
    wanted = [str(key) for key in keys.values_list("key", flat=True)] if expected else []
    assert found(client, "session", term) == wanted


@pytest.mark.parametrize("name", [LONG, "\ud7ff\x01x", "a/b c%d?e#f&g"], ids=ascii)
def test_names_that_the_columns_escape_or_shorten_are_found(client, store, name):
    store.add_items(name, [message("x")], namespace=name, user_id=name)
    assert len(found(client, "session", name)) == 1
    assert len(found(client, "session", f"{name}/{name}")) == 1
    assert len(found(client, "sessionitem", name)) == 1


def test_an_owner_alone_is_found(client, store):
    store.add_items("one", [message("x")], user_id=LONG)
    store.add_items("two", [message("x")], user_id="ann")
    assert found(client, "session", LONG) == [str(Session.objects.get(session_id="one").key)]


def test_items_are_found_by_their_session(client, store):
    store.add_items("s", [message("x"), message("y")])
    store.add_items("t", [message("z")])
    items = SessionItem.objects.filter(key__in=found(client, "sessionitem", "s"))
    assert {item.text for item in items} == {"x", "y"}


def test_more_namespaces_than_are_looked_into_one_by_one(client, monkeypatch):
    monkeypatch.setattr(lookups, "PLACES", 2)
    for namespace in "abc":
        bulk(2, namespace=namespace)
    assert len(found(client, "session", "s1")) == 3


def test_long_names_stand_at_full_length_on_the_page_and_short_in_the_list(client, store):
    store.add_items(LONG, [message("x")], namespace=f"n{LONG}", user_id=f"u{LONG}")
    html = get(client, page(Session.objects.get()))
    for name in (LONG, f"n{LONG}", f"u{LONG}"):
        assert f'<div class="readonly">{name}</div>' in html
    for model in ("session", "sessionitem"):
        html = get(client, listing(model))
        assert LONG[:70] in html
        assert LONG[:200] not in html
        assert "\x03" not in html


def test_names_are_never_html(client, store):
    store.add_items(SCRIPT, [message(SCRIPT)], namespace=SCRIPT, user_id=SCRIPT)
    store.insert_one(SCRIPT, {"id": SCRIPT, "customer_id": SCRIPT, SCRIPT: SCRIPT})
    store.set_metadata(SCRIPT, {SCRIPT: SCRIPT}, namespace=SCRIPT)
    for row in (Session.objects.get(), SessionItem.objects.get(), Document.objects.get()):
        for url in (page(row), listing(row._meta.model_name), listing("session", q=SCRIPT)):
            html = get(client, url)
            assert SCRIPT not in html
            assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_what_utf8_cannot_say_is_shown(client, store):
    call = {"type": "function_call", "name": "\ud800", "arguments": '{"a":"\\ud800\\u0000"}'}
    output = {"type": "function_call_output", "output": "c\0 \udc00"}
    store.add_items("\ud800", [UNPRINTABLE, call, output], namespace="\ud801", user_id="\ud802")
    store.set_metadata("\ud800", UNPRINTABLE, namespace="\ud801")
    first, second, *_ = entries(get(client, page(Session.objects.get())))
    assert "a\ufffd \ufffd" in first
    assert "\\ud800\\u0000" in second
    assert "c\ufffd \ufffd" in second
    item = get(client, page(SessionItem.objects.get(position=0)))
    assert "a\\u0000 \\ud800" in item
    for model in ("session", "sessionitem"):
        assert "\ufffd" in get(client, listing(model))


# Items


def test_items_are_listed_with_a_short_text(client, store):
    store.add_items("s", [message("x" * 5_000), CALL], namespace="team")
    cells = [re.sub("<.*?>", "", cell) for cell in rows(get(client, listing("sessionitem")))]
    assert cells[:3] == ["team/s", "1", "function_call"]
    assert cells[3].startswith("{&quot;type&quot;:&quot;function_call&quot;")
    assert cells[5:9] == ["team/s", "0", "user", "x" * 79 + "…"]


def test_the_list_of_items_costs_the_same_for_many_and_reads_no_json(client, store):
    def queries():
        with CaptureQueriesContext(connection) as context:
            get(client, listing("sessionitem"))
        return [query["sql"] for query in context]

    for n in range(20):
        store.add_items(f"s{n}", [message("hello")])
    before = queries()
    for n in range(20, 40):
        store.add_items(f"s{n}", [message("hello")])
    after = queries()
    assert len(before) == len(after) == 4  # login, user, count, rows
    columns = after[-1].partition(" FROM ")[0]
    for column in ("metadata", "state", "full_names"):
        assert column not in columns
    assert ', "parlant_store_session_item"."data",' not in columns


def test_the_json_is_indented(client, store):
    store.add_items("s", [CALL])
    item = get(client, page(SessionItem.objects.get()))
    assert "  &quot;type&quot;: &quot;function_call&quot;,\n  &quot;name&quot;" in item


def test_json_that_would_grow_too_much_is_not_indented(client, store):
    deep = [1] * 30_000
    for _ in range(codec.MAX_DEPTH - 5):
        deep = [deep]
    store.add_items("s", [{"deep": deep}])
    for row in (SessionItem.objects.get(), Session.objects.get()):
        html = get(client, page(row))
        assert len(html) < 1_000_000
        assert "1, 1, 1" in html or "1,1,1" in html


def test_what_is_missing_is_a_dash(client, store):
    store.add_items("s", [{}])
    for row in (Session.objects.get(), SessionItem.objects.get()):
        html = get(client, page(row))
        assert '<div class="readonly">-</div>' in html
        assert '<div class="readonly">None</div>' not in html


def test_metadata_is_shown(client, store):
    store.set_metadata("s", {"model": "gpt"})
    html = get(client, page(Session.objects.get()))
    assert "{\n  &quot;model&quot;: &quot;gpt&quot;\n}" in html
    assert json.dumps({"model": "gpt"}) not in html
