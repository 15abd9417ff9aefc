"""Sessions, their items and documents for people to read; stores write them."""

from typing import Any

from django.contrib import admin
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Left, NullIf
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from parlant_store import codec
from parlant_store.admin.lists import StoreAdmin, alive
from parlant_store.admin.search import keys, named, sessions_named
from parlant_store.admin.text import (
    NAME,
    NOTHING,
    cut,
    full_name,
    list_column,
    pre,
    pretty,
    pretty_text,
    session_name,
)
from parlant_store.admin.transcript import transcript_of
from parlant_store.models import Document, Session, SessionItem


@admin.register(Session)
class SessionAdmin(StoreAdmin):
    list_display = (
        list_column(Session, "session_id"),
        list_column(Session, "namespace"),
        list_column(Session, "user_id"),
        "item_count",
        "updated_at",
        "expires_at",
    )
    search_fields = ("session_id", "user_id")
    search_help_text = _("A whole session id, namespace/session id, or owner.")
    unread = ("full_names", "metadata", "state")
    fields = readonly_fields = (
        full_name(Session, "session_id"),
        full_name(Session, "namespace"),
        full_name(Session, "user_id"),
        "item_count",
        "created_at",
        "updated_at",
        "expires_at",
        "pretty_metadata",
        "pretty_state",
    )

    def subtitle(self, row: Any) -> str | None:
        return session_name(row)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        return super().get_queryset(request).filter(alive())

    def find(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        owned = Q(user_id=codec.to_column(term))
        return queryset.filter(key__in=keys(Session, [owned, *sessions_named(term)]))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if self.may_view(request, SessionItem):
            context["transcript"] = transcript_of(context["original"], request.GET)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=_("metadata"))
    def pretty_metadata(self, session: Session) -> str:
        return pre(pretty(session.metadata)) if session.metadata else NOTHING

    @admin.display(description=_("state"))
    def pretty_state(self, session: Session) -> str:
        return pre(pretty(session.state)) if session.state else NOTHING


@admin.register(SessionItem)
class SessionItemAdmin(StoreAdmin):
    list_display = ("session_name", "position", "short_role", "short_text", "created_at")
    list_display_links = ("position",)
    search_fields = ("session__session_id",)
    search_help_text = _("A whole session id, or namespace/session id.")
    unread = ("role", "text", "data")
    fields = readonly_fields = (
        "session_name",
        "position",
        "full_role",
        "created_at",
        "pretty_data",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[SessionItem]:
        items = super().get_queryset(request).filter(alive("session__"))
        beside = [f"session__{column}" for column in SessionAdmin.unread]
        return items.select_related("session").defer("text", *beside)

    def rows(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        text = Coalesce(NullIf(F("text"), Value("")), F("data"))
        shown = {"shown_role": Left("role", NAME + 1), "shown_text": Left(text, NAME + 1)}
        found: QuerySet[Any] = super().rows(queryset).annotate(**shown)
        return found

    def find(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        return queryset.filter(session__in=keys(Session, sessions_named(term)))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if self.may_view(request, Session):
            context["session_url"] = self._place(context["original"])
        return super().render_change_form(request, context, *args, **kwargs)

    def subtitle(self, row: Any) -> str | None:
        return _("Item {position} of {session}").format(
            position=row.position, session=self.session_name(row)
        )

    @admin.display(description=_("session"))
    def session_name(self, item: SessionItem) -> str | None:
        return session_name(item.session)

    @admin.display(description=_("role"))
    def short_role(self, item: Any) -> str | None:
        return cut(item.shown_role)

    @admin.display(description=_("role"))
    def full_role(self, item: SessionItem) -> str:
        return cut(item.role) or NOTHING

    @admin.display(description=_("text"))
    def short_text(self, item: Any) -> str | None:
        return cut(item.shown_text)

    @admin.display(description=_("item"))
    def pretty_data(self, item: SessionItem) -> SafeString:
        return pre(pretty_text(item.data))

    def _place(self, item: SessionItem) -> str:
        url = reverse(
            "admin:parlant_store_session_change",
            args=[item.session_id],
            current_app=self.admin_site.name,
        )
        return f"{url}?after={item.position - 1}#item-{item.position}"


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
