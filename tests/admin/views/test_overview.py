"""The overview: what it says of the tables, which users see it, and what it costs."""

import re
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from parlant_store import stores
from parlant_store.admin.views import activity, figures
from parlant_store.admin.views.activity import Figure
from parlant_store.admin.views.overview import Charts
from parlant_store.models import Document, Session
from tests.admin.pages import SCRIPT, get, listing, message, viewer
from tests.admin.pages import client as client
from tests.admin.pages import patience as patience
from tests.admin.views.overview_pages import URL, call, charts, fill, output, section
from tests.admin.views.overview_pages import far_from_midnight as far_from_midnight
from tests.backends.rows_read import analyze, work_of


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


def test_an_empty_database_says_what_to_do_first(client):
    html = get(client, URL)
    assert [row[:2] for row in section(html, "kept")[1:]] == [
        ["Conversations", "0"],
        ["Items", "0"],
        ["Documents", "0"],
        ["Threads", "0"],
    ]
    assert "Nothing is stored in the local database yet" in html
    assert "No tool has failed." in html
    assert charts(html)["Conversations: OpenAI Agents"] == ["0"] * activity.DAYS
    stores["default"].add_items("s", [message("x")])
    assert "Nothing is stored" not in get(client, URL)


def test_how_many_there_are_is_exact_up_to_a_bound(client, store, monkeypatch):
    monkeypatch.setattr(figures, "COUNTED", 10)
    fill(10)
    assert [row[1] for row in section(get(client, URL), "kept")[1:]] == [*["10"] * 3, "0"]
    fill(130, start=10)
    analyze()
    said = "about 140" if connection.vendor == "postgresql" else "at most 140"
    assert [row[1] for row in section(get(client, URL), "kept")[1:]] == [*[said] * 3, "0"]


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
        ["State", "Conversations", "Documents", "Threads"],
        ["Expired, not deleted yet", "2", "0", "0"],
        ["Expires within a day", "1", "1", "0"],
    ]
    for model, state in (("session", "expired"), ("session", "expiring"), ("document", "expiring")):
        assert f'href="{listing(model, state=state)}"' in html
    assert f'href="{listing("document", state="expired")}"' not in html


def test_what_expires_is_counted_up_to_a_bound(client, store, monkeypatch):
    monkeypatch.setattr(figures, "COUNTED", 5)
    fill(400)
    rows = section(get(client, URL), "expiring")
    assert rows[2] == ["Expires within a day", "more than 5", "more than 5", "0"]


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
    assert few == many == 11


def test_many_rows_cost_one_query_more(client, store, monkeypatch):
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

    monkeypatch.setattr(figures, "COUNTED", 300)
    monkeypatch.setattr(activity, "MAX_ROWS", 300)
    fill(1_500)
    small = work()
    fill(6_000, start=1_500)
    assert work() < 1.3 * small + 600


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
