"""Documents for people to find and to read."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from parlant_store.admin.lists import StoreAdmin, alive
from parlant_store.admin.search import keys, named
from parlant_store.admin.text import full_name, list_column, pre, pretty
from parlant_store.models import Document


@admin.register(Document)
class DocumentAdmin(StoreAdmin):
    list_display = (
        list_column(Document, "collection"),
        list_column(Document, "document_id"),
        list_column(Document, "customer_id"),
        list_column(Document, "agent_id"),
        list_column(Document, "session_id"),
        list_column(Document, "version"),
        list_column(Document, "creation_utc"),
    )
    list_display_links = (list_display[1],)
    search_fields = ("document_id",)
    search_help_text = _("A whole document id, or collection/document id.")
    unread = ("data",)
    fields = readonly_fields = (
        full_name(Document, "collection"),
        full_name(Document, "document_id"),
        full_name(Document, "customer_id"),
        full_name(Document, "agent_id"),
        full_name(Document, "session_id"),
        full_name(Document, "version"),
        full_name(Document, "creation_utc"),
        "updated_at",
        "expires_at",
        "pretty_data",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        return super().get_queryset(request).filter(alive())

    def find(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        return queryset.filter(
            key__in=keys(Document, named(Document, "collection", "document_id", term))
        )

    @admin.display(description=_("document"))
    def pretty_data(self, document: Document) -> SafeString:
        return pre(pretty(document.data))
