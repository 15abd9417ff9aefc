"""Options of the ModelAdmin classes: read-only lists that stay fast over millions of rows."""

import re
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import SuspiciousOperation
from django.core.paginator import Paginator
from django.db import router
from django.db.models import Model, QuerySet
from django.forms import CheckboxInput
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from parlant_store.admin.actions.confirmation import Action
from parlant_store.admin.actions.local_rows import LocalRows
from parlant_store.admin.actions.selection import (
    KEYS,
    MAX_KEY,
    MAX_ROWS,
    Selection,
    format_keys,
    parse_keys,
)
from parlant_store.admin.formatting import cut, expiry_and_time
from parlant_store.admin.lookups import COUNTED
from parlant_store.admin.views.base import guarded
from parlant_store.content import codec
from parlant_store.models import Document, Session, Thread

FROM_PAGE = "from_page"
"""The parameter of requests from the page of the selected row."""

_KEYS = {"keys", *KEYS.values()}
_VALUE = re.compile(f"({'|'.join(KEYS)})?([0-9]{{1,19}})")


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


class StoreChangeList(ChangeList):
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
        return StoreChangeList

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


class ActionsAdmin(StoreAdmin):
    """Actions on the selected rows of a list, and on one row from its page."""

    actions: Any = ()
    has_conversations = False
    """Does the list show Parlant sessions and threads too? Their checkboxes have prefixes."""

    class Media:
        css: ClassVar = {"all": ["parlant_store/actions.css"]}

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """Return the actions that the user may do to some of the rows."""
        # Django before 6.1 has no locations.
        location = {} if action_location is None else {"action_location": action_location}
        found: dict[str, Any] = super().get_actions(request, **location)
        own = {action.name: action for action in self.actions or () if isinstance(action, Action)}
        models = [Session, Document, Thread] if self.has_conversations else [self.model]
        return {
            name: action
            for name, action in found.items()
            if name not in own or any(own[name].is_permitted(request, model) for model in models)
        }

    def action_checkbox(self, obj: Any) -> SafeString:
        """Return Django's checkbox, labelled with the name of the row, if it has a key here."""
        if not obj.pk:
            return SafeString("")
        label = _("Select %(name)s for an action") % {"name": self.subtitle(obj)}
        checkbox = CheckboxInput({"class": "action-select", "aria-label": label}, lambda _: False)
        return checkbox.render(ACTION_CHECKBOX_NAME, str(obj.pk))

    def response_action(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Move the selected rows of other models to KEYS: Django filters by the rest."""
        selected = [_VALUE.fullmatch(each) for each in request.POST.getlist(ACTION_CHECKBOX_NAME)]
        keys = [(match[1], int(match[2])) for match in selected if match]
        if len(keys) < len(selected) or any(key > MAX_KEY for _, key in keys):
            raise SuspiciousOperation("these are no keys")
        others = {name: {key for each, key in keys if each == name} for name in KEYS}
        if any(others.values()):
            data = request.POST.copy()
            # No row has the key 0.
            own = [str(key) for prefix, key in keys if not prefix]
            data.setlist(ACTION_CHECKBOX_NAME, own or ["0"])
            if not any(name in data for name in KEYS.values()):
                for name in filter(others.get, KEYS):
                    data[KEYS[name]] = format_keys(others[name])
                data.pop("confirmed", None)
            request.POST = data  # type: ignore[assignment]
        return super().response_action(request, *args, **kwargs)

    def get_selection(self, request: HttpRequest, queryset: QuerySet[Any]) -> Selection:
        """Return the rows of ``queryset``, or those that the confirmed question was about."""
        form = request.POST
        is_confirmed = form.get("confirmed") == "yes" and bool(form.keys() & _KEYS)
        if is_confirmed:
            keys = parse_keys(form["keys"]) if "keys" in form else []
        else:
            # A replica may not have what was written or deleted a moment ago.
            written = queryset.using(router.db_for_write(queryset.model))
            keys = list(written.values_list("pk", flat=True)[: MAX_ROWS + 1])
        parts = [LocalRows(self.model, keys)]
        if self.has_conversations:
            if form.get("select_across") == "1" and not is_confirmed:
                others = self.other_keys(request)
            else:
                others = {name: parse_keys(form[of]) for name, of in KEYS.items() if of in form}
            documents, threads = (others.get(name, []) for name in KEYS)
            parts.append(LocalRows(Document, documents, of_conversations=True))
            parts.append(LocalRows(Thread, threads))
        parts = [part for part in parts if part.keys] or parts[:1]
        page_url = ""
        if FROM_PAGE in form and sum(map(len, parts)) == 1:
            page_url = self.page_url(parts[0].model, parts[0].keys[0])
        return Selection(
            admin=self,
            request=request,
            parts=parts,
            list_url=request.get_full_path(),
            page_url=page_url,
            is_confirmed=is_confirmed,
            form_data=[(FROM_PAGE, "yes")] if FROM_PAGE in form else [],
        )

    def other_keys(self, request: HttpRequest) -> dict[str, list[int]]:
        """Return the keys of all rows of other models in the list, by the prefixes of KEYS.

        They are at most MAX_ROWS + 1.
        """
        return {}

    def selection(self, row: Any) -> tuple[str, str]:
        """Return the list whose actions a page sends, and the value of the row's checkbox there."""
        return self.list_url(self.model), str(row.pk)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["tools"] = self._tools(request, context["original"])
        context["actions_url"], context["checkbox"] = self.selection(context["original"])
        context["checkbox_name"], context["from_page"] = ACTION_CHECKBOX_NAME, FROM_PAGE
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=gettext_lazy("expires"))
    def expires_at_time(self, row: Any) -> SafeString | str:
        return expiry_and_time(row.expires_at)

    def _tools(self, request: HttpRequest, row: Any) -> list[Action]:
        """Return the actions that the user may do and that are for this row."""
        now = timezone.now()
        return [
            action
            for action in self.actions
            if isinstance(action, Action)
            and action.is_tool
            and action.is_permitted(request, self.model)
            and action.is_eligible(row.expires_at, now)
        ]
