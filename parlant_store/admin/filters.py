"""Filters of lists, in Django's side bar."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from parlant_store.admin.conversations.conversation import FRAMEWORKS
from parlant_store.admin.conversations.search.selection import SOON
from parlant_store.admin.documents.lookups import (
    SHOWN,
    collection_of,
    collections,
    owned_keys,
    without_nul,
)
from parlant_store.admin.formatting import column_name, cut
from parlant_store.admin.views.base import configured_stores
from parlant_store.types import FAILED


class ChoiceFilter(SimpleListFilter):
    """A choice that the list itself applies, together with its bound on the rows."""

    titles: ClassVar[dict[str, Any]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*self.titles.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset


class StateFilter(ChoiceFilter):
    title = _("state")
    parameter_name = "state"
    titles: ClassVar = {
        "live": _("Live"),
        "expiring": _("Expiring within a day"),
        "expired": _("Expired"),
    }


class DateFilter(ChoiceFilter):
    title = _("date of activity")
    parameter_name = "date"
    titles: ClassVar = {
        "today": _("Today"),
        "yesterday": _("Yesterday"),
        "7days": _("Last 7 days"),
    }


class FrameworkFilter(ChoiceFilter):
    title = _("framework")
    parameter_name = "framework"
    titles: ClassVar = FRAMEWORKS


class FailureFilter(ChoiceFilter):
    title = _("tools")
    parameter_name = "failed"
    titles: ClassVar = {"yes": _("A tool failed")}


class StoreFilter(ChoiceFilter):
    """The stores, if there are several; remote ones have a list of their own."""

    title = _("store")
    parameter_name = "store"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        names = [alias for alias, *_rest in configured_stores()]
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


class CollectionFilter(SimpleListFilter):
    """Each collection with its count, and a field for the name of another one."""

    title = _("collection")
    parameter_name = "collection"
    template = "admin/parlant_store/document/collection_filter.html"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        found = collections()
        self.has_more = len(found) > SHOWN
        self.collections = found[:SHOWN]
        return [(collection.name, collection.label) for collection in self.collections]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        self.others = [
            (name, value)
            for name, values in changelist.filter_params.items()
            if name != self.parameter_name
            for value in values
        ]
        value = self.value()
        if value and value not in dict(self.lookup_choices):
            self.lookup_choices.insert(0, (value, column_name(value) or ""))
        return super().choices(changelist)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        name = collection_of(request)
        return queryset.filter(collection=name) if name else None


class OwnerFilter(SimpleListFilter):
    """The filter of a link to the list, without choices of its own."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        value = self.value()
        return [(value, cut(column_name(value)) or "")] if value else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = without_nul(self.value() or "")
        column = str(self.parameter_name)
        if collection_of(request):
            return queryset.filter(**{column: value})
        return queryset.filter(key__in=owned_keys({column: value}))


class SessionFilter(OwnerFilter):
    title = _("session")
    parameter_name = "session_id"


class CustomerFilter(OwnerFilter):
    title = _("customer")
    parameter_name = "customer_id"


class AgentFilter(OwnerFilter):
    title = _("agent")
    parameter_name = "agent_id"


class FieldFilter(ChoiceFilter):
    """A JSON field of Parlant's documents; the list bounds the documents that are read."""

    collections: str
    """The suffix of the names of the collections."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        name = collection_of(request).removesuffix(FAILED)
        is_shown = name.endswith(self.collections)
        return super().lookups(request, model_admin) if is_shown else []


class KindFilter(FieldFilter):
    title = _("kind")
    parameter_name = "kind"
    collections = "events"
    titles: ClassVar = {
        "message": _("Messages"),
        "tool": _("Tool calls"),
        "status": _("Statuses"),
        "custom": _("Custom events"),
    }


class SourceFilter(FieldFilter):
    title = _("source")
    parameter_name = "source"
    collections = "events"
    titles: ClassVar = {
        "customer": _("Customer"),
        "customer_ui": _("Customer's interface"),
        "human_agent": _("Human agent"),
        "human_agent_on_behalf_of_ai_agent": _("Human agent in the name of the AI agent"),
        "ai_agent": _("AI agent"),
        "system": _("System"),
    }


class ModeFilter(FieldFilter):
    title = _("mode")
    parameter_name = "mode"
    collections = "sessions"
    titles: ClassVar = {"auto": _("Automatic"), "manual": _("Manual")}


FIELD_FILTERS = (KindFilter, SourceFilter, ModeFilter)
