"""What the address of a list of conversations asks for."""

from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_date

from parlant_store.admin.conversations.conversation import FRAMEWORKS

ACTIVITY, CREATION, LENGTH = "activity", "creation", "length"
ORDERS = (ACTIVITY, CREATION, LENGTH)
STATES = ("live", "expiring", "expired")

FORM_PARAMETERS = ("owner", "agent", "from", "to", "order")
"""The parameters that belong to no filter of Django's."""

MAX_TEXT = 10_000
"""Limit on the characters of a parameter; the rest is ignored."""

MAX_YEAR = 9_000
"""Years near the last one that Python knows cannot be converted between time zones."""


class Criteria(NamedTuple):
    """The filters, the search and the order; "" and None mean any."""

    query: str = ""
    owner: str = ""
    """A part of the id of an owner or customer, or of a customer's name."""

    agent: str = ""
    """A part of a namespace, or of an agent's id or name."""

    framework: str = ""
    store: str = ""
    state: str = ""
    has_failed: bool = False
    order: str = ACTIVITY
    start: datetime | None = None
    """Conversations with an activity from this time on, up to ``end``."""

    end: datetime | None = None

    @property
    def has_filters(self) -> bool:
        return self._replace(order=ACTIVITY, store="") != Criteria()


def criteria_of(params: QueryDict) -> Criteria:
    """Return the criteria of an address; values that no filter has are ignored."""
    start, end = _dates(params)
    return Criteria(
        query=params.get("q", "")[:MAX_TEXT],
        owner=_text(params, "owner"),
        agent=_text(params, "agent"),
        framework=_choice(params, "framework", tuple(FRAMEWORKS)),
        store=params.get("store", ""),
        state=_choice(params, "state", STATES),
        has_failed=params.get("failed") == "yes",
        order=_choice(params, "order", ORDERS) or ACTIVITY,
        start=_midnight(start),
        end=_midnight(end and end + timedelta(days=1)),
    )


def _text(params: QueryDict, name: str) -> str:
    return params.get(name, "")[:MAX_TEXT].strip()


def _choice(params: QueryDict, name: str, choices: tuple[str, ...]) -> str:
    value = params.get(name, "")
    return value if value in choices else ""


def _dates(params: QueryDict) -> tuple[date | None, date | None]:
    """Return the first and the last day."""
    today = timezone.localdate() if timezone.is_aware(timezone.now()) else date.today()
    match params.get("date"):
        case "today":
            return today, today
        case "yesterday":
            return today - timedelta(days=1), today - timedelta(days=1)
        case "7days":
            return today - timedelta(days=6), today
    return _date(params.get("from", "")), _date(params.get("to", ""))


def _date(text: str) -> date | None:
    try:
        day = parse_date(text.strip())
    except ValueError:
        return None
    return day if day and 1_000 <= day.year <= MAX_YEAR else None


def _midnight(day: date | None) -> datetime | None:
    """Return when the day begins for the reader, in UTC if times have zones."""
    if day is None:
        return None
    midnight = datetime.combine(day, time.min)
    if timezone.is_naive(timezone.now()):
        return midnight
    return timezone.make_aware(midnight).astimezone(UTC)
