"""What pages share: templates, addresses, calls of a remote store, permissions and errors."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, PermissionDenied, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, connections, router, transaction
from django.db.models import Model
from django.db.transaction import TransactionManagementError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.orm import OrmBackend
from parlant_store.backends.orm.checks import check_contents
from parlant_store.content import codec
from parlant_store.content.times import as_utc, without_zone
from parlant_store.exceptions import InvalidInput, OutcomeUnknown, StoreError, StoreUnavailable
from parlant_store.handler import stores
from parlant_store.models import Session

T = TypeVar("T")

TIMEOUT_SECONDS = 10.0
"""How long a page waits for a store."""

Page = Callable[[Any, HttpRequest], HttpResponseBase]
"""A view of a StoreAdmin."""

StorePage = Callable[[Any, HttpRequest, BaseBackend], HttpResponseBase]

View = Callable[..., HttpResponseBase]
_ERRORS = (DatabaseError, InterfaceError, StoreError, TransactionManagementError)


def call_store(store: BaseBackend, call: Callable[[], T]) -> T:
    """Return what ``call`` returns on a thread of the store; raise as ``result_of`` does."""
    return result_of(store.submit(call), TIMEOUT_SECONDS)


def result_of(future: Future[T], timeout: float) -> T:
    """Return the result; ``timeout`` is in seconds.

    Raise StoreUnavailable if there is none in time, and OutcomeUnknown if the call has begun: it
    may still write.
    """
    try:
        return future.result(max(0.0, timeout))
    except TimeoutError:
        error = StoreUnavailable if future.cancel() else OutcomeUnknown
        raise error(_("no answer in time")) from None


def configured_stores() -> Iterator[tuple[str, BaseBackend | None, str]]:
    """Yield each alias with its store, or with None and the error of an invalid setting."""
    try:
        aliases = list(stores)
    except ImproperlyConfigured:
        return
    for alias in aliases:
        try:
            store = stores[alias]
        except ImproperlyConfigured as exc:
            yield alias, None, error_message(exc)
        else:
            yield alias, store, ""


def error_message(exc: Exception) -> str:
    return codec.printable(str(exc)) or type(exc).__name__


def is_local(store: BaseBackend) -> bool:
    """Whether the store's sessions are those that this admin lists."""
    databases = router.db_for_read(Session), router.db_for_write(Session)
    return isinstance(store, OrmBackend) and (store.using is None or store.using in databases)


def link(admin: Any, name: str, **query: Any) -> str:
    """Return the address of a page (sessions.PAGES)."""
    site = admin.admin_site.name
    return reverse(f"admin:parlant_store_session_{name}", query=query or None, current_app=site)


def show(admin: Any, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
    request.current_app = admin.admin_site.name
    shared = admin.admin_site.each_context(request)
    shared |= {"opts": Session._meta, "media": admin.media, "stores_url": link(admin, "stores")}
    return TemplateResponse(request, f"admin/parlant_store/{template}", shared | context)


def on_store(*models: type[Model]) -> Callable[[StorePage], Page]:
    """Give a view the store of the parameter ``store``, if the user may view one of ``models``.

    An error of the store becomes a page with its message.
    """

    def decorate(view: StorePage) -> Page:
        @wraps(view)
        def page(admin: Any, request: HttpRequest) -> HttpResponseBase:
            if not any(admin.may_view(request, model) for model in models):
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


def django_time(time: datetime | None) -> datetime | None:
    """Return the time as Django represents times: without a zone if USE_TZ is off."""
    return time if time is None or settings.USE_TZ else without_zone(time)


def parsed_time(text: object) -> datetime | None:
    """Return the time in a text of ISO 8601, as Django represents times; None for other values."""
    try:
        time = parse_datetime(text) if isinstance(text, str) else None
        return django_time(time and as_utc(time))
    except (ValueError, OverflowError):
        return None


def encode_names(names: object) -> str:
    """Return names of any characters as one parameter of an address or a form."""
    return json.dumps(names, separators=(",", ":"))


def decode_names(text: str, count: int) -> list[Any]:
    """Return the ``count`` names, some of which may be None; refuse what no page has made."""
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    fits = isinstance(names, list) and len(names) == count
    if not fits or not all(name is None or isinstance(name, str) for name in names):
        raise SuspiciousOperation("a parameter is not what a page has made")
    return list(names)


def guarded(admin: Any, view: View) -> View:
    """``view``, or a page that says what the database misses, when that makes it fail."""

    @wraps(view)
    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            with _savepoints():
                response = view(request, *args, **kwargs)
        except _ERRORS as exc:
            return _instead(admin, request, exc)
        if isinstance(response, TemplateResponse) and not response.is_rendered:
            _guard_rendering(admin, request, response)
        return response

    return page


def _guard_rendering(admin: Any, request: HttpRequest, response: TemplateResponse) -> None:
    """Lists are read when they are rendered."""
    render = response.render

    def guarded_render() -> HttpResponseBase:
        try:
            with _savepoints():
                return render()
        except _ERRORS as exc:
            return _instead(admin, request, exc).render()

    response.render = guarded_render  # type: ignore[method-assign,assignment]


def _instead(admin: Any, request: HttpRequest, exc: Exception) -> TemplateResponse:
    """The page that says what is missing; raises ``exc`` when nothing is."""
    findings = [
        finding
        for alias in _aliases()
        for finding in check_contents(f"the database {alias!r}", connections[alias])
    ]
    if not findings:
        raise exc
    return show(
        admin,
        request,
        "not_ready.html",
        title=_("The database is not ready"),
        opts=admin.opts,
        findings=[
            (codec.printable(finding.msg), codec.printable(finding.hint or ""))
            for finding in findings
        ],
        error=codec.printable(str(exc).strip()),
    )


def _aliases() -> list[str]:
    """The databases that the pages read and write."""
    return list(dict.fromkeys([router.db_for_read(Session), router.db_for_write(Session)]))


def _savepoints() -> ExitStack:
    """What keeps a failure from breaking the transaction of a request that is in one."""
    stack = ExitStack()
    for alias in _aliases():
        if connections[alias].in_atomic_block:
            stack.enter_context(transaction.atomic(using=alias))
    return stack
