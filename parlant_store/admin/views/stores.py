"""The page of the stores, and whether they answer."""

from concurrent.futures import Future
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from parlant_store.admin.remote_stores import is_local, link, result_of, show
from parlant_store.content import codec
from parlant_store.exceptions import StoreError
from parlant_store.handler import stores
from parlant_store.models import Document, Session

TIMEOUT_SECONDS = 3.0
"""The time in which all stores, which are called in parallel, must answer."""


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
        model for model in (Session, Document) if admin.may_view(request, model)
    ]
    if not models:
        raise PermissionDenied
    return models


def store_states(admin: Any, models: list[type[Model]]) -> list[StoreState]:
    """Return all stores; the remote ones are called in parallel."""
    states = [_state(admin, alias, models) for alias in stores]
    until = monotonic() + TIMEOUT_SECONDS
    calls = {
        state.alias: stores[state.alias].submit(partial(stores[state.alias].list_sessions, limit=1))
        for state in states
        if not (state.is_local or state.error)
    }
    errors = {alias: _error(future, until - monotonic()) for alias, future in calls.items()}
    return [state._replace(error=errors.get(state.alias, state.error)) for state in states]


def _state(admin: Any, alias: str, models: list[type[Model]]) -> StoreState:
    try:
        store = stores[alias]
    except ImproperlyConfigured as exc:
        return StoreState(alias, error=codec.printable(str(exc)))
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
        sessions_url=urls[0] if Session in models else "",
        documents_url=urls[1] if has_documents else "",
    )


def _error(future: Future[Any], timeout: float) -> str:
    try:
        result_of(future, timeout)
    except (StoreError, ImproperlyConfigured) as exc:
        return codec.printable(str(exc)) or type(exc).__name__
    return ""
