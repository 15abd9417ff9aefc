"""The page of a session of a remote store."""

from functools import partial
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from parlant_store.admin.actions.remote_rows import permitted_actions
from parlant_store.admin.conversations.header import info_header
from parlant_store.admin.conversations.links import Links
from parlant_store.admin.expiry import expiry
from parlant_store.admin.formatting import NOTHING, cut, grouped, pre, pretty
from parlant_store.admin.remote_stores import (
    call_store,
    decode_names,
    django_time,
    link,
    on_store,
    show,
)
from parlant_store.admin.transcript.items_page import items_transcript
from parlant_store.backends.base import BaseBackend
from parlant_store.content import codec
from parlant_store.models import Session, SessionItem

FEW, MANY = 100, 1_000
"""The number of the latest items on the page, and on the page with more of them."""


@on_store(Session)
def show_session(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponse:
    name = request.GET.get("session", "")
    namespace, session_id = decode_names(name, 2)
    info = call_store(store, partial(store.get_session, session_id, namespace=namespace))
    if info is None:
        raise Http404(_("There is no such session, or it has expired."))
    limit = MANY if request.GET.get("more") else FEW
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
    return show(
        admin,
        request,
        "store/session.html",
        title=_("Conversation of the store %(alias)s") % {"alias": store.alias},
        subtitle="/".join(filter(None, (cut(namespace), cut(session_id)))),
        store_alias=store.alias,
        name=name,
        info=info,
        header=info_header(info, Links(admin, request)),
        session_id=codec.printable(session_id),
        namespace=codec.printable(namespace) or NOTHING,
        owner=codec.printable(info.user_id or "") or NOTHING,
        expires=expiry(django_time(info.expires_at)),
        metadata=pre(pretty(info.metadata)) if info.metadata else NOTHING,
        transcript=transcript,
        hidden=max(0, info.item_count - limit) if transcript else 0,
        is_few=limit == FEW,
        shown=grouped(limit),
        many=grouped(MANY),
        more_url=link(admin, "stores_session", store=store.alias, session=name, more="1"),
        actions=permitted_actions(request, Session),
        change_url=link(admin, "stores_sessions_change", store=store.alias),
        sessions_url=link(admin, "stores_sessions", store=store.alias),
    )
