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
from parlant_store.admin.views import activity as written
from parlant_store.admin.views import overview as sections
from parlant_store.admin.views import statistics as figures
from parlant_store.admin.views.chart import Charts
from parlant_store.models import Document, Session, SessionItem
from tests.admin.pages import SCRIPT, get, message, sent, viewer
from tests.admin.pages import client as client
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
    """The numbers of each chart in the section of what was written, oldest day first."""
    found = re.findall(r"<figcaption><h3>(.*?)</h3>.*?<tbody>(.*?)</tbody>", html, re.DOTALL)
    return {
        title: re.findall(r'<td class="parlant-number">(.*?)</td>', days) for title, days in found
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
                expires_at=now + timedelta(days=number % 40 - 1),
            )
            for number, at in enumerate(past)
        ),
        batch_size=2_000,
    )
    newest = Session.objects.latest("key")
    SessionItem.objects.bulk_create(
        (
            SessionItem(session=newest, position=number, data="{}", created_at=at)
            for number, at in enumerate(past)
        ),
        batch_size=2_000,
    )
    Document.objects.bulk_create(
        (
            Document(
                collection=f"c{number % 3}",
                document_id=f"d{start + number}",
                creation_utc=at.isoformat(),
                data={"id": f"d{start + number}"},
                updated_at=now if number % 10 == 0 else at,
                expires_at=now + timedelta(days=number % 40 - 1),
            )
            for number, at in enumerate(past)
        ),
        batch_size=2_000,
    )


# Who sees what


def test_it_is_for_those_who_may_see_sessions_or_documents(store):
    store.add_items("s-1", [message("x")])
    store.insert_one("my_things", {"id": "d"})
    assert Client().get(URL).status_code == 302
    html = get(viewer("session"), URL)
    assert "s-1" in html
    assert "my_things" not in html
    assert "Documents created" not in html
    User.objects.all().delete()
    html = get(viewer("document"), URL)
    assert "my_things" in html
    assert "s-1" not in html
    assert "Sessions begun" not in html
    assert section(html, "expiring")[0] == ["When", "Documents"]
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


def test_an_empty_database(client):
    html = get(client, URL)
    assert [row[:2] for row in section(html, "kept")[1:]] == [
        ["Sessions", "0"],
        ["Items", "0"],
        ["Documents", "0"],
    ]
    assert "There are no documents." in html
    assert "No session has items." in html
    assert charts(html)["Sessions begun"] == ["0"] * written.DAYS


def test_how_many_there_are_is_exact_up_to_a_bound(client, store, monkeypatch):
    monkeypatch.setattr(figures, "COUNTED", 10)
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


def test_collections_lead_to_their_documents_and_failed_ones_stand_first(client, store):
    for number in range(3):
        store.insert_one("a b&c", {"id": str(number), "text": "x" * 1_000})
    store.insert_one("z_failed_migrations", {"id": "f"})
    html = get(client, URL)
    rows = section(html, "collections")
    assert [row[:2] for row in rows[1:]] == [["z_failed_migrations", "1"], ["a b&amp;c", "3"]]
    assert re.fullmatch(r"about 3\.\d\sKB", rows[2][2])
    assert rows[2][3] == "3"
    documents = reverse("admin:parlant_store_document_changelist")
    assert f'href="{documents}?collection=a+b%26c"' in html
    assert "<bdi>z_<wbr>failed_<wbr>migrations</bdi>" in sent(client, URL)
    (failed,) = re.findall(r'"failed-heading".*?</section>', html, re.DOTALL)
    assert f'href="{documents}?collection=z_failed_migrations"' in failed
    assert "z_failed_migrations (1)" in failed


def test_more_collections_than_are_listed(client, store, monkeypatch):
    monkeypatch.setattr(sections, "SHOWN", 2)
    for number in range(4):
        store.insert_one(f"c{number}", {"id": "d"})
    html = get(client, URL)
    assert [row[0] for row in section(html, "collections")[1:]] == ["c0", "c1"]
    assert "Only the first 2 collections are listed." in html


def test_what_expires_is_told_by_when(client, store):
    for days in (-3, -1, 0.5, 1.5, 2.5, 5, 20, 21, 40):
        store.add_items(f"s{days}", [message("x")])
        expires_at = timezone.now() + timedelta(days=days)
        Session.objects.filter(session_id=f"s{days}").update(expires_at=expires_at)
    store.insert_one("c", {"id": "d"})
    Document.objects.update(expires_at=timezone.now() + timedelta(days=2.5))
    rows = section(get(client, URL), "expiring")
    assert rows[0] == ["When", "Sessions", "Documents"]
    assert [row[1] for row in rows[1:]] == ["2", "1", "1", "1", "1", "2"]
    assert [row[2] for row in rows[1:]] == ["0", "0", "0", "1", "0", "0"]


def test_what_expires_is_counted_up_to_a_bound(client, store, monkeypatch):
    monkeypatch.setattr(figures, "COUNTED", 5)
    fill(400)
    rows = section(get(client, URL), "expiring")
    assert rows[2] == ["Within a day", "more than 5", "more than 5"]


def test_the_largest_sessions_are_those_with_the_most_items(client, store):
    fill(30)
    store.add_items("none", [])
    rows = section(get(client, URL), "largest")[1:]
    assert [row[0] for row in rows] == [f"s{number}" for number in range(29, 19, -1)]
    assert [row[1] for row in rows] == [str(number) for number in range(29, 19, -1)]


def test_an_old_session_that_is_written_to_is_among_the_largest(client, store, monkeypatch):
    monkeypatch.setattr(figures, "COUNTED", 5)
    for name, count in (("idle", 50), ("busy", 40)):
        store.add_items(name, [message("x")] * count)
    for number in range(6):
        store.add_items(f"new{number}", [message("x")])
    html = get(client, URL)
    assert "others were not looked at" in html
    assert "busy" not in [row[0] for row in section(html, "largest")]
    store.add_items("busy", [message("x")])
    assert section(get(client, URL), "largest")[1][:2] == ["busy", "41"]


def test_a_session_and_a_collection_of_any_name_are_text(client, store):
    store.add_items(SCRIPT, [message("x")], namespace=SCRIPT)
    store.insert_one(SCRIPT, {"id": SCRIPT})
    store.insert_one("\ud800\x01%s{}", {"id": "x"})
    html = get(client, URL)
    assert SCRIPT not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3
    assert "%s{}" in html


def test_a_store_with_a_wrong_setting_does_not_hide_the_others(client, settings):
    settings.PARLANT_STORES = {
        "default": {},
        SCRIPT: {"BACKEND": "nowhere.Backend"},
        "remote": {
            "BACKEND": "parlant_store.backends.supabase.SupabaseBackend",
            "OPTIONS": {"url": "http://127.0.0.1:9", "key": "very-secret"},
        },
    }
    html = get(client, URL)
    assert SCRIPT not in html
    assert "very-secret" not in html
    rows = section(html, "stores")
    assert rows[1] == ["default", "OrmBackend", "This database: the figures below"]
    assert "nowhere.Backend" in rows[2][2]
    assert rows[3] == ["remote", "SupabaseBackend", "Elsewhere – Browse remote"]


# Written per day


def test_what_was_written_is_told_by_day(client, store):
    fill(40, per_day=4)
    found = charts(get(client, URL))
    assert set(found) == {"Sessions begun", "Items written", "Documents created"}
    for numbers in found.values():
        assert sum(map(int, numbers)) == 40
        assert numbers[:3] == ["0", "0", "0"]
        assert numbers[5:-1] == ["4"] * 8


def test_what_is_older_or_to_come_does_not_count(client, store):
    fill(100, per_day=4)
    tomorrow = timezone.now() + DAY
    Document.objects.filter(document_id="d99").update(creation_utc=tomorrow.isoformat())
    found = charts(get(client, URL))
    assert found["Sessions begun"][1:-1] == ["4"] * (written.DAYS - 2)
    assert sum(map(int, found["Documents created"])) == total(get(client, URL), "Items written") - 1


@pytest.mark.parametrize("text", [None, "no time", "0001-01-01T00:00:00+14:00", "9999-99"])
def test_documents_without_a_time_count_when_they_were_written(client, store, text):
    store.insert_one("c", {"id": "d", "creation_utc": text})
    expected = "0" if text and text.startswith("0001") else "1"
    assert charts(get(client, URL))["Documents created"][-1] == expected


def test_days_begin_at_midnight_here(client):
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    for number, at in enumerate((midnight - timedelta(seconds=1), midnight)):
        Session.objects.create(session_id=f"s{number}", created_at=at)
    assert charts(get(client, URL))["Sessions begun"][-2:] == ["1", "1"]


def test_much_is_estimated_from_evenly_spread_rows(client, store, monkeypatch):
    monkeypatch.setattr(written, "COUNTED", 500)
    fill(4_000, per_day=125)
    Session.objects.filter(
        key__in=Session.objects.order_by("key").values_list("key", flat=True)[::2]
    ).delete()
    html = get(client, URL)
    expected = sum(1 for number in range(4_000) if in_two_weeks(number, 4_000, 125))
    assert "“About” is an estimate" in html
    assert charts(html)["Items written"][5].startswith("about ")
    for title, share in (("Sessions begun", 2), ("Items written", 1), ("Documents created", 1)):
        assert total(html, title) == pytest.approx(expected / share, rel=0.12)
    (row,) = [row for row in section(html, "collections") if row[0] == "c1"]
    assert int(row[3].removeprefix("about ").replace(",", "")) == pytest.approx(
        expected / 3, rel=0.2
    )


def every(step, model):
    return list(model.objects.order_by("key").values_list("key", flat=True))[::step]


def in_two_weeks(number, count, per_day):
    return (count - 1 - number) / per_day < written.DAYS - 0.5


def test_documents_that_are_written_again_do_not_mislead(client, store, monkeypatch):
    monkeypatch.setattr(written, "COUNTED", 250)
    fill(3_000, per_day=100)
    Document.objects.filter(
        key__in=Document.objects.order_by("key").values_list("key", flat=True)[::7]
    ).update(updated_at=timezone.now())
    assert total(get(client, URL), "Documents created") == pytest.approx(1_350, rel=0.15)


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
    assert few == many == 17


def test_many_rows_cost_three_queries_more(client, store, monkeypatch):
    monkeypatch.setattr(written, "COUNTED", 100)
    fill(1_000)
    with CaptureQueriesContext(connection) as context:
        get(client, URL)
    assert len(context) == 20


def test_it_reads_no_more_of_large_tables(client, store, monkeypatch):
    def work():
        analyze()
        return work_of(lambda: get(client, URL))

    for module in (figures, written):
        monkeypatch.setattr(module, "COUNTED", 300)
    fill(1_500)
    small = work()
    fill(6_000, start=1_500)
    assert work() < 1.3 * small + 600


# How it looks


def test_a_chart_is_svg_that_a_screen_reader_can_read():
    days = [datetime(2026, 11, day).date() for day in (1, 2, 3)]
    with translation.override("de"):
        chart = Charts().make(f"{SCRIPT}", days, [0, 1, 12_345], is_estimate=False)
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
