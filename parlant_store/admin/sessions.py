"""Sessions for people to find and to read."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from parlant_store import codec
from parlant_store.admin.lists import StoreAdmin, alive
from parlant_store.admin.search import keys, sessions_named
from parlant_store.admin.text import NOTHING, full_name, list_column, pre, pretty, session_name
from parlant_store.admin.transcript import transcript_of
from parlant_store.models import Session, SessionItem


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
