"""The admin: what people see of sessions and documents, and what it costs the database."""

import json
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from parlant_store import codec
from parlant_store.admin import search, transcript
from parlant_store.models import Document, Session, SessionItem

CALL = {"type": "function_call", "name": "weather", "arguments": '{"city":"Köln"}', "call_id": "1"}
OUTPUT = {"type": "function_call_output", "call_id": "1", "output": "rain <b>all</b> day"}
UNPRINTABLE = {"role": "tool", "content": "a\0 \ud800", "extra": {"\udfff": "b\0"}}
SCRIPT = "<script>alert(1)</script>"
LONG = "long-" + "ü" * 1_000
MODELS = ("session", "sessionitem", "document")


def message(text, role="user"):
    return {"role": role, "content": text}


def listing(model, **params):
    return reverse(f"admin:parlant_store_{model}_changelist", query=params)


def page(row, **params):
    return reverse(
        f"admin:parlant_store_{row._meta.model_name}_change", args=[row.pk], query=params
    )


def get(client, url):
    response = client.get(url)
    assert response.status_code == 200, (url, response.status_code)
    return response.content.decode()


def rows(html):
    return re.findall(r'<th class="field-.*?</th>|<td class="field-.*?</td>', html)


def items(html):
    return re.findall(r'<article class="parlant-item".*?</article>', html, re.DOTALL)


def positions(html):
    return [int(position) for position in re.findall(r'<li id="item-(\d+)">', html)]


def links(html):
    found = re.findall(r'<a(?: rel="\w+")? href="(\?[^"]*)#items">(\w+)</a>', html)
    return {name: url.replace("&amp;", "&").removeprefix("?") for url, name in found}


def viewer(*models):
    user = User.objects.create_user("viewer", is_staff=True)
    names = [f"view_{model}" for model in models]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def client(store):
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def filled(store):
    """A row of each model that the others can be reached from."""
    store.add_items("s", [message("hello")])
    store.insert_one("parlant_sessions", {"id": "d", "customer_id": "c"})
    return [Session.objects.get(), SessionItem.objects.get(), Document.objects.get()]


def bulk(count, **fields):
    sessions = (Session(session_id=f"s{n}", user_id=f"u{n}", **fields) for n in range(count))
    Session.objects.bulk_create(sessions, batch_size=1_000)


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


@pytest.mark.parametrize("number", range(3), ids=MODELS)
def test_the_view_permission_decides(filled, number):
    allowed = viewer(MODELS[number])
    for row, model in zip(filled, MODELS, strict=True):
        status = 200 if model == MODELS[number] else 403
        assert allowed.get(listing(model)).status_code == status
        assert allowed.get(page(row)).status_code == status


def test_items_need_their_own_permission(filled):
    html = get(viewer("session"), page(filled[0]))
    assert "hello" not in html
    assert items(html) == []


def test_an_item_leads_to_its_session_only_for_those_who_may_see_it(client, filled):
    place = page(filled[0], after=-1) + "#item-0"
    assert place in get(client, page(filled[1]))
    assert place not in get(viewer("sessionitem"), page(filled[1]))


# Lists


def test_sessions_are_listed_newest_first(client, store):
    store.add_items("first", [message("a")], namespace="team", user_id="ann")
    store.add_items("second", [message("a"), message("b")])
    text = "".join(rows(get(client, listing("session"))))
    assert text.index("second") < text.index("first")
    assert re.findall(r"field-(\w+)", text)[:6] == [
        "session_id",
        "namespace",
        "user_id",
        "item_count",
        "updated_at",
        "expires_at",
    ]
    assert ">team<" in text
    assert ">ann<" in text
    assert [int(n) for n in re.findall(r'field-item_count">(\d+)', text)] == [2, 1]


def test_documents_are_listed_with_their_columns(client, store):
    fields = ("id", "customer_id", "agent_id", "session_id", "version", "creation_utc")
    store.insert_one("parlant_x", {field: f"the {field}" for field in fields} | {"more": "json"})
    cells = rows(get(client, listing("document")))
    assert [re.sub("<.*?>", "", cell) for cell in cells] == [
        "parlant_x",
        *(f"the {field}" for field in fields),
    ]


def test_items_are_listed_with_a_short_text(client, store):
    store.add_items("s", [message("x" * 5_000), CALL], namespace="team")
    cells = [re.sub("<.*?>", "", cell) for cell in rows(get(client, listing("sessionitem")))]
    assert cells[:3] == ["team/s", "1", "function_call"]
    assert cells[3].startswith("{&quot;type&quot;:&quot;function_call&quot;")
    assert cells[5:9] == ["team/s", "0", "user", "x" * 79 + "…"]


@pytest.mark.parametrize("model", MODELS)
def test_a_list_costs_the_same_for_many_rows_and_reads_no_json(client, store, model):
    def queries():
        with CaptureQueriesContext(
            connection,
        ) as context:
            get(client, listing(model))
        return [query["sql"] for query in context]

    def fill(start):
        for n in range(start, start + 20):
            store.add_items(f"s{n}", [message("hello")])
            store.insert_one("parlant_x", {"id": f"d{n}"})

    fill(0)
    before = queries()
    fill(20)
    after = queries()
    assert len(before) == len(after) == 4  # login, user, count, rows
    columns = after[-1].partition(" FROM ")[0]
    for column in ("metadata", "state", "full_names"):
        assert column not in columns
    assert f'SELECT "parlant_store_{model}"."data"' not in columns
    assert ', "parlant_store_session_item"."data",' not in columns
    assert '"parlant_store_document"."data"' not in columns


def test_a_list_counts_no_further_than_its_limit(client):
    bulk(10_050)
    with CaptureQueriesContext(connection) as context:
        html = get(client, listing("session"))
    (count,) = (query["sql"] for query in context if "COUNT(" in query["sql"])
    assert "LIMIT 10001" in count
    assert "10,000+ sessions" in html
    assert "?p=100" in html
    assert "?p=101" not in html
    assert "s50" in get(client, listing("session", p=100))


def test_a_list_below_its_limit_is_counted_exactly(client):
    bulk(3)
    assert re.search(r"\b3 sessions", get(client, listing("session")))


def test_what_has_expired_is_invisible(client, filled):
    gone = timezone.now() - timedelta(seconds=1)
    Session.objects.update(expires_at=gone)
    Document.objects.update(expires_at=gone)
    for row, model in zip(filled, MODELS, strict=True):
        assert rows(get(client, listing(model))) == []
        assert client.get(page(row)).status_code == 302
    soon = timezone.now() + timedelta(hours=1)
    Session.objects.update(expires_at=soon)
    Document.objects.update(expires_at=soon)
    for row, model in zip(filled, MODELS, strict=True):
        assert rows(get(client, listing(model)))
        assert client.get(page(row)).status_code == 200


# Search


def found(client, model, term):
    html = get(client, listing(model, q=term))
    return re.findall(rf"/admin/parlant_store/{model}/(\d+)/change", html)


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
    store.insert_one("parlant_x", {"id": name})
    assert len(found(client, "session", name)) == 1
    assert len(found(client, "session", f"{name}/{name}")) == 1
    assert len(found(client, "sessionitem", name)) == 1
    assert len(found(client, "document", name)) == 1
    assert len(found(client, "document", f"parlant_x/{name}")) == 1


def test_an_owner_alone_is_found(client, store):
    store.add_items("one", [message("x")], user_id=LONG)
    store.add_items("two", [message("x")], user_id="ann")
    assert found(client, "session", LONG) == [str(Session.objects.get(session_id="one").key)]


def test_documents_and_items_are_found_by_id(client, store):
    for collection in ("parlant_a", "parlant_b"):
        store.insert_one(collection, {"id": "d"})
        store.insert_one(collection, {"id": "dd"})
    store.add_items("s", [message("x"), message("y")])
    store.add_items("t", [message("z")])
    assert len(found(client, "document", "d")) == 2
    (key,) = found(client, "document", "parlant_b/d")
    assert Document.objects.get(key=key).collection == "parlant_b"
    assert {SessionItem.objects.get(key=key).text for key in found(client, "sessionitem", "s")} == {
        "x",
        "y",
    }


def test_more_namespaces_than_are_looked_into_one_by_one(client, monkeypatch):
    monkeypatch.setattr(search, "PLACES", 2)
    for namespace in "abc":
        bulk(2, namespace=namespace)
    assert len(found(client, "session", "s1")) == 3


@pytest.mark.parametrize(
    ("model", "term"),
    [("session", "s77"), ("session", "team/s77"), ("session", "u77"), ("document", "d77")],
)
def test_a_search_uses_indexes(client, model, term):
    bulk(5_000, namespace="team")
    bulk(5_000, namespace="other")
    Document.objects.bulk_create(
        Document(collection=f"c{n % 3}", document_id=f"d{n}", data={}) for n in range(10_000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        with CaptureQueriesContext(connection) as context:
            found(client, model, term)
        table = f"parlant_store_{model}"
        searches = [query["sql"] for query in context if f'"{table}"' in query["sql"]]
        assert len(searches) == 3  # keys, count, rows
        for sql in searches:
            explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
            cursor.execute(explain + sql)
            plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
            assert f"SCAN {table}" not in plan, plan
            assert f"Seq Scan on {table}" not in plan, plan


# The page of a session


def test_a_session_reads_as_a_transcript(client, store):
    store.add_items("s", [message("Is it raining?"), CALL, OUTPUT], user_id="ann")
    first, call, output = items(get(client, page(Session.objects.get())))
    assert "<bdi>user</bdi>" in first
    assert "Is it raining?" in first
    assert "<bdi>function_call</bdi>" in call
    assert "<bdi>weather</bdi>" in call
    assert "{\n  &quot;city&quot;: &quot;Köln&quot;\n}" in call
    assert "rain &lt;b&gt;all&lt;/b&gt; day" in output
    assert 'datetime="' in output


def test_an_item_without_text_is_shown_as_json(client, store):
    store.add_items("s", [{"type": "reasoning", "summary": [1]}, message("")])
    reasoning, empty = items(get(client, page(Session.objects.get())))
    assert "&quot;summary&quot;: [\n    1\n  ]" in reasoning
    assert "&quot;content&quot;: &quot;&quot;" in empty


@pytest.mark.parametrize(
    "item",
    [
        message(SCRIPT),
        message("x", role=SCRIPT),
        {"type": SCRIPT, "x": SCRIPT},
        {"type": "function_call", "name": SCRIPT, "arguments": SCRIPT},
        {"type": "function_call_output", "output": SCRIPT},
    ],
    ids=["text", "role", "json", "call", "output"],
)
def test_nothing_of_an_item_is_html(client, store, item):
    store.add_items(SCRIPT, [item], namespace=SCRIPT, user_id=SCRIPT)
    store.insert_one(SCRIPT, {"id": SCRIPT, "customer_id": SCRIPT, SCRIPT: item})
    store.set_metadata(SCRIPT, {SCRIPT: SCRIPT}, namespace=SCRIPT)
    for row in (Session.objects.get(), SessionItem.objects.get(), Document.objects.get()):
        for url in (page(row), listing(row._meta.model_name), listing("session", q=SCRIPT)):
            html = get(client, url)
            assert SCRIPT not in html
            assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_a_session_is_paged_by_position(client, store, monkeypatch):
    monkeypatch.setattr(transcript, "PAGE", 3)
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
def test_any_place_may_be_asked_for(client, filled, name, value):
    html = get(client, page(filled[0], **{name: value}))
    assert len(items(html)) == 1 or "No items here." in html


def test_pages_keep_the_way_back_to_the_list(client, store, monkeypatch):
    monkeypatch.setattr(transcript, "PAGE", 1)
    store.add_items("s", [message("a"), message("b")])
    html = get(client, page(Session.objects.get(), _changelist_filters="q=s"))
    assert links(html)["Next"] == "_changelist_filters=q%3Ds&after=0"


@pytest.mark.parametrize(
    "item",
    [message("x" * 1_000_000), {"type": "function_call_output", "output": "x" * 1_000_000}],
    ids=["text", "json"],
)
def test_long_items_are_cut_in_the_database(client, store, item):
    store.add_items("s", [item])
    session = Session.objects.get()
    with CaptureQueriesContext(connection) as context:
        html = get(client, page(session))
    assert len(html) < 20_000
    assert "The whole of item 0" in html
    (sql,) = (query["sql"] for query in context if "parlant_store_session_item" in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute(sql)
        ((*_, text, data),) = cursor.fetchall()
    assert len(text or "") + len(data or "") <= transcript.READ + 1
    assert "x" * 1_000_000 in get(client, page(session.items.get()))


def test_a_session_costs_the_same_for_many_items(client, store, django_assert_num_queries):
    for expected in (30, 60):
        store.add_items("s", [message("a"), CALL, OUTPUT] * 10)
        url = page(Session.objects.get())
        get(client, url)  # Django keeps the content type
        with django_assert_num_queries(4):  # login, user, session, items
            html = get(client, url)
        assert len(items(html)) == expected


@pytest.mark.parametrize(
    "data", ["no json <b>", "", "[" * 100_000, "9" * 5_000, '"\ud7ff"', "null", "[1]", "{"]
)
def test_a_damaged_row_is_shown_as_text(client, store, data):
    store.add_items("s", [message("before"), message("damaged"), message("after")])
    SessionItem.objects.filter(position=1).update(text=None, data=data)
    session = Session.objects.get()
    shown = items(get(client, page(session)))
    assert len(shown) == 3
    assert "before" in shown[0]
    assert "after" in shown[2]
    html = get(client, page(session.items.get(position=1)))
    if data == "no json <b>":
        assert "no json &lt;b&gt;" in shown[1]
        assert "no json &lt;b&gt;" in html
    get(client, listing("sessionitem"))


def test_what_utf8_cannot_say_is_shown(client, store):
    call = {"type": "function_call", "name": "\ud800", "arguments": '{"a":"\\ud800\\u0000"}'}
    output = {"type": "function_call_output", "output": "c\0 \udc00"}
    store.add_items("\ud800", [UNPRINTABLE, call, output], namespace="\ud801", user_id="\ud802")
    store.set_metadata("\ud800", UNPRINTABLE, namespace="\ud801")
    store.insert_one("parlant_\ud800", {"id": "\ud800" + LONG, "version": "\ud800"} | UNPRINTABLE)
    first, second, third = items(get(client, page(Session.objects.get())))
    assert "a\ufffd \ufffd" in first
    assert "\\ud800\\u0000" in second
    assert "c\ufffd \ufffd" in third
    item = get(client, page(SessionItem.objects.get(position=0)))
    assert "a\\u0000 \\ud800" in item
    document = get(client, page(Document.objects.get()))
    assert "a\\u0000 \\ud800" in document
    for model in MODELS:
        assert "\ufffd" in get(client, listing(model))


def test_long_names_stand_at_full_length_on_the_page_and_short_in_the_list(client, store):
    store.add_items(LONG, [message("x")], namespace=f"n{LONG}", user_id=f"u{LONG}")
    store.insert_one("parlant_x", {"id": LONG, "customer_id": f"c{LONG}"})
    html = get(client, page(Session.objects.get()))
    for name in (LONG, f"n{LONG}", f"u{LONG}"):
        assert f'<div class="readonly">{name}</div>' in html
    html = get(client, page(Document.objects.get()))
    for name in (LONG, f"c{LONG}"):
        assert f'<div class="readonly">{name}</div>' in html
    for model in MODELS:
        html = get(client, listing(model))
        assert LONG[:70] in html
        assert LONG[:200] not in html
        assert "\x03" not in html


# The pages of items and documents


def test_the_json_is_indented(client, store):
    store.add_items("s", [CALL])
    store.insert_one("parlant_x", {"id": "d", "name": "Köln", "list": [1.0]})
    item = get(client, page(SessionItem.objects.get()))
    assert "  &quot;type&quot;: &quot;function_call&quot;,\n  &quot;name&quot;" in item
    document = get(client, page(Document.objects.get()))
    assert "&quot;name&quot;: &quot;Köln&quot;" in document
    assert "&quot;list&quot;: [\n    1.0\n  ]" in document


def test_json_that_would_grow_too_much_is_not_indented(client, store):
    deep = [1] * 30_000
    for _ in range(codec.MAX_DEPTH - 5):
        deep = [deep]
    store.add_items("s", [{"deep": deep}])
    store.insert_one("parlant_x", {"id": "d", "deep": deep})
    for row in (SessionItem.objects.get(), Document.objects.get()):
        html = get(client, page(row))
        assert len(html) < 1_000_000
        assert "1, 1, 1" in html or "1,1,1" in html


def test_what_is_missing_is_a_dash(client, store):
    store.add_items("s", [{}])
    store.insert_one("parlant_x", {"n": 1})
    for row in (Session.objects.get(), SessionItem.objects.get(), Document.objects.get()):
        html = get(client, page(row))
        assert '<div class="readonly">-</div>' in html
        assert '<div class="readonly">None</div>' not in html


def test_metadata_is_shown(client, store):
    store.set_metadata("s", {"model": "gpt"})
    html = get(client, page(Session.objects.get()))
    assert "{\n  &quot;model&quot;: &quot;gpt&quot;\n}" in html
    assert json.dumps({"model": "gpt"}) not in html
