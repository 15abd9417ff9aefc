"""The items of sessions, one by one."""

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Coalesce, Left, NullIf
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from parlant_store.admin.formatting import NAME, NOTHING, cut, pre, pretty_text, session_name
from parlant_store.admin.lookups import keys, sessions_named
from parlant_store.admin.options import StoreAdmin
from parlant_store.admin.sessions import SessionAdmin
from parlant_store.models import Session, SessionItem


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
        beside = [f"session__{column}" for column in SessionAdmin.unread]
        return super().get_queryset(request).select_related("session").defer("text", *beside)

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
        url = self.page_url(Session, item.session_id)
        return f"{url}?after={item.position - 1}#item-{item.position}"
