"""Removing what has expired from any store, after a page that asks."""

from functools import partial
from itertools import islice
from time import monotonic
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import DELETION
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from parlant_store.admin.formatting import grouped
from parlant_store.admin.stores.asking import PATIENCE, ask, link, on_store, show
from parlant_store.admin.stores.noting import note
from parlant_store.backends.base import BaseBackend
from parlant_store.content.codec import printable
from parlant_store.models import Session
from parlant_store.types import ExpireResult

BATCH = 1_000
"""How many sessions, and how many documents, go in one transaction; and up to where both are
counted before."""

BATCHES = 10
"""How many batches go at once."""

NAMED = 10
"""How many of those that stay are named."""


def may_sweep(request: HttpRequest, store: BaseBackend) -> bool:
    """It takes sessions, and documents where the store has any."""
    needed = ["parlant_store.delete_session"]
    if store.supports_documents:
        needed.append("parlant_store.delete_document")
    return request.user.has_perms(needed)


@on_store(Session)
def sweep(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponse:
    """Removes what has expired, after asking, in so many batches as the time allows."""
    if not may_sweep(request, store):
        raise PermissionDenied
    back = link(admin, "stores_sessions", store=store.alias)
    if request.method != "POST":
        expired = ask(store, lambda: sum(1 for _found in islice(store.list_expired(), BATCH + 1)))
        return show(
            admin,
            request,
            "store/confirm.html",
            title=_("Remove what has expired from the store %(alias)s") % {"alias": store.alias},
            store_alias=store.alias,
            question=_swept_question(expired),
            verb=_("Remove") if expired else "",
            is_deletion=True,
            back_url=back,
        )
    removed, has_more = _sweep(store)
    sessions = sum(batch.sessions for batch in removed)
    documents = sum(batch.documents for batch in removed)
    number = {"sessions": grouped(sessions), "documents": grouped(documents)}
    noted = f"Removed as expired: {sessions:,} sessions, {documents:,} documents."
    note(request, Session, store, store.alias, DELETION, noted)
    messages.success(
        request, _("Removed as expired: sessions %(sessions)s, documents %(documents)s.") % number
    )
    protected = [one for batch in removed for one in batch.protected]
    for one in protected[:NAMED]:
        messages.warning(request, printable(_("Not removed: %(one)s.") % {"one": one}))
    if has_more:
        messages.warning(request, _("There is more. Do this again."))
    return HttpResponseRedirect(back)


def _swept_question(number: int) -> str:
    if number > BATCH:
        text = _(
            "More than %(number)s sessions and documents have expired and will be removed. "
            "They cannot be brought back."
        )
        return text % {"number": grouped(BATCH)}
    if not number:
        return _("Nothing has expired.")
    text = ngettext(
        "%(number)s session or document has expired and will be removed. It cannot be brought "
        "back.",
        "%(number)s sessions and documents have expired and will be removed. They cannot be "
        "brought back.",
        number,
    )
    return text % {"number": grouped(number)}


def _sweep(store: BaseBackend) -> tuple[list[ExpireResult], bool]:
    """What each batch removed, and whether there is more."""
    removed: list[ExpireResult] = []
    batches, until = store.expire_batches(batch_size=BATCH), monotonic() + PATIENCE
    has_more = True
    while has_more and len(removed) < BATCHES and monotonic() < until:
        batch = ask(store, partial(next, batches, None))
        if batch is None:
            has_more = False
        else:
            removed.append(batch)
    return removed, has_more
