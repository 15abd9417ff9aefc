"""Deletion of what has expired in a store, after a page that asks."""

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

from parlant_store.admin import remote_stores
from parlant_store.admin.actions.confirmation import MAX_NAMES, confirmation
from parlant_store.admin.actions.log import log_by_name
from parlant_store.admin.formatting import grouped
from parlant_store.admin.remote_stores import call_store, link, on_store
from parlant_store.backends.base import BaseBackend
from parlant_store.content.codec import printable
from parlant_store.models import Session
from parlant_store.types import ExpireResult

BATCH = 1_000
"""Limit on the sessions, and on the documents, of one transaction; also on their count before."""

BATCHES = 10
"""Limit on the batches of one request."""


def is_permitted(request: HttpRequest, store: BaseBackend) -> bool:
    """Whether the user may delete sessions, and documents if the store has any."""
    needed = ["parlant_store.delete_session"]
    if store.supports_documents:
        needed.append("parlant_store.delete_document")
    return request.user.has_perms(needed)


@on_store(Session)
def sweep(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponse:
    if not is_permitted(request, store):
        raise PermissionDenied
    list_url = link(admin, "stores_sessions", store=store.alias)
    names = {"alias": store.alias}
    if request.method != "POST":
        expired = call_store(
            store, lambda: sum(1 for _found in islice(store.list_expired(), BATCH + 1))
        )
        return confirmation(
            admin,
            request,
            title=_("Remove what has expired from the store %(alias)s") % names,
            verb=_("Remove") if expired else "",
            sentences=[_question(expired)],
            is_deletion=True,
            back_url=list_url,
            places=[
                (link(admin, "stores"), _("Stores")),
                (list_url, _("Conversations of the store %(alias)s") % names),
            ],
        )
    deleted, has_more = _delete_expired(store)
    sessions = sum(batch.sessions for batch in deleted)
    documents = sum(batch.documents for batch in deleted)
    message = f"Removed as expired: {sessions:,} sessions, {documents:,} documents."
    log_by_name(request, Session, store.alias, DELETION, f"Store {store.alias}: {message}")
    text = _("Removed as expired: conversations %(sessions)s, documents %(documents)s.")
    numbers = {"sessions": grouped(sessions), "documents": grouped(documents)}
    messages.success(request, text % numbers)
    for one in [row for batch in deleted for row in batch.protected][:MAX_NAMES]:
        messages.warning(request, printable(_("Not removed: %(one)s.") % {"one": one}))
    if has_more:
        messages.warning(request, _("There is more. Do this again."))
    return HttpResponseRedirect(list_url)


def _question(number: int) -> str:
    if number > BATCH:
        text = _(
            "More than %(number)s conversations and documents have expired and will be removed. "
            "They cannot be brought back."
        )
        return text % {"number": grouped(BATCH)}
    if not number:
        return _("Nothing has expired.")
    text = ngettext(
        "%(number)s conversation or document has expired and will be removed. It cannot be brought "
        "back.",
        "%(number)s conversations and documents have expired and will be removed. They cannot be "
        "brought back.",
        number,
    )
    return text % {"number": grouped(number)}


def _delete_expired(store: BaseBackend) -> tuple[list[ExpireResult], bool]:
    """Return the results of the batches, and whether there is more."""
    deleted: list[ExpireResult] = []
    batches, until = (
        store.expire_batches(batch_size=BATCH),
        monotonic() + remote_stores.TIMEOUT_SECONDS,
    )
    while len(deleted) < BATCHES and monotonic() < until:
        batch = call_store(store, partial(next, batches, None))
        if batch is None:
            return deleted, False
        deleted.append(batch)
    return deleted, True
