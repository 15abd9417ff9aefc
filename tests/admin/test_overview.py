"""The overview: what it says of the tables, to whom, and what saying it costs."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from parlant_store import stores
from parlant_store.admin.views import activity, statistics
from parlant_store.admin.views.activity import Figure
from parlant_store.admin.views.chart import Charts
from parlant_store.models import Document, Session, SessionItem
from tests.admin.pages import SCRIPT, get, listing, message, viewer
from tests.admin.pages import client as client
from tests.admin.pages import patience as patience
from tests.backends.rows_read import analyze, work_of

URL = "/admin/parlant_store/session/overview/"
DAY = timedelta(days=1)


def section(html, name):
    """The text of the cells of a section's table, row by row."""
    (found,) = re.findall(rf'aria-labelledby="{name}-heading".*?</section>', html, re.DOTALL)
    table = re.sub(r"<svg.*?</svg>", "", found, flags=re.DOTALL)
    return [
        [" ".join(re.sub("<.*?>", "", cell).split()) for cell in re.findall(CELL, row, re.DOTALL)]
        for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    ]


CELL = r"<t[dh][ >].*?</t[dh]>"


def charts(html):
    """The numbers of each chart, oldest day first."""
    found = re.findall(r"<figcaption><h3>(.*?)</h3>.*?<tbody>(.*?)</tbody>", html, re.DOTALL)
    return {
        title: [
            re.sub("<.*?>", "", cell)
            for cell in re.findall(r'<td class="parlant-number">(.*?)</td>', days)
        ]
        for title, days in found
    }


def total(html, title):
    (text,) = re.findall(rf"<h3>{title}</h3> (.*?) in all", html)
    return int(text.removeprefix("about ").replace(",", ""))


@pytest.fixture(autouse=True)
def far_from_midnight(settings):
    """No day ends during a test; the project's days are not those of UTC."""
    settings.TIME_ZONE = f"Etc/GMT{datetime.now(UTC).hour - 12 or 3:+}"


def fill(count, start=0, per_day=None):
    """So many sessions, items and documents, spread over the days before now."""
    now = timezone.now()
    past = [now - DAY * (count - 1 - number) / (per_day or count) for number in range(count)]
    Session.objects.bulk_create(
        (
            Session(
                session_id=f"s{start + number}",
                item_count=number,
                created_at=at,
                updated_at=at,
                state={"selectools": {}} if number % 2 else {},
                expires_at=now + timedelta(days=number % 40 - 1),
            )
            for number, at in enumerate(past)
        ),
        batch_size=2_000,
    )
    newest = Session.objects.latest("key")
    SessionItem.objects.bulk_create(
        (
            SessionItem(session=newest, position=number, data="{}", created_at=at, tokens=10)
            for number, at in enumerate(past)
        ),
        batch_size=2_000,
    )
    Document.objects.bulk_create(
        (
            Document(
                collection="p_sessions",
                active_minute=int(at.timestamp()) // 60,
                document_id=f"d{start + number}",
                creation_utc=at.isoformat(),
                data={"id": f"d{start + number}"},
                updated_at=at,
                expires_at=now + timedelta(days=number % 40 - 1),
            )
            for number, at in enumerate(past)
        ),
        batch_size=2_000,
    )


# Who sees what


def test_it_is_for_those_who_may_see_sessions_or_documents(store):
    store.add_items("s-1", [message("x")])
    store.insert_one("my_things_failed_migrations", {"id": "d"})
    assert Client().get(URL).status_code == 302
    html = get(viewer("session"), URL)
    assert set(charts(html)) == {
        "Conversations: OpenAI Agents",
        "Conversations: selectools",
        "Items written",
    }
    assert "my_things" not in html
    assert section(html, "expiring")[0] == ["State", "Conversations"]
    User.objects.all().delete()
    html = get(viewer("document"), URL)
    assert "my_things" in html
    assert set(charts(html)) == {"Conversations: Parlant"}
    assert section(html, "expiring")[0] == ["State", "Documents"]
    content = html[html.index('id="content-main"') :]
    assert f'href="{listing("session")}"' not in content
    User.objects.all().delete()
    assert viewer("sessionitem").get(URL).status_code == 403


def test_nothing_is_read_of_what_may_not_be_seen(store):
    for model, unread in (("session", "_document"), ("document", "_session")):
        User.objects.all().delete()
        client = viewer(model)
        with CaptureQueriesContext(connection) as context:
            get(client, URL)
        assert [q["sql"] for q in context if f"parlant_store{unread}" in q["sql"]] == []


def test_the_list_of_items_is_linked_for_those_who_may_see_them(store):
    items = reverse("admin:parlant_store_sessionitem_changelist")
    for models, expected in ((("session",), 0), (("session", "sessionitem"), 1)):
        User.objects.all().delete()
        html = get(viewer(*models), URL)
        (kept,) = re.findall(r'"kept-heading".*?</section>', html, re.DOTALL)
        assert kept.count(f'href="{items}"') == expected


def test_the_page_of_the_app_leads_to_it(store):
    index = reverse("admin:app_list", args=["parlant_store"])
    assert f'href="{URL}"' in get(viewer("document"), index)
    User.objects.all().delete()
    assert f'href="{URL}"' not in get(viewer("sessionitem"), index)


# Figures


def test_an_empty_database_says_what_to_do_first(client):
    html = get(client, URL)
    assert [row[:2] for row in section(html, "kept")[1:]] == [
        ["Conversations", "0"],
        ["Items", "0"],
        ["Documents", "0"],
    ]
    assert "Nothing is stored in the local database yet" in html
    assert "No tool has failed." in html
    assert charts(html)["Conversations: OpenAI Agents"] == ["0"] * activity.DAYS
    stores["default"].add_items("s", [message("x")])
    assert "Nothing is stored" not in get(client, URL)


def test_how_many_there_are_is_exact_up_to_a_bound(client, store, monkeypatch):
    monkeypatch.setattr(statistics, "COUNTED", 10)
    fill(10)
    assert [row[1] for row in section(get(client, URL), "kept")[1:]] == ["10"] * 3
    fill(130, start=10)
    analyze()
    said = "about 140" if connection.vendor == "postgresql" else "at most 140"
    assert [row[1] for row in section(get(client, URL), "kept")[1:]] == [said] * 3


def test_the_size_is_told(client, store):
    fill(3_000)
    html = get(client, URL)
    if connection.vendor == "postgresql":
        sizes = [row[2] for row in section(html, "kept")[1:]]
        assert all(re.fullmatch(r"[\d.]+\s[KM]B", size) for size in sizes)
    else:
        assert re.search(r"The whole database file, .*, has [\d.]+\sMB", html)


def test_failed_migrations_lead_to_their_documents(client, store):
    store.insert_one("a b&c", {"id": "d"})
    store.insert_one("z_failed_migrations", {"id": "f"})
    (failed,) = re.findall(r'"failed-heading".*?</section>', get(client, URL), re.DOTALL)
    assert f'href="{listing("document", collection="z_failed_migrations")}"' in failed
    assert "z_failed_migrations (1)" in failed
    assert "a b" not in failed


def test_what_expires_is_told_and_leads_to_its_list(client, store):
    for days in (-3, -1, 0.5, 1.5, 40):
        store.add_items(f"s{days}", [message("x")])
        expires_at = timezone.now() + timedelta(days=days)
        Session.objects.filter(session_id=f"s{days}").update(expires_at=expires_at)
    store.insert_one("c", {"id": "d"})
    Document.objects.update(expires_at=timezone.now() + timedelta(hours=2))
    html = get(client, URL)
    assert section(html, "expiring") == [
        ["State", "Conversations", "Documents"],
        ["Expired, not deleted yet", "2", "0"],
        ["Expires within a day", "1", "1"],
    ]
    for model, state in (("session", "expired"), ("session", "expiring"), ("document", "expiring")):
        assert f'href="{listing(model, state=state)}"' in html
    assert f'href="{listing("document", state="expired")}"' not in html


def test_what_expires_is_counted_up_to_a_bound(client, store, monkeypatch):
    monkeypatch.setattr(statistics, "COUNTED", 5)
    fill(400)
    rows = section(get(client, URL), "expiring")
    assert rows[2] == ["Expires within a day", "more than 5", "more than 5"]


def test_a_collection_and_a_tool_of_any_name_are_text(client, store):
    for name in (SCRIPT, "\ud800\x01%s{}"):
        store.insert_one(f"{name}_failed_migrations", {"id": "x"})
        store.add_items(name, [call("1", name), output("1", failed=True)], namespace=name)
    html = get(client, URL)
    assert SCRIPT not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2
    assert "%s{}" in html


def test_the_stores_are_listed_with_their_states(client, settings):
    settings.PARLANT_STORES = {
        "default": {},
        SCRIPT: {"BACKEND": "nowhere.Backend"},
        "remote": {
            "BACKEND": "parlant_store.backends.supabase.SupabaseBackend",
            "OPTIONS": {"url": "http://127.0.0.1:9", "key": "very-secret", "timeout": 0.3},
        },
    }
    html = get(client, URL)
    assert SCRIPT not in html
    assert "very-secret" not in html
    rows = section(html, "stores")
    assert rows[1][:3] == ["default", "OrmBackend", "In this database"]
    assert "nowhere.Backend" in rows[2][2]
    assert rows[3][2].startswith("Does not answer well:")
    assert '?store=remote"' in html


def test_it_leads_to_lists_of_conversations_and_to_people(client, store):
    html = get(client, URL)
    for address in (
        listing("session"),
        listing("session", order="length"),
        reverse("admin:parlant_store_session_people"),
    ):
        assert f'href="{address}"' in html


# Failing tools


def call(id_, name):
    return {"type": "function_call", "name": name, "arguments": "{}", "call_id": id_}


def output(id_, *, failed):
    text = "An error occurred while running the tool. Please try again. Error: x"
    return {
        "type": "function_call_output",
        "call_id": id_,
        "output": text if failed else "fine",
    }


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


# By day


def test_conversations_are_told_by_day_and_framework(client, store):
    fill(40, per_day=4)
    html = get(client, URL)
    found = charts(html)
    assert set(found) == {
        "Conversations: OpenAI Agents",
        "Conversations: selectools",
        "Conversations: Parlant",
        "Items written",
        "Tokens reported by items",
    }
    for title, per_day in (("OpenAI Agents", 2), ("selectools", 2), ("Parlant", 4)):
        numbers = found[f"Conversations: {title}"]
        assert sum(map(int, numbers)) == per_day * 10
        assert numbers[:3] == ["0", "0", "0"]
        assert numbers[5:-1] == [str(per_day)] * 8
    assert found["Items written"][5:-1] == ["4"] * 8
    assert found["Tokens reported by items"][5:-1] == ["40"] * 8


def test_each_number_leads_to_the_conversations_of_its_day(client, store):
    store.add_items("s", [message("x")])
    day = timezone.localdate().isoformat()
    html = get(client, URL)
    address = listing("session", **{"from": day, "to": day, "framework": "openai"})
    assert f'<a href="{address.replace("&", "&amp;")}">1</a>' in html
    address = listing("session", **{"from": day, "to": day})
    assert f'<a href="{address.replace("&", "&amp;")}">1</a>' in html


def test_tokens_that_are_unknown_have_no_chart(client, store):
    store.add_items("s", [message("x")])
    assert "Tokens reported by items" not in charts(get(client, URL))


def test_what_is_older_or_to_come_does_not_count(client, store):
    fill(100, per_day=4)
    title = "Conversations: OpenAI Agents"
    before = charts(get(client, URL))[title]
    Session.objects.filter(session_id="s98").update(updated_at=timezone.now() + DAY)
    found = charts(get(client, URL))[title]
    assert found[1:-1] == ["2"] * (activity.DAYS - 2)
    assert sum(map(int, found)) == sum(map(int, before)) - 1


def test_days_begin_at_midnight_here(client):
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    for number, at in enumerate((midnight - timedelta(seconds=1), midnight)):
        Session.objects.create(session_id=f"s{number}", updated_at=at)
    assert charts(get(client, URL))["Conversations: OpenAI Agents"][-2:] == ["1", "1"]


def test_many_items_are_estimated_from_evenly_spread_rows(client, store, monkeypatch):
    monkeypatch.setattr(activity, "MAX_ROWS", 500)
    fill(4_000, per_day=125)
    html = get(client, URL)
    expected = sum(1 for number in range(4_000) if in_two_weeks(number, 4_000, 125))
    assert "“About” is an estimate" in html
    assert charts(html)["Items written"][5].startswith("about ")
    assert total(html, "Items written") == pytest.approx(expected, rel=0.12)


def test_many_conversations_of_a_day_are_estimated_from_some_minutes(client, store):
    """Evenly over a day, each minute has two of them; the last day is not over."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0) - DAY
    Session.objects.bulk_create(
        (
            Session(session_id=f"s{number}", updated_at=midnight + DAY * number / 2_880)
            for number in range(2_880)
        ),
        batch_size=1_000,
    )
    html = get(client, URL)
    assert charts(html)["Conversations: OpenAI Agents"][-2:] == ["about 2,900", "0"]
    assert "“About” is an estimate" in html


def test_an_estimate_is_above_what_was_counted(client, store):
    at = timezone.localtime().replace(hour=0, minute=30, second=0, microsecond=0) - DAY
    Session.objects.bulk_create(
        (Session(session_id=f"s{number}", updated_at=at) for number in range(1_100)),
        batch_size=1_000,
    )
    assert charts(get(client, URL))["Conversations: OpenAI Agents"][-2] == "about 1,000"


def in_two_weeks(number, count, per_day):
    return (count - 1 - number) / per_day < activity.DAYS - 0.5


# What it costs


def test_the_number_of_queries_is_the_same_for_few_and_many(client, store):
    def queries():
        stores.forget()
        with CaptureQueriesContext(connection) as context:
            get(client, URL)
        return len(context)

    fill(30)
    few = queries()
    fill(600, start=30)
    many = queries()
    assert few == many == 10


def test_many_rows_cost_two_queries_more(client, store, monkeypatch):
    monkeypatch.setattr(activity, "MAX_ROWS", 100)
    monkeypatch.setattr(activity, "MAX_COUNT", 10)
    fill(1_000)
    with CaptureQueriesContext(connection) as context:
        get(client, URL)
    assert len(context) == 12


def test_it_reads_no_more_of_large_tables(client, store, monkeypatch):
    def work():
        analyze()
        return work_of(lambda: get(client, URL))

    monkeypatch.setattr(statistics, "COUNTED", 300)
    monkeypatch.setattr(activity, "MAX_ROWS", 300)
    fill(1_500)
    small = work()
    fill(6_000, start=1_500)
    assert work() < 1.3 * small + 600


# How it looks


def test_a_chart_is_svg_that_a_screen_reader_can_read():
    days = [datetime(2026, 11, day).date() for day in (1, 2, 3)]
    with translation.override("de"):
        chart = Charts().make(f"{SCRIPT}", days, list(map(Figure, [0, 1, 12_345])))
    assert SCRIPT not in chart.svg
    assert 'role="img" aria-labelledby="chart-1-title" aria-describedby="chart-1-desc"' in chart.svg
    assert "1. November: 0; 2. November: 1; 3. November: 12.345</desc>" in chart.svg
    heights = re.findall(r'bar" x="(\d+)" y="(\d+)" width="16" height="(\d+)"', chart.svg)
    assert heights == [("0", "60", "0"), ("20", "58", "2"), ("40", "0", "60")]
    assert (chart.total, chart.highest) == ("12.346", "12.345")


def test_the_page_needs_no_script_or_style_of_its_own(client, store):
    fill(30)
    html = get(client, URL)
    content = html[html.index('<div id="content-main">') : html.index('<footer id="footer">')]
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", content)
    ids = re.findall(r'\sid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    headings = re.findall(r"<h([1-6])", content)
    assert headings[0] == "2"
    for labelled in re.findall(r'aria-(?:labelledby|describedby)="([^"]*)"', content):
        assert labelled in ids
