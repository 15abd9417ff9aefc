"""Conversations: their list, and the pages of sessions."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from parlant_store.admin.actions.actions import SESSION_ACTIONS
from parlant_store.admin.actions.options import ActionsAdmin
from parlant_store.admin.conversations.changelist import ConversationList, all_keys
from parlant_store.admin.conversations.conversation import FRAMEWORKS, Conversation
from parlant_store.admin.conversations.header import session_header
from parlant_store.admin.conversations.links import Links
from parlant_store.admin.conversations.local import Access
from parlant_store.admin.conversations.selection import DOCUMENT
from parlant_store.admin.expiry import ago, expiry, expiry_and_time
from parlant_store.admin.filters import (
    DateFilter,
    FailureFilter,
    FormFilter,
    FrameworkFilter,
    StateFilter,
    StoreFilter,
    aliases,
    is_local,
)
from parlant_store.admin.formatting import NOTHING, full_name, grouped, pre, pretty, session_name
from parlant_store.admin.transcript.items_page import session_transcript
from parlant_store.admin.views.urls import StorePages
from parlant_store.models import Document, Session, SessionItem

NONE = format_html('<span class="parlant-none">{}</span>', NOTHING)
"""The content of an empty cell, which narrow screens leave out."""


@admin.register(Session)
class SessionAdmin(StorePages, ActionsAdmin):
    """The first page of the app is its list, which shows Parlant's sessions too."""

    list_display = (
        "conversation",
        "person",
        "agent",
        "messages",
        "last_message",
        "last_activity",
        "expiry",
        "outcome",
    )
    list_display_links = ("conversation",)
    list_filter = (
        FormFilter,
        DateFilter,
        FailureFilter,
        StateFilter,
        FrameworkFilter,
        StoreFilter,
    )
    list_per_page = 50
    search_fields = ("session_id", "user_id")
    search_help_text = _(
        "Words that users, agents or tools wrote, the name of a customer, or a whole id."
    )
    actions = SESSION_ACTIONS
    has_parlant_sessions = True
    unread = ("full_names", "metadata", "state")
    fields = readonly_fields = (
        full_name(Session, "session_id"),
        full_name(Session, "namespace"),
        full_name(Session, "user_id"),
        "item_count",
        "token_count",
        "failed_calls",
        "created_at",
        "updated_at",
        "expires_at_time",
        "pretty_metadata",
        "pretty_state",
    )

    class Media:
        css: ClassVar = {"all": ["parlant_store/conversations.css"]}

    def has_view_or_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let those see the list who may see Parlant's sessions only."""
        is_permitted = super().has_view_or_change_permission(request, obj)
        return is_permitted or (obj is None and self.may_view(request, Document))

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        permissions = super().get_model_perms(request)
        return permissions | {"view": self.has_view_or_change_permission(request)}

    def access(self, request: HttpRequest) -> Access:
        """Return what the user may see in the list."""
        return Access(
            *(self.may_view(request, model) for model in (Session, SessionItem, Document))
        )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ConversationList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        access = self.access(request)
        is_readable = access.items or access.documents
        shown = super().get_list_display(request)
        return [column for column in shown if is_readable or column != "last_message"]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        store = request.GET.get("store", "")
        if store in aliases() and not is_local(store) and self.may_view(request, Session):
            return HttpResponseRedirect(self._links(request).remote_list(request.GET))
        context = {"title": gettext("Conversations")} | (extra_context or {})
        return super().changelist_view(request, context)

    def parlant_sessions(self, request: HttpRequest) -> list[int]:
        """Return the keys of all Parlant sessions of the list, for an action on them."""
        return all_keys(self, request)[DOCUMENT]

    def subtitle(self, row: Any) -> str | None:
        return str(row) if isinstance(row, Conversation) else session_name(row)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        session = context["original"]
        context["header"] = session_header(session, self._links(request))
        if self.may_view(request, SessionItem):
            url_of = partial(self.page_url, SessionItem)
            context["transcript"] = session_transcript(session, request.GET, url_of)
        return super().render_change_form(request, context, *args, **kwargs)

    def _links(self, request: HttpRequest) -> Links:
        return Links(self, request)

    # The columns of the list

    @admin.display(description=_("conversation"))
    def conversation(self, one: Conversation) -> Any:
        if not one.title:
            return format_html('<bdi class="parlant-title">{}</bdi>', one.name)
        return format_html(
            '<bdi class="parlant-title">{}</bdi> <bdi class="parlant-name">{}</bdi>',
            one.title,
            one.name,
        )

    @admin.display(description=_("person"))
    def person(self, one: Conversation) -> Any:
        if one.person is None:
            return NONE
        names = [one.person_name, one.person] if one.person_name else [one.person]
        shown = format_html(
            "<bdi>{}</bdi>" + ' <bdi class="parlant-name">{}</bdi>' * (len(names) - 1), *names
        )
        if not one.person_url:
            return shown
        return format_html('<a href="{}">{}</a>', one.person_url, shown)

    @admin.display(description=_("agent"))
    def agent(self, one: Conversation) -> Any:
        framework = FRAMEWORKS.get(one.framework, one.framework)
        if not one.agent:
            return format_html('<span class="parlant-name">{}</span>', framework)
        return format_html(
            '<bdi>{}</bdi> <span class="parlant-name">{}</span>', one.agent, framework
        )

    @admin.display(description=_("messages"))
    def messages(self, one: Conversation) -> Any:
        if one.item_count is None:
            return NONE
        return format_html(
            '<span class="parlant-cell-label">{}</span> {}', _("Messages:"), grouped(one.item_count)
        )

    @admin.display(description=_("last message"))
    def last_message(self, one: Conversation) -> Any:
        if not one.snippet:
            return one.last_message or NONE
        return format_html('<q class="parlant-found">{}</q>', one.snippet)

    @admin.display(description=_("last activity"))
    def last_activity(self, one: Conversation) -> Any:
        return ago(one.active_at) if one.active_at else NONE

    @admin.display(description=_("expires"))
    def expiry(self, one: Conversation) -> Any:
        return format_html(
            '<span class="parlant-cell-label">{}</span> {}', _("Expires:"), expiry(one.expires_at)
        )

    @admin.display(description=_("state"))
    def outcome(self, one: Conversation) -> Any:
        states = []
        if one.failed_calls:
            text = ngettext("%(number)s failed call", "%(number)s failed calls", one.failed_calls)
            states.append(("parlant-failed-calls", text % {"number": grouped(one.failed_calls)}))
        if one.waiting:
            text = ngettext(
                "%(number)s approval waiting", "%(number)s approvals waiting", one.waiting
            )
            states.append(("parlant-waiting", text % {"number": grouped(one.waiting)}))
        return self.badges(states) if states else NONE

    def badges(self, states: Sequence[tuple[str, str]]) -> Any:
        return format_html(
            " ".join(['<strong class="parlant-badge {}">{}</strong>'] * len(states)),
            *(text for state in states for text in state),
        )

    # The fields of the page of a session

    @admin.display(description=_("tokens"))
    def token_count(self, session: Session) -> str:
        return gettext("unknown") if session.tokens is None else grouped(session.tokens)

    @admin.display(description=_("expires"))
    def expires_at_time(self, session: Session) -> str:
        return expiry_and_time(session.expires_at)

    @admin.display(description=_("metadata"))
    def pretty_metadata(self, session: Session) -> str:
        return pre(pretty(session.metadata)) if session.metadata else NOTHING

    @admin.display(description=_("state"))
    def pretty_state(self, session: Session) -> str:
        return pre(pretty(session.state)) if session.state else NOTHING
