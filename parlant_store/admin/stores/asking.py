"""Pages about a store that is not in this database: who may, and what comes when it fails."""

import json
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, PermissionDenied, SuspiciousOperation
from django.db import router
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.orm import OrmBackend
from parlant_store.content import codec
from parlant_store.content.times import without_zone
from parlant_store.exceptions import InvalidInput, OutcomeUnknown, StoreError, StoreUnavailable
from parlant_store.handler import stores
from parlant_store.models import Session

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that a page waits for one answer of a store."""

Page = Callable[[Any, HttpRequest], HttpResponseBase]
"""A view of a StoreAdmin."""

StorePage = Callable[[Any, HttpRequest, BaseBackend], HttpResponseBase]


def ask(store: BaseBackend, call: Callable[[], T]) -> T:
    """What ``call`` returns on one of the store's own threads; raises as ``answer`` does."""
    return answer(store.submit(call), PATIENCE)


def answer(future: Future[T], patience: float) -> T:
    """What comes within so many seconds.

    Raises StoreUnavailable when nothing does, and OutcomeUnknown when the call has begun: what
    was to be written may be written later.
    """
    try:
        return future.result(max(0.0, patience))
    except TimeoutError:
        error = StoreUnavailable if future.cancel() else OutcomeUnknown
        raise error(_("no answer in time")) from None


def is_here(store: BaseBackend) -> bool:
    """Whether the store's sessions are those that this admin lists."""
    here = router.db_for_read(Session), router.db_for_write(Session)
    return isinstance(store, OrmBackend) and (store.using is None or store.using in here)


def link(admin: Any, name: str, **query: Any) -> str:
    """The address of the page of that name (overview.PAGES)."""
    site = admin.admin_site.name
    return reverse(f"admin:parlant_store_session_{name}", query=query or None, current_app=site)


def show(admin: Any, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
    request.current_app = admin.admin_site.name
    shared = admin.admin_site.each_context(request)
    context |= {"opts": Session._meta, "media": admin.media, "stores_url": link(admin, "stores")}
    return TemplateResponse(request, f"admin/parlant_store/{template}", shared | context)


def on_store(model: type[Model]) -> Callable[[StorePage], Page]:
    """A page about the store that the parameter ``store`` names, for who may view ``model``.

    What the store raises becomes a page that says so.
    """

    def decorate(view: StorePage) -> Page:
        @wraps(view)
        def page(admin: Any, request: HttpRequest) -> HttpResponseBase:
            if not admin.may_view(request, model):
                raise PermissionDenied
            alias = request.GET.get("store", "")
            if alias not in list(stores):
                raise Http404(_("There is no such store."))
            try:
                return view(admin, request, stores[alias])
            except (StoreError, ImproperlyConfigured) as exc:
                return _failed(admin, request, alias, exc)

        return page

    return decorate


def _failed(admin: Any, request: HttpRequest, alias: str, exc: Exception) -> HttpResponse:
    return show(
        admin,
        request,
        "store/error.html",
        title=_("The store %(alias)s") % {"alias": alias},
        store_alias=alias,
        error=codec.printable(str(exc)),
        is_refused=isinstance(exc, InvalidInput),
    )


def here(time: datetime | None) -> datetime | None:
    """``time`` as Django's own times are: without a zone when USE_TZ is off."""
    return time if time is None or settings.USE_TZ else without_zone(time)


def said(names: object) -> str:
    """Names as one parameter of an address or a form, whatever characters they have."""
    return json.dumps(names, separators=(",", ":"))


def heard(text: str, count: int) -> list[Any]:
    """What ``said`` made: a list of so many texts, of which some may be None."""
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    fits = isinstance(names, list) and len(names) == count
    if not fits or not all(name is None or isinstance(name, str) for name in names):
        raise SuspiciousOperation("a parameter is not what a page has made")
    return list(names)
