"""Sessions for people to find and to read."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from parlant_store.admin.actions.actions import SESSION_ACTIONS
from parlant_store.admin.actions.options import ActionsAdmin
from parlant_store.admin.expiry import ago, expiry, expiry_and_time
from parlant_store.admin.formatting import (
    NOTHING,
    full_name,
    list_column,
    pre,
    pretty,
    session_name,
)
from parlant_store.admin.lookups import keys, sessions_named
from parlant_store.admin.sessions import content
from parlant_store.admin.sessions.filters import (
    FrameworkFilter,
    OwnerFilter,
    StateFilter,
    order_of,
)
from parlant_store.admin.sessions.listing import FOUND, SessionRows, shown_text
from parlant_store.admin.transcript.items_page import session_transcript
from parlant_store.admin.views.urls import StorePages
from parlant_store.content import codec
from parlant_store.models import Session, SessionItem


@admin.register(Session)
class SessionAdmin(StorePages, ActionsAdmin):
    list_display = (
        list_column(Session, "session_id"),
        list_column(Session, "namespace"),
        list_column(Session, "user_id"),
        "item_count",
        "last_text",
        "updated",
        "expires",
        "tokens",
    )
    list_filter = (StateFilter, OwnerFilter, FrameworkFilter)
    search_fields = ("session_id", "user_id")
    search_help_text = _("A whole session id, namespace/session id, or owner.")
    actions = SESSION_ACTIONS
    has_parlant_sessions = True
    unread = ("full_names", "metadata", "state")
    fields = readonly_fields = (
        full_name(Session, "session_id"),
        full_name(Session, "namespace"),
        full_name(Session, "user_id"),
        "item_count",
        "tokens",
        "created_at",
        "updated_at",
        "expires_at_time",
        "pretty_metadata",
        "pretty_state",
    )

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        shown = super().get_list_display(request)
        may_read = self.may_view(request, SessionItem)
        return [column for column in shown if may_read or column != "last_text"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return SessionRows

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        rows = super().get_changelist_instance(request)
        if self.may_view(request, SessionItem):
            rows.search_help_text = gettext(
                "A whole session id, namespace/session id or owner, or words of what was said."
            )
        return rows

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return order_of(request.GET.get(StateFilter.parameter_name))

    def subtitle(self, row: Any) -> str | None:
        return session_name(row)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        matching = self._named(search_term)
        if self.may_view(request, SessionItem):
            found = content.find(search_term)
            setattr(request, FOUND, found)
            matching |= found.items.keys()
        return queryset.filter(key__in=matching), False

    def _named(self, term: str) -> set[int]:
        owned = Q(user_id=codec.to_column(term))
        return set(keys(Session, [owned, *sessions_named(term)]))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if self.may_view(request, SessionItem):
            url_of = partial(self.page_url, SessionItem)
            context["transcript"] = session_transcript(context["original"], request.GET, url_of)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=_("last text"))
    def last_text(self, session: Any) -> Any:
        return shown_text(session.last_text, session.found_text)

    @admin.display(description=_("updated"))
    def updated(self, session: Session) -> Any:
        return ago(session.updated_at)

    @admin.display(description=_("expires"))
    def expires(self, session: Session) -> Any:
        return expiry(session.expires_at)

    @admin.display(description=_("expires"))
    def expires_at_time(self, session: Session) -> str:
        return expiry_and_time(session.expires_at)

    @admin.display(description=_("metadata"))
    def pretty_metadata(self, session: Session) -> str:
        return pre(pretty(session.metadata)) if session.metadata else NOTHING

    @admin.display(description=_("state"))
    def pretty_state(self, session: Session) -> str:
        return pre(pretty(session.state)) if session.state else NOTHING
