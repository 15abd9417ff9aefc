"""A conversation as a list shows it, and what the address of a list asks for."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar, NamedTuple

from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.safestring import SafeString
from django.utils.timezone import make_aware
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from parlant_store.admin.formatting import counted, expiry
from parlant_store.models import Session

OPENAI, SELECTOOLS, PARLANT, LANGGRAPH = "openai", "selectools", "parlant", "langgraph"

FRAMEWORKS = {
    OPENAI: "OpenAI Agents",
    SELECTOOLS: "selectools",
    PARLANT: "Parlant",
    LANGGRAPH: "LangGraph",
}


ACTIVITY, CREATION, LENGTH = "activity", "creation", "length"
ORDERS = {
    ACTIVITY: _("Last activity"),
    CREATION: _("Creation"),
    LENGTH: _("Length"),
}
STATES = ("live", "expiring", "expired")
FORM_PARAMETERS = ("owner", "agent", "from", "to", "order")
"""The parameters that belong to no filter of Django's."""

MAX_TEXT = 10_000
"""Limit on the characters of a parameter; the rest is ignored."""

MAX_YEAR = 9_000
"""Years near the last one that Python knows cannot be converted between time zones."""


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A session, a Parlant session with its events, or a thread of LangGraph."""

    # Django's lists look at it to find the fields of a row.
    _meta: ClassVar[Any] = Session._meta

    pk: str = ""
    """The value of ``_selected_action``; "" if the list has no actions on it."""

    kind: str = "session"
    """The name of the checkbox in the list of a remote store."""

    url: str = ""
    """The page of the conversation; "" if the user may not see it."""

    name: str = ""
    """The id, with the namespace if there is one."""

    title: str = ""
    """The title in the metadata, or the first words of the user."""

    framework: str
    """One of FRAMEWORKS; "" if the store does not say which SDK has written a session."""

    person: str | None = None
    """The owner or the customer."""

    person_name: str | None = None
    """The name of the customer, if it is known."""

    person_url: str = ""

    agent: str | None = None
    """The name of the agent, or the namespace of the session."""

    item_count: int | None = 0
    """The number of a session's items, or of messages of other frameworks; None: unknown."""

    last_message: str | None = None

    active_at: datetime | None = None
    """The last activity; None: unknown, like created_at."""

    created_at: datetime | None = None

    expires_at: datetime | None = None
    """None: never."""

    failed_calls: int | None = 0
    """The number of failed tool calls, or of failed tasks of a thread; None: unknown."""

    waiting: int = 0
    """The number of approvals, or of interrupts of a thread, that nobody has answered."""

    snippet: str = ""
    """The text that a search found."""

    store: str = ""
    """The alias of the store, on pages with those of several."""

    @property
    def framework_name(self) -> str:
        return FRAMEWORKS.get(self.framework, self.framework)

    @property
    def length(self) -> str:
        """The number of items or messages in words; "" if it is unknown."""
        if self.item_count is None:
            return ""
        if self.framework in (PARLANT, LANGGRAPH):
            text = ngettext("%(number)s message", "%(number)s messages", self.item_count)
        else:
            text = ngettext("%(number)s item", "%(number)s items", self.item_count)
        return counted(text, self.item_count)

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """What there is to notice, with a class of the style sheet for each."""
        failed, waiting = self.failed_calls or 0, self.waiting
        if self.framework == LANGGRAPH:
            texts = (
                ngettext("%(number)s failed task", "%(number)s failed tasks", failed),
                ngettext("%(number)s interrupt waiting", "%(number)s interrupts waiting", waiting),
            )
        else:
            texts = (
                ngettext("%(number)s failed call", "%(number)s failed calls", failed),
                ngettext("%(number)s approval waiting", "%(number)s approvals waiting", waiting),
            )
        kinds = (("parlant-failed-calls", failed), ("parlant-waiting", waiting))
        return [
            (kind, counted(text, number))
            for text, (kind, number) in zip(texts, kinds, strict=True)
            if number
        ]

    @property
    def expires(self) -> SafeString | str:
        return expiry(self.expires_at)

    def serializable_value(self, field_name: str) -> str:
        """Return the key, as a model does for Django's lists."""
        return self.pk

    def __str__(self) -> str:
        return " \u2013 ".join(filter(None, (self.title, self.name)))


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
        order=_choice(params, "order", tuple(ORDERS)) or ACTIVITY,
        start=midnight(start) if start else None,
        end=midnight(end + timedelta(days=1)) if end else None,
    )


def _text(params: QueryDict, name: str) -> str:
    return params.get(name, "")[:MAX_TEXT].strip()


def _choice(params: QueryDict, name: str, choices: tuple[str, ...]) -> str:
    value = params.get(name, "")
    return value if value in choices else ""


def _dates(params: QueryDict) -> tuple[date | None, date | None]:
    """Return the first and the last day."""
    match params.get("date"):
        case "today":
            return today(), today()
        case "yesterday":
            return (yesterday := today() - timedelta(days=1)), yesterday
        case "7days":
            return today() - timedelta(days=6), today()
    return _date(params.get("from", "")), _date(params.get("to", ""))


def today() -> date:
    """Return the day that it is for the reader."""
    now = timezone.now()
    return (timezone.localtime(now) if timezone.is_aware(now) else now).date()


def _date(text: str) -> date | None:
    try:
        day = parse_date(text.strip())
    except ValueError:
        return None
    return day if day and 1_000 <= day.year <= MAX_YEAR else None


def midnight(day: date) -> datetime:
    """Return when the day begins for the reader, in UTC if times have zones."""
    start = datetime.combine(day, time.min)
    return start if timezone.is_naive(timezone.now()) else make_aware(start).astimezone(UTC)
