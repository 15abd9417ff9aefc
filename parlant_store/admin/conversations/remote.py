"""The conversations of a remote store, through its contract.

Stores list their sessions by name. As long as there are few, they are read at once, so that they
are filtered and sorted as those of local stores are.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from django.contrib.admin.utils import label_for_field
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from parlant_store.admin.actions.remote_rows import show_rows
from parlant_store.admin.conversations.conversation import (
    CREATION,
    LANGGRAPH,
    LENGTH,
    OPENAI,
    ORDERS,
    PARLANT,
    Conversation,
    Criteria,
    criteria_of,
)
from parlant_store.admin.conversations.header import Links, info_header, listed
from parlant_store.admin.conversations.search.selection import SOON
from parlant_store.admin.conversations.search.words import marked
from parlant_store.admin.conversations.threads import message_url
from parlant_store.admin.formatting import (
    NOTHING,
    cut,
    expiry,
    grouped,
    joined_name,
    pre,
    pretty,
    text_of,
    written,
)
from parlant_store.admin.transcript.pages import items_transcript
from parlant_store.admin.views.base import (
    call_store,
    decode_names,
    django_time,
    encode_names,
    link,
    on_store,
    parsed_time,
)
from parlant_store.admin.views.stores import may_sweep
from parlant_store.admin.views.thread import may_read_checkpoints, thread_context
from parlant_store.backends.base import BaseBackend
from parlant_store.content import codec, text_search
from parlant_store.content.related_documents import SESSIONS
from parlant_store.content.times import as_utc
from parlant_store.exceptions import AccessDenied
from parlant_store.models import Document, Session, SessionItem, Thread
from parlant_store.types import (
    JSONObject,
    SearchHit,
    SessionCursor,
    SessionInfo,
    ThreadHit,
    ThreadInfo,
)

PAGE = 50
"""How many conversations a page lists, and a search finds."""

MAX_SORTED = 1_000
"""Limit on the sessions, and on the Parlant sessions, that are read to be sorted."""

MAX_COLLECTIONS = 5
"""Limit on the collections of Parlant sessions that are read."""

FEW, MANY = 100, 1_000
"""The number of the latest items on the page, and on the page with more of them."""


class _Page(NamedTuple):
    conversations: list[Conversation]
    notes: list[str]
    next_parameters: dict[str, Any]
    """The parameters of the next page; empty on the last one."""

    is_first: bool


class _Reader:
    """Reads the conversations of a store for some criteria."""

    def __init__(self, store: BaseBackend, request: HttpRequest, links: Links, access: Any) -> None:
        self.store = store
        self.links = links
        self.access = access
        self.params = request.GET
        self.criteria = criteria_of(request.GET)
        # The parameters of addresses of earlier versions.
        self.agent = self.criteria.agent or request.GET.get("namespace", "")
        self.prefix = request.GET.get("prefix", "")

    def read(self) -> _Page:
        if self.criteria.query and (self.access.items or self.access.checkpoints):
            return self._search()
        if after := self.params.get("after", ""):
            namespace, session_id = decode_names(after, 2)
            return self._by_name(SessionCursor(namespace=namespace, session_id=session_id))
        sessions, is_whole = self._sessions()
        if not is_whole:
            return self._by_name(None)
        threads, notes = self._threads()
        shown = [*map(self._listed, sessions), *map(self._listed, threads)]
        found = [*filter(self._matches, shown)]
        found += self._documents()
        found.sort(key=self._place, reverse=True)
        number = self._page_number()
        start = (number - 1) * PAGE
        following = {"p": number + 1} if found[start + PAGE :] else {}
        return _Page(found[start : start + PAGE], notes, following, number == 1)

    def _search(self) -> _Page:
        namespace = self.agent or None
        search = partial(self.store.search, self.criteria.query, namespace=namespace, limit=PAGE)
        hits = call_store(self.store, search) if self.access.items else []
        threads = self._threads_with_words()
        notes = [_("A search by words has no other filter than the namespace.")]
        if PAGE in (len(hits), len(threads)):
            notes.append(_("Only the best matches are listed."))
        found = [*map(self._hit, hits), *map(self._hit, threads)]
        return _Page(found, notes, {}, True)

    def _threads_with_words(self) -> list[ThreadHit]:
        access = self.access
        if not (self.store.supports_checkpoints and access.threads and access.checkpoints):
            return []
        query, namespace = self.criteria.query, self.agent or None
        search = partial(self.store.search_threads, query, namespace=namespace, limit=PAGE)
        try:
            return call_store(self.store, search)
        except AccessDenied:
            # The key may be one for sessions alone.
            return []

    def _sessions(self) -> tuple[list[SessionInfo], bool]:
        """Return the sessions of the store, if there are few; else those of the exact names."""
        if not self.access.sessions or self.criteria.framework in (PARLANT, LANGGRAPH):
            return [], True
        page = call_store(self.store, partial(self._listing, limit=MAX_SORTED))
        names = self._names()
        if page.next_cursor and names:
            page = call_store(self.store, partial(self._listing, limit=MAX_SORTED, **names))
        return list(page.sessions), page.next_cursor is None

    def _threads(self) -> tuple[list[ThreadInfo], list[str]]:
        """Return the threads of the store, as ``_sessions`` does, with notes for the page."""
        is_filtered = self.criteria.has_failed or self.prefix
        if is_filtered or self.criteria.framework not in ("", LANGGRAPH):
            return [], []
        if not (self.store.supports_checkpoints and self.access.threads):
            return [], []
        list_threads = partial(self.store.list_threads, limit=MAX_SORTED)
        try:
            page, names = call_store(self.store, list_threads), self._names()
            if page.next_cursor and names:
                page = call_store(self.store, partial(list_threads, **names))
        except AccessDenied:
            # The key may be one for sessions alone.
            return [], []
        notes = []
        if page.next_cursor:
            text = _(
                "Of the threads of LangGraph, only the first %(number)s by name are listed: enter "
                "the whole name of an owner or namespace to see others."
            )
            notes.append(text % {"number": grouped(MAX_SORTED)})
        return list(page.threads), notes

    def _by_name(self, cursor: SessionCursor | None) -> _Page:
        listing = partial(self._listing, limit=PAGE, cursor=cursor, **self._names())
        page = call_store(self.store, listing)
        last = page.next_cursor
        following = {"after": encode_names([last.namespace, last.session_id])} if last else {}
        notes = [
            _(
                "The store has more than %(number)s conversations: they are sorted by name, and "
                "owner and namespace are whole names."
            )
            % {"number": grouped(MAX_SORTED)}
        ]
        found = [*map(self._listed, page.sessions)]
        return _Page(found, notes, following, cursor is None)

    def _listing(self, **options: Any) -> Any:
        start = self.criteria.start
        since = None if start is None else as_utc(start)
        return self.store.list_sessions(prefix=self.prefix, updated_since=since, **options)

    def _names(self) -> dict[str, str]:
        names = {"namespace": self.agent, "user_id": self.criteria.owner}
        return {name: text for name, text in names.items() if text}

    def _documents(self) -> Iterator[Conversation]:
        """Yield the newest Parlant sessions, if the store has any and the user may see them."""
        if not (self.store.supports_documents and self.access.documents):
            return
        names = call_store(self.store, self.store.list_collections)
        collections = [name for name in names if name.endswith(SESSIONS)][:MAX_COLLECTIONS]
        for collection in collections:
            find = partial(self.store.find, collection, direction="desc", limit=MAX_SORTED)
            for document in call_store(self.store, find).documents:
                one = document_of(collection, document, self.store.alias, self.links)
                if self._matches(one):
                    yield one

    def _matches(self, one: Conversation) -> bool:
        criteria = self.criteria
        # Stores do not say which SDK has written a session.
        if criteria.framework and _kind(criteria.framework) != _kind(one.framework):
            return False
        if not _has_part(one.person, criteria.owner) or not _has_part(one.agent, self.agent):
            return False
        if criteria.start and one.active_at and one.active_at < criteria.start:
            return False
        if criteria.end and one.created_at and one.created_at >= criteria.end:
            return False
        now = django_time(self.store.clock())
        if criteria.state == "expiring" and one.expires_at and now:
            return one.expires_at <= now + SOON
        return criteria.state in ("", "live")

    def _place(self, one: Conversation) -> Any:
        if self.criteria.order == LENGTH:
            return one.item_count or 0
        time = one.created_at if self.criteria.order == CREATION else one.active_at
        return 0.0 if time is None else as_utc(time).timestamp()

    def _page_number(self) -> int:
        text = self.params.get("p", "")
        is_number = text.isascii() and text.isdigit() and len(text) < 5
        return max(1, int(text)) if is_number else 1

    def _listed(self, info: SessionInfo | ThreadInfo) -> Conversation:
        return listed(info, self.store.alias, self.links)

    def _hit(self, hit: SearchHit | ThreadHit) -> Conversation:
        query, place, remote = self.criteria.query, hit.namespace, self.links.remote
        if isinstance(hit, ThreadHit):
            kind, framework, id_ = "thread", LANGGRAPH, hit.thread_id
            url = message_url(remote(self.store.alias, Thread, place, id_), query, hit.number)
        else:
            kind, framework, id_ = "session", "", hit.session_id
            url = remote(self.store.alias, Session, place, id_)
        return Conversation(
            pk=encode_names([place, id_]),
            kind=kind,
            url=url,
            name=joined_name(place, id_),
            framework=framework,
            agent=cut(place),
            item_count=None,
            snippet=marked(" … ".join(hit.snippets), text_search.terms(query)),
        )


def _kind(framework: str) -> str:
    return framework if framework in (PARLANT, LANGGRAPH) else OPENAI


def document_of(collection: str, document: JSONObject, alias: str, links: Links) -> Conversation:
    """Return a Parlant session of the store ``alias``."""
    id_, customer = document.get("id"), cut(text_of(document.get("customer_id")))
    created = parsed_time(document.get("creation_utc"))
    return Conversation(
        url=links.remote(alias, Document, collection, id_),
        name=cut(text_of(id_)) or "",
        title=cut(text_of(document.get("title"))) or "",
        framework=PARLANT,
        person=customer or None,
        person_url=links.person(customer),
        agent=cut(text_of(document.get("agent_id"))),
        item_count=None,
        active_at=created,
        created_at=created,
    )


@on_store(Session, Thread)
def list_sessions(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponse:
    access = admin.access(request)
    reader = _Reader(store, request, Links(admin, request), access)
    page = reader.read()
    unknown = set() if reader.criteria.query else {"last_message"}
    if not any(one.outcomes for one in page.conversations):
        unknown.add("outcome")
    columns = [name for name in admin.list_display if name not in unknown]
    return show_rows(
        admin,
        request,
        store,
        Session,
        "store/sessions.html",
        title=_("Conversations of the store %(alias)s") % {"alias": store.alias},
        columns=[label_for_field(name, Session, admin) for name in columns],
        rows=[(one, [getattr(admin, name)(one) for name in columns]) for one in page.conversations],
        values=request.GET,
        may_read=access.items,
        orders=list(_orders(request, reader.criteria)),
        notes=page.notes,
        next_url=_address(request, page.next_parameters) if page.next_parameters else "",
        is_first=page.is_first,
        page_url=_address(request, {}),
        sweep_url=may_sweep(request, store) and link(admin, "stores_sweep", store=store.alias),
        documents_url=_documents_url(admin, store) if access.documents else "",
    )


def _orders(request: HttpRequest, criteria: Criteria) -> Iterator[tuple[Any, str, bool]]:
    for order, title in ORDERS.items():
        yield title, _address(request, {"order": order}), order == criteria.order


def _address(request: HttpRequest, changes: dict[str, Any]) -> str:
    """Return the address of the list with other parameters, and without those of a page."""
    params = request.GET.copy()
    for name in ("p", "after"):
        params.pop(name, None)
    for name, value in changes.items():
        params[name] = str(value)
    return f"?{params.urlencode()}"


def _documents_url(admin: Any, store: BaseBackend) -> str:
    if not store.supports_documents:
        return ""
    return link(admin, "stores_documents", store=store.alias)


def _has_part(text: str | None, part: str) -> bool:
    return not part or part.lower() in (text or "").lower()


@on_store(Session)
def show_session(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponse:
    name = request.GET.get("session", "")
    namespace, session_id = decode_names(name, 2)
    info = call_store(store, partial(store.get_session, session_id, namespace=namespace))
    if info is None:
        raise Http404(_("There is no such session, or it has expired."))
    limit = MANY if request.GET.get("more") else FEW
    list_branches = partial(store.list_branches, session_id, namespace=namespace)
    branches = call_store(store, list_branches)
    transcript = None
    if admin.may_view(request, SessionItem):
        read = partial(store.get_timed_items, session_id, namespace=namespace, limit=limit)
        items = call_store(store, read)
        transcript = items_transcript(
            items,
            request.GET,
            first=max(1, info.item_count - len(items) + 1),
            is_whole=info.item_count <= limit,
        )
    return _show_conversation(
        admin,
        request,
        store,
        (namespace, session_id),
        name=name,
        field="session",
        header=info_header(info, branches, store.alias, Links(admin, request)),
        fields=[
            (_("Session id"), _bdi(session_id)),
            *_named_fields(info),
            (_("Items"), grouped(info.item_count)),
            (_("Tokens"), _("unknown") if info.tokens is None else grouped(info.tokens)),
            *_time_fields(info),
            (_("Metadata"), pre(pretty(info.metadata)) if info.metadata else NOTHING),
        ],
        transcript=transcript,
        hidden=max(0, info.item_count - limit) if transcript else 0,
        is_few=limit == FEW,
        shown=grouped(limit),
        many=grouped(MANY),
        more_url=link(admin, "stores_session", store=store.alias, session=name, more="1"),
    )


@on_store(Thread)
def show_thread(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponse:
    name = request.GET.get("thread", "")
    namespace, thread_id = (each or "" for each in decode_names(name, 2))
    info = call_store(store, partial(store.get_thread, thread_id, namespace=namespace))
    if info is None:
        raise Http404(_("There is no such thread, or it has expired."))
    context = thread_context(
        store,
        info,
        request.GET,
        Links(admin, request),
        may_read=may_read_checkpoints(request),
        call=partial(call_store, store),
    )
    return _show_conversation(
        admin,
        request,
        store,
        (namespace, thread_id),
        name=name,
        field="thread",
        fields=[(_("Thread id"), _bdi(thread_id)), *_named_fields(info), *_time_fields(info)],
        **context,
    )


def _show_conversation(
    admin: Any, request: HttpRequest, store: BaseBackend, names: tuple[str, str], **context: Any
) -> HttpResponse:
    return show_rows(
        admin,
        request,
        store,
        Session,
        "store/session.html",
        title=_("Conversation of the store %(alias)s") % {"alias": store.alias},
        subtitle=joined_name(*names),
        **context,
    )


def _bdi(text: str | None) -> SafeString:
    return format_html("<bdi>{}</bdi>", codec.printable(text or "") or NOTHING)


def _time(time: datetime) -> str:
    shown = django_time(time)
    return written(shown) if shown else NOTHING


def _named_fields(info: SessionInfo | ThreadInfo) -> Iterator[tuple[str, Any]]:
    yield _("Namespace"), _bdi(info.namespace)
    yield _("Owner"), _bdi(info.user_id)


def _time_fields(info: SessionInfo | ThreadInfo) -> Iterator[tuple[str, Any]]:
    yield _("Created"), _time(info.created_at)
    yield _("Last written"), _time(info.updated_at)
    yield _("Expires"), expiry(django_time(info.expires_at))
