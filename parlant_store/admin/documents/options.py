"""The admin of documents."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from parlant_store.admin.actions.actions import DOCUMENT_ACTIONS
from parlant_store.admin.actions.retry import Retry, is_failed, original_of
from parlant_store.admin.conversations.header import Links, document_header
from parlant_store.admin.documents.columns import (
    Column,
    annotated,
    columns_of,
    display,
    labelled_cell,
)
from parlant_store.admin.documents.lookups import (
    Collection,
    Found,
    collection_of,
    find,
    json_text,
    matching,
    newest_first,
    requested_names,
    snippets,
    without_nul,
)
from parlant_store.admin.documents.page import json_tree, links_of, session_links, shape_of
from parlant_store.admin.filters import (
    FIELD_FILTERS,
    AgentFilter,
    CollectionFilter,
    CustomerFilter,
    SessionFilter,
    StateFilter,
    in_state,
    order_of,
)
from parlant_store.admin.formatting import column_name, expiry, full_name, grouped
from parlant_store.admin.lookups import COUNTED
from parlant_store.admin.options import ActionsAdmin, StoreChangeList
from parlant_store.admin.transcript.pages import events_transcript
from parlant_store.models import Document, Session

FOUND = "_parlant_store_found"
"""The attribute of a request with what its search found."""

COLUMNS = "_parlant_store_columns"
"""The attribute of a request with the columns of its list."""


class DocumentChangeList(StoreChangeList):
    """The collections, or the documents of a filter in the order of an index."""

    model_admin: Any
    notes: Sequence[str] = ()
    collections: list[Collection] | None = None
    """The collections, if no filter is set; the documents are listed otherwise."""

    more_collections = False

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        if self.collections is not None:
            self.title = _("Collections")
        elif collection := column_name(collection_of(request)):
            self.title = collection

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """The order of an index, whatever the address asks for."""
        return newest_first() if collection_of(request) else ("-key",)

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        found = super().get_queryset(request, *args, **kwargs)
        filters = {name for name, values in self.get_filters_params().items() if any(values)}
        if request.method == "GET" and not (self.query or filters):
            self._list_collections()
            return found.none()
        found = self._filtered(request, found, filters)
        return annotated(found, self.model_admin.columns(request))

    def _filtered(
        self, request: HttpRequest, found: QuerySet[Any], filters: set[str]
    ) -> QuerySet[Any]:
        if (search := getattr(request, FOUND, None)) and search.is_partial:
            self._note_bound()
        state = request.GET.get(StateFilter.parameter_name)
        is_in_state, fields = in_state(state, timezone.now()), dict(self._field_values(request))
        others = filters - {StateFilter.parameter_name}
        if is_in_state is not None and state != "live" and not (self.query or others):
            return found.filter(is_in_state).order_by(*order_of(state))
        if is_in_state is not None or fields:
            condition = Q(
                is_in_state or Q(), *(Q((f"has_{name}", fields[name])) for name in fields)
            )
            texts = {f"has_{name}": json_text((name,)) for name in fields}
            found = self._matching(found, matching(found.alias(**texts), condition))
        return found

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if self.collections is not None:
            # The search form shows the number of results if it is another one.
            self.full_result_count = self.result_count
        self.result_list = rows = list(self.result_list)
        links = session_links(self.model_admin, request, rows)
        search = getattr(request, FOUND, None)
        found = snippets([row.key for row in rows], search.terms) if search else {}
        for row in rows:
            row.snippet = found.get(row.key)
            row.session_url = links.get(row.key, "")
            row.person_url = self.model_admin.person_url(row.customer_id)

    def _list_collections(self) -> None:
        self.collections = []
        for spec in self.filter_specs:
            if isinstance(spec, CollectionFilter):
                self.collections, self.more_collections = spec.collections, spec.has_more
                self.filter_specs = [one for one in self.filter_specs if one is not spec]
                self.has_filters = bool(self.filter_specs)

    def _field_values(self, request: HttpRequest) -> Iterator[tuple[str, str]]:
        for one in FIELD_FILTERS:
            if value := without_nul(request.GET.get(one.parameter_name, "")):
                yield one.parameter_name, value

    def _matching(self, documents: QuerySet[Any], found: Found) -> QuerySet[Any]:
        if found.is_partial:
            self._note_bound()
        rest = self.root_queryset.filter(key__in=found.keys)
        rows: QuerySet[Any] = self.model_admin.rows(rest).order_by(*documents.query.order_by)
        return rows

    def _note_bound(self) -> None:
        text = _(
            "There may be more: only the first matches among the newest %(number)s of these "
            "documents are listed."
        )
        self.notes = (text % {"number": grouped(COUNTED)},)

    @property
    def failed(self) -> list[Collection]:
        """The collections of failed migrations."""
        found = (spec for spec in self.filter_specs if isinstance(spec, CollectionFilter))
        listed = self.collections or [one for spec in found for one in spec.collections]
        return [collection for collection in listed if collection.is_failed]


@admin.register(Document)
class DocumentAdmin(ActionsAdmin):
    list_filter = (
        CollectionFilter,
        StateFilter,
        *FIELD_FILTERS,
        SessionFilter,
        CustomerFilter,
        AgentFilter,
    )
    search_fields = ("document_id", "session_id", "customer_id", "agent_id")
    search_help_text = gettext_lazy(
        "A whole id: of a document, also as collection/id, or of a session, customer or agent. "
        "Or words of Parlant's messages and tools, or of a customer's name. "
        "Or the text of a JSON field, such as name:Ada or data.message:refund."
    )
    actions = (*DOCUMENT_ACTIONS, Retry(Document))
    unread = ("data",)
    fields = readonly_fields = (
        "whole_collection",
        full_name(Document, "document_id"),
        full_name(Document, "customer_id"),
        full_name(Document, "agent_id"),
        full_name(Document, "session_id"),
        full_name(Document, "version"),
        full_name(Document, "creation_utc"),
        "updated_at",
        "expires_at_time",
    )

    class Media:
        css: ClassVar = {"all": ["parlant_store/documents.css", "parlant_store/conversations.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return DocumentChangeList

    def columns(self, request: HttpRequest) -> tuple[Column, ...]:
        """The columns of the list, by its collection."""
        if not hasattr(request, COLUMNS):
            setattr(request, COLUMNS, columns_of(collection_of(request)))
        columns: tuple[Column, ...] = getattr(request, COLUMNS)
        return columns

    def get_list_display(self, request: HttpRequest) -> Any:
        return (*map(display, self.columns(request)), "expiry")

    def get_list_display_links(self, request: HttpRequest, list_display: Any) -> Any:
        """The first column beside that of the collection."""
        columns = [column for column in list_display if callable(column)]
        return [column for column in columns if column.__name__ != "collection"][:1]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        collection, names = collection_of(request), requested_names(request)
        found = find(queryset, search_term, collection, names)
        setattr(request, FOUND, found)
        return queryset.filter(key__in=found.keys), False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        document = context["original"]
        context["is_expired"] = document.expires_at and document.expires_at <= timezone.now()
        shape = shape_of(request.GET.get("json"))
        context["links"] = links_of(self, document, sessions=self.may_view(request, Session))
        context["transcript"] = events_transcript(
            document, request.GET, partial(self.page_url, Document)
        )
        if context["transcript"]:
            context["header"] = document_header(document, Links(self, request))
            context["title"] = _("View %s") % Session._meta.verbose_name
        context["json"], context["json_shape"] = json_tree(document.data, shape), shape
        if is_failed(document):
            context["failed"] = original_of(document.data)
            context["may_retry"] = request.user.has_perm("parlant_store.change_document")
            context["checkbox_name"] = ACTION_CHECKBOX_NAME
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=gettext_lazy("collection"))
    def whole_collection(self, document: Document) -> SafeString:
        url = self.list_url(Document, collection=document.collection)
        return format_html('<a href="{}">{}</a>', url, column_name(document.collection))

    @admin.display(description=gettext_lazy("expires"))
    def expiry(self, document: Document) -> SafeString | str:
        return labelled_cell(_("expires"), expiry(document.expires_at))
