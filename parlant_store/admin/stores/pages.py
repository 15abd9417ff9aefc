"""The sessions of any store, through the contract alone."""

from functools import partial
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from parlant_store.admin.actions import sweep
from parlant_store.admin.actions.remote_rows import permitted_actions
from parlant_store.admin.expiry import expiry
from parlant_store.admin.formatting import cut
from parlant_store.admin.stores.asking import (
    ask,
    heard,
    here,
    link,
    on_store,
    said,
    show,
)
from parlant_store.backends.base import BaseBackend
from parlant_store.content import codec
from parlant_store.models import Document, Session, SessionItem
from parlant_store.types import SessionCursor, SessionInfo

PAGE = 50
"""How many sessions a page lists, and a search finds."""


class Row(NamedTuple):
    """A session in a list."""

    name: str
    """As forms and addresses say it."""

    url: str
    session_id: str | None
    namespace: str | None
    snippet: str = ""
    owner: str | None = None
    info: SessionInfo | None = None
    expires: Any = None


@on_store(Session)
def list_sessions(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponse:
    given = {name: request.GET.get(name, "") for name in ("namespace", "owner", "prefix", "q")}
    may_read = admin.may_view(request, SessionItem)
    after = request.GET.get("after", "")
    next_url = ""
    if is_search := bool(given["q"] and may_read):
        rows = _found(admin, store, given)
    else:
        rows, cursor = _listed(admin, store, given, after)
        narrowed = {name: value for name, value in given.items() if value and name != "q"}
        if cursor:
            next_url = link(admin, "stores_sessions", store=store.alias, **narrowed, after=cursor)
    return show(
        admin,
        request,
        "store/sessions.html",
        title=_("Sessions of the store %(alias)s") % {"alias": store.alias},
        store_alias=store.alias,
        rows=rows,
        given=given,
        may_read=may_read,
        is_search=is_search,
        is_first=not after,
        has_more_hits=is_search and len(rows) == PAGE,
        next_url=next_url,
        actions=permitted_actions(request, Session),
        change_url=link(admin, "stores_sessions_change", store=store.alias),
        sweep_url=sweep.is_permitted(request, store)
        and link(admin, "stores_sweep", store=store.alias),
        documents_url=_documents_url(admin, store) if admin.may_view(request, Document) else "",
        page_url=link(admin, "stores_sessions", store=store.alias),
    )


def _listed(
    admin: Any, store: BaseBackend, given: dict[str, str], after: str
) -> tuple[list[Row], str]:
    """The sessions of a page, and where the next one begins; "" on the last."""
    cursor = None
    if after:
        namespace, session_id = heard(after, 2)
        cursor = SessionCursor(namespace=namespace, session_id=session_id)
    page = ask(
        store,
        partial(
            store.list_sessions,
            namespace=given["namespace"] or None,
            user_id=given["owner"] or None,
            prefix=given["prefix"],
            limit=PAGE,
            cursor=cursor,
        ),
    )
    last = page.next_cursor
    rows = [_row(admin, store, info) for info in page.sessions]
    return rows, said([last.namespace, last.session_id]) if last else ""


def _found(admin: Any, store: BaseBackend, given: dict[str, str]) -> list[Row]:
    namespace = given["namespace"] or None
    hits = ask(store, partial(store.search, given["q"], namespace=namespace, limit=PAGE))
    return [
        _named(admin, store, hit.namespace, hit.session_id)._replace(
            snippet=codec.printable(" … ".join(hit.snippets))
        )
        for hit in hits
    ]


def _row(admin: Any, store: BaseBackend, info: SessionInfo) -> Row:
    return _named(admin, store, info.namespace, info.session_id)._replace(
        owner=cut(info.user_id), info=info, expires=expiry(here(info.expires_at))
    )


def _named(admin: Any, store: BaseBackend, namespace: str, session_id: str) -> Row:
    name = said([namespace, session_id])
    url = link(admin, "stores_session", store=store.alias, session=name)
    return Row(name, url, cut(session_id), cut(namespace))


def _documents_url(admin: Any, store: BaseBackend) -> str:
    if not store.supports_documents:
        return ""
    return link(admin, "stores_documents", store=store.alias)
