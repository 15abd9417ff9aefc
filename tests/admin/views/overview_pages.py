"""What the overview shows, and what its tests fill in."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from parlant_store.models import Document, Session, SessionItem

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


def call(id_, name):
    return {"type": "function_call", "name": name, "arguments": "{}", "call_id": id_}


def output(id_, *, failed):
    text = "An error occurred while running the tool. Please try again. Error: x"
    return {
        "type": "function_call_output",
        "call_id": id_,
        "output": text if failed else "fine",
    }
