"""The admin of documents."""

from functools import partial
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from parlant_store.admin.actions.actions import DOCUMENT_ACTIONS
from parlant_store.admin.actions.options import ActionsAdmin
from parlant_store.admin.conversations.header import document_header
from parlant_store.admin.conversations.links import Links
from parlant_store.admin.documents.changelist import FOUND, DocumentChangeList
from parlant_store.admin.documents.collections import collection_of, requested_names
from parlant_store.admin.documents.columns import Field, columns_of, display, labelled_cell
from parlant_store.admin.documents.failed_migrations import is_failed, original_of
from parlant_store.admin.documents.filters import (
    FIELD_FILTERS,
    AgentFilter,
    CollectionFilter,
    CustomerFilter,
    SessionFilter,
)
from parlant_store.admin.documents.json_tree import json_tree, shape_of
from parlant_store.admin.documents.links import links_of
from parlant_store.admin.documents.lookups import find
from parlant_store.admin.documents.retry import Retry
from parlant_store.admin.expiry import expiry, expiry_and_time
from parlant_store.admin.filters import StateFilter
from parlant_store.admin.formatting import column_name, full_name
from parlant_store.admin.transcript.events_page import events_transcript
from parlant_store.models import Document, Session

FILTERS = (
    CollectionFilter,
    StateFilter,
    *FIELD_FILTERS,
    SessionFilter,
    CustomerFilter,
    AgentFilter,
)
LOOKUPS = {filter_.parameter_name for filter_ in FILTERS}
COLUMNS = "_parlant_store_columns"
"""The attribute of a request with the columns of its list."""


@admin.register(Document)
class DocumentAdmin(ActionsAdmin):
    list_filter = FILTERS
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

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("parlant_store.change_document")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only what the filters ask for, which indexes serve."""
        return lookup in LOOKUPS

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return DocumentChangeList

    def columns(self, request: HttpRequest) -> tuple[str | Field, ...]:
        """The columns of the list, by its collection."""
        if not hasattr(request, COLUMNS):
            setattr(request, COLUMNS, columns_of(collection_of(request)))
        columns: tuple[str | Field, ...] = getattr(request, COLUMNS)
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
        context["json"], context["json_shape"] = json_tree(document.data, shape), shape
        if is_failed(document):
            context["failed"] = original_of(document.data)
            context["may_retry"] = self.has_retry_permission(request)
            context["checkbox_name"] = ACTION_CHECKBOX_NAME
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=gettext_lazy("collection"))
    def whole_collection(self, document: Document) -> SafeString:
        url = self.list_url(Document, collection=document.collection)
        return format_html('<a href="{}">{}</a>', url, column_name(document.collection))

    @admin.display(description=gettext_lazy("expires"))
    def expiry(self, document: Document) -> SafeString | str:
        return labelled_cell(_("expires"), expiry(document.expires_at))

    @admin.display(description=gettext_lazy("expires"))
    def expires_at_time(self, document: Document) -> SafeString | str:
        return expiry_and_time(document.expires_at)
