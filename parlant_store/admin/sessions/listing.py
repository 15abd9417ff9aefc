"""The list of sessions: what it reads beside its rows, and how far it looks."""

from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Left
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from parlant_store.admin.formatting import NAME, cut, grouped
from parlant_store.admin.lookups import COUNTED
from parlant_store.admin.options import Rows
from parlant_store.admin.sessions import content
from parlant_store.admin.sessions.filters import StateFilter, in_state, order_of
from parlant_store.models import Session, SessionItem

LATEST = 50
"""Among how many of a session's latest items a text is looked for."""

FOUND = "_parlant_store_found"
"""The attribute of a request that keeps what its search found by content."""


class SessionRows(Rows):
    """A list that filters the first COUNTED sessions of its order, and no more."""

    found: content.Found | None = None
    notes: tuple[str, ...] = ()

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        queryset = super().get_queryset(request, *args, **kwargs)
        self.found = getattr(request, FOUND, None)
        if self.found and self.found.is_partial:
            self.notes += (_("Many items match: not every session that has one is listed."),)
        state, now = request.GET.get(StateFilter.parameter_name), timezone.now()
        condition = in_state(state, now) or Q()
        if not self.query and self._is_filtered(state):
            condition = self._among_first(state, condition)
        return queryset.filter(condition)

    def _is_filtered(self, state: str | None) -> bool:
        """Whether rows are looked at that are not listed: those of a state lie side by side."""
        others = (spec for spec in self.filter_specs if not isinstance(spec, StateFilter))
        return state == "live" or any(spec.used_parameters for spec in others)

    def _among_first(self, state: str | None, condition: Q) -> Q:
        """``condition``, for the first COUNTED sessions of the state's order.

        Sessions that expire at one time all belong to them, or none does.
        """
        (order,) = order_of(state)
        column = order.removeprefix("-")
        sessions = Session.objects.order_by(order)
        if column != "key":
            sessions = sessions.filter(condition)
        last = list(sessions.values_list(column, flat=True)[COUNTED - 1 : COUNTED + 1])
        if len(last) < 2:
            return condition
        self.notes += (_first_of(state) % {"number": grouped(COUNTED)},)
        if order == column:
            # SQLite would use one of two upper bounds, and maybe the other.
            return Q((f"{column}__gt", timezone.now()), (f"{column}__lte", last[0]))
        return condition & Q((f"{column}__gte", last[0]))

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = rows = list(self.result_list)
        if not rows or "last_text" not in self.list_display:
            return
        keys = [row.key for row in rows]
        texts = last_texts(keys)
        found = content.snippets(self.found, keys) if self.found else {}
        for row in rows:
            row.last_text, row.found_text = texts.get(row.key), found.get(row.key)


def shown_text(last: str | None, found: str | None) -> SafeString | str | None:
    """A session's latest text, and what a search found in it."""
    if not found:
        return cut(last)
    snippet = format_html('<span class="parlant-found">{} <q>{}</q></span>', _("Found:"), found)
    return format_html("{} {}", cut(last) or "", snippet) if last and last != found else snippet


def _first_of(state: str | None) -> str:
    match state:
        case "expiring":
            return _("Filters looked at the %(number)s sessions that expire next.")
        case "expired":
            return _("Filters looked at the %(number)s sessions that expired last.")
    return _("Filters looked at the newest %(number)s sessions.")


def last_texts(keys: list[int]) -> dict[int, str | None]:
    """The beginning of the latest text in each of the sessions."""
    texts = SessionItem.objects.filter(
        session=OuterRef("key"), position__gte=OuterRef("next_position") - LATEST, text__gt=""
    )
    latest = texts.order_by("-position").values(start=Left("text", NAME + 1))[:1]
    return dict(Session.objects.filter(key__in=keys).values_list("key", Subquery(latest)))
