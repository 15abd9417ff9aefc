"""The list of sessions: its columns, its filters, its search, and what they cost."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

import parlant_store
from parlant_store.admin import options
from parlant_store.admin.expiry import ago, expiry
from parlant_store.admin.sessions import content
from parlant_store.admin.sessions import filters as session_filters
from parlant_store.admin.sessions import listing as session_list
from parlant_store.models import Session, SessionItem
from tests.admin.pages import (
    CALL,
    OUTPUT,
    bulk,
    column,
    expire,
    found,
    get,
    listing,
    message,
)
from tests.admin.pages import client as client
from tests.backends.rows_read import analyze, work_of

DAY = 24 * 60 * 60
FILTERS = [
    {"state": "live"},
    {"state": "expiring"},
    {"state": "expired"},
    {"owner": "yes"},
    {"owner": "no"},
    {"framework": "selectools"},
    {"framework": "other"},
    {"state": "expired", "owner": "no", "framework": "selectools"},
    {"state": "expiring", "owner": "no", "framework": "other"},
]


def ids(client, **params):
    return column(get(client, listing("session", **params)), "session_id")


# Columns


def test_sessions_are_listed_newest_first(client, store):
    usage = {"total_tokens": 7}
    store.add_items("first", [message("a", usage=usage)], namespace="team", user_id="ann")
    store.add_items("second", [message("a"), message("b"), CALL])
    expire("first", 3 * DAY + 60)
    html = get(client, listing("session"))
    assert re.findall(r'<t[hd] class="field-(\w+)', html)[:8] == [
        "session_id",
        "namespace",
        "user_id",
        "item_count",
        "last_text",
        "updated",
        "expires",
        "tokens",
    ]
    assert column(html, "session_id") == ["second", "first"]
    assert column(html, "namespace") == ["-", "team"]
    assert column(html, "user_id") == ["-", "ann"]
    assert column(html, "item_count") == ["3", "1"]
    assert column(html, "last_text") == ["b", "a"]
    assert column(html, "tokens") == ["0", "7"]
    assert [text.replace("\xa0", " ") for text in column(html, "expires")] == ["never", "in 3 days"]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (30, "in less than a minute"),
        (2 * 3_600 + 30, "in 2 hours"),
        (40 * DAY, "in 1 month"),
        (-5, "expired just now"),
        (-2 * 3_600 - 5, "expired 2 hours ago"),
    ],
)
def test_the_end_of_a_session_is_told_in_words(after, expected):
    time = timezone.now() + timedelta(seconds=after)
    html = expiry(time)
    assert re.sub("<.*?>", "", html).replace("\xa0", " ") == expected
    assert f'datetime="{time.isoformat()}"' in html


@pytest.mark.parametrize(("after", "expected"), [(0, "just now"), (-3_700, "1 hour ago")])
def test_the_last_write_is_told_in_words(after, expected):
    html = ago(timezone.now() + timedelta(seconds=after))
    assert re.sub("<.*?>", "", html).replace("\xa0", " ") == expected


def test_the_end_is_told_in_the_language_of_the_reader():
    with translation.override("de"):
        assert "3\xa0Tage" in expiry(timezone.now() + timedelta(days=3, minutes=5))


def test_the_last_text_is_the_latest_that_an_item_has(client, store):
    store.add_items("s", [message("old"), message("x" * 500, "assistant"), CALL, OUTPUT])
    store.add_items("none", [CALL, message("")])
    store.add_items("far", [message("far away"), *[CALL] * session_list.LATEST])
    assert column(get(client, listing("session")), "last_text") == ["-", "-", "x" * 79 + "…"]


def test_a_list_costs_the_same_for_3_and_300_sessions(
    client, store, django_assert_num_queries, monkeypatch
):
    monkeypatch.setattr(type(store), "default_ttl", None, raising=False)
    for n in range(3):
        store.add_items(f"s{n}", [message("hello")])
    for count in (3, 100):
        with django_assert_num_queries(5) as queries:  # login, user, count, rows, texts
            html = get(client, listing("session"))
        assert column(html, "last_text") == ["hello"] * count
        for n in range(3, 300):
            store.add_items(f"s{n}", [message("hello")])
    columns = queries[-2]["sql"].partition(" FROM ")[0]
    for name in ("metadata", "state", "full_names"):
        assert name not in columns
    assert '"data"' not in queries[-1]["sql"]


def test_a_list_counts_no_further_than_its_limit(client, monkeypatch):
    assert options.BoundedPaginator.limit == session_list.COUNTED == 10_000
    monkeypatch.setattr(options.BoundedPaginator, "limit", 1_000)
    monkeypatch.setattr(session_list, "COUNTED", 1_000)
    bulk(1_050)
    with CaptureQueriesContext(connection) as context:
        html = get(client, listing("session"))
    (count,) = (query["sql"] for query in context if "COUNT(" in query["sql"])
    assert "LIMIT 1001" in count
    assert "1,000+ sessions" in html
    assert "?p=10" in html
    assert "?p=11" not in html
    assert "s50" in get(client, listing("session", p=10))
    assert "Filters looked at the newest 1,000 sessions." in get(
        client, listing("session", owner="yes")
    )


def test_a_list_below_its_limit_is_counted_exactly(client):
    bulk(3)
    assert re.search(r"\b3 sessions", get(client, listing("session")))


def test_no_address_sorts_by_what_no_index_has(client, store):
    for n in range(3):
        store.add_items(f"s{n}", [message("x")])
    Session.objects.filter(session_id="s1").update(updated_at=timezone.now() + timedelta(days=1))
    for number in range(1, 9):
        assert ids(client, o=f"-{number}") == ["s2", "s1", "s0"]


def test_choices_are_never_counted(client, store):
    store.add_items("s", [message("x")])
    with CaptureQueriesContext(connection) as plain:
        get(client, listing("session", state="live"))
    with CaptureQueriesContext(connection) as faceted:
        get(client, listing("session", state="live", _facets="True"))
    assert len(plain) == len(faceted)


# Filters


def test_states(client, store):
    for name in ("never", "later", "soon", "sooner", "over", "long over"):
        store.add_items(name, [message("x")])
    for name, after in (("later", 2), ("soon", 0.5), ("sooner", 0.4), ("over", -1)):
        expire(name, after * DAY)
    expire("long over", -5 * DAY)
    assert len(ids(client)) == 6
    assert ids(client, state="live") == ["sooner", "soon", "later", "never"]
    assert ids(client, state="expiring") == ["sooner", "soon"]
    assert ids(client, state="expired") == ["over", "long over"]
    assert len(ids(client, state="nonsense")) == 6
    html = get(client, listing("session", state="expired"))
    assert html.count("parlant-expired") == 2


def test_owners(client, store):
    store.add_items("hers", [message("x")], user_id="ann")
    store.add_items("nobody's", [message("x")])
    assert ids(client, owner="yes") == ["hers"]
    assert ids(client, owner="no") == ["nobody&#x27;s"]
    assert ids(client, owner="yes", state="expired") == []


def test_frameworks(client, store):
    store.add_items("agents", [message("x")])
    for name, state in (("memory", {"selectools": "memory"}), ("dict", {"selectools": "dict"})):
        store.add_items(name, [message("x")])
        Session.objects.filter(session_id=name).update(state=state)
    assert ids(client, framework="selectools") == ["dict", "memory"]
    assert ids(client, framework="other") == ["agents"]


def test_the_field_that_selectools_is_known_by_is_the_adapters():
    adapter = Path(parlant_store.__file__).parent / "adapters" / "selectools" / "serialization.py"
    assert f'\nFORM = "{session_filters.FORM}"\n' in adapter.read_text()


@pytest.mark.parametrize("params", FILTERS, ids=str)
def test_filters_look_at_the_first_rows_alone(client, params, monkeypatch):
    monkeypatch.setattr(session_list, "COUNTED", 5)
    for number, name in enumerate(("soon", "over", "never")):
        expiring = {} if name == "never" else {"expires_at": one_by_one(hours=3 - 6 * number)}
        bulk(6, namespace=name, **expiring)
    html = get(client, listing("session", **params))
    bounded = params not in ({"state": "expiring"}, {"state": "expired"})
    assert ("Filters looked at the" in html) is bounded
    assert len(column(html, "session_id")) <= (8 if bounded else 12)


def test_a_list_reads_no_more_of_a_large_table(client, monkeypatch):
    def work():
        analyze()
        return {
            str(params): work_of(lambda: get(client, listing("session", **params)))  # noqa: B023
            for params in ({}, *FILTERS)
        }

    def fill(count):
        for name, fields in kinds.items():
            bulk(count, namespace=f"{name} {count}", **fields)

    selectools = {"state": {"selectools": "memory"}}
    kinds = {
        "expired": {"expires_at": one_by_one(hours=-5)},
        "expiring": {"expires_at": one_by_one(hours=5)} | selectools,
        "never": selectools,
    }
    monkeypatch.setattr(session_list, "COUNTED", 300)
    monkeypatch.setattr(options.BoundedPaginator, "limit", 300)
    fill(450)
    small = work()
    fill(2_100)
    large = work()
    assert {name: large[name] for name in large if large[name] > 1.5 * small[name]} == {}


def one_by_one(hours):
    """When each of many sessions expires, the first so many hours from now."""
    start = timezone.now() + timedelta(hours=hours)
    return lambda number: start + timedelta(seconds=number / 10)


# Search by content


@pytest.mark.parametrize(
    "item",
    [
        message("I want a refund now"),
        message([{"type": "output_text", "text": "I want a refund now"}], "assistant"),
        message("I want a refund now", tool_name=None, content_parts=[{"type": "text"}]),
    ],
    ids=["message", "OpenAI Agents", "selectools"],
)
def test_sessions_are_found_by_what_was_said(client, store, item):
    store.add_items("s", [message("before"), item, message("after")])
    store.add_items("other", [message("nothing")])
    html = get(client, listing("session", q="REFUND"))
    assert column(html, "session_id") == ["s"]
    (text,) = column(html, "last_text")
    assert text.split() == ["after", "Found:", "I", "want", "a", "refund", "now"]
    assert ids(client, q="refu") == ["s"]
    assert ids(client, q="efund") == []


def test_names_and_content_are_found_together(client, store):
    store.add_items("refund", [message("x")])
    store.add_items("other", [message("a refund")], user_id="ann")
    store.add_items("third", [message("no")], user_id="refund")
    assert ids(client, q="refund") == ["third", "other", "refund"]
    assert ids(client, q="refund", owner="no") == ["refund"]


def test_all_words_narrow_and_any_word_finds_where_none_has_all(client, store):
    store.add_items("both", [message("red green")])
    store.add_items("one", [message("red")])
    store.add_items("two", [message("green")])
    assert ids(client, q="green red") == ["both"]
    assert ids(client, q="green blue") == ["two", "both"]


@pytest.mark.parametrize("term", ["%", "'", '"', "***", "AND", "a OR", "(x", "\\", "\0", " "])
def test_any_search_is_answered(client, store, term):
    store.add_items("s", [message("text")])
    assert ids(client, q=term) in ([], ["s"])


def test_the_script_of_a_search_is_its_own(client, store):
    store.add_items("s", [message("我想要退款,谢谢")])
    assert ids(client, q="退款") == ["s"]
    assert ids(client, q="款退") == []


def test_what_is_found_is_text(client, store):
    store.add_items("s", [message("refund <b>bold</b> <script>alert(1)</script>")])
    html = get(client, listing("session", q="refund"))
    assert "<b>" not in html
    assert "refund &lt;b&gt;bold" in html


def test_a_word_of_many_items_is_bounded_and_said_so(client, store, monkeypatch):
    for n in range(6):
        store.add_items(f"s{n}", [message("common")])
    store.add_items("newest", [message("common")])
    assert "Many items match" not in get(client, listing("session", q="common"))
    monkeypatch.setattr(content, "LOOKED_AT", 3)
    html = get(client, listing("session", q="common"))
    assert "Many items match" in html
    assert "newest" in column(html, "session_id")
    assert len(column(html, "session_id")) <= 7


@pytest.mark.parametrize("term", ["common", "rare", "common rare", "common nowhere"])
def test_a_search_reads_no_more_of_a_large_table(client, store, term, monkeypatch):
    def fill(count):
        session = Session.objects.create(session_id=f"s{count}")
        store.add_items(f"s{count}", [message(f"common text {n}") for n in range(count)])
        store.add_items(f"r{count}", [message("rare")])
        assert SessionItem.objects.filter(session=session).count() == count
        analyze()

    def work():
        return work_of(lambda: get(client, listing("session", q=term)))

    monkeypatch.setattr(content, "LOOKED_AT", 500)
    fill(1_000)
    small = work()
    fill(6_000)
    assert work() < 1.5 * small + 150


@pytest.mark.parametrize("term", ["s77", "team/s77", "u77"])
def test_a_search_for_a_name_uses_indexes(client, term):
    bulk(1_500, namespace="team")
    bulk(1_500, namespace="other")
    analyze()
    with CaptureQueriesContext(connection) as context:
        found(client, "session", term)
    named = [query["sql"] for query in context if '"parlant_store_session"' in query["sql"]]
    assert len(named) == 4  # keys, count, rows, texts
    with connection.cursor() as cursor:
        for sql in named:
            explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
            cursor.execute(explain + sql)
            plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
            assert not re.search(r"(SCAN|Seq Scan on) parlant_store_session\b", plan), plan


def test_facets_stay_off():
    assert options.StoreAdmin.show_facets.name == "NEVER"
