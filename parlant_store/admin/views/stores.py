"""The page of the stores, whether they answer, and the deletion of what has expired in one."""

from concurrent.futures import Future
from functools import partial
from itertools import islice
from time import monotonic
from typing import Any, NamedTuple

from django.contrib import messages
from django.contrib.admin.models import DELETION
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from parlant_store.admin.actions.confirmation import MAX_NAMES, confirmation, log_by_name
from parlant_store.admin.formatting import grouped
from parlant_store.admin.views import base
from parlant_store.admin.views.base import (
    call_store,
    configured_stores,
    error_message,
    is_local,
    link,
    on_store,
    result_of,
    show,
)
from parlant_store.backends.base import BaseBackend
from parlant_store.content.codec import printable
from parlant_store.exceptions import StoreError
from parlant_store.handler import stores
from parlant_store.models import Document, Session, Thread
from parlant_store.types import ExpireResult

TIMEOUT_SECONDS = 3.0
"""The time in which all stores, which are called in parallel, must answer."""

BATCH = 1_000
"""Limit on the sessions, and on the documents, of one transaction; also on their count before."""

BATCHES = 10
"""Limit on the batches of one request."""


class StoreState(NamedTuple):
    """A store, and whether it answers."""

    alias: str
    backend: str = ""
    """The class of its backend."""

    is_local: bool = False
    error: str = ""
    sessions_url: str = ""
    documents_url: str = ""


def list_stores(admin: Any, request: HttpRequest) -> HttpResponse:
    models = viewed_models(admin, request)
    states = store_states(admin, models)
    return show(admin, request, "store/list.html", title=_("Stores"), states=states)


def viewed_models(admin: Any, request: HttpRequest) -> list[type[Model]]:
    """Return which of the models the user may view; raise PermissionDenied for none."""
    models: list[type[Model]] = [
        model for model in (Session, Document, Thread) if admin.may_view(request, model)
    ]
    if not models:
        raise PermissionDenied
    return models


def store_states(admin: Any, models: list[type[Model]]) -> list[StoreState]:
    """Return all stores; the remote ones are called in parallel."""
    states = [_state(admin, models, *configured) for configured in configured_stores()]
    until = monotonic() + TIMEOUT_SECONDS
    calls = {
        state.alias: stores[state.alias].submit(partial(stores[state.alias].list_sessions, limit=1))
        for state in states
        if not (state.is_local or state.error)
    }
    errors = {alias: _error(future, until - monotonic()) for alias, future in calls.items()}
    return [state._replace(error=errors.get(state.alias, state.error)) for state in states]


def _state(
    admin: Any, models: list[type[Model]], alias: str, store: BaseBackend | None, error: str
) -> StoreState:
    if store is None:
        return StoreState(alias, error=error)
    has_local_rows = is_local(store)
    if has_local_rows:
        urls = [admin.list_url(Session), admin.list_url(Document)]
    else:
        names = ("stores_sessions", "stores_documents")
        urls = [link(admin, name, store=alias) for name in names]
    has_documents = Document in models and store.supports_documents
    return StoreState(
        alias,
        type(store).__name__,
        has_local_rows,
        sessions_url=urls[0] if Session in models or Thread in models else "",
        documents_url=urls[1] if has_documents else "",
    )


def _error(future: Future[Any], timeout: float) -> str:
    try:
        result_of(future, timeout)
    except (StoreError, ImproperlyConfigured) as exc:
        return error_message(exc)
    return ""


def may_sweep(request: HttpRequest, store: BaseBackend) -> bool:
    """Whether the user may delete sessions, and documents and threads if the store has any."""
    needed = ["parlant_store.delete_session"]
    if store.supports_documents:
        needed.append("parlant_store.delete_document")
    if store.supports_checkpoints:
        needed.append("parlant_store.delete_thread")
    return request.user.has_perms(needed)


@on_store(Session)
def sweep(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponse:
    if not may_sweep(request, store):
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
        monotonic() + base.TIMEOUT_SECONDS,
    )
    while len(deleted) < BATCHES and monotonic() < until:
        batch = call_store(store, partial(next, batches, None))
        if batch is None:
            return deleted, False
        deleted.append(batch)
    return deleted, True
