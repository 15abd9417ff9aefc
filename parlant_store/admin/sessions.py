"""Conversations: their list, and the pages of sessions and of their items."""

from functools import partial
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import router
from django.db.models import Exists, F, OuterRef, QuerySet, Value
from django.db.models.functions import Coalesce, Left, NullIf
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from parlant_store.admin import filters
from parlant_store.admin.actions import remote_rows
from parlant_store.admin.actions.actions import SESSION_ACTIONS
from parlant_store.admin.actions.selection import DOCUMENT_PREFIX, THREAD_PREFIX
from parlant_store.admin.conversations.changelist import ConversationList, all_keys
from parlant_store.admin.conversations.conversation import LANGGRAPH, Conversation
from parlant_store.admin.conversations.header import Links, branches_of, session_header
from parlant_store.admin.conversations.local import Access
from parlant_store.admin.conversations.remote import list_sessions, show_session, show_thread
from parlant_store.admin.conversations.search.selection import DOCUMENT, THREAD
from parlant_store.admin.conversations.threads import local_info, local_reader
from parlant_store.admin.documents import remote as remote_documents
from parlant_store.admin.formatting import (
    NAME,
    NOTHING,
    ago,
    cut,
    expiry,
    full_name,
    grouped,
    pre,
    pretty,
    pretty_text,
    session_name,
)
from parlant_store.admin.lookups import keys, sessions_named
from parlant_store.admin.options import ActionsAdmin, StoreAdmin
from parlant_store.admin.transcript.pages import session_transcript
from parlant_store.admin.views import overview, person, persons, stores
from parlant_store.admin.views.base import Page, configured_stores, guarded
from parlant_store.admin.views.thread import may_read_checkpoints, thread_context
from parlant_store.backends.orm import OrmBackend
from parlant_store.models import Document, Session, SessionItem, Thread

PAGES: dict[str, Page] = {
    "overview": overview.overview,
    "people": persons.list_persons,
    "person": person.show_person,
    "person_receipt": person.download_receipt,
    "stores": stores.list_stores,
    "stores_sessions": list_sessions,
    "stores_session": show_session,
    "stores_thread": show_thread,
    "stores_sessions_change": remote_rows.change_sessions,
    "stores_sweep": stores.sweep,
    "stores_documents": remote_documents.list_documents,
    "stores_document": remote_documents.show_document,
    "stores_documents_change": remote_rows.change_documents,
}
"""The pages beside the lists, at addresses below that of the list of conversations."""

NONE = format_html('<span class="parlant-none">{}</span>', NOTHING)
"""The content of an empty cell, which narrow screens leave out."""


@admin.register(Session)
class SessionAdmin(ActionsAdmin):
    """The first page of the app is its list, which shows Parlant's sessions too."""

    list_display = (
        "conversation",
        "person",
        "agent",
        "length",
        "last_message",
        "last_activity",
        "expiry",
        "outcome",
    )
    list_display_links = ("conversation",)
    list_filter = (
        filters.FormFilter,
        filters.DateFilter,
        filters.FailureFilter,
        filters.StateFilter,
        filters.FrameworkFilter,
        filters.StoreFilter,
    )
    list_per_page = 50
    search_fields = ("session_id", "user_id")
    search_help_text = _(
        "Words that users, agents or tools wrote, the name of a customer, or a whole id. "
        "Threads of LangGraph are found by their ids and owners only."
    )
    actions = SESSION_ACTIONS
    has_conversations = True
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

    def get_urls(self) -> list[URLPattern]:
        pages = [
            path(
                f"{name.replace('_', '/')}/",
                guarded(self, self.admin_site.admin_view(partial(page, self))),
                name=f"parlant_store_session_{name}",
            )
            for name, page in PAGES.items()
        ]
        return pages + super().get_urls()

    def has_view_or_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let those see the list who may see Parlant's sessions or threads only."""
        is_permitted = super().has_view_or_change_permission(request, obj)
        others = (Document, Thread) if obj is None else ()
        return is_permitted or any(self.may_view(request, model) for model in others)

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        permissions = super().get_model_perms(request)
        return permissions | {"view": self.has_view_or_change_permission(request)}

    def access(self, request: HttpRequest) -> Access:
        """Return what the user may see in the list."""
        return Access(
            sessions=self.may_view(request, Session),
            items=self.may_view(request, SessionItem),
            documents=self.may_view(request, Document),
            threads=self.may_view(request, Thread),
            checkpoints=may_read_checkpoints(request),
        )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ConversationList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        access = self.access(request)
        is_readable = access.items or access.documents or access.checkpoints
        shown = super().get_list_display(request)
        return [column for column in shown if is_readable or column != "last_message"]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        remote = [
            alias
            for alias, store, _error in configured_stores()
            if not isinstance(store, OrmBackend)
        ]
        may_view = self.may_view(request, Session) or self.may_view(request, Thread)
        if request.GET.get("store") in remote and may_view:
            return HttpResponseRedirect(self._links(request).remote_list(request.GET))
        context = {"title": gettext("Conversations")} | (extra_context or {})
        return super().changelist_view(request, context)

    def other_keys(self, request: HttpRequest) -> dict[str, list[int]]:
        keys = all_keys(self, request)
        return {DOCUMENT_PREFIX: keys[DOCUMENT], THREAD_PREFIX: keys[THREAD]}

    def subtitle(self, row: Any) -> str | None:
        return str(row) if isinstance(row, Conversation) else session_name(row)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        found: QuerySet[Session] = super().get_queryset(request)
        match = request.resolver_match
        if match is not None and "object_id" in match.kwargs:
            # Few sessions have branches: the others cost no query.
            found = found.annotate(has_branches=Exists(branches_of(OuterRef)))
        return found

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
        shown = format_html("<bdi>{}</bdi>", one.person_name or one.person)
        if one.person_name:
            shown = format_html('{} <bdi class="parlant-name">{}</bdi>', shown, one.person)
        return (
            format_html('<a href="{}">{}</a>', one.person_url, shown) if one.person_url else shown
        )

    @admin.display(description=_("agent"))
    def agent(self, one: Conversation) -> Any:
        framework = format_html('<span class="parlant-name">{}</span>', one.framework_name)
        if not one.agent:
            return framework if one.framework else NONE
        return format_html("<bdi>{}</bdi> {}", one.agent, framework)

    @admin.display(description=_("Length"))
    def length(self, one: Conversation) -> Any:
        return one.length or NONE

    @admin.display(description=_("last message"))
    def last_message(self, one: Conversation) -> Any:
        if one.snippet:
            return format_html('<q class="parlant-found">{}</q>', one.snippet)
        return format_html("<bdi>{}</bdi>", one.last_message) if one.last_message else NONE

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
        badge = '<strong class="parlant-badge {}">{}</strong>'
        return format_html_join(" ", badge, one.outcomes) if one.outcomes else NONE

    # The fields of the page of a session

    @admin.display(description=_("tokens"))
    def token_count(self, session: Session) -> str:
        return gettext("unknown") if session.tokens is None else grouped(session.tokens)

    @admin.display(description=_("metadata"))
    def pretty_metadata(self, session: Session) -> str:
        return pre(pretty(session.metadata)) if session.metadata else NOTHING

    @admin.display(description=_("state"))
    def pretty_state(self, session: Session) -> str:
        return pre(pretty(session.state)) if session.state else NOTHING


@admin.register(Thread)
class ThreadAdmin(ActionsAdmin):
    """The page of a thread of LangGraph. Its list and its actions are those of conversations."""

    change_form_template = "admin/parlant_store/session/change_form.html"
    actions = SESSION_ACTIONS
    fields = readonly_fields = (
        full_name(Thread, "thread_id"),
        full_name(Thread, "namespace"),
        full_name(Thread, "user_id"),
        "created_at",
        "updated_at",
        "expires_at_time",
    )

    class Media:
        css: ClassVar = {"all": ["parlant_store/conversations.css", "parlant_store/overview.css"]}

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """Leave it out of the index of the app."""
        return {}

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        filters = {**request.GET.dict(), "framework": LANGGRAPH}
        return HttpResponseRedirect(self.list_url(Session, **filters))

    def selection(self, row: Any) -> tuple[str, str]:
        return self.list_url(Session), f"{THREAD_PREFIX}{row.pk}"

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        thread = context["original"]
        context |= thread_context(
            local_reader(router.db_for_read(Thread)),
            local_info(thread),
            request.GET,
            Links(self, request),
            may_read=may_read_checkpoints(request),
            call=lambda function: function(),
        )
        return super().render_change_form(request, context, *args, **kwargs)


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
