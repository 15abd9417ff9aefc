"""Filters of the list of documents."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from parlant_store.admin.documents.collections import (
    SHOWN,
    collection_of,
    collections,
    without_nul,
)
from parlant_store.admin.documents.lookups import owned_keys
from parlant_store.admin.formatting import column_name, cut
from parlant_store.types import FAILED


class CollectionFilter(admin.SimpleListFilter):
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


class OwnerFilter(admin.SimpleListFilter):
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


class FieldFilter(admin.SimpleListFilter):
    """A JSON field of Parlant's documents; the list bounds the documents that are read."""

    collections: str
    """The suffix of the names of the collections."""

    values: dict[str, Any]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        name = collection_of(request).removesuffix(FAILED)
        return [*self.values.items()] if name.endswith(self.collections) else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset


class KindFilter(FieldFilter):
    title = _("kind")
    parameter_name = "kind"
    collections = "events"
    values = {  # noqa: RUF012
        "message": _("Messages"),
        "tool": _("Tool calls"),
        "status": _("Statuses"),
        "custom": _("Custom events"),
    }


class SourceFilter(FieldFilter):
    title = _("source")
    parameter_name = "source"
    collections = "events"
    values = {  # noqa: RUF012
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
    values = {"auto": _("Automatic"), "manual": _("Manual")}  # noqa: RUF012


FIELD_FILTERS = (KindFilter, SourceFilter, ModeFilter)
