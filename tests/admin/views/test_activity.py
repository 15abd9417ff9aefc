"""What was written, day by day."""

from datetime import timedelta

import pytest
from django.utils import timezone

from parlant_store.admin.views import activity
from parlant_store.models import Session
from tests.admin.pages import client as client
from tests.admin.pages import get, listing, message
from tests.admin.pages import patience as patience
from tests.admin.views.overview_pages import DAY, URL, charts, fill, total
from tests.admin.views.overview_pages import far_from_midnight as far_from_midnight


def test_conversations_are_told_by_day_and_framework(client, store):
    fill(40, per_day=4)
    html = get(client, URL)
    found = charts(html)
    assert set(found) == {
        "Conversations: OpenAI Agents",
        "Conversations: selectools",
        "Conversations: Parlant",
        "Conversations: LangGraph",
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
