"""The conversations of a remote store, through its contract.

Stores list their sessions by name. As long as there are few, they are read at once, so that they
are filtered and sorted as those of local stores are.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from django.contrib.admin.utils import label_for_field
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from parlant_store.admin.actions import sweep
from parlant_store.admin.actions.remote_rows import permitted_actions
from parlant_store.admin.conversations.conversation import OPENAI, PARLANT, Conversation
from parlant_store.admin.conversations.criteria import CREATION, LENGTH, Criteria, criteria_of
from parlant_store.admin.conversations.links import Links
from parlant_store.admin.conversations.orders import ORDERS
from parlant_store.admin.conversations.selection import SOON
from parlant_store.admin.conversations.words import marked
from parlant_store.admin.formatting import cut, grouped
from parlant_store.admin.remote_stores import (
    call_store,
    decode_names,
    django_time,
    encode_names,
    link,
    on_store,
    parsed_time,
    show,
)
from parlant_store.backends.base import BaseBackend
from parlant_store.content import text_search
from parlant_store.content.related_documents import SESSIONS
from parlant_store.content.times import as_utc
from parlant_store.models import Session
from parlant_store.types import JSONObject, SearchHit, SessionCursor, SessionInfo

PAGE = 50
"""How many conversations a page lists, and a search finds."""

MAX_SORTED = 1_000
"""Limit on the sessions, and on the Parlant sessions, that are read to be sorted."""

MAX_COLLECTIONS = 5
"""Limit on the collections of Parlant sessions that are read."""


class Row(NamedTuple):
    """A row of the list."""

    conversation: Conversation
    cells: list[Any]


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
        if self.criteria.query and self.access.items:
            return self._search()
        if after := self.params.get("after", ""):
            namespace, session_id = decode_names(after, 2)
            return self._by_name(SessionCursor(namespace=namespace, session_id=session_id))
        sessions, is_whole = self._sessions()
        if not is_whole:
            return self._by_name(None)
        found = [*filter(self._matches, map(self._session, sessions)), *self._documents()]
        found.sort(key=self._place, reverse=True)
        number = self._page_number()
        start = (number - 1) * PAGE
        following = {"p": number + 1} if found[start + PAGE :] else {}
        return _Page(found[start : start + PAGE], [], following, number == 1)

    def _search(self) -> _Page:
        namespace = self.agent or None
        search = partial(self.store.search, self.criteria.query, namespace=namespace, limit=PAGE)
        hits = call_store(self.store, search)
        notes = [_("A search by words has no other filter than the namespace.")]
        if len(hits) == PAGE:
            notes.append(_("Only the best matches are listed."))
        return _Page([self._hit(hit) for hit in hits], notes, {}, True)

    def _sessions(self) -> tuple[list[SessionInfo], bool]:
        """Return the sessions of the store, if there are few; else those of the exact names."""
        page = call_store(self.store, partial(self._listing, limit=MAX_SORTED))
        names = self._names()
        if page.next_cursor and names:
            page = call_store(self.store, partial(self._listing, limit=MAX_SORTED, **names))
        return list(page.sessions), page.next_cursor is None

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
        found = [self._session(info) for info in page.sessions]
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
                one = self._document(collection, document)
                if self._matches(one):
                    yield one

    def _matches(self, one: Conversation) -> bool:
        criteria = self.criteria
        if criteria.framework and (criteria.framework == PARLANT) != (one.framework == PARLANT):
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

    def _session(self, info: SessionInfo) -> Conversation:
        title = info.metadata.get("title")
        return Conversation(
            pk=encode_names([info.namespace, info.session_id]),
            url=self._session_url(info.namespace, info.session_id),
            name=cut(info.session_id) or "",
            title=(cut(title) or "") if isinstance(title, str) else "",
            framework=OPENAI,
            person=cut(info.user_id),
            person_url=self.links.person(info.user_id),
            agent=cut(info.namespace),
            item_count=info.item_count,
            active_at=django_time(info.updated_at),
            created_at=django_time(info.created_at),
            expires_at=django_time(info.expires_at),
        )

    def _hit(self, hit: SearchHit) -> Conversation:
        return Conversation(
            pk=encode_names([hit.namespace, hit.session_id]),
            url=self._session_url(hit.namespace, hit.session_id),
            name=cut(hit.session_id) or "",
            title="",
            framework="",
            person=None,
            agent=cut(hit.namespace),
            item_count=None,
            snippet=marked(" … ".join(hit.snippets), text_search.terms(self.criteria.query)),
        )

    def _document(self, collection: str, document: JSONObject) -> Conversation:
        id_, customer = document.get("id"), _text(document, "customer_id")
        name = encode_names([collection, id_])
        created = parsed_time(document.get("creation_utc"))
        has_page = isinstance(id_, str)
        url = self.links.page("stores_document", store=self.store.alias, document=name)
        return Conversation(
            pk="",
            url=url if has_page else "",
            name=(cut(str(id_)) or "") if has_page else "",
            title=_text(document, "title") or "",
            framework=PARLANT,
            person=customer,
            person_url=self.links.person(customer),
            agent=_text(document, "agent_id"),
            item_count=None,
            active_at=created,
            created_at=created,
        )

    def _session_url(self, namespace: str, session_id: str) -> str:
        name = encode_names([namespace, session_id])
        return self.links.page("stores_session", store=self.store.alias, session=name)


@on_store(Session)
def list_sessions(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponse:
    access = admin.access(request)
    reader = _Reader(store, request, Links(admin, request), access)
    page = reader.read()
    unknown = {"outcome"} if reader.criteria.query else {"outcome", "last_message"}
    columns = [name for name in admin.list_display if name not in unknown]
    return show(
        admin,
        request,
        "store/sessions.html",
        title=_("Conversations of the store %(alias)s") % {"alias": store.alias},
        store_alias=store.alias,
        columns=[label_for_field(name, Session, admin) for name in columns],
        rows=[
            Row(one, [getattr(admin, name)(one) for name in columns[1:]])
            for one in page.conversations
        ],
        values=request.GET,
        may_read=access.items,
        orders=list(_orders(request, reader.criteria)),
        notes=page.notes,
        next_url=_address(request, page.next_parameters) if page.next_parameters else "",
        is_first=page.is_first,
        page_url=_address(request, {}),
        actions=permitted_actions(request, Session),
        change_url=link(admin, "stores_sessions_change", store=store.alias),
        sweep_url=sweep.is_permitted(request, store)
        and link(admin, "stores_sweep", store=store.alias),
        documents_url=_documents_url(admin, store) if access.documents else "",
        all_url=link(admin, "stores_sessions", store=store.alias),
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


def _text(document: JSONObject, field: str) -> str | None:
    value = document.get(field)
    return cut(value) if isinstance(value, str) else None
