"""Lists and pages that only show, and stay fast over millions of rows."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from parlant_store.admin.formatting import cut
from parlant_store.admin.lookups import COUNTED
from parlant_store.admin.readiness import guarded
from parlant_store.content import codec

MAX_KEY = 2**63 - 1


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than ``limit``, because a full count reads the whole table.

    It counts in the list's order, because that is the one that an index has.
    """

    object_list: QuerySet[Any]
    limit = COUNTED

    @cached_property
    def count(self) -> int:
        return min(self.counted, self.limit)

    @cached_property
    def counted(self) -> int:
        """How many rows there are, or one above ``limit`` when there are more."""
        return self.object_list.values("pk")[: self.limit + 1].count()

    @property
    def is_bounded(self) -> bool:
        return self.counted > self.limit


class Rows(ChangeList):
    """A list that reads only the columns it shows."""

    model_admin: "StoreAdmin"

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """The one order that an index has, whatever the address says."""
        return list(self.model_admin.get_ordering(request))

    def get_filters(self, request: HttpRequest) -> Any:
        """Filters of the address; PostgreSQL compares no text that has a NUL character.

        Filters of this package find nothing then.
        """
        own = {getattr(one, "parameter_name", None) for one in self.list_filter}
        for name, values in self.get_filters_params().items():
            if name not in own and any("\0" in value for value in values):
                raise IncorrectLookupParameters
        return super().get_filters(request)

    def get_queryset(self, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        return self.model_admin.rows(super().get_queryset(*args, **kwargs))


class StoreAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What the three have in common: read-only, newest first, found by name."""

    actions = None
    ordering = ("-key",)
    sortable_by = ()
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    unread: tuple[str, ...] = ()
    """Columns that lists leave in the database."""

    class Media:
        css: ClassVar = {"all": ["parlant_store/admin.css", "parlant_store/transcript.css"]}
        js: ClassVar = ["parlant_store/transcript.js"]

    def get_urls(self) -> list[URLPattern]:
        urls: list[URLPattern] = super().get_urls()
        for pattern in urls:
            pattern.callback = guarded(self, pattern.callback)
        return urls

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Return the row; None for numbers that no key can be, which SQLite refuses."""
        is_number = object_id.isascii() and object_id.isdigit() and len(object_id) < 20
        is_key = is_number and int(object_id) <= MAX_KEY
        return super().get_object(request, object_id, from_field) if is_key else None

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow the parameters of the filters: other fields have no index."""
        return lookup in {getattr(each, "parameter_name", None) for each in self.list_filter}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return (self.find(queryset, search_term) if search_term else queryset), False

    def rows(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.defer(*self.unread)

    def find(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """The rows of ``queryset`` that are named ``term``."""
        raise NotImplementedError

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["subtitle"] = self.subtitle(context["original"])
        return super().render_change_form(request, context, *args, **kwargs)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        response = super().history_view(request, object_id, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data is not None:
            name = self.subtitle(response.context_data["object"])
            response.context_data |= {"subtitle": name, "title": _("History")}
        return response

    def subtitle(self, row: Any) -> str | None:
        return cut(str(row))

    def page_url(self, model: type[Model], key: int) -> str:
        """The page of a row, in this admin."""
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
        return reverse(name, args=[key], current_app=self.admin_site.name)

    def list_url(self, model: type[Model], **query: str) -> str:
        """The list of ``model`` in this admin, with the filters of ``query``."""
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
        return reverse(name, query=query or None, current_app=self.admin_site.name)

    def person_url(self, column: str | None) -> str:
        """The page of the owner or customer of this column value; "" if it is not the whole id."""
        if not column or codec.to_column(codec.unescape(column)) != column:
            return ""
        name, site = "admin:parlant_store_session_person", self.admin_site.name
        return reverse(name, query={"user": column}, current_app=site)

    def may_view(self, request: HttpRequest, model: type[Model]) -> bool:
        """Whether this person may see ``model`` in this admin too."""
        site = self.admin_site
        return site.is_registered(model) and site.get_model_admin(model).has_view_permission(
            request
        )
