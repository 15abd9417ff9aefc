"""Filters of the list of sessions; ``SessionRows`` bounds how many rows they look at."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

FORM = "selectools"
"""The field of a state that parlant_store.adapters.selectools.serialization writes."""

SOON = timedelta(days=1)


class StateFilter(SimpleListFilter):
    """Its choice is made by the list, together with how far it looks."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("live", _("Live")),
            ("expiring", _("Expiring within a day")),
            ("expired", _("Expired")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset


class OwnerFilter(SimpleListFilter):
    title = _("owner")
    parameter_name = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Has an owner")), ("no", _("Nobody's"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(user_id__isnull=self.value() == "no")


class FrameworkFilter(SimpleListFilter):
    """A session's state says that selectools saved it; all others add items alike."""

    title = _("framework")
    parameter_name = "framework"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("selectools", "selectools"), ("other", _("OpenAI Agents SDK and others"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        saved = Q(state__has_key=FORM)
        if self.value() not in ("selectools", "other"):
            return queryset
        return queryset.filter(saved if self.value() == "selectools" else ~saved)


def in_state(state: str | None, now: datetime) -> Q | None:
    """The condition of one of StateFilter's choices."""
    match state:
        case "live":
            return Q(expires_at=None) | Q(expires_at__gt=now)
        case "expiring":
            return Q(expires_at__gt=now, expires_at__lte=now + SOON)
        case "expired":
            return Q(expires_at__lte=now)
    return None


def order_of(state: str | None) -> tuple[str, ...]:
    """In which order sessions of a state are listed, and looked at: one that an index has."""
    match state:
        case "expiring":
            return ("expires_at",)
        case "expired":
            return ("-expires_at",)
    return ("-key",)
