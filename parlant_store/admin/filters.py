"""Filters of lists, in Django's side bar."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from parlant_store.admin.conversations.conversation import FRAMEWORKS
from parlant_store.backends.orm import OrmBackend
from parlant_store.handler import stores

SOON = timedelta(days=1)
"""Rows that expire within this time are expiring."""


class ChoiceFilter(SimpleListFilter):
    """A choice that the list itself applies, together with its bound on the rows."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset


class StateFilter(ChoiceFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("live", _("Live")),
            ("expiring", _("Expiring within a day")),
            ("expired", _("Expired")),
        ]


class DateFilter(ChoiceFilter):
    title = _("date of activity")
    parameter_name = "date"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("today", _("Today")), ("yesterday", _("Yesterday")), ("7days", _("Last 7 days"))]


class FrameworkFilter(ChoiceFilter):
    title = _("framework")
    parameter_name = "framework"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(FRAMEWORKS.items())


class FailureFilter(ChoiceFilter):
    title = _("tools")
    parameter_name = "failed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("A tool failed"))]


class StoreFilter(ChoiceFilter):
    """The stores, if there are several; remote ones have a list of their own."""

    title = _("store")
    parameter_name = "store"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        names = aliases()
        return [(alias, alias) for alias in names] if len(names) > 1 else []

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        every, *others = super().choices(changelist)
        return iter([every | {"display": _("All local stores")}, *others])


class FormFilter(ChoiceFilter):
    """A form for what is typed: an owner, an agent, the first and the last day."""

    title = _("person, agent and dates")
    parameter_name = "owner"
    template = "admin/parlant_store/session/filter_form.html"
    fields = ("owner", "agent", "from", "to")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        self.values = {name: request.GET.get(name, "") for name in self.fields}
        return [("", "")]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        self.others = [
            (name, value)
            for name, values in changelist.filter_params.items()
            if name not in self.fields and not ({"from", "to"} & self.parameters and name == "date")
            for value in values
        ]
        return iter(())

    @property
    def parameters(self) -> set[str]:
        return {name for name, value in self.values.items() if value}

    @property
    def first_day(self) -> str:
        return self.values["from"]

    @property
    def last_day(self) -> str:
        return self.values["to"]


def aliases() -> list[str]:
    """Return the aliases of the stores; none if the setting is invalid."""
    try:
        return list(stores)
    except ImproperlyConfigured:
        return []


def is_local(alias: str) -> bool:
    """Whether the store is in one of the project's databases."""
    try:
        return isinstance(stores[alias], OrmBackend)
    except ImproperlyConfigured:
        return False


def in_state(state: str | None, now: datetime) -> Q | None:
    """Return the condition of a choice of StateFilter."""
    match state:
        case "live":
            return Q(expires_at=None) | Q(expires_at__gt=now)
        case "expiring":
            return Q(expires_at__gt=now, expires_at__lte=now + SOON)
        case "expired":
            return Q(expires_at__lte=now)
    return None


def order_of(state: str | None) -> tuple[str, ...]:
    """Return an order of the rows in this state that an index has."""
    match state:
        case "expiring":
            return ("expires_at",)
        case "expired":
            return ("-expires_at",)
    return ("-key",)
